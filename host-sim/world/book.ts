/** What the applications of a world want and know: every channel, every payment, and what became of it. It outlives every power cut. */
import type { ChannelId, PaymentHash, Preimage } from "../../core/primitives/brands.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";

export interface BookChannel {
  readonly edge: number;
  readonly opener: number;
  readonly acceptor: number;
  readonly channelType: ChannelType;
  readonly fundingSatoshis: number;
  readonly pushMsat: number;
  readonly temporaryId: ChannelId;
  /** Signed by the opener's wallet. */
  funding?: Uint8Array;
  id?: ChannelId;
  /** The opener may broadcast the funding, and does until it is in a block. */
  created: boolean;
  failed: boolean;
  /** What was told at its end, by node. */
  readonly endings: Map<number, string>;
  forceClosed: boolean;
  /** An owner wanted that. */
  forceAsked: boolean;
  /** An older image of one side's disk came back. */
  restored: boolean;
  /** An old state of it was published by the world. */
  cheated: boolean;
}

export interface BookPush {
  readonly channel: BookChannel;
  readonly from: number;
  readonly to: number;
  readonly payments: Uint8Array;
  readonly references: readonly Uint8Array[];
  readonly amountsMsat: readonly number[];
  asked: boolean;
  committed: boolean;
  pushId?: number | undefined;
  receipted: boolean;
}

export interface BookHtlc {
  /** Of one that is forwarded on: the first of its channels that may carry it. */
  readonly channel: BookChannel;
  readonly from: number;
  readonly to: number;
  readonly amountMsat: number;
  readonly hash: PaymentHash;
  readonly secret: Preimage;
  /** `late`: fulfilled `answerBlocks` before it expires; `hold`: never answered; `forward`: the node in the middle does. */
  plan: "fulfil" | "fail" | "ignore" | "late" | "hold" | "forward";
  readonly answerBlocks?: number;
  readonly cltvExpiry: number;
  /** It may run out while it is under way. */
  readonly isShort?: boolean;
  /** What is told to the node in the middle. */
  readonly onion?: Uint8Array;
  /** The other half of one that is forwarded, by that node. */
  readonly next?: BookHtlc;
  readonly isSecondHalf?: boolean;
  asked: boolean;
  committed: boolean;
  /** The receiver gave the preimage to its node. */
  released: boolean;
  /** What the payer was told. */
  outcome?: "fulfilled" | "failed";
}

/** Old states that a byzantine node kept, to publish once they are revoked. */
export interface OldState {
  readonly channel: BookChannel;
  readonly by: number;
  readonly number: number;
  /** When it was published the other side held the revocation, and not only the cheat had made it. */
  isPunishable: boolean;
  readonly raw: Uint8Array;
}

export class Book {
  readonly channels: BookChannel[] = [];
  readonly pushes: BookPush[] = [];
  readonly htlcs: BookHtlc[] = [];
  readonly oldStates: OldState[] = [];
}
