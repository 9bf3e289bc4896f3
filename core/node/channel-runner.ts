/** Runs one channel: one input at a time, the record durable before any effect is performed (DESIGN §3 "The core"). */
import type { ArchivedHtlc, Claim } from "../chain/monitor/watched.ts";
import { decodeArchived } from "../channel/archive.ts";
import type { CommitmentCache } from "../channel/commitment-cache.ts";
import type { ChannelPolicy, Context } from "../channel/context.ts";
import type { Channel, Transition } from "../channel/draft.ts";
import type { ChannelEvent, Effect } from "../channel/effects.ts";
import type { Input } from "../channel/inputs.ts";
import { commandOf } from "../channel/proposals.ts";
import type { Update } from "../channel/record.ts";
import { transition } from "../channel/transition.ts";
import type { Message } from "../messages/message.ts";
import { countPayments, paymentsFault } from "../payments/push.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import type { CommitOutcome, Store } from "../ports/store.ts";
import { type ChannelId, commitmentNumber, type PublicKey } from "../primitives/brands.ts";
import { Burst } from "./burst.ts";
import { endsChannel, fateOf, isCommand, isOfLink, isVital, withoutLink } from "./halted.ts";
import { HeldChannel, type RunnerStart } from "./held-channel.ts";
import { isKnownReference, ProposedReferences, withDuplicates } from "./known-reference.ts";
import { storeChange } from "./store-change.ts";

/** Messages and commands that may wait for one channel; a peer that sends faster is disconnected (rule `bounded`). */
export const MAX_QUEUED_INPUTS = 8192;

/** What a channel's effects are performed with; the node provides it. */
export interface RunnerHost {
  readonly store: Store;
  readonly options: {
    readonly policy: Pick<ChannelPolicy, "maxArchivedHtlcs">;
    /** Makes a channel's signer anew when it is needed again. */
    readonly signer: NodeSigner;
  };
  /** The context as of now. */
  context(runner: ChannelRunner, archive: readonly ArchivedHtlc[]): Context;
  /** What `work` sends to the channel's peer may leave as one packet once it is done. */
  together?(runner: ChannelRunner, work: () => void): void;
  send(runner: ChannelRunner, message: Message): void;
  disconnect(runner: ChannelRunner, reason: string): void;
  watch(runner: ChannelRunner, outpoint: Outpoint, script?: Uint8Array): void;
  publish(runner: ChannelRunner, claim: Claim): void;
  publishClose(runner: ChannelRunner, raw: Uint8Array): void;
  notify(runner: ChannelRunner, event: ChannelEvent): void;
  /** The channel has ended, its last effects are performed: nothing of it is needed any more. */
  ended(runner: ChannelRunner): void;
  /** Storing failed: nothing was sent, the channel stands still until the node reloads it. */
  halted(runner: ChannelRunner, cause: unknown): void;
}

const FULL = "too much waits for this channel: try again";
const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

export class ChannelRunner {
  private queue: Input[] = [];
  private readonly held: HeldChannel;
  /** Our newest per-commitment point that was derived ahead. */
  private pointsUpTo = 0;
  private busy = false;
  private working: Input | undefined;
  private stopped = false;
  /** Ends of links in the queue: whatever is sent before they are worked on would reach a newer link. */
  private linksLost = 0;
  /** What came since the channel halted, and before it commands whose fate the store knows. */
  private left: Input[] = [];
  private readonly proposed = new ProposedReferences();
  private readonly burst = new Burst();

  /** The temporary id until the channel is funded. */
  id: ChannelId;
  remoteNodeId: PublicKey;
  /** What the last input made of it, durable or not. */
  private attempted: Channel;
  private readonly archive: Uint8Array[];

  constructor(
    private readonly host: RunnerHost,
    start: RunnerStart,
  ) {
    this.id = start.id;
    this.remoteNodeId = start.remoteNodeId;
    this.held = new HeldChannel(start, host.options.signer);
    this.attempted = start.channel;
    this.archive = [...(start.archive ?? [])];
  }

  get channel(): Channel {
    return this.held.channel;
  }

  get signer(): ChannelSigner {
    this.wake();
    return this.held.signer;
  }

  get commitments(): CommitmentCache {
    return this.held.commitments;
  }

  get isResting(): boolean {
    return this.held.isResting;
  }

  /** Rests where nothing happened since it was last asked. */
  rest(): void {
    const { busy, stopped, linksLost, proposed, held } = this;
    const isUsed = busy || stopped || linksLost > 0 || !proposed.isEmpty;
    const waits = this.queue.length + this.left.length > 0 || this.attempted !== held.current;
    held.rest(isUsed || waits);
    if (!held.isResting) return;
    this.attempted = held.current;
    // Without the room that they once needed.
    this.queue = [];
    this.left = [];
  }

  private wake(): void {
    if (this.held.wake()) this.attempted = this.held.current;
  }

  /** Thousands of channels hear of each block: it is nothing to one that has nothing under way. */
  private isNothing(input: Input): boolean {
    return this.isIdle && !this.stopped && this.held.isNothing(input);
  }

  get isHalted(): boolean {
    return this.stopped;
  }

  get isIdle(): boolean {
    return !this.busy && this.queue.length === 0;
  }

  /** It has worked on all that it was told of the chain; under load it may never be idle. */
  get isAbreastOfChain(): boolean {
    return this.isIdle || ![this.working, ...this.queue].some((one) => one && endsChannel(one));
  }

  private get current(): Channel {
    return this.held.current;
  }

  private set current(channel: Channel) {
    this.held.current = channel;
  }

  /** The final id as soon as there is a record, also where storing it failed. */
  get storedId(): ChannelId {
    const { attempted } = this;
    return attempted.kind === "live" ? attempted.record.channelId : this.id;
  }

  /**
   * Derives one key of the next commitments, which depend on no payment: for when there is nothing else to do. It
   * changes no result, only when the work is done. False: none is left.
   */
  workAhead(crypto: Crypto): boolean {
    const { current, signer, commitments } = this;
    if (!this.isIdle || this.stopped || current.kind !== "live") return false;
    const { phase, terms, localNumber, remoteNextPoint, awaitingRevocation } = current.record;
    if (phase !== "normal") return false;
    if (this.pointsUpTo !== localNumber + 2) {
      this.pointsUpTo = localNumber + 2;
      // The one that the next revocation tells.
      signer.perCommitmentPoint(commitmentNumber(this.pointsUpTo));
      return true;
    }
    const next = signer.perCommitmentPoint(commitmentNumber(localNumber + 1));
    if (commitments.deriveEarly(crypto, terms, "local", next)) return true;
    if (!remoteNextPoint || awaitingRevocation) return false;
    return commitments.deriveEarly(crypto, terms, "remote", remoteNextPoint);
  }

  /** Takes an input; it is worked on at once where nothing else is under way. */
  input(input: Input): void {
    if (this.isNothing(input)) return;
    this.wake();
    if (this.stopped) {
      if (input.type === "disconnected") this.left = withoutLink(this.left);
      else this.leave(input);
      return;
    }
    if (input.type === "disconnected") this.forgetMessages();
    if (this.queue.length >= MAX_QUEUED_INPUTS && !isVital(input)) {
      if (input.type === "message") this.host.disconnect(this, "too many messages at once");
      else this.reject(input, FULL);
      return;
    }
    this.queue.push(input);
    if (!this.busy) this.drain();
  }

  /** As `input`; updates among them share a signature. */
  inputs(all: readonly Input[]): void {
    const { busy } = this;
    this.busy = true;
    for (const one of all) this.input(one);
    if (!busy) this.drain();
  }

  /** What a lost link brought and nobody has read counts as lost with it. */
  private forgetMessages(): void {
    this.queue = withoutLink(this.queue);
    this.linksLost++;
  }

  private reject(input: Input, reason: string): void {
    if (isCommand(input)) this.host.notify(this, { type: "rejected", command: input, reason });
  }

  /** Another process goes on with the channel: what is being stored is finished, nothing more is begun. */
  retire(): void {
    this.stopped = true;
    for (const input of this.queue.splice(0))
      this.reject(input, "another process has this channel");
  }

  /** After a reload: what came meanwhile goes to the successor, and every command's fate is told. */
  handOver(successor: ChannelRunner | undefined): void {
    for (const input of this.left.splice(0)) {
      // It halted too, and halting ended the link that brought this: the next one begins anew.
      if (successor?.isHalted && isOfLink(input)) continue;
      if (isCommand(input)) {
        const event = fateOf(input, successor?.channel);
        if (event) this.host.notify(successor ?? this, event);
      } else {
        successor?.input(input);
      }
    }
    if (successor) successor.input({ type: "tip" });
    else {
      const reason = "storing the channel failed: nothing was paid";
      this.host.notify(this, { type: "openFailed", reason });
    }
  }

  /** The first transition, made outside (open, accept). */
  begin(first: Transition): void {
    this.busy = true;
    const settled = this.commit(first);
    if (settled)
      settled.then(
        () => this.drain(),
        (cause) => this.halt(cause),
      );
    else this.drain();
  }

  private drain(): void {
    this.busy = true;
    for (let input = this.queue.shift(); input; input = this.queue.shift()) {
      this.working = input;
      const proposed = this.current.kind === "live" ? this.current.session.localProposed : [];
      const halted = (cause: unknown) => this.halt(cause, input, proposed);
      try {
        if (input.type === "disconnected") this.linksLost--;
        const settled = this.work(input);
        if (settled) {
          settled.then(() => this.drain(), halted);
          return;
        }
      } catch (cause) {
        halted(cause);
        return;
      }
    }
    this.busy = false;
    this.working = undefined;
  }

  /** An assertion or a store that fails: never send, never publish; the node reloads from what is stored. */
  private halt(cause: unknown, failed?: Input, proposed: readonly Update[] = []): void {
    this.stopped = true;
    this.busy = false;
    this.working = undefined;
    for (const update of proposed) this.leave(commandOf(update));
    this.leave(failed);
    for (const input of this.queue.splice(0)) this.leave(input);
    this.left = withoutLink(this.left);
    this.host.halted(this, cause);
  }

  /** Keeps what must not be lost with a halted channel; what belonged to the link that halting ended is. */
  private leave(input: Input | undefined): void {
    if (!input || input.type === "tip") return;
    if (isVital(input) || this.left.length < MAX_QUEUED_INPUTS) this.left.push(input);
    else this.reject(input, FULL); // never begun: those that were come first
  }

  private work(input: Input): Promise<void> | undefined {
    if (input.type !== "push" || paymentsFault(input.payments) !== undefined) {
      return this.commit(this.step(input));
    }
    const { payments } = input;
    const duplicate = !this.proposed.add(payments) || isKnownReference(this.host.store, payments);
    const decide = (known: boolean): Promise<void> | undefined => {
      if (!known) return this.commit(this.step(input), payments);
      this.reject(input, "this payment reference was used before: nothing was paid");
      return this.commit(this.step({ type: "tip" }), payments); // those before it may wait to be signed
    };
    return duplicate instanceof Promise ? duplicate.then(decide) : decide(duplicate);
  }

  private step(input: Input): Transition {
    const archive = endsChannel(input) ? this.archive.map(decodeArchived) : [];
    const updateFollows = this.burst.goesOn(this.queue[0]);
    return transition(this.host.context(this, archive), this.current, input, updateFollows);
  }

  /** Stores what changed, then performs the effects (rule `persist-before-send`). */
  private commit({ channel, effects }: Transition, pushed?: Uint8Array): Promise<void> | undefined {
    const before = this.current;
    const change = storeChange(before, channel, effects);
    this.attempted = channel;
    const proposed = channel.kind === "live" ? channel.session.localProposed : [];
    this.proposed.after(proposed, pushed);
    if (!change) {
      this.current = channel;
      this.perform(effects, NO_DUPLICATES);
      return undefined;
    }
    const outcome = this.host.store.commit(change);
    if (outcome instanceof Promise) return outcome.then((done) => this.committed(effects, done));
    this.committed(effects, outcome);
    return undefined;
  }

  /** Only now is the channel what it became. */
  private committed(effects: readonly Effect[], outcome: CommitOutcome): void {
    this.current = this.attempted;
    this.held.tellSigner();
    this.perform(effects, outcome);
  }

  private perform(effects: readonly Effect[], outcome: CommitOutcome): void {
    const work = () => this.performEach(effects, outcome);
    if (this.host.together && effects.length > 1) this.host.together(this, work);
    else work();
    if (this.current.kind === "ended") this.host.ended(this);
  }

  private performEach(effects: readonly Effect[], outcome: CommitOutcome): void {
    let credited = 0;
    for (const effect of effects) {
      switch (effect.type) {
        case "send":
          this.send(effect.message);
          break;
        case "revoke":
          this.send(this.revocation(effect.number));
          break;
        case "archive":
          this.archive.push(effect.entry);
          if (this.archive.length > this.host.options.policy.maxArchivedHtlcs) this.archive.shift();
          break;
        case "watch":
          this.host.watch(this, effect.outpoint, effect.script);
          break;
        case "publish":
          this.host.publish(this, effect.claim);
          break;
        case "publishClose":
          this.host.publishClose(this, effect.raw);
          break;
        case "disconnect":
          if (this.linksLost === 0) this.host.disconnect(this, effect.reason);
          break;
        case "notify": {
          const { event } = effect;
          if (event.type === "pushReceived") {
            this.host.notify(this, withDuplicates(event, outcome, credited));
            credited += countPayments(event.payments);
          } else this.host.notify(this, event);
          break;
        }
        case "credit":
        case "debit":
          break; // stored with the record
      }
    }
  }

  /** Into the link that the channel knows of, and into no later one: there channel_reestablish comes first. */
  private send(message: Message): void {
    if (this.linksLost === 0) this.host.send(this, message);
  }

  /** Only now, the successor being stored, does the signer give the secret away. */
  private revocation(number: number): Message {
    if (this.current.kind !== "live") throw new Error("only a live channel revokes");
    return {
      type: "revoke_and_ack",
      channelId: this.current.record.channelId,
      perCommitmentSecret: this.signer.revokeLocal(commitmentNumber(number)),
      nextPerCommitmentPoint: this.signer.perCommitmentPoint(commitmentNumber(number + 2)),
    };
  }
}
