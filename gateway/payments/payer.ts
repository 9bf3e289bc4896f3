/** Pays what others ask for: once for each payment hash, tried again until its deadline, taken up again after a crash. */
import type { Node } from "../../core/node/node.ts";
import { decodeFailure, describeFailure, FAILURE_CODES } from "../../core/payments/failure.ts";
import { encodeInstructions, sealPayment } from "../../core/payments/instructions.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import {
  blockHeight,
  type ChannelId,
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AttemptOwner, Attempts, Entrusting } from "./attempts.ts";
import type { Circular } from "./circular.ts";
import { decodeTerms, type ForwardTerms } from "./forward-policy.ts";
import type { Ledger, Payment } from "./ledger.ts";
import { isOfTheWay, type Router } from "./next-hop.ts";
import { PaymentError } from "./payment-error.ts";
import { encodeReason, encodeRetry, NO_MORE_TRIES, type RetryNote, storedNote } from "./retry.ts";
import type { FindRoute, RouteRequest } from "./routes.ts";

/** What an invoice asks for. */
export interface PaymentTarget {
  readonly paymentHash: PaymentHash;
  readonly destination: PublicKey;
  readonly amountMsat: MilliSatoshi;
  /** Absent: a machine's own invoice, for which the payment hash says it all. */
  readonly paymentSecret?: Uint8Array;
  readonly finalCltvDelta: number;
  readonly gateways?: readonly PublicKey[];
}

export interface PayOptions {
  readonly maxFeeMsat?: MilliSatoshi;
  /** Attempts begin within this time (default a minute); one that is under way then is waited for. */
  readonly timeoutSeconds?: number;
}

export interface PayerOptions {
  readonly node: () => Node;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly attempts: Attempts;
  readonly ledger: Ledger;
  readonly findRoute: FindRoute;
  /** Where `findRoute` asks it: it is told what failed. */
  readonly router?: Router | undefined;
  readonly circular?: Circular | undefined;
  nowSeconds(): number;
  onAlarm(text: string): void;
  /** `reason` is for people, where it failed. */
  onPayment(payment: Payment, reason?: string): void;
}

interface Sending {
  payment: Payment;
  readonly note: RetryNote;
  readonly destination: PublicKey;
  isUnderWay: boolean;
  nextTryMs: number;
  tries: number;
  /** What gateways said that they ask for, one after the other. */
  readonly told: ForwardTerms[];
  /** The channel that is not tried again right now: another way is. */
  avoided?: ChannelId | undefined;
  isRerouted: boolean;
  lastReason: Uint8Array;
}

const MAX_SENDING = 10_000;
const DEFAULT_TIMEOUT_SECONDS = 60;
const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 10_000;
/** The destination may have seen blocks that we have not. */
const EXTRA_BLOCKS = 3;
const PERMANENT = 0x4000;
/** Changes of terms that a payment follows. */
const MAX_TOLD = 3;
const NO_REASON = new Uint8Array(0);

export class Payer {
  private readonly sending = new Map<string, Sending>();
  private nowMs = 0;

  constructor(private readonly options: PayerOptions) {}

  /** Idempotent: a payment that is pending or succeeded is told as it stands. Durable when it is told. */
  async pay(target: PaymentTarget, pay: PayOptions = {}): Promise<Payment> {
    const { ledger, node } = this.options;
    const { paymentHash, destination, amountMsat, paymentSecret, finalCltvDelta } = target;
    const key = toHex(paymentHash);
    const pending = this.sending.get(key);
    if (pending) return pending.payment;
    if (equal(destination, node().nodeId) && !this.options.circular?.isKnown(paymentHash)) {
      throw new PaymentError("own-invoice", "This invoice is our own: there is nothing to pay.");
    }
    if (!(amountMsat > 0)) {
      throw new PaymentError("bad-amount", "Say how much to pay: the invoice leaves it open.");
    }
    if (this.sending.size >= MAX_SENDING) {
      throw new PaymentError("too-many", "Too many payments are under way: try again later.");
    }
    const createdAt = this.options.nowSeconds();
    const note: RetryNote = {
      paymentSecret,
      finalCltvDelta,
      maxFeeMsat: pay.maxFeeMsat ?? usualMaxFee(amountMsat),
      deadline: createdAt + (pay.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS),
      gateways: target.gateways ?? [],
    };
    const payment: Payment = {
      kind: "sent",
      paymentHash,
      status: "pending",
      amountMsat,
      feeMsat: milliSatoshi(0),
      destination,
      createdAt,
      retry: encodeRetry(note),
    };
    const sending = this.add(payment, note, destination);
    sending.isUnderWay = true; // while it is looked up and written
    try {
      const earlier = await ledger.get("sent", paymentHash);
      const others = earlier?.status === "failed" ? undefined : earlier;
      const found = others ?? (await this.claimed(payment));
      const known = found && this.isAbandoned(found) ? await ledger.put(payment) : found;
      if (known) {
        this.sending.delete(key);
        return known;
      }
    } catch (cause) {
      this.sending.delete(key);
      throw cause;
    }
    sending.isUnderWay = false;
    await this.try(sending);
    return sending.payment;
  }

  /** A row that was written after all, when the call that began it had heard that it could not be: nothing was offered for it. */
  private isAbandoned({ status, outgoing }: Payment): boolean {
    return status === "pending" && !outgoing && !this.options.attempts.entrusting;
  }

  /** It is ours to pay now, or else what another process made of it meanwhile. */
  private async claimed(payment: Payment): Promise<Payment | undefined> {
    const { ledger } = this.options;
    if (await ledger.claim(payment)) return undefined;
    const known = await ledger.get("sent", payment.paymentHash);
    if (!known) throw new Error("a payment vanished from the ledger while it was begun");
    return known;
  }

  /** Takes up what the ledger holds; before any peer or block is heard. */
  resume(payments: readonly Payment[]): void {
    for (const payment of payments) {
      const { kind, retry, destination, outgoing, paymentHash } = payment;
      if (kind !== "sent" || !retry || !destination) continue;
      if (this.sending.has(toHex(paymentHash))) continue;
      const note = storedNote(paymentHash, retry, this.options.onAlarm);
      const sending = this.add(payment, note ?? NO_MORE_TRIES, destination);
      if (!note) sending.tries = 1; // its last: none begins after the deadline
      const { attempts } = this.options;
      const { entrusting } = attempts;
      if (!outgoing && !entrusting) continue;
      sending.isUnderWay = true;
      const owner = this.owner(sending);
      if (entrusting) this.run(entrusting.resume(outgoing, paymentHash, owner));
      else if (outgoing) attempts.resume(outgoing, paymentHash, owner);
    }
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    for (const sending of this.sending.values()) {
      if (!sending.isUnderWay && nowMs >= sending.nextTryMs) this.run(this.try(sending));
    }
  }

  private add(payment: Payment, note: RetryNote, destination: PublicKey): Sending {
    const fresh = {
      nextTryMs: 0,
      tries: 0,
      isUnderWay: false,
      isRerouted: false,
      lastReason: NO_REASON,
    };
    const sending: Sending = { payment, note, destination, told: [], ...fresh };
    this.sending.set(toHex(payment.paymentHash), sending);
    return sending;
  }

  /** Only where no HTLC of it is under way. */
  private async try(sending: Sending): Promise<void> {
    const { attempts, ledger } = this.options;
    const { payment, note } = sending;
    if (sending.tries > 0 && this.options.nowSeconds() >= note.deadline) {
      this.fail(sending);
      return;
    }
    sending.tries++;
    const route = this.route(sending);
    const { paymentHash } = payment;
    if (route.type === "none" && attempts.entrusting && !attempts.has(paymentHash)) {
      await this.entrust(sending, attempts.entrusting);
      return;
    }
    if (route.type !== "route" || attempts.isFull || attempts.has(paymentHash)) {
      this.later(sending);
      return;
    }
    const feeMsat = milliSatoshi(route.amountMsat - payment.amountMsat);
    if (feeMsat > note.maxFeeMsat) {
      this.fail(sending, `the fee of ${feeMsat} msat is above ${note.maxFeeMsat} msat`);
      return;
    }
    sending.isUnderWay = true;
    sending.payment = { ...payment, feeMsat, outgoing: route.channelId };
    try {
      // Rule `forward-written-first` holds for what we pay as well.
      await ledger.put(sending.payment);
    } catch (cause) {
      sending.isUnderWay = false;
      this.later(sending);
      throw cause;
    }
    if (attempts.has(paymentHash)) {
      sending.isUnderWay = false;
      this.later(sending);
      return;
    }
    const { channelId, amountMsat, cltvExpiry, onion } = route;
    const attempt = { channelId, paymentHash, amountMsat, cltvExpiry, onion };
    attempts.begin(attempt, this.owner(sending));
  }

  /** Another process of this node may have a channel with the destination. */
  private async entrust(sending: Sending, entrusting: Entrusting): Promise<void> {
    const { ledger } = this.options;
    const { payment, note } = sending;
    const { outgoing: _, ...rest } = payment;
    sending.isUnderWay = true;
    sending.payment = { ...rest, feeMsat: milliSatoshi(0) };
    try {
      if (payment.outgoing) await ledger.put(sending.payment);
    } catch (cause) {
      sending.isUnderWay = false;
      this.later(sending);
      throw cause;
    }
    const { paymentHash } = payment;
    const { destination, amountMsat, cltvExpiry, sealed } = this.request(sending);
    const onion = encodeInstructions({ type: "final", sealed });
    const holdMs = Math.max(MOST_PAUSE_MS, (note.deadline - this.now()) * 1_000);
    const attempt = { paymentHash, destination, amountMsat, cltvExpiry, onion, holdMs };
    entrusting.begin(attempt, this.owner(sending));
  }

  private route(sending: Sending): ReturnType<FindRoute> {
    const { circular, node } = this.options;
    if (equal(sending.destination, node().nodeId)) {
      const { paymentHash } = sending.payment;
      return circular?.route(this.request(sending), paymentHash) ?? { type: "none" };
    }
    const tried = sending.avoided ? [sending.avoided] : [];
    sending.avoided = undefined;
    return this.options.findRoute({ ...this.request(sending), tried, terms: sending.told.at(-1) });
  }

  private request({ payment, note, destination }: Sending): RouteRequest {
    const { crypto, entropy, node } = this.options;
    const { paymentHash, amountMsat } = payment;
    const { paymentSecret } = note;
    const request = { destination, paymentHash, totalMsat: amountMsat };
    return {
      destination,
      gateways: note.gateways,
      amountMsat,
      cltvExpiry: blockHeight(node().height + note.finalCltvDelta + EXTRA_BLOCKS),
      sealed: paymentSecret
        ? sealPayment(crypto, entropy, { ...request, paymentSecret })
        : NO_REASON,
    };
  }

  /** Over another gateway, once; false: there is none. */
  private reroute(sending: Sending, reason: Uint8Array): boolean {
    const { router } = this.options;
    const { outgoing } = sending.payment;
    if (!router || !outgoing || !isOfTheWay(reason)) return false;
    if (equal(sending.destination, this.options.node().nodeId)) return false;
    const request = this.request(sending);
    router.failed(request, outgoing);
    if (sending.isRerouted) return false;
    if (router.way({ ...request, tried: [outgoing] }).type !== "way") return false;
    sending.isRerouted = true;
    sending.avoided = outgoing;
    sending.nextTryMs = 0;
    return true;
  }

  private owner(sending: Sending): AttemptOwner {
    return {
      fulfilled: (preimage) => {
        const { retry: _, ...payment } = sending.payment;
        this.end({ ...payment, status: "succeeded", preimage, resolvedAt: this.now() });
      },
      failed: (reason) => {
        sending.isUnderWay = false;
        sending.lastReason = reason;
        if (this.reroute(sending, reason)) return;
        const failure = decodeFailure(reason);
        const terms = failure && decodeTerms(failure.data);
        if (terms && isNews(sending.told, terms)) {
          sending.told.push(terms);
          sending.nextTryMs = 0;
        } else if (isFinal(reason)) this.fail(sending);
        else this.later(sending);
      },
      refused: () => {
        sending.isUnderWay = false;
        this.later(sending);
      },
    };
  }

  private later(sending: Sending): void {
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** (sending.tries - 1), MOST_PAUSE_MS);
    sending.nextTryMs = this.nowMs + pause;
  }

  private fail(sending: Sending, told?: string): void {
    const { retry: _, ...payment } = sending.payment;
    const { lastReason } = sending;
    const code = decodeFailure(lastReason)?.code;
    const failure = code === undefined ? {} : { failure: FAILURE_CODES[code] };
    const reason = told ?? (lastReason.length > 0 ? describeFailure(lastReason) : NO_WAY);
    const why = { ...failure, retry: encodeReason(reason) };
    this.end({ ...payment, status: "failed", resolvedAt: this.now(), ...why }, reason);
  }

  private end(payment: Payment, reason?: string): void {
    this.sending.delete(toHex(payment.paymentHash));
    const { ledger, onPayment } = this.options;
    this.run(ledger.put(payment).then(() => onPayment(payment, reason)));
  }

  private now(): number {
    return this.options.nowSeconds();
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) =>
      this.options.onAlarm(cause instanceof Error ? cause.message : String(cause)),
    );
  }
}

const NO_WAY =
  "no way to the receiver was found in time: is its channel open, is it awake, is there enough in it?";

/** Terms change where another way is taken, and a gateway that says ever more is not asked for ever. */
function isNews(told: readonly ForwardTerms[], terms: ForwardTerms): boolean {
  const last = told.at(-1);
  const isSame =
    last?.feeBaseMsat === terms.feeBaseMsat &&
    last.feeProportionalMillionths === terms.feeProportionalMillionths &&
    last.cltvExpiryDelta === terms.cltvExpiryDelta;
  return !isSame && told.length < MAX_TOLD;
}

/** A device's own words are its last; nothing said (a crash, an end on chain) is worth another try. */
function isFinal(reason: Uint8Array): boolean {
  const failure = decodeFailure(reason);
  if (!failure) return reason.length > 0;
  const code = FAILURE_CODES[failure.code];
  return (code & PERMANENT) !== 0 || failure.code.startsWith("final");
}

/** Half a percent, and at least 5 satoshis. */
function usualMaxFee(amountMsat: MilliSatoshi): MilliSatoshi {
  return milliSatoshi(Math.max(5_000, Math.floor(amountMsat / 200)));
}
