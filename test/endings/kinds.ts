/** How the channels of a world ended, read from the blocks alone (BOLT 3, BOLT 5). */
import { toHex } from "../../core/primitives/bytes.ts";
import {
  outpointKey,
  parseTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import type { SimChain } from "../../host-sim/chain/sim-chain.ts";
import type { SimTransaction } from "../../host-sim/chain/sim-transaction.ts";
import type { World } from "../../host-sim/world/world.ts";

export const ENDINGS = [
  "still open",
  "mutual close",
  "commitment",
  "commitment with HTLCs",
  "revoked, punished",
] as const;
export type Ending = (typeof ENDINGS)[number];

/** One for each channel whose funding is in a block. */
export function endingsOf(world: World): readonly Ending[] {
  const spenders = spendersOf(world.chain);
  return world.book.channels.flatMap(({ funding, fundingSatoshis }): Ending[] => {
    if (!funding) return [];
    const { outputs } = parseTransaction(funding);
    const txid = transactionId(world.crypto, parseTransaction(funding));
    const vout = outputs.findIndex(
      ({ amount, script }) => amount === fundingSatoshis && script.length === 34,
    );
    const key = outpointKey({ txid, vout });
    const spender = spenders.get(key);
    if (spender) return [kindOf(spender, spenders)];
    return world.chain.coin({ txid, vout }) ? ["still open"] : [];
  });
}

function spendersOf(chain: SimChain): ReadonlyMap<string, SimTransaction> {
  const spenders = new Map<string, SimTransaction>();
  for (let height = 1; height <= chain.height; height++) {
    for (const transaction of chain.block(height)?.transactions.slice(1) ?? []) {
      for (const key of transaction.spends) spenders.set(key, transaction);
    }
  }
  return spenders;
}

function kindOf(spender: SimTransaction, spenders: ReadonlyMap<string, SimTransaction>): Ending {
  const { locktime, inputs } = spender.parsed;
  const isCommitment = locktime >>> 24 === 0x20 && (inputs[0]?.sequence ?? 0) >>> 24 === 0x80;
  if (!isCommitment) return "mutual close";
  const witnesses = spender.scripts.flatMap((_, vout) => {
    const key = `${spender.key}:${vout}`;
    const claim = spenders.get(key);
    const at = claim?.spends.indexOf(key) ?? -1;
    const witness = claim?.parsed.inputs[at]?.witness;
    return witness ? [witness] : [];
  });
  if (witnesses.some(isPenalty)) return "revoked, punished";
  return witnesses.some(isOfHtlc) ? "commitment with HTLCs" : "commitment";
}

/** By the revocation key: of to_local, or of an HTLC. */
function isPenalty([, choice, script]: readonly Uint8Array[]): boolean {
  if (!choice || !script) return false;
  if (script[0] === 0x63) return toHex(choice) === "01";
  return isHtlcScript(script) && choice.length === 33;
}

function isOfHtlc(witness: readonly Uint8Array[]): boolean {
  const script = witness.at(-1);
  return script !== undefined && isHtlcScript(script);
}

/** It begins with OP_DUP OP_HASH160. */
function isHtlcScript(script: Uint8Array): boolean {
  return script[0] === 0x76 && script[1] === 0xa9;
}
