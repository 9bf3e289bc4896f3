/** The consensus rules that the simulated chain holds a transaction to (Bitcoin Core tx_check, tx_verify; BIP 68, 113). */
import type { TxOutput } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { checkScripts } from "./script-check.ts";
import type { SimTransaction } from "./sim-transaction.ts";

export interface Coin {
  readonly output: TxOutput;
  /** Of the block that holds it; for a mempool output the next block's. */
  readonly height: number;
  readonly coinbase: boolean;
  /** Median time of the block before the one that holds it (BIP 68). */
  readonly medianTime: number;
}

/** Where a transaction would be mined. */
export interface BlockContext {
  readonly height: number;
  /** Median time of the last eleven blocks before it (BIP 113). */
  readonly medianTime: number;
}

export type RuleOutcome =
  | { readonly ok: true; readonly fee: number; readonly coins: readonly Coin[] }
  | { readonly ok: false; readonly reason: string };

export const COINBASE_MATURITY = 100;
const MAX_MONEY = 2_100_000_000_000_000;
const LOCKTIME_THRESHOLD = 500_000_000;
const FINAL = 0xffffffff;
const SEQUENCE_DISABLE = 0x80000000;
const SEQUENCE_SECONDS = 0x00400000;
const SEQUENCE_MASK = 0xffff;
const SEQUENCE_GRANULARITY_SECONDS = 512;

/** Everything but the scripts, which are slow: see `scriptRefusal`. */
export function checkTransaction(
  transaction: SimTransaction,
  coinOf: (outpointKey: string) => Coin | undefined,
  block: BlockContext,
): RuleOutcome {
  const { parsed, spends } = transaction;
  if (parsed.outputs.length === 0) return refused("bad-txns-vout-empty");
  if (new Set(spends).size !== spends.length) return refused("bad-txns-inputs-duplicate");
  if (!isFinal(transaction, block)) return refused("non-final");
  const coins: Coin[] = [];
  for (const key of spends) {
    const coin = coinOf(key);
    if (!coin) return refused("bad-txns-inputs-missingorspent");
    if (coin.coinbase && block.height - coin.height < COINBASE_MATURITY) {
      return refused("bad-txns-premature-spend-of-coinbase");
    }
    coins.push(coin);
  }
  if (!sequenceLocksHold(transaction, coins, block)) return refused("non-BIP68-final");
  const out = parsed.outputs.reduce((sum, output) => sum + output.amount, 0);
  const inside = coins.reduce((sum, coin) => sum + coin.output.amount, 0);
  if (out > MAX_MONEY) return refused("bad-txns-txouttotal-toolarge");
  if (inside < out)
    return refused(`bad-txns-in-belowout, value in (${inside}) < value out (${out})`);
  return { ok: true, fee: inside - out, coins };
}

export function scriptRefusal(
  crypto: Crypto,
  transaction: SimTransaction,
  coins: readonly Coin[],
): string | undefined {
  return checkScripts(
    crypto,
    transaction.raw,
    transaction.parsed.inputs,
    coins.map((coin) => coin.output),
  );
}

function isFinal({ parsed }: SimTransaction, block: BlockContext): boolean {
  const { locktime } = parsed;
  if (locktime < (locktime < LOCKTIME_THRESHOLD ? block.height : block.medianTime)) return true;
  return parsed.inputs.every((input) => input.sequence === FINAL);
}

function sequenceLocksHold(
  { parsed }: SimTransaction,
  coins: readonly Coin[],
  block: BlockContext,
): boolean {
  if (parsed.version < 2) return true;
  return parsed.inputs.every(({ sequence }, i) => {
    const coin = coins[i];
    if (!coin || sequence >= SEQUENCE_DISABLE) return true;
    const amount = sequence & SEQUENCE_MASK;
    if ((sequence & SEQUENCE_SECONDS) === 0) return block.height - coin.height >= amount;
    return block.medianTime - coin.medianTime >= amount * SEQUENCE_GRANULARITY_SECONDS;
  });
}

function refused(reason: string): RuleOutcome {
  return { ok: false, reason };
}
