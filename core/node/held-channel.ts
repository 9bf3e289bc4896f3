/** A channel as its runner holds it: whole while something happens to it, small while it rests; what it is made of is the same. */
import { CommitmentCache } from "../channel/commitment-cache.ts";
import type { Channel } from "../channel/draft.ts";
import type { Input } from "../channel/inputs.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import type { ChannelId, PublicKey } from "../primitives/brands.ts";
import { assert } from "../primitives/errors.ts";
import { canRest, isUnmovedByTip, RestingChannel } from "./resting.ts";

/** What a runner begins with. */
export interface RunnerStart {
  readonly id: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly signer: ChannelSigner;
  readonly channel: Channel;
  readonly archive?: readonly Uint8Array[];
}

const AT_REST: Channel = { kind: "ended", reason: "it rests" };

export class HeldChannel {
  /** Durable; while it rests this says nothing. */
  current: Channel;
  private keys: ChannelSigner | undefined;
  private cache: CommitmentCache | undefined;
  /** In place of all of these. */
  private resting: RestingChannel | undefined;
  /** Something happened since it was last asked whether it rests. */
  private isFresh = true;

  constructor(
    { channel, signer }: Pick<RunnerStart, "channel" | "signer">,
    private readonly signers: NodeSigner,
  ) {
    this.current = channel;
    this.keys = signer;
    this.tellSigner();
  }

  /** For who looks at it, which wakes nothing. */
  get channel(): Channel {
    return this.resting?.channel ?? this.current;
  }

  get isResting(): boolean {
    return this.resting !== undefined;
  }

  get signer(): ChannelSigner {
    this.wake();
    assert(this.keys, "a channel that is awake has its signer");
    return this.keys;
  }

  get commitments(): CommitmentCache {
    this.cache ??= new CommitmentCache();
    return this.cache;
  }

  rest(isUsed: boolean): void {
    const { current, isFresh } = this;
    this.isFresh = false;
    if (isFresh || isUsed || this.resting || !canRest(current)) return;
    this.resting = new RestingChannel(current);
    this.current = AT_REST;
    this.keys = undefined;
    this.cache = undefined;
  }

  /** As after a restart: the record is what is stored, and the signer is told so. False where it did not rest. */
  wake(): boolean {
    this.isFresh = true;
    if (!this.resting) return false;
    const { channel, signer } = this.resting.wake(this.signers);
    this.resting = undefined;
    this.current = channel;
    this.keys = signer;
    this.tellSigner();
    return true;
  }

  isNothing(input: Input): boolean {
    const { resting } = this;
    if (input.type === "tip") return resting !== undefined || isUnmovedByTip(this.current);
    return input.type === "reorganised" && !!resting && resting.fundingHeight < input.fromHeight;
  }

  tellSigner(): void {
    if (this.current.kind !== "live") return;
    const { localNumber, awaitingRevocation, outdated, remoteNumber: newest } = this.current.record;
    const remoteNumber = newest + (awaitingRevocation ? 1 : 0);
    this.keys?.stored({ localNumber, remoteNumber, outdated });
  }
}
