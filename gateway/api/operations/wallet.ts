/** What the operations about the gateway's coins do. */
import { type Satoshi, satoshi, toMilliSatoshi } from "../../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { assert } from "../../../core/primitives/errors.ts";
import { dustThreshold } from "../../../core/transactions/script.ts";
import { parseTransaction, transactionId } from "../../../core/transactions/transaction.ts";
import { toDisplay } from "../../chain/bitcoind/units.ts";
import { InsufficientFunds } from "../../chain/insufficient-funds.ts";
import { addressOf, scriptOf } from "../address.ts";
import { channelsOf } from "../channel-json.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, type Call, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { walletShapes } from "../shapes/wallet.ts";

/** 1000 weight units are 250 virtual bytes. */
export const PER_KW_OF_SAT_PER_VB = 250;
/** Of a P2WPKH input, and of the rest of a transaction with two outputs. */
const INPUT_WEIGHT = 272;
const REST_WEIGHT = 44 + 2 * 4 * 43;
/** Words of nodes that have it already. */
const KNOWN = /already|txn-known/i;

type Withdrawal = Answer<typeof walletShapes.withdraw>;

export function walletOperations(host: ApiHost): readonly AnyOperation[] {
  const { chain, gateway } = host;
  return [
    serve(walletShapes.getWalletBalance, async () => {
      const all = channelsOf(gateway.node);
      const open = all.filter(({ state }) => ["awaiting-funding", "normal"].includes(state));
      const ending = all.filter(({ state }) =>
        ["closing", "force-closing", "on-chain", "outdated"].includes(state),
      );
      return {
        onchain_sat: await chain.wallet.balance(),
        free_coins: await chain.wallet.freeCoins(),
        channels_local_msat: sum(open.map((one) => one.local_balance_msat)),
        channels_remote_msat: sum(open.map((one) => one.remote_balance_msat)),
        channels_closing_msat: sum(ending.map((one) => one.local_balance_msat)),
      };
    }),
    serve(walletShapes.newAddress, async () => {
      const address = addressOf(await chain.wallet.newScript(), chain.network);
      assert(address, "the wallet's scripts are segwit");
      return { address };
    }),
    serve(walletShapes.withdraw, (input, call) => withdraw(host, input, call)),
  ];
}

/** The signed transaction is durable before it is broadcast: a second try sends the same one. */
async function withdraw(
  host: ApiHost,
  input: Input<typeof walletShapes.withdraw>,
  { once, grant }: Call,
): Promise<Withdrawal> {
  assert(once, "a withdrawal has a key");
  const { source, wallet } = host.chain;
  const noted = once.noted as { readonly raw: string; readonly told: Withdrawal } | undefined;
  if (noted) return sent(host, noted.raw, noted.told);
  const script = scriptIn(host, input.address);
  const feerate = input.feerate_sat_per_vb;
  const perKw = feerate ? feerate * PER_KW_OF_SAT_PER_VB : await source.feeratePerKw("soon");
  const amount = await amountOf(host, input, perKw);
  if (amount < dustThreshold(script)) {
    throw new ApiProblem("refused", `${amount} sat are too few: no node would relay that`);
  }
  const before = await wallet.balance();
  // Wallets refuse what is more than all coins there are in words of their own.
  if (amount > before) {
    throw new ApiProblem("not-enough-money", `the wallet has ${before} sat of ${amount}`);
  }
  const spent = await grant.spend(toMilliSatoshi(amount));
  let raw: Uint8Array;
  try {
    raw = await wallet.fund([{ script, amount }], Math.ceil(perKw));
  } catch (cause) {
    await spent.giveBack();
    if (!(cause instanceof InsufficientFunds)) throw cause;
    const detail = `the wallet has ${before} sat: ${cause.message}`;
    throw new ApiProblem("not-enough-money", detail);
  }
  const transaction = parseTransaction(raw);
  assert(
    transaction.outputs.some((one) => equal(one.script, script) && one.amount === amount),
    "the wallet pays what was asked for",
  );
  const told = {
    txid: toDisplay(transactionId(host.crypto, transaction)),
    amount_sat: amount,
    feerate_sat_per_vb: perKw / PER_KW_OF_SAT_PER_VB,
  };
  await once.note({ raw: toHex(raw), told });
  return sent(host, toHex(raw), told);
}

async function sent(host: ApiHost, raw: string, told: Withdrawal): Promise<Withdrawal> {
  const { source } = host.chain;
  const result = await source.broadcast(fromHex(raw));
  if (result.ok || KNOWN.test(result.reason)) return told;
  // It may have been sent before, and be in a block by now: the coins stay set aside.
  const detail = `the transaction ${told.txid} was refused (${result.reason}); try again with the same key`;
  throw new ApiProblem("unavailable", detail);
}

async function amountOf(
  { chain: { wallet } }: ApiHost,
  { amount_sat: amount, all }: Input<typeof walletShapes.withdraw>,
  perKw: number,
): Promise<Satoshi> {
  if ((amount === undefined) === (all !== true)) {
    const detail = "say either amount_sat or all";
    throw new ApiProblem("invalid-request", detail, [{ pointer: "/amount_sat", detail }]);
  }
  if (amount !== undefined) return satoshi(amount);
  const [balance, coins] = [await wallet.balance(), await wallet.freeCoins()];
  const fee = Math.ceil(((coins * INPUT_WEIGHT + REST_WEIGHT) * perKw) / 1000);
  if (balance > fee) return satoshi(balance - fee);
  throw new ApiProblem("not-enough-money", `the wallet has ${balance} sat, and the fee is ${fee}`);
}

function scriptIn({ chain }: ApiHost, address: string): Uint8Array {
  try {
    return scriptOf(address, chain.network);
  } catch (cause) {
    const detail = (cause as Error).message;
    throw new ApiProblem("invalid-request", `${address}: ${detail}`, [
      { pointer: "/address", detail },
    ]);
  }
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, one) => total + one, 0);
}
