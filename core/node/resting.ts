/** An idle channel in little room: its record as the store has it, decoded for whoever looks and again when something happens. A gateway has thousands, and few of them move. */
import { decodeRecord, encodeRecord } from "../channel/codec.ts";
import type { Channel } from "../channel/draft.ts";
import type { ChannelRecord, ChannelSession } from "../channel/record.ts";
import type { ChannelSigner, NodeSigner } from "../ports/signer.ts";
import { type PublicKey, publicKey } from "../primitives/brands.ts";
import { concatAll } from "../primitives/bytes.ts";
import type { Basepoints } from "../transactions/terms.ts";

type Live = Extract<Channel, { kind: "live" }>;

const POINT_BYTES = 33;
const ROLES = [
  "fundingPubkey",
  "revocationBasepoint",
  "paymentBasepoint",
  "delayedPaymentBasepoint",
  "htlcBasepoint",
] as const;

const RECORD_AT = ROLES.length * POINT_BYTES;

/** No block that touches nothing of it changes it: an open channel that has no HTLCs and waits for nothing. */
export function isUnmovedByTip(channel: Channel): channel is Live {
  if (channel.kind !== "live" || channel.record.phase !== "normal") return false;
  const { base, pending, facts } = channel.record;
  const { localSigned, localAcked, remoteAcked, remoteSigned } = pending;
  const updates = localSigned.length + localAcked.length + remoteAcked.length + remoteSigned.length;
  return updates + base.htlcs.length + facts.length === 0;
}

/** Nothing of it is under way, on either side. */
export function canRest(channel: Channel): channel is Live {
  if (!isUnmovedByTip(channel)) return false;
  const { record, session } = channel;
  const isQuiet =
    record.fundingHeight !== undefined &&
    record.remoteNextPoint !== undefined &&
    !record.awaitingRevocation &&
    record.receiptsAwaited.length === 0 &&
    record.mutualCloses.length === 0 &&
    record.closeFeeratePerKw === undefined;
  const isTold = !record.suspect && !record.outdated && !record.peerOutdated;
  const proposed = session.localProposed.length + session.remoteProposed.length;
  const isClosing = session.closingProposed ?? (session.closingOffered || session.shutdownSent);
  return isQuiet && isTold && proposed === 0 && !isClosing && !session.peerLost;
}

export class RestingChannel {
  /** Our own basepoints, and then the record: each piece of memory costs a host more than what is in it. */
  private readonly memory: Uint8Array;
  private readonly session: ChannelSession;
  readonly fundingHeight: number;

  constructor({ record, session }: Live) {
    const points = ROLES.map((role) => record.terms.local.basepoints[role]);
    this.memory = concatAll([...points, encodeRecord(record)]);
    this.session = session;
    this.fundingHeight = record.fundingHeight ?? 0;
  }

  /** For who looks at it: decoded where the record is asked for, and not kept. */
  get channel(): Channel {
    return new Glimpse(this.record, this.session, () => this.ownBasepoints());
  }

  /** As it was, with a signer that is to be told what is stored. */
  wake(signers: NodeSigner): { readonly channel: Live; readonly signer: ChannelSigner } {
    let signer: ChannelSigner | undefined;
    const record = decodeRecord(this.record, (keyIndex) => {
      signer = signers.channel(keyIndex);
      return signer.basepoints;
    });
    signer ??= signers.channel(record.terms.keyIndex);
    return { channel: { kind: "live", record, session: this.session }, signer };
  }

  private get record(): Uint8Array {
    return this.memory.subarray(RECORD_AT);
  }

  private ownBasepoints(): Basepoints {
    const point = (i: number): PublicKey =>
      publicKey(this.memory.slice(i * POINT_BYTES, (i + 1) * POINT_BYTES));
    return {
      fundingPubkey: point(0),
      revocationBasepoint: point(1),
      paymentBasepoint: point(2),
      delayedPaymentBasepoint: point(3),
      htlcBasepoint: point(4),
    };
  }
}

class Glimpse {
  readonly kind = "live";
  private decoded: ChannelRecord | undefined;

  constructor(
    private readonly bytes: Uint8Array,
    readonly session: ChannelSession,
    private readonly basepoints: () => Basepoints,
  ) {}

  get record(): ChannelRecord {
    this.decoded ??= decodeRecord(this.bytes, () => this.basepoints());
    return this.decoded;
  }
}
