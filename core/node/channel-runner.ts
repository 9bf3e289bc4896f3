/** Runs one channel: one input at a time, the record durable before any effect is performed (DESIGN §3 "The core"). */

import type { ArchivedHtlc, Claim } from "../chain/monitor/watched.ts";
import { decodeArchived } from "../channel/archive.ts";
import { encodeRecord } from "../channel/codec.ts";
import type { Context } from "../channel/context.ts";
import type { Channel, Transition } from "../channel/draft.ts";
import type { ChannelEvent, Effect } from "../channel/effects.ts";
import type { Input } from "../channel/inputs.ts";
import type { ChannelRecord } from "../channel/record.ts";
import { transition } from "../channel/transition.ts";
import type { Message } from "../messages/message.ts";
import { countPayments } from "../payments/push.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { ChannelSigner } from "../ports/signer.ts";
import type { CommitOutcome, Store, StoreCommit } from "../ports/store.ts";
import { type ChannelId, commitmentNumber, type PublicKey } from "../primitives/brands.ts";
import { concat } from "../primitives/bytes.ts";
import { ReferenceSet } from "./reference-set.ts";

/** Inputs that may wait for one channel; a peer that sends faster is disconnected. */
export const MAX_QUEUED_INPUTS = 8192;

/** What a channel's effects are performed with; the node provides it. */
export interface RunnerHost {
  readonly store: Store;
  /** Everything of the context but the archive, as of now. */
  context(runner: ChannelRunner): Omit<Context, "archive">;
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

export interface RunnerStart {
  readonly id: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly signer: ChannelSigner;
  readonly channel: Channel;
  readonly archive?: readonly Uint8Array[];
}

const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

export class ChannelRunner {
  private readonly queue: Input[] = [];
  private busy = false;
  private stopped = false;
  /** References that were proposed in this session and are not yet signed. */
  private proposed: ReferenceSet | undefined;

  /** The temporary id until the channel is funded. */
  id: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly signer: ChannelSigner;
  private current: Channel;
  private readonly archive: Uint8Array[];

  constructor(
    private readonly host: RunnerHost,
    start: RunnerStart,
  ) {
    this.id = start.id;
    this.remoteNodeId = start.remoteNodeId;
    this.signer = start.signer;
    this.current = start.channel;
    this.archive = [...(start.archive ?? [])];
    if (start.channel.kind === "live") this.tellSigner(start.channel.record);
  }

  get channel(): Channel {
    return this.current;
  }

  get isHalted(): boolean {
    return this.stopped;
  }

  get isIdle(): boolean {
    return !this.busy && this.queue.length === 0;
  }

  /** Takes an input; it is worked on at once where nothing else is under way. */
  input(input: Input): void {
    if (this.stopped) return;
    if (this.queue.length >= MAX_QUEUED_INPUTS) {
      this.host.disconnect(this, "too many messages at once");
      return;
    }
    this.queue.push(input);
    if (!this.busy) this.drain();
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
    try {
      for (let input = this.queue.shift(); input; input = this.queue.shift()) {
        const settled = this.work(input);
        if (settled) {
          settled.then(
            () => this.drain(),
            (cause) => this.halt(cause),
          );
          return;
        }
      }
    } catch (cause) {
      this.halt(cause);
      return;
    }
    this.busy = false;
  }

  /** An assertion or a store that fails: never send, never publish; the node reloads from what is stored. */
  private halt(cause: unknown): void {
    this.stopped = true;
    this.busy = false;
    this.queue.length = 0;
    this.host.halted(this, cause);
  }

  private work(input: Input): Promise<void> | undefined {
    if (input.type !== "push") return this.commit(this.step(input));
    const duplicate = this.refuseKnownReferences(input.payments);
    const decide = (reason: string | undefined): Promise<void> | undefined => {
      if (reason === undefined) return this.commit(this.step(input));
      this.host.notify(this, { type: "rejected", command: input, reason });
      return undefined;
    };
    return duplicate instanceof Promise ? duplicate.then(decide) : decide(duplicate);
  }

  private step(input: Input): Transition {
    const archive = endsChannel(input) ? this.decodedArchive() : [];
    return transition({ ...this.host.context(this), archive }, this.current, input);
  }

  private decodedArchive(): readonly ArchivedHtlc[] {
    return this.archive.map(decodeArchived);
  }

  /** An own reference is used once: a repeated command pays nothing (rule `credited-once`, the payer's half). */
  private refuseKnownReferences(
    payments: Uint8Array,
  ): Promise<string | undefined> | string | undefined {
    const again = "this payment reference was used before: nothing was paid";
    this.proposed ??= new ReferenceSet();
    if (this.proposed.addPacked(payments).length > 0) return again;
    const waiting: Promise<boolean>[] = [];
    for (let i = 0; i < countPayments(payments); i++) {
      const known = this.host.store.isDebited(payments.subarray(i * 24, i * 24 + 16));
      if (known === true) return again;
      if (known instanceof Promise) waiting.push(known);
    }
    if (waiting.length === 0) return undefined;
    return Promise.all(waiting).then((all) => (all.includes(true) ? again : undefined));
  }

  /** Stores what changed, then performs the effects. */
  private commit({ channel, effects }: Transition): Promise<void> | undefined {
    const before = this.current;
    const change = storeChange(before, channel, effects);
    this.current = channel;
    if (channel.kind !== "live" || channel.session.localProposed.length === 0) {
      this.proposed = undefined;
    }
    if (!change) {
      this.perform(effects, NO_DUPLICATES);
      return undefined;
    }
    const outcome = this.host.store.commit(change);
    if (outcome instanceof Promise) return outcome.then((done) => this.committed(effects, done));
    this.committed(effects, outcome);
    return undefined;
  }

  private committed(effects: readonly Effect[], outcome: CommitOutcome): void {
    if (this.current.kind === "live") this.tellSigner(this.current.record);
    this.perform(effects, outcome);
  }

  private tellSigner(record: ChannelRecord): void {
    const { localNumber, awaitingRevocation, outdated } = record;
    const remoteNumber = record.remoteNumber + (awaitingRevocation ? 1 : 0);
    this.signer.stored({ localNumber, remoteNumber, outdated });
  }

  private perform(effects: readonly Effect[], outcome: CommitOutcome): void {
    let credited = 0;
    for (const effect of effects) {
      switch (effect.type) {
        case "send":
          this.host.send(this, effect.message);
          break;
        case "revoke":
          this.host.send(this, this.revocation(effect.number));
          break;
        case "archive":
          this.archive.push(effect.entry);
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
          this.host.disconnect(this, effect.reason);
          break;
        case "notify": {
          const { event } = effect;
          if (event.type !== "pushReceived") {
            this.host.notify(this, event);
            break;
          }
          const from = credited;
          credited += countPayments(event.payments);
          const duplicates = outcome.duplicateCredits
            .filter((i) => i >= from && i < credited)
            .map((i) => i - from);
          this.host.notify(this, duplicates.length > 0 ? { ...event, duplicates } : event);
          break;
        }
        case "credit":
        case "debit":
          break; // stored with the record
      }
    }
    if (this.current.kind === "ended") this.host.ended(this);
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

/** Inputs by which the chain may end a channel: only they need the archive. */
function endsChannel(input: Input): boolean {
  return input.type === "tip" || input.type === "confirmed" || input.type === "reorganised";
}

/** What has to be durable before the effects; undefined where nothing changed. */
function storeChange(
  before: Channel,
  after: Channel,
  effects: readonly Effect[],
): StoreCommit | undefined {
  if (after.kind === "ended") {
    if (before.kind !== "live") return undefined;
    const { record } = before;
    return {
      channelId: record.channelId,
      record: () => encodeRecord(record),
      live: record,
      remove: true,
    };
  }
  if (after.kind !== "live") return undefined;
  const { record } = after;
  if (before.kind === "live" && before.record === record) return undefined;
  const credits: Uint8Array[] = [];
  const debits: Uint8Array[] = [];
  const archive: Uint8Array[] = [];
  for (const effect of effects) {
    if (effect.type === "credit") credits.push(effect.payments);
    if (effect.type === "debit") debits.push(effect.payments);
    if (effect.type === "archive") archive.push(effect.entry);
  }
  return {
    channelId: record.channelId,
    record: () => encodeRecord(record),
    live: record,
    ...(archive.length > 0 ? { archive } : {}),
    ...(credits.length > 0 ? { credits: joined(credits) } : {}),
    ...(debits.length > 0 ? { debits: joined(debits) } : {}),
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : concat(...parts);
}
