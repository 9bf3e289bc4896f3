/** The durable record of one channel: all that must survive a power cut, and nothing else (DESIGN §3, BOLT 2). */
import type { ChainFact } from "../chain/monitor/watched.ts";
import type { SecretStore } from "../keys/shachain.ts";
import type {
  BlockHeight,
  ChannelId,
  CommitmentNumber,
  MilliSatoshi,
  PaymentHash,
  PerCommitmentPoint,
  Preimage,
  PublicKey,
  Signature,
} from "../primitives/brands.ts";
import type { ChannelTerms } from "../transactions/channel-terms.ts";

export interface Htlc {
  readonly offeredByLocal: boolean;
  /** Counts up from 0 in the direction in which it was offered. */
  readonly id: number;
  readonly amountMsat: MilliSatoshi;
  readonly paymentHash: PaymentHash;
  readonly cltvExpiry: BlockHeight;
  /** Empty for a payment to the channel peer itself. */
  readonly onion: Uint8Array;
  /** Number of the first remote commitment that has it, once it is in one. */
  readonly firstRemoteNumber?: number | undefined;
  /** Durable as soon as it is known to us. */
  readonly preimage?: Preimage | undefined;
}

/** A proposed change; whose it is follows from the list in which it stands. */
export type Update =
  | {
      readonly type: "push";
      readonly id: number;
      /** Packed (core/payments/push.ts). */
      readonly payments: Uint8Array;
      /** Their sum. */
      readonly amountMsat: MilliSatoshi;
    }
  | { readonly type: "add"; readonly htlc: Htlc }
  | { readonly type: "fulfill"; readonly htlcId: number; readonly preimage: Preimage }
  | { readonly type: "fail"; readonly htlcId: number; readonly reason: Uint8Array }
  | {
      readonly type: "failMalformed";
      readonly htlcId: number;
      readonly sha256OfOnion: Uint8Array;
      readonly failureCode: number;
    }
  | { readonly type: "fee"; readonly feeratePerKw: number };

/** Balances with HTLC amounts taken out of the offerer's, and the HTLCs. */
export interface State {
  readonly toLocalMsat: MilliSatoshi;
  readonly toRemoteMsat: MilliSatoshi;
  readonly feeratePerKw: number;
  readonly htlcs: readonly Htlc[];
}

/**
 * Committed updates that are not yet irrevocable on both sides. Each update walks one way:
 *   ours:   proposed (session) → localSigned → localAcked → base
 *   theirs: proposed (session) → remoteAcked → remoteSigned → base
 * Our commitment shows base + remoteAcked + remoteSigned; theirs base + localAcked; their next one, while its revocation
 * is outstanding, base + localAcked + localSigned + remoteSigned.
 */
export interface PendingUpdates {
  readonly localSigned: readonly Update[];
  readonly localAcked: readonly Update[];
  readonly remoteAcked: readonly Update[];
  readonly remoteSigned: readonly Update[];
}

/** A push whose receipt is owed or awaited: `digest` is SHA-256 of its payments. */
export interface PushDigest {
  readonly id: number;
  readonly digest: Uint8Array;
}

export type Phase =
  | "awaiting-funding" // funding not deep enough, or channel_ready missing on a side
  | "normal"
  | "closing" // shutdown, and the mutual close that follows
  | "force-closing" // our commitment is to be published
  | "on-chain" // the funding output is spent in a block
  | "outdated"; // our state is old: we wait for the peer to publish its own

/** Phases in which nothing of ours was published yet and messages change the channel. */
export function isOpen(phase: Phase): boolean {
  return phase === "awaiting-funding" || phase === "normal" || phase === "closing";
}

export interface ChannelRecord {
  readonly channelId: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly terms: ChannelTerms;
  readonly phase: Phase;
  /** Depth that we wait for. */
  readonly minimumDepth: number;
  /** Tip when the record was made: an unfunded channel is forgotten from here (BOLT 2: 2016 blocks). */
  readonly createdAtHeight: BlockHeight;
  readonly fundingHeight?: BlockHeight | undefined;
  readonly readySent: boolean;
  readonly readyReceived: boolean;

  readonly base: State;
  readonly pending: PendingUpdates;
  readonly nextLocalHtlcId: number;
  readonly nextRemoteHtlcId: number;
  readonly nextLocalPushId: number;
  readonly nextRemotePushId: number;

  /** Our newest commitment and the peer's signatures for it. */
  readonly localNumber: CommitmentNumber;
  readonly localSignature: Signature;
  readonly localHtlcSignatures: readonly Signature[];

  /** The peer's newest commitment that it has not revoked. */
  readonly remoteNumber: CommitmentNumber;
  readonly remotePoint: PerCommitmentPoint;
  /** Point of the one after; absent until channel_ready. */
  readonly remoteNextPoint?: PerCommitmentPoint | undefined;
  /** commitment_signed for remoteNumber + 1 is out, its revoke_and_ack outstanding. */
  readonly awaitingRevocation: boolean;
  /** What we sent last decides the order of retransmission (BOLT 2). */
  readonly lastSent: "commitment_signed" | "revoke_and_ack";
  readonly secrets: SecretStore;

  /** Pushes of ours whose receipts are all held below this id. */
  readonly receiptsBelow: number;
  /** Own pushes, irrevocable, receipt outstanding. */
  readonly receiptsAwaited: readonly PushDigest[];
  /** Credited pushes whose receipt the peer has not acknowledged. */
  readonly receiptsOwed: readonly PushDigest[];

  /** A close was asked for here, at this feerate (satoshi per 1000 weight). */
  readonly closeFeeratePerKw?: number | undefined;
  readonly localShutdownScript?: Uint8Array | undefined;
  readonly remoteShutdownScript?: Uint8Array | undefined;
  /** Fully signed mutual closes, newest last. */
  readonly mutualCloses: readonly Uint8Array[];

  /** Tip when our commitment was to be published: its feerate rises from there. */
  readonly forceClosedAtHeight?: BlockHeight | undefined;
  /** Confirmed transactions that end the channel. */
  readonly facts: readonly ChainFact[];
  /** HTLCs of ours whose failure on chain was told already. */
  readonly failedOnChain: readonly number[];
  /** We hold proof that our state is old: nothing of it may be published. */
  readonly outdated: boolean;
  /** The peer lost state: we publish when it asks by an error. */
  readonly peerOutdated: boolean;
  /** The store may have lost newer state: nothing is published until a channel_reestablish shows that it did not. */
  readonly suspect?: boolean | undefined;
}

/** Receipts that are kept to be sent again; those of a larger burst that a lost link cut off are lost. */
export const MAX_RECEIPTS_OWED = 16;
/** As many pushes as can be under way. */
export const MAX_RECEIPTS_AWAITED = 1024;
export const MAX_MUTUAL_CLOSES = 4;
/** Confirmed transactions of one channel's end that are kept. */
export const MAX_FACTS = 2048;

export const emptyPending: PendingUpdates = {
  localSigned: [],
  localAcked: [],
  remoteAcked: [],
  remoteSigned: [],
};

/** What is lost when the link is. */
export interface ChannelSession {
  readonly connected: boolean;
  readonly reestablishSent: boolean;
  readonly reestablishReceived: boolean;
  readonly localProposed: readonly Update[];
  readonly remoteProposed: readonly Update[];
  /** The peer's channel_reestablish showed that one of us lost state: nothing is negotiated over this link. */
  readonly peerLost?: boolean | undefined;
  /** It may be us, by what the peer says and cannot prove: known over later links, until its numbers are ours again. */
  readonly mayBeOutdated?: boolean | undefined;
  /** closing_complete that we sent and that is unanswered. */
  readonly closingProposed?: ClosingProposal | undefined;
  /** Tip when nothing more stood in the way of closing_complete, over this link. */
  readonly closingQuietAt?: BlockHeight | undefined;
  /** One was sent over this link already: another only where it is asked for. */
  readonly closingOffered?: boolean | undefined;
  /** shutdown was sent in this session. */
  readonly shutdownSent: boolean;
}

export interface ClosingProposal {
  readonly closerScriptpubkey: Uint8Array;
  readonly closeeScriptpubkey: Uint8Array;
  readonly feeSatoshis: number;
  readonly locktime: number;
}

export const freshSession: ChannelSession = {
  connected: false,
  reestablishSent: false,
  reestablishReceived: false,
  localProposed: [],
  remoteProposed: [],
  shutdownSent: false,
};

/** Of a channel whose link was lost, or comes anew. */
export function nextSession({ mayBeOutdated }: ChannelSession, connected: boolean): ChannelSession {
  return { ...freshSession, connected, mayBeOutdated };
}
