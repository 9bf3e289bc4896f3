/** A payer that feeds a meter: small pushes, never more ahead than it said, until it is enough, or the meter is not honest. */
import type { MessageNamed } from "../../core/messages/message.ts";
import { METER_STATES, METER_UNITS } from "../../core/messages/service.ts";
import { packPayments } from "../../core/payments/push.ts";
import { type ChannelId, milliSatoshi, type PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AppHost } from "./app.ts";
import type { Budget } from "./budget.ts";
import { meterReference, SESSION_BYTES } from "./meter-session.ts";

export interface FeedOptions {
  /** Not more than this is paid, in millisatoshi. */
  readonly maxMsat: number;
  /** Enough after so many units; absent: as many as `maxMsat` buys. */
  readonly units?: number | undefined;
  /** Units of one push. */
  readonly pushUnits?: number | undefined;
  /** The next push comes when fewer units than this are left. */
  readonly lowUnits?: number | undefined;
  /** Not above this price of a unit. */
  readonly maxUnitMsat?: number | undefined;
}

export interface FeedOutcome {
  readonly usedUnits: number;
  readonly paidMsat: number;
  /** What the meter gives back. */
  readonly restMsat: number;
  /** Why it ended. */
  readonly note: string;
}

export interface FeedParts {
  readonly host: AppHost;
  readonly budget: Budget;
  readonly channelId: ChannelId;
  readonly peer: PublicKey;
  readonly quote: MessageNamed<"meter_quote">;
  ended(feed: Feed): void;
}

/** Pushes that one reservation of the budget covers: flash is not written for each. */
const SLAB_PUSHES = 16;
/** No word from a connected meter for so long beyond what is paid: it is told to stop. */
const SILENCE_MS = 30_000;
/** After which the payer goes without the meter's last word. */
const FAREWELL_MS = 20_000;
/** Units by which a meter's clock may be ahead of ours. */
const CLOCK_UNITS = 2;

export class Feed {
  readonly session: Uint8Array;
  readonly done: Promise<FeedOutcome>;
  private resolve!: (outcome: FeedOutcome) => void;
  private sentMsat = 0;
  private reservedMsat = 0;
  private pushes = 0;
  /** A push is asked for and not yet signed. */
  private asking = false;
  private state: MessageNamed<"meter_state"> | undefined;
  private firstPaidMs: number | undefined;
  private ending: string | undefined;
  private isOver = false;
  private cancelWatch = () => {};

  constructor(
    private readonly parts: FeedParts,
    private readonly options: FeedOptions,
  ) {
    this.session = parts.host.entropy.random(SESSION_BYTES);
    this.done = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  get peer(): PublicKey {
    return this.parts.peer;
  }

  get channelId(): ChannelId {
    return this.parts.channelId;
  }

  /** Begins, or asks again how it stands after a lost link. */
  begin(): void {
    if (this.ending !== undefined) {
      this.sendStop();
      return;
    }
    const { host, quote, peer } = this.parts;
    const { priceMsat, unitKind, unitSize } = quote;
    const lowUnits = this.lowUnits;
    const { session } = this;
    const terms = { session, priceMsat, unitKind, unitSize, lowUnits };
    host.node.sendService(peer, { type: "meter_start", ...terms });
    this.watch(SILENCE_MS);
  }

  /** Enough; what is paid and unused comes back. */
  stop(note = "as asked"): void {
    if (this.ending !== undefined || this.isOver) return;
    this.ending = note;
    this.sendStop();
    this.watch(FAREWELL_MS);
  }

  /** True where it was about this session. */
  onState(peer: PublicKey, state: MessageNamed<"meter_state">): boolean {
    if (!equal(state.session, this.session) || !equal(peer, this.peer) || this.isOver) return false;
    this.state = { ...state, session: this.session };
    if (state.state === METER_STATES.refused) this.finish(state.note ?? "the meter refuses");
    else if (state.state === METER_STATES.ended)
      this.finish(this.ending ?? state.note ?? "it ended");
    else if (this.ending !== undefined) this.sendStop();
    else this.goOn(state);
    return true;
  }

  /** A push of ours is signed. */
  committed(reference: Uint8Array, amountMsat: number): void {
    if (!this.isOurs(reference)) return;
    this.asking = false;
    this.sentMsat += amountMsat;
    this.firstPaidMs ??= this.parts.host.clock?.nowMs();
  }

  rejected(reference: Uint8Array, reason: string): void {
    if (!this.isOurs(reference)) return;
    this.asking = false;
    this.stop(reason);
  }

  /** What was asked for and not signed is gone with the link. */
  disconnected(): void {
    this.asking = false;
    this.cancelWatch();
  }

  /** Its channel has ended. */
  abandon(note: string): void {
    this.finish(note);
  }

  private isOurs(reference: Uint8Array): boolean {
    return reference.length === 16 && equal(reference.slice(2, 2 + SESSION_BYTES), this.session);
  }

  private get lowUnits(): number {
    return this.options.lowUnits ?? Math.max(2, Math.ceil(this.pushUnits / 2));
  }

  private get pushUnits(): number {
    const { maxAheadUnits } = this.parts.quote;
    return Math.max(1, Math.min(this.options.pushUnits ?? 10, Math.floor(maxAheadUnits / 2)));
  }

  private goOn(state: MessageNamed<"meter_state">): void {
    const { quote } = this.parts;
    const { priceMsat } = quote;
    const lie = this.lieOf(state);
    if (lie !== undefined) {
      this.stop(lie);
      return;
    }
    this.watch(SILENCE_MS + this.paidAheadMs(state));
    if (state.paidMsat < this.sentMsat || this.asking) return; // the word of the last one comes
    const left = Math.floor(state.leftMsat / priceMsat);
    if (left >= this.lowUnits) return;
    const next = Math.min(this.pushUnits, this.unitsToBuy());
    if (next > 0) this.push(next * priceMsat);
    else if (left === 0 && state.state === METER_STATES.waiting) this.stop("it is used up");
  }

  private unitsToBuy(): number {
    const { priceMsat } = this.parts.quote;
    const { maxMsat, units } = this.options;
    const paidUnits = Math.floor(this.sentMsat / priceMsat);
    const byMoney = Math.floor((maxMsat - this.sentMsat) / priceMsat);
    return Math.min(byMoney, (units ?? Number.POSITIVE_INFINITY) - paidUnits);
  }

  /** A meter that counts what cannot be is not paid any more. */
  private lieOf({
    paidMsat,
    usedUnits,
    leftMsat,
  }: MessageNamed<"meter_state">): string | undefined {
    const { quote, host } = this.parts;
    const { priceMsat, unitKind, unitSize } = quote;
    // A push may be credited there before its signature is heard of here.
    const most = this.sentMsat + (this.asking ? this.pushUnits * priceMsat : 0);
    const adds = leftMsat === paidMsat - usedUnits * priceMsat;
    if (paidMsat > most || !adds) return "the meter's sums are wrong";
    const now = host.clock?.nowMs();
    if (unitKind !== METER_UNITS.seconds || now === undefined) return undefined;
    const elapsedMs = now - (this.firstPaidMs ?? now);
    const possible = Math.ceil(elapsedMs / (unitSize * 1_000)) + CLOCK_UNITS;
    return usedUnits > possible ? "the meter counts faster than time passes" : undefined;
  }

  private paidAheadMs({ leftMsat }: MessageNamed<"meter_state">): number {
    const { unitKind, unitSize, priceMsat } = this.parts.quote;
    if (unitKind !== METER_UNITS.seconds) return 3_600_000;
    return (leftMsat / priceMsat) * unitSize * 1_000;
  }

  private push(amountMsat: number): void {
    this.asking = true;
    this.pay(amountMsat).catch((cause: unknown) => {
      this.asking = false;
      this.stop(cause instanceof Error ? cause.message : String(cause));
    });
  }

  private async pay(amountMsat: number): Promise<void> {
    const { host, budget, channelId, peer } = this.parts;
    if (this.sentMsat + amountMsat > this.reservedMsat) {
      const missing = this.sentMsat + amountMsat - this.reservedMsat;
      const wanted = Math.min(amountMsat * SLAB_PUSHES, this.options.maxMsat - this.reservedMsat);
      const slab = Math.max(missing, wanted);
      const fits = budget.refusal(toHex(peer), slab) === undefined;
      await budget.reserve(toHex(peer), fits ? slab : missing);
      this.reservedMsat += fits ? slab : missing;
    }
    if (this.ending !== undefined || this.isOver) return;
    const reference = meterReference(this.session, ++this.pushes, host.entropy.random(2));
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
    if (!host.node.command(channelId, { type: "push", payments })) this.abandon("no such channel");
  }

  private sendStop(): void {
    this.parts.host.node.sendService(this.peer, { type: "meter_stop", session: this.session });
  }

  private watch(delayMs: number): void {
    this.cancelWatch();
    const silent = () => {
      if (this.ending === undefined) this.stop("the meter does not answer");
      else if (this.parts.host.node.isConnected(this.peer)) this.finish(this.ending);
      // While it is away nothing is paid; it hears that it is to stop when it comes back.
    };
    this.cancelWatch = this.parts.host.clock?.after(delayMs, silent) ?? (() => {});
  }

  private finish(note: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.cancelWatch();
    const { budget, host, peer } = this.parts;
    const unspent = this.reservedMsat - this.sentMsat - (this.asking ? this.reservedMsat : 0);
    budget.release(toHex(peer), unspent).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      host.tell({ type: "failed", reason });
    });
    const { state } = this;
    this.resolve({
      usedUnits: state?.usedUnits ?? 0,
      paidMsat: this.sentMsat,
      restMsat: state?.state === METER_STATES.ended ? state.leftMsat : 0,
      note,
    });
    this.parts.ended(this);
  }
}
