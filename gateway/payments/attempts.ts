/** HTLCs that we offer for payments: one per payment hash; what became of each is read from the channel records, which alone know. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { offeredHtlcs } from "../../core/channel/state.ts";
import type { Node } from "../../core/node/node.ts";
import type {
  BlockHeight,
  ChannelId,
  MilliSatoshi,
  PaymentHash,
  Preimage,
  PublicKey,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { FindNextHop } from "./next-hop.ts";

export interface Attempt {
  readonly channelId: ChannelId;
  readonly paymentHash: PaymentHash;
  readonly amountMsat: MilliSatoshi;
  readonly cltvExpiry: BlockHeight;
  readonly onion: Uint8Array;
}

/** Offered by another process of this node, in a channel that it has with the destination. */
export interface EntrustedAttempt extends Omit<Attempt, "channelId"> {
  readonly destination: PublicKey;
  /** It is withdrawn where nobody could offer it for so long. */
  readonly holdMs: number;
}

/** Where several processes run the channels of one node (gateway/workers/entrusted-htlcs.ts). */
export interface Entrusting {
  /** Whose attempts it makes and asks for. */
  serve(attempts: Attempts, nextHop: FindNextHop): void;
  isWaiting(hash: PaymentHash): boolean;
  isDoing(hash: PaymentHash): boolean;
  begin(attempt: EntrustedAttempt, owner: AttemptOwner): void;
  resume(id: ChannelId | undefined, hash: PaymentHash, owner: AttemptOwner): Promise<void>;
  adopt(channels: readonly ChannelId[]): Promise<void>;
  forget(isGone: (owner: AttemptOwner) => boolean): void;
  /** `owner`: of the attempt from now on, where it goes on here. */
  handOver(
    id: ChannelId,
    hash: PaymentHash,
    sides: { readonly asker?: AttemptOwner; readonly isDoneHere: boolean },
  ): { readonly owner: AttemptOwner; readonly written: Promise<void> };
  look(): void;
}

/** Exactly one of these is called, once. */
export interface AttemptOwner {
  /** The channel that it came over, where it is forwarded. */
  readonly incoming?: ChannelId;
  fulfilled(preimage: Preimage): void;
  /** It can never be fulfilled any more; `reason` is empty where nobody gave one. */
  failed(reason: Uint8Array): void;
  /** It was never signed. */
  refused(reason: string): void;
}

interface UnderWay {
  readonly channelId: ChannelId;
  readonly paymentHash: PaymentHash;
  owner: AttemptOwner;
  /** The command is given, its outcome not told yet: no record has it. */
  isCommanded: boolean;
}

type Standing =
  | { readonly type: "in-flight" }
  | { readonly type: "gone" }
  | { readonly type: "fulfilled"; readonly preimage: Preimage };

/** HTLCs that may be under way for payments at once. */
export const MAX_ATTEMPTS = 20_000;

export class Attempts {
  private readonly underWay = new Map<string, UnderWay>();

  /** Channels that go to another process: their records say nothing any more. */
  private readonly leaving = new Set<string>();
  private halted = false;

  constructor(
    private readonly node: () => Node,
    readonly entrusting?: Entrusting,
  ) {}

  has(hash: PaymentHash): boolean {
    return this.isOffering(hash) || (this.entrusting?.isWaiting(hash) ?? false);
  }

  /** In a channel that is run here. */
  isOffering(hash: PaymentHash): boolean {
    return this.underWay.has(toHex(hash));
  }

  /** Nothing that is known here counts any more. */
  halt(): void {
    this.halted = true;
  }

  leave(channels: readonly ChannelId[]): void {
    for (const id of channels) this.leaving.add(toHex(id));
  }

  /** Nothing of these channels is under way in the node; durable when it resolves. */
  async handOver(channels: readonly ChannelId[]): Promise<void> {
    const { entrusting } = this;
    if (!entrusting) return;
    const isGone = (id: ChannelId | undefined) =>
      id !== undefined && channels.some((one) => equal(one, id));
    entrusting.forget(({ incoming }) => isGone(incoming));
    const written: Promise<void>[] = [];
    for (const [key, one] of [...this.underWay]) {
      const { channelId, paymentHash, owner } = one;
      const isAskerGone = isGone(owner.incoming);
      const isDoneHere = !isGone(channelId);
      if (isDoneHere && !isAskerGone) continue;
      const isOthers = isAskerGone || entrusting.isDoing(paymentHash);
      const asker = isOthers ? {} : { asker: owner };
      if (!isDoneHere) this.underWay.delete(key);
      const handed = entrusting.handOver(channelId, paymentHash, { ...asker, isDoneHere });
      one.owner = handed.owner;
      written.push(handed.written);
    }
    await Promise.all(written);
    for (const id of channels) this.leaving.delete(toHex(id));
  }

  get isFull(): boolean {
    return this.underWay.size >= MAX_ATTEMPTS;
  }

  /** The caller has written down, durably, that it offers this HTLC in this channel. */
  begin({ channelId, ...htlc }: Attempt, owner: AttemptOwner): void {
    const { paymentHash } = htlc;
    const key = toHex(paymentHash);
    // Rule `one-htlc-per-hash`: a second one could be fulfilled beside the first.
    assert(!this.underWay.has(key), "one-htlc-per-hash: an HTLC of this payment is under way");
    this.underWay.set(key, { channelId, paymentHash, owner, isCommanded: true });
    const isThere = this.node().command(channelId, { type: "addHtlc", ...htlc });
    if (!isThere) this.refused(key, "the channel is gone");
  }

  /** After a start: whether it was ever offered, and what became of it, the record of the channel knows. */
  resume(channelId: ChannelId, paymentHash: PaymentHash, owner: AttemptOwner): void {
    const key = toHex(paymentHash);
    assert(!this.underWay.has(key), "one-htlc-per-hash: an HTLC of this payment is under way");
    this.underWay.set(key, { channelId, paymentHash, owner, isCommanded: false });
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    if (this.halted) return;
    switch (event.type) {
      case "htlcCommitted": {
        const found = this.find(id, event.htlc.paymentHash);
        if (found) found.isCommanded = false;
        return;
      }
      case "rejected": {
        if (event.command.type !== "addHtlc") return;
        const found = this.find(id, event.command.paymentHash);
        if (found?.isCommanded) this.refused(toHex(found.paymentHash), event.reason);
        return;
      }
      case "htlcFulfilled":
        this.check(this.find(id, event.htlc.paymentHash), NO_REASON, event.preimage);
        return;
      case "htlcFailed":
        this.check(this.find(id, event.paymentHash), event.reason);
        return;
      default:
        return;
    }
  }

  /** What no event told: after a start, and at each block. */
  checkAll(): void {
    for (const one of [...this.underWay.values()]) this.check(one, NO_REASON);
  }

  checkOne(hash: PaymentHash): void {
    this.check(this.underWay.get(toHex(hash)), NO_REASON);
  }

  private check(one: UnderWay | undefined, reason: Uint8Array, told?: Preimage): void {
    if (!one || one.isCommanded || this.halted) return;
    const standing: Standing = told ? { type: "fulfilled", preimage: told } : this.standing(one);
    if (standing.type === "in-flight") return;
    this.underWay.delete(toHex(one.paymentHash));
    if (standing.type === "fulfilled") one.owner.fulfilled(standing.preimage);
    else one.owner.failed(reason);
  }

  /** Rule `failed-when-never-paid`: in doubt it is in flight. */
  private standing({ channelId, paymentHash }: UnderWay): Standing {
    const node = this.node();
    const record = node.record(channelId);
    // Halted or unreadable: what the store holds of it is not known here.
    if (node.isStored(channelId) || this.leaving.has(toHex(channelId))) return IN_FLIGHT;
    if (!record) return GONE;
    // Our state is old: a newer one may have the HTLC.
    if (record.outdated || record.suspect) return IN_FLIGHT;
    const ours = offeredHtlcs(record).filter((htlc) => equal(htlc.paymentHash, paymentHash));
    const preimage = ours.find((htlc) => htlc.preimage)?.preimage;
    if (preimage) return { type: "fulfilled", preimage };
    const isLive = ours.some((htlc) => !record.failedOnChain.includes(htlc.id));
    return isLive ? IN_FLIGHT : GONE;
  }

  private find(channelId: ChannelId, hash: PaymentHash): UnderWay | undefined {
    const found = this.underWay.get(toHex(hash));
    return found && equal(found.channelId, channelId) ? found : undefined;
  }

  private refused(key: string, reason: string): void {
    const one = this.underWay.get(key);
    this.underWay.delete(key);
    one?.owner.refused(reason);
  }
}

const IN_FLIGHT: Standing = { type: "in-flight" };
const GONE: Standing = { type: "gone" };
const NO_REASON = new Uint8Array(0);
