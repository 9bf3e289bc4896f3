/** What one payment is, for the bench: a push of a batch, or an HTLC added and fulfilled, until both nodes rest. */
import { packPayments } from "../../core/payments/push.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  blockHeight,
  milliSatoshi,
  type PaymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { BenchPair } from "./pair.ts";

export const BATCHES = [1, 10, 1000] as const;
export type Batch = (typeof BATCHES)[number];

/** Pushes that a busy payer has under way: as many as the peer's limit on their bytes allows (core/channel/limits.ts). */
const UNDER_WAY = 5;
/** Above dust in every channel type, so that the HTLC has outputs and signatures of its own. */
const HTLC_MSAT = milliSatoshi(2_000_000);

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

  htlc(crypto: Crypto) {
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

/** All of them, the next one offered as soon as there is room: what waits for a revocation is signed together. */
export async function payManyAtOnce(pair: BenchPair, pushes: readonly Uint8Array[]): Promise<void> {
  const { payer, payee } = pair;
  let offered = 0;
  let received = 0;
  payee.onEvent = ({ type }) => {
    if (type === "pushReceived") received++;
  };
  let receipts = 0;
  payer.onEvent = (event) => {
    if (event.type === "receipt") receipts++;
    assert(event.type !== "rejected", `rejected: ${"reason" in event ? event.reason : ""}`);
    if (event.type === "pushSettled") offer();
  };
  const offer = () => {
    const payments = pushes[offered];
    if (payments === undefined) return;
    offered++;
    payer.node.command(pair.id, { type: "push", payments });
  };
  for (let i = 0; i < UNDER_WAY; i++) offer();
  const all = pushes.length;
  await pair.settle(() => received === all && receipts === all && rests(pair));
}

/** From the command until the HTLC has left both commitments; the payee answers at once. */
export async function payByHtlc(
  pair: BenchPair,
  { secret, paymentHash }: ReturnType<Purse["htlc"]>,
): Promise<void> {
  const { payer, payee } = pair;
  let settled = false;
  payer.onEvent = (event) => {
    assert(event.type !== "rejected", `rejected: ${"reason" in event ? event.reason : ""}`);
  };
  payee.onEvent = (event) => {
    if (event.type === "htlcReceived") {
      const { id: htlcId } = event.htlc;
      payee.node.command(pair.id, { type: "fulfillHtlc", htlcId, preimage: secret });
    }
    settled ||= event.type === "htlcSettled";
  };
  const cltvExpiry = blockHeight(pair.height + 100);
  const amountMsat = HTLC_MSAT;
  payer.node.command(pair.id, { type: "addHtlc", amountMsat, paymentHash, cltvExpiry });
  await pair.settle(() => settled && rests(pair));
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
