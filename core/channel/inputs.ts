/** Everything that can happen to a channel: a closed list. */
import type { Message } from "../messages/message.ts";
import type { Outpoint } from "../ports/chain.ts";
import type {
  BlockHeight,
  ChannelId,
  MilliSatoshi,
  PaymentHash,
  Preimage,
  PublicKey,
  Satoshi,
} from "../primitives/brands.ts";
import type { ChannelType } from "../transactions/terms.ts";

export interface OpenCommand {
  readonly type: "open";
  /** 32 unpredictable bytes. */
  readonly temporaryChannelId: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly keyIndex: number;
  readonly channelType: ChannelType;
  readonly fundingSatoshis: Satoshi;
  readonly pushMsat: MilliSatoshi;
  /** Ignored by zero_fee_commitments. */
  readonly feeratePerKw: number;
}

export type Command =
  | OpenCommand
  /** The external wallet made the funding transaction; it must not be broadcast before the channel says so. */
  | { readonly type: "funded"; readonly outpoint: Outpoint }
  | { readonly type: "push"; readonly payments: Uint8Array }
  | {
      readonly type: "addHtlc";
      readonly amountMsat: MilliSatoshi;
      readonly paymentHash: PaymentHash;
      readonly cltvExpiry: BlockHeight;
      readonly onion?: Uint8Array;
    }
  | { readonly type: "fulfillHtlc"; readonly htlcId: number; readonly preimage: Preimage }
  | { readonly type: "failHtlc"; readonly htlcId: number; readonly reason: Uint8Array }
  | { readonly type: "updateFee"; readonly feeratePerKw: number }
  /** Of a channel that is not funded yet, `reason` tells why it is given up. */
  | { readonly type: "close"; readonly feeratePerKw: number; readonly reason?: string }
  | { readonly type: "forceClose" };

export type Input =
  | Command
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "connected" }
  | { readonly type: "disconnected" }
  /** The store may have lost a newer record of this channel. */
  | { readonly type: "suspect" }
  /** A new tip, after its transactions were told. */
  | { readonly type: "tip" }
  /** A confirmed transaction that creates or spends something of this channel. */
  | { readonly type: "confirmed"; readonly raw: Uint8Array; readonly height: BlockHeight }
  /** The blocks from this height on left the chain, or are read again after a start. */
  | {
      readonly type: "reorganised";
      readonly fromHeight: BlockHeight;
      readonly isReread?: boolean;
    };
