/** Payments per second of one pair of nodes: by push in batches, one at a time and as fast as they are taken, and by HTLC. */
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { Floor } from "./floor.ts";
import { type Effort, type Measured, measure } from "./measure.ts";
import { BenchPair } from "./pair.ts";
import {
  type Batch,
  type BusyBatch,
  type HtlcBatch,
  Purse,
  pay,
  payByHtlc,
  payByHtlcs,
  payManyAtOnce,
} from "./payments.ts";

export interface Rates {
  /** One push at a time, of so many payments; of one push. */
  readonly push: Readonly<Record<Batch, Measured>>;
  /** Offered as fast as the channel takes them; of so many payments. */
  readonly busy: Readonly<Record<BusyBatch, Measured>>;
  /** So many HTLCs offered together; of all of them. */
  readonly htlc: Readonly<Record<HtlcBatch, Measured>>;
}

export interface Stores {
  readonly payer: Store;
  readonly payee: Store;
}

/** In one round of the busy payer's smallest batches. */
const BUSY_PUSHES = 60;

export async function takeRates(
  crypto: Crypto,
  effort: Effort,
  stores: Stores,
  { pushFloor, htlcFloor }: { readonly pushFloor: Floor; readonly htlcFloor: Floor },
): Promise<Rates> {
  const pair = await BenchPair.open({ payer: crypto, payee: crypto }, stores);
  const purse = new Purse();
  const push = (batch: Batch) =>
    measure(
      effort,
      () => purse.push(batch),
      (payments) => pay(pair, payments),
      pushFloor,
    );
  const one = await push(1);
  const oneHtlc = await measure(
    effort,
    () => purse.htlc(crypto),
    (payment) => payByHtlc(pair, payment),
    htlcFloor,
  );
  // What is long in itself needs fewer rounds and less warming up.
  const few = { ...effort, rounds: Math.ceil(effort.rounds / 3), warmUpMs: effort.warmUpMs / 4 };
  const htlcs = (batch: HtlcBatch) =>
    measure(
      few,
      () => Array.from({ length: batch }, () => purse.htlc(crypto)),
      (payments) => payByHtlcs(pair, payments, batch),
    );
  const busy = (batch: BusyBatch) =>
    measure(
      few,
      () => purse.pushes(batch),
      (pushes) => payManyAtOnce(pair, pushes),
    );
  return {
    push: { 1: one, 10: await push(10), 100: await push(100), 1000: await push(1000) },
    busy: {
      1000: await busyThousands(effort, pair, purse),
      10000: await busy(10_000),
      100000: await busy(100_000),
    },
    htlc: { 1: oneHtlc, 10: await htlcs(10), 100: await htlcs(100) },
  };
}

async function busyThousands(effort: Effort, pair: BenchPair, purse: Purse): Promise<Measured> {
  const many = await measure(
    effort,
    () => Array.from({ length: BUSY_PUSHES }, () => purse.push(1000)),
    (all) => payManyAtOnce(pair, all),
  );
  const { micros, threadMicros } = many;
  return { ...many, micros: micros / BUSY_PUSHES, threadMicros: threadMicros / BUSY_PUSHES };
}
