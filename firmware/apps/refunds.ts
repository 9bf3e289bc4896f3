/** Money that goes back: one push for each payment that buys nothing, under a reference that follows from it, until it is signed. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { isOpen } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import { type Payment, packPayments, unpackPayments } from "../../core/payments/push.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import { ascii, concat, equal, toHex } from "../../core/primitives/bytes.ts";
import type { Arrival } from "./inbox.ts";

/** Payments in one push of refunds. */
const MAX_BATCH = 16;

export interface RefundsHost {
  readonly crypto: Crypto;
  readonly store: Store;
  readonly node: Pick<Node, "record" | "channels" | "command">;
  /** It is signed and durable: the money goes back, here or on chain. */
  onRefunded(arrival: Arrival, reason: string): void;
  /** It cannot be signed now, and is tried again: told once. */
  onDelayed(arrival: Arrival, reason: string): void;
  /** The channel has ended and there is no other with this payer: the owner has the money, and owes it. */
  onOwed(arrival: Arrival, reason: string): void;
}

interface Refund {
  readonly arrival: Arrival;
  readonly reason: string;
  readonly payment: Payment;
  /** Whose money it is, while that was known. */
  readonly payer: PublicKey | undefined;
  /** It was asked for on this channel, and not yet answered. */
  askedOn: ChannelId | undefined;
  /** It is being looked up. */
  busy: boolean;
  /** The payer knows that it has to wait. */
  told: boolean;
}

/** Asked twice, it is paid once: the reference says which payment goes back (rule `credited-once`, the payer's half). */
export function refundReference(
  crypto: Crypto,
  { reference, isDuplicate, number }: Pick<Arrival, "reference" | "isDuplicate" | "number">,
): Uint8Array {
  const which = isDuplicate ? ascii(`/${number}`) : new Uint8Array(0);
  return crypto.sha256(concat(ascii("picobolt refund"), reference, which)).slice(0, 16);
}

export class Refunds {
  private readonly owed = new Map<string, Refund>();

  constructor(private readonly host: RefundsHost) {}

  get waitingMsat(): number {
    return [...this.owed.values()].reduce((sum, { payment }) => sum + payment.amountMsat, 0);
  }

  get waitingPayments(): number {
    return this.owed.size;
  }

  /** False where it is owed already. */
  add(arrival: Arrival, reason: string): boolean {
    const { crypto, node } = this.host;
    const reference = refundReference(crypto, arrival);
    const key = toHex(reference);
    if (this.owed.has(key)) return false;
    const payment = { reference, amountMsat: arrival.amountMsat };
    const payer = node.record(arrival.channelId)?.remoteNodeId;
    const begun = { askedOn: undefined, busy: false, told: false };
    this.owed.set(key, { arrival, reason, payment, payer, ...begun });
    return true;
  }

  /** Asks for what was not asked for since the link came, or was rejected. */
  async pay(): Promise<void> {
    const { store } = this.host;
    const byChannel = new Map<string, Refund[]>();
    for (const refund of [...this.owed.values()]) {
      if (refund.askedOn || refund.busy) continue;
      refund.busy = true;
      const isSigned = await store.isDebited(refund.payment.reference);
      refund.busy = false;
      if (isSigned) {
        this.done(refund); // before a power cut
        continue;
      }
      const channel = this.channelFor(refund);
      if (channel === "none") this.lost(refund);
      if (channel === "none" || channel === "later") continue;
      refund.askedOn = channel;
      const key = toHex(channel);
      byChannel.set(key, [...(byChannel.get(key) ?? []), refund]);
    }
    for (const refunds of byChannel.values()) {
      for (let at = 0; at < refunds.length; at += MAX_BATCH) {
        this.push(refunds.slice(at, at + MAX_BATCH));
      }
    }
  }

  /** The link is new, or the channel has left for the chain: what was asked for and not signed is gone. */
  reconnected(channelId: ChannelId): void {
    for (const refund of this.owed.values()) {
      if (refund.askedOn && equal(refund.askedOn, channelId)) refund.askedOn = undefined;
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

  /** Its own channel, another one with the same payer where that is at its end, or none any more. */
  private channelFor({ arrival, payer }: Refund): ChannelId | "later" | "none" {
    const { node } = this.host;
    const own = node.record(arrival.channelId);
    if (own?.phase === "normal") return arrival.channelId;
    // While it can still sign anything, a refund on another channel might be a second one.
    if (own && isOpen(own.phase)) return "later";
    const other = node
      .channels()
      .find(
        ({ channel }) =>
          channel.kind === "live" &&
          channel.record.phase === "normal" &&
          payer !== undefined &&
          equal(channel.record.remoteNodeId, payer),
      );
    if (other) return other.id;
    return own ? "later" : "none";
  }

  private lost(refund: Refund): void {
    this.owed.delete(toHex(refund.payment.reference));
    this.host.onOwed(refund.arrival, refund.reason);
  }

  private delayed(refund: Refund): void {
    refund.askedOn = undefined;
    if (refund.told) return;
    refund.told = true;
    this.host.onDelayed(refund.arrival, refund.reason);
  }

  private push(refunds: readonly Refund[]): void {
    const [first] = refunds;
    if (!first?.askedOn) return;
    const payments = packPayments(refunds.map(({ payment }) => payment));
    this.host.node.command(first.askedOn, { type: "push", payments });
  }

  private done({ arrival, reason, payment }: Refund): void {
    this.owed.delete(toHex(payment.reference));
    this.host.onRefunded(arrival, reason);
  }
}
