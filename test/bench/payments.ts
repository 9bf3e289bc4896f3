/** What one payment is, for the bench: a push of a batch, or an HTLC added and fulfilled, until both nodes rest. */
import { packPayments } from "../../core/payments/push.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  blockHeight,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  preimage,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { BenchPair } from "./pair.ts";

export interface HtlcPayment {
  readonly secret: Preimage;
  readonly paymentHash: PaymentHash;
}

/** Pushes one at a time: each waits until both nodes rest. */
export const BATCHES = [1, 10, 100, 1000] as const;
export type Batch = (typeof BATCHES)[number];
/** Of a payer that offers the next pushes as soon as there is room: those sign together. */
export const BUSY_BATCHES = [1000, 10_000, 100_000] as const;
export type BusyBatch = (typeof BUSY_BATCHES)[number];
/** HTLCs offered together; no more than 114 are in flight, and more than that changes nothing. */
export const HTLC_BATCHES = [1, 10, 100] as const;
export type HtlcBatch = (typeof HTLC_BATCHES)[number];

/** Of a busy payer's pushes: what the peer's limit allows (core/channel/limits.ts). */
const MAX_BYTES_UNDER_WAY = 8 * 65_535;
/** Above dust in every channel type, so that the HTLC has outputs and signatures of its own. */
export const HTLC_MSAT = milliSatoshi(1_000_000);
/** A push has 2,700 payments at most. */
const PAYMENTS_OF_A_PUSH = 2_500;

/** Makes payments that were never made before; what is prepared is not part of what is timed. */
export class Purse {
  private made = 0;

  /** A packed push of `count` payments of one millisatoshi each. */
  push(count: number): Uint8Array {
    return packPayments(
      Array.from({ length: count }, () => {
        const reference = new Uint8Array(16);
        new DataView(reference.buffer).setUint32(12, ++this.made);
        return { reference, amountMsat: milliSatoshi(1) };
      }),
    );
  }

  /** So many payments in as few pushes as take them. */
  pushes(count: number): readonly Uint8Array[] {
    const all: Uint8Array[] = [];
    for (let left = count; left > 0; left -= PAYMENTS_OF_A_PUSH) {
      all.push(this.push(Math.min(left, PAYMENTS_OF_A_PUSH)));
    }
    return all;
  }

  htlc(crypto: Crypto): HtlcPayment {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, ++this.made);
    const secret = preimage(bytes);
    return { secret, paymentHash: crypto.sha256(secret) as PaymentHash };
  }
}

/** From the command to the receipt, with both commitments revoked. */
export async function pay(pair: BenchPair, payments: Uint8Array): Promise<void> {
  const { payer, payee } = pair;
  let received = false;
  let receipt = false;
  payee.onEvent = ({ type }) => {
    received ||= type === "pushReceived";
  };
  payer.onEvent = (event) => {
    receipt ||= event.type === "receipt";
    assert(event.type !== "rejected", `rejected: ${"reason" in event ? event.reason : ""}`);
  };
  payer.node.command(pair.id, { type: "push", payments });
  await pair.settle(() => received && receipt && rests(pair));
}

/** All of them, the next ones offered as soon as there is room: what waits for a revocation is signed together. */
export async function payManyAtOnce(pair: BenchPair, pushes: readonly Uint8Array[]): Promise<void> {
  const { payer, payee } = pair;
  const underWay = Math.floor(MAX_BYTES_UNDER_WAY / (pushes[0] as Uint8Array).length);
  let offered = 0;
  let settled = 0;
  let received = 0;
  payee.onEvent = ({ type }) => {
    if (type === "pushReceived") received++;
  };
  let receipts = 0;
  payer.onEvent = (event) => {
    if (event.type === "receipt") receipts++;
    assert(event.type !== "rejected", `rejected: ${"reason" in event ? event.reason : ""}`);
    if (event.type === "pushSettled") settled++;
  };
  const offer = () => {
    const next = pushes.slice(offered, settled + underWay);
    if (next.length === 0) return;
    offered += next.length;
    const commands = next.map((payments) => ({ type: "push", payments }) as const);
    payer.node.command(pair.id, ...commands);
  };
  offer();
  const all = pushes.length;
  await pair.settle(() => {
    offer();
    return received === all && receipts === all && rests(pair);
  });
}

/** From the command until the HTLC has left both commitments; the payee answers at once. */
export function payByHtlc(pair: BenchPair, payment: HtlcPayment): Promise<void> {
  return payByHtlcs(pair, [payment], 1);
}

/** All of them, so many in flight: the next one is offered when one is settled. */
export async function payByHtlcs(
  pair: BenchPair,
  payments: readonly HtlcPayment[],
  atOnce: number,
): Promise<void> {
  const { payer, payee } = pair;
  let offered = 0;
  let settled = 0;
  const secrets = new Map(payments.map(({ paymentHash, secret }) => [toHex(paymentHash), secret]));
  payer.onEvent = (event) => {
    assert(event.type !== "rejected", `rejected: ${"reason" in event ? event.reason : ""}`);
  };
  payee.onEvent = (event) => {
    if (event.type === "htlcReceived") {
      const { id: htlcId, paymentHash } = event.htlc;
      const secret = secrets.get(toHex(paymentHash));
      assert(secret !== undefined, "the payee knows what it waits for");
      payee.node.command(pair.id, { type: "fulfillHtlc", htlcId, preimage: secret });
    }
    if (event.type === "htlcSettled") settled++;
  };
  const cltvExpiry = blockHeight(pair.height + 100);
  const offer = () => {
    const room = Math.min(payments.length, settled + atOnce);
    if (offered >= room) return;
    const next = payments.slice(offered, room);
    offered = room;
    const amountMsat = HTLC_MSAT;
    const type = "addHtlc";
    const adds = next.map(
      ({ paymentHash }) => ({ type, amountMsat, paymentHash, cltvExpiry }) as const,
    );
    payer.node.command(pair.id, ...adds);
  };
  offer();
  await pair.settle(() => {
    offer();
    return settled === payments.length && rests(pair);
  });
}

/** Nothing is under way: the next payment begins from the same state. */
function rests({ payer, payee, id }: BenchPair): boolean {
  for (const { node } of [payer, payee]) {
    const record = node.record(id);
    if (!node.isIdle || record === undefined || record.awaitingRevocation) return false;
    const { localSigned, localAcked, remoteAcked, remoteSigned } = record.pending;
    if (localSigned.length + localAcked.length + remoteAcked.length + remoteSigned.length > 0) {
      return false;
    }
  }
  return true;
}
