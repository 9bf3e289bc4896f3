/** Forwards HTLCs between the gateway's channels: written down first, held for sleepers, and settled upstream as it ended downstream. */
import type { Htlc } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import { encodeFailure, type FailureCode, failureCodeOf } from "../../core/payments/failure.ts";
import type { ForwardInstructions } from "../../core/payments/instructions.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AttemptOwner, Attempts } from "./attempts.ts";
import { type Forward, finalHop, type HeldForward, reasonUpstream } from "./forward.ts";
import {
  encodeTerms,
  type ForwardPolicy,
  type ForwardTerms,
  forwardRefusal,
  termsOfWay,
} from "./forward-policy.ts";
import {
  failIncoming,
  fulfillIncoming,
  type IncomingHtlc,
  isOpenFor,
  refuseIncoming,
  sameIncoming,
  unsettledHtlc,
} from "./incoming.ts";
import type { Ledger, Payment } from "./ledger.ts";
import {
  type FindNextHop,
  isOfTheWay,
  type NextHop,
  type Router,
  type WayRequest,
} from "./next-hop.ts";
import { failureOf } from "./retry.ts";

export interface ForwarderOptions {
  readonly node: () => Node;
  readonly attempts: Attempts;
  readonly ledger: Ledger;
  readonly policy: ForwardPolicy;
  readonly nextHop: FindNextHop;
  /** Without it nothing goes on to other gateways. */
  readonly router?: Router | undefined;
  nowSeconds(): number;
  onAlarm(text: string): void;
  /** Its row is on its way to the disk. */
  onPayment(payment: Payment): void;
}

/** Forwards that are not settled upstream yet. */
const MAX_FORWARDS = 20_000;
/** Other ways that are tried where the first does not lead there. */
const MAX_REROUTES = 1;

export class Forwarder {
  /** By payment hash: there is one at a time (rule `one-htlc-per-hash`). */
  private readonly forwards = new Map<string, Forward>();
  private nowMs = 0;
  private isAnyAwake = false;

  constructor(private readonly options: ForwarderOptions) {}

  /** Takes up what the ledger and the records know; before any peer or block is heard. */
  resume(entries: readonly Payment[]): void {
    for (const entry of entries) {
      if (entry.kind !== "forwarded" || !entry.incoming) continue;
      const forward = this.add(entry.incoming, entry.paymentHash);
      this.takeUp(forward, entry);
    }
  }

  /** Told at the first time, and again after each reconnect until it is settled. */
  async received(
    at: IncomingHtlc,
    htlc: Htlc,
    instructions: ForwardInstructions,
    declined?: string,
  ): Promise<void> {
    const { options } = this;
    const known = this.forwards.get(toHex(htlc.paymentHash));
    if (known) {
      if (sameIncoming(known.at, at)) this.settle(known);
      else this.refuse(at, "temporaryNodeFailure");
      return;
    }
    if (this.forwards.size >= MAX_FORWARDS || options.attempts.isFull) {
      this.refuse(at, "temporaryNodeFailure");
      return;
    }
    const forward = this.add(at, htlc.paymentHash);
    const earlier = await this.earlier(forward);
    if (!this.isOurs(forward)) return;
    if (earlier && sameIncoming(earlier.incoming, at)) {
      this.takeUp(forward, earlier);
      return;
    }
    const held = { htlc, instructions, untilMs: this.nowMs + options.policy.holdMs };
    const refusal = this.refusal(held, earlier, declined);
    if (refusal !== undefined) this.fail(forward, refusal);
    else await this.tryForward(forward, held);
  }

  /** Where it cannot be read nothing is done: a row may say that it was paid. The HTLC is told again after a reconnect. */
  private async earlier({ hash }: Forward): Promise<Payment | undefined> {
    try {
      return await this.options.ledger.get("forwarded", hash);
    } catch (cause) {
      this.forwards.delete(toHex(hash));
      throw cause;
    }
  }

  /** An HTLC offered to us left its channel. */
  settled(at: IncomingHtlc, hash: Payment["paymentHash"]): void {
    const found = this.forwards.get(toHex(hash));
    if (found && sameIncoming(found.at, at)) this.forwards.delete(toHex(hash));
  }

  /** Channels over which they came go to another process, which takes them up. */
  drop(channels: readonly ChannelId[]): void {
    for (const [key, { at }] of this.forwards) {
      if (channels.some((id) => equal(id, at.channelId))) this.forwards.delete(key);
    }
  }

  private isOurs(forward: Forward): boolean {
    return this.forwards.get(toHex(forward.hash)) === forward;
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    for (const forward of this.forwards.values()) {
      if (forward.state.type !== "held") continue;
      if (this.isAnyAwake || nowMs >= forward.state.held.untilMs) this.tryAgain(forward);
    }
    this.isAnyAwake = false;
  }

  /** A channel can be used again: at the next tick those that wait are tried. */
  awake(): void {
    this.isAnyAwake = true;
  }

  /** What no event told: at each block. */
  sweep(): void {
    const node = this.options.node();
    for (const [key, forward] of [...this.forwards]) {
      const { type } = forward.state;
      if (type === "checking" || type === "offered") continue;
      if (type === "held" && !this.inTime(forward.state.held)) this.tryAgain(forward);
      if (unsettledHtlc(node, forward.at, forward.hash)) this.settle(forward);
      else if (!node.isStored(forward.at.channelId)) this.forwards.delete(key);
    }
  }

  private tryAgain(forward: Forward): void {
    if (forward.state.type !== "held") return;
    const { held } = forward.state;
    forward.state = { type: "checking" };
    this.run(this.tryForward(forward, held));
  }

  private add(at: IncomingHtlc, hash: Payment["paymentHash"]): Forward {
    const forward: Forward = { at, hash, tried: [], state: { type: "checking" } };
    this.forwards.set(toHex(hash), forward);
    return forward;
  }

  private takeUp(forward: Forward, entry: Payment): void {
    if (entry.status === "pending") {
      const { attempts } = this.options;
      forward.entry = entry;
      forward.state = { type: "offered" };
      const { outgoing, paymentHash } = entry;
      const owner = this.owner(forward);
      const { entrusting } = attempts;
      if (entrusting) this.run(entrusting.resume(outgoing, paymentHash, owner));
      else if (outgoing) attempts.resume(outgoing, paymentHash, owner);
      else this.fail(forward, "temporaryChannelFailure");
      return;
    }
    const code = failureCodeOf(entry.failure ?? 0) ?? "temporaryChannelFailure";
    forward.state = entry.preimage
      ? { type: "fulfilled", preimage: entry.preimage }
      : { type: "failed", reason: encodeFailure(code) };
    this.settle(forward);
  }

  private refusal(
    { htlc }: HeldForward,
    earlier: Payment | undefined,
    declined: string | undefined,
  ): FailureCode | undefined {
    const { attempts } = this.options;
    // Paid before: its preimage is no secret any more.
    if (earlier && earlier.status !== "failed") return "incorrectOrUnknownPaymentDetails";
    if (attempts.has(htlc.paymentHash)) return "temporaryNodeFailure";
    return declined === undefined ? undefined : "temporaryChannelFailure";
  }

  /** On to the destination, or held for it, or back. */
  private async tryForward(forward: Forward, held: HeldForward): Promise<void> {
    const { node, ledger, policy, attempts } = this.options;
    const { htlc, instructions } = held;
    if (!this.isOurs(forward)) return;
    if (!isOpenFor(node(), forward.at) || !unsettledHtlc(node(), forward.at, forward.hash)) {
      this.resolveFailed(forward, NO_REASON);
      this.forwards.delete(toHex(forward.hash));
      return;
    }
    const found = this.next(forward, instructions);
    const way = found.type === "open" ? found.way : undefined;
    const refused = forwardRefusal(policy, htlc, way ?? instructions, node().height);
    if (refused !== undefined) {
      this.fail(forward, refused, way && termsOfWay(policy, instructions, way));
      return;
    }
    if (found.type === "asleep" && this.mayHold(held)) {
      forward.state = { type: "held", held };
      return;
    }
    if (found.type !== "open" && found.type !== "elsewhere") {
      this.fail(forward, found.type === "none" ? "unknownNextPeer" : "temporaryChannelFailure");
      return;
    }
    const { amountMsat, cltvExpiry, onion } = way ?? finalHop(instructions);
    const entry: Payment = {
      kind: "forwarded",
      paymentHash: forward.hash,
      status: "pending",
      amountMsat: instructions.amountMsat,
      feeMsat: milliSatoshi(htlc.amountMsat - amountMsat),
      incoming: forward.at,
      ...(found.type === "open" && { outgoing: found.channelId }),
      createdAt: this.options.nowSeconds(),
    };
    forward.entry = entry;
    forward.state = { type: "offered", held, way };
    // Rule `forward-written-first`: after a crash the record of that channel is asked.
    let isOurs: boolean;
    try {
      isOurs = await ledger.claim(entry);
    } catch (cause) {
      this.fail(forward, "temporaryNodeFailure");
      throw cause;
    }
    if (!this.isOurs(forward)) return;
    if (!isOurs) forward.entry = undefined; // it stays as it is: another process's
    if (!isOurs || attempts.has(forward.hash)) {
      this.fail(forward, "temporaryNodeFailure");
      return;
    }
    const attempt = { paymentHash: forward.hash, amountMsat, cltvExpiry, onion };
    const owner = this.owner(forward);
    if (found.type === "open") attempts.begin({ ...attempt, channelId: found.channelId }, owner);
    else {
      const { destination } = instructions;
      attempts.entrusting?.begin({ ...attempt, destination, holdMs: policy.holdMs }, owner);
    }
  }

  private owner(forward: Forward): AttemptOwner {
    return {
      incoming: forward.at.channelId,
      fulfilled: (preimage) => {
        const { state, entry } = forward;
        if (state.type !== "offered" || !entry) return;
        // Rule `preimage-never-forgotten`: no later commit, by which the record downstream drops it, is durable without.
        this.write({ ...entry, status: "succeeded", preimage, resolvedAt: this.now() });
        forward.state = { type: "fulfilled", preimage };
        this.settle(forward);
      },
      failed: (reason) => {
        if (!this.reroute(forward, reason)) this.failWith(forward, reasonUpstream(forward, reason));
      },
      refused: () => {
        const { state } = forward;
        if (this.reroute(forward, NO_REASON)) return;
        if (state.type !== "offered" || !state.held || !this.mayHold(state.held)) {
          this.fail(forward, "temporaryChannelFailure");
          return;
        }
        const isAsleep = this.next(forward, state.held.instructions).type === "asleep";
        if (isAsleep) forward.state = { type: "held", held: state.held };
        else this.fail(forward, "temporaryChannelFailure");
      },
    };
  }

  /** What went to another gateway and came back goes another way, once; false: there is none. */
  private reroute(forward: Forward, reason: Uint8Array): boolean {
    const { router } = this.options;
    const { state, tried } = forward;
    if (!router || state.type !== "offered" || !state.way || !state.held) return false;
    if (!isOfTheWay(reason)) return false;
    const { held, way } = state;
    router.failed(this.request(forward, held.instructions), way.channelId);
    if (tried.length >= MAX_REROUTES) return false;
    tried.push(way.channelId);
    if (this.next(forward, held.instructions).type !== "open") return false;
    forward.state = { type: "checking" };
    this.run(this.tryForward(forward, held));
    return true;
  }

  /** Upstream as it ended here. */
  private settle(forward: Forward): void {
    const { state, at, hash } = forward;
    const node = this.options.node();
    if (state.type === "failed" && isOpenFor(node, at)) failIncoming(node, at, state.reason);
    if (state.type !== "fulfilled") return;
    if (unsettledHtlc(node, at, hash)) fulfillIncoming(node, at, state.preimage);
  }

  /** `terms`: where others on the way ask for something too. */
  private fail(forward: Forward, code: FailureCode, terms?: ForwardTerms): void {
    const { policy } = this.options;
    const isOurs = code === "feeInsufficient" || code === "incorrectCltvExpiry";
    const data = isOurs ? encodeTerms(terms ?? policy) : undefined;
    this.failWith(forward, encodeFailure(code, data));
  }

  private failWith(forward: Forward, told: Uint8Array): void {
    const reason = told.length > 0 ? told : encodeFailure("temporaryChannelFailure");
    this.resolveFailed(forward, reason);
    forward.state = { type: "failed", reason };
    this.settle(forward);
  }

  /** Its row, also where it came back before and was looked at anew: a pending one would refuse the payer's next try. */
  private resolveFailed(forward: Forward, reason: Uint8Array): void {
    const { entry } = forward;
    if (!entry) return;
    const failure = failureOf(reason);
    this.write({ ...entry, status: "failed", resolvedAt: this.now(), ...failure });
  }

  private refuse(at: IncomingHtlc, code: FailureCode): void {
    refuseIncoming(this.options.node(), at, code);
  }

  /** To the destination itself where we have a channel with it, else on to another gateway. */
  private next(forward: Forward, instructions: ForwardInstructions): NextHop {
    const { nextHop, router } = this.options;
    const direct = nextHop(instructions.destination, instructions.amountMsat);
    // A payment in a circle: straight back to who sent it is no way.
    const isBack = direct.type === "open" && equal(direct.channelId, forward.at.channelId);
    if (!isBack && (direct.type === "open" || direct.type === "asleep")) return direct;
    const way = router?.way(this.request(forward, instructions));
    if (way?.type === "way") return { type: "open", channelId: way.channelId, way };
    if (isBack) return { type: "no-room" };
    const found = way && direct.type === "none" ? way : direct;
    const isElsewhere = found.type === "none" && this.options.attempts.entrusting !== undefined;
    return isElsewhere ? { type: "elsewhere" } : found;
  }

  private request({ at, tried }: Forward, instructions: ForwardInstructions): WayRequest {
    const from = this.options.node().record(at.channelId)?.remoteNodeId;
    return { ...instructions, from, tried };
  }

  private inTime({ htlc, instructions }: HeldForward): boolean {
    const { policy, node } = this.options;
    return forwardRefusal(policy, htlc, instructions, node().height) === undefined;
  }

  private mayHold(held: HeldForward): boolean {
    const { maxHeld, maxHeldPerDestination } = this.options.policy;
    const { destination } = held.instructions;
    const all = [...this.forwards.values()].flatMap(({ state }) =>
      state.type === "held" ? [state.held.instructions.destination] : [],
    );
    const toIt = all.filter((one) => equal(one, destination)).length;
    const hasRoom = all.length < maxHeld && toIt < maxHeldPerDestination;
    return hasRoom && this.nowMs < held.untilMs && this.inTime(held);
  }

  private now(): number {
    return this.options.nowSeconds();
  }

  private write(payment: Payment): void {
    this.run(this.options.ledger.put(payment));
    this.options.onPayment(payment);
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) =>
      this.options.onAlarm(cause instanceof Error ? cause.message : String(cause)),
    );
  }
}

const NO_REASON = new Uint8Array(0);
