/** Money that goes back: one push for each payment that buys nothing, under a reference that follows from it, until it is signed. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { type Payment, packPayments, unpackPayments } from "../../core/payments/push.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { ascii, concat, equal, toHex } from "../../core/primitives/bytes.ts";
import type { Arrival } from "./inbox.ts";

/** Payments in one push of refunds. */
const MAX_BATCH = 16;

export interface RefundsHost {
  readonly crypto: Crypto;
  readonly store: Store;
  push(channelId: ChannelId, payments: Uint8Array): void;
  /** It is signed and durable: the money goes back, here or on chain. */
  onRefunded(arrival: Arrival, reason: string): void;
  /** It cannot be signed now, and is tried again: told once. */
  onDelayed(arrival: Arrival, reason: string): void;
}

interface Refund {
  readonly arrival: Arrival;
  readonly reason: string;
  readonly payment: Payment;
  /** It was asked for and not yet answered. */
  asked: boolean;
  /** The payer knows that it has to wait. */
  told: boolean;
}

/** Asked twice, it is paid once: the reference says which payment goes back (rule `credited-once`, the payer's half). */
export function refundReference(crypto: Crypto, arrival: Arrival): Uint8Array {
  const { reference, isDuplicate, number } = arrival;
  const which = isDuplicate ? ascii(`/${number}`) : new Uint8Array(0);
  return crypto.sha256(concat(ascii("picobolt refund"), reference, which)).slice(0, 16);
}

export class Refunds {
  private readonly owed = new Map<string, Refund>();

  constructor(private readonly host: RefundsHost) {}

  /** False where it is owed already. */
  add(arrival: Arrival, reason: string): boolean {
    const reference = refundReference(this.host.crypto, arrival);
    const key = toHex(reference);
    if (this.owed.has(key)) return false;
    const payment = { reference, amountMsat: arrival.amountMsat };
    this.owed.set(key, { arrival, reason, payment, asked: false, told: false });
    return true;
  }

  /** Asks for what was not asked for since the link came, or was rejected. */
  async pay(): Promise<void> {
    const { store } = this.host;
    const byChannel = new Map<string, Refund[]>();
    for (const refund of [...this.owed.values()].filter(({ asked }) => !asked)) {
      refund.asked = true;
      if (await store.isDebited(refund.payment.reference)) {
        this.done(refund); // signed before a power cut
        continue;
      }
      const key = toHex(refund.arrival.channelId);
      byChannel.set(key, [...(byChannel.get(key) ?? []), refund]);
    }
    for (const refunds of byChannel.values()) {
      for (let at = 0; at < refunds.length; at += MAX_BATCH) {
        this.push(refunds.slice(at, at + MAX_BATCH));
      }
    }
  }

  /** The link is new: what was asked for and not signed is gone. */
  reconnected(channelId: ChannelId): void {
    for (const refund of this.owed.values()) {
      if (equal(refund.arrival.channelId, channelId)) refund.asked = false;
    }
  }

  committed(payments: Uint8Array): void {
    for (const { reference } of unpackPayments(payments)) {
      const refund = this.owed.get(toHex(reference));
      if (refund) this.done(refund);
    }
  }

  /** A batch may be more than there is room for: then one by one; they wait for the next occasion after that. */
  rejected({ command }: Extract<ChannelEvent, { type: "rejected" }>): void {
    if (command.type !== "push") return;
    const refunds = unpackPayments(command.payments).flatMap(
      ({ reference }) => this.owed.get(toHex(reference)) ?? [],
    );
    if (refunds.length > 1) for (const refund of refunds) this.push([refund]);
    else for (const refund of refunds) this.delayed(refund);
  }

  private delayed(refund: Refund): void {
    refund.asked = false;
    if (refund.told) return;
    refund.told = true;
    this.host.onDelayed(refund.arrival, refund.reason);
  }

  private push(refunds: readonly Refund[]): void {
    const [first] = refunds;
    if (!first) return;
    const payments = packPayments(refunds.map(({ payment }) => payment));
    this.host.push(first.arrival.channelId, payments);
  }

  private done({ arrival, reason, payment }: Refund): void {
    this.owed.delete(toHex(payment.reference));
    this.host.onRefunded(arrival, reason);
  }
}
