/** What two applications want of one channel while everything that can happen to it is tried: one or two updates. */
import type { Command } from "../../core/channel/inputs.ts";
import { packPayments } from "../../core/payments/push.ts";
import {
  blockHeight,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { crypto } from "../support/node-pair.ts";

export type SideName = "a" | "b";
export type Kind = "push" | "fulfil" | "fail" | "fee";

/** `kind` is asked for by side `by`; HTLCs are answered by the other. Alice opened the channel and pays its fees. */
export interface Wish {
  readonly by: SideName;
  readonly kind: Kind;
}

export type Plan = readonly Wish[];

const KINDS: readonly Kind[] = ["push", "fulfil", "fail", "fee"];
const HEIGHT = 103;

/** The `index`-th wish, as its side says it to its node. */
export function commandOf({ kind }: Wish, index: number): Command {
  switch (kind) {
    case "push":
      return { type: "push", payments: paymentsOf(index) };
    case "fulfil":
    case "fail":
      return {
        type: "addHtlc",
        amountMsat: amountOf(index),
        paymentHash: hashOf(index),
        cltvExpiry: blockHeight(HEIGHT + 500),
      };
    case "fee":
      return { type: "updateFee", feeratePerKw: feerateOf(index) };
  }
}

/** What the payee says to the HTLC of that wish. */
export function answerOf({ kind }: Wish, index: number, htlcId: number): Command {
  return kind === "fulfil"
    ? { type: "fulfillHtlc", htlcId, preimage: secretOf(index) }
    : { type: "failHtlc", htlcId, reason: Uint8Array.of(index) };
}

export function amountOf(index: number) {
  return milliSatoshi(index === 0 ? 40_000_500 : 30_000_250);
}

export function feerateOf(index: number): number {
  return index === 0 ? 1_500 : 700;
}

export function paymentsOf(index: number): Uint8Array {
  return packPayments([
    { reference: new Uint8Array(16).fill(index + 1), amountMsat: amountOf(index) },
  ]);
}

export function hashOf(index: number): PaymentHash {
  return paymentHash(crypto.sha256(secretOf(index)));
}

function secretOf(index: number): Preimage {
  return preimage(crypto.sha256(ascii(`exhaustive ${index}`)));
}

/** All pairs of wishes; the order of two that one side has is explored, as is who begins. */
export function allPairs(withFees: boolean): readonly Plan[] {
  const wishes = KINDS.flatMap((kind): Wish[] => {
    if (kind === "fee") return withFees ? [{ by: "a", kind }] : [];
    return [
      { by: "a", kind },
      { by: "b", kind },
    ];
  });
  return wishes.flatMap((one, i) => wishes.slice(i).map((other) => [one, other]));
}

export function nameOf(plan: Plan): string {
  return plan.map(({ by, kind }) => `${by} ${kind}`).join(" + ");
}
