/** Everything a channel asks for: performed by the runner after the record is durable (core/node/), possibly twice. */
import type { Claim, Ending, OutputReport } from "../chain/monitor/watched.ts";
import type { Message } from "../messages/message.ts";
import type { Outpoint } from "../ports/chain.ts";
import type {
  BlockHeight,
  ChannelId,
  CommitmentNumber,
  MilliSatoshi,
  PaymentHash,
  Preimage,
  Satoshi,
  Txid,
} from "../primitives/brands.ts";
import type { Command } from "./inputs.ts";
import type { Htlc } from "./record.ts";

export type Effect =
  | { readonly type: "send"; readonly message: Message }
  /** Send revoke_and_ack for our commitment `number`: the runner asks the signer for its secret once the successor is stored. */
  | { readonly type: "revoke"; readonly number: CommitmentNumber }
  /** Stored in the same commit as the record. */
  | { readonly type: "credit"; readonly pushId: number; readonly payments: Uint8Array }
  | { readonly type: "debit"; readonly payments: Uint8Array }
  | { readonly type: "archive"; readonly entry: Uint8Array }
  /** Tell us of confirmed transactions that create or spend this outpoint. */
  | { readonly type: "watch"; readonly outpoint: Outpoint; readonly script?: Uint8Array }
  | { readonly type: "publish"; readonly claim: Claim }
  /** A fully signed mutual close. */
  | { readonly type: "publishClose"; readonly raw: Uint8Array }
  | { readonly type: "disconnect"; readonly reason: string }
  | { readonly type: "notify"; readonly event: ChannelEvent };

export type ChannelEvent =
  /** A funding transaction must be made that pays this script; answer with the `funded` command. */
  | {
      readonly type: "fundingNeeded";
      readonly script: Uint8Array;
      readonly amountSatoshis: Satoshi;
    }
  /** The channel id is final; the opener's funding transaction may be broadcast now. */
  | { readonly type: "created"; readonly channelId: ChannelId; readonly broadcastFunding: boolean }
  | { readonly type: "openFailed"; readonly reason: string }
  | { readonly type: "ready" }
  | { readonly type: "fundingReorganised" }
  | { readonly type: "forgotten"; readonly reason: string }
  | { readonly type: "reestablished" }
  /** A command that was not carried out; nothing moved. */
  | { readonly type: "rejected"; readonly command: Command; readonly reason: string }
  /** Our push is signed and durable: it will be paid, here or on chain. */
  | { readonly type: "pushCommitted"; readonly pushId: number; readonly payments: Uint8Array }
  /** Our push is irrevocable on both sides. */
  | { readonly type: "pushSettled"; readonly pushId: number; readonly payments: Uint8Array }
  | { readonly type: "receipt"; readonly pushId: number; readonly signature: Uint8Array }
  /** The peer's push is irrevocably ours. */
  | {
      readonly type: "pushReceived";
      readonly pushId: number;
      readonly payments: Uint8Array;
      /** Indices of payments whose reference was credited before: their money came, they are to be given back. */
      readonly duplicates?: readonly number[];
      /** Do not deliver: give the money back when asked why (offline budget). */
      readonly declined?: string;
    }
  | { readonly type: "htlcCommitted"; readonly htlc: Htlc }
  /** Irrevocably in both commitments: answer with fulfillHtlc or failHtlc. May be told again after a reconnect. */
  | { readonly type: "htlcReceived"; readonly htlc: Htlc; readonly declined?: string }
  | { readonly type: "htlcFulfilled"; readonly htlc: Htlc; readonly preimage: Preimage }
  | {
      readonly type: "htlcFailed";
      readonly htlcId: number;
      readonly paymentHash: PaymentHash;
      readonly reason: Uint8Array;
    }
  /** An HTLC offered to us left both commitments; `fulfilled`: its amount is ours. */
  | {
      readonly type: "htlcSettled";
      readonly htlcId: number;
      readonly paymentHash: PaymentHash;
      readonly amountMsat: MilliSatoshi;
      readonly fulfilled: boolean;
    }
  | { readonly type: "closing"; readonly txid: Txid }
  | { readonly type: "forceClosing"; readonly reason: string }
  | { readonly type: "outdated"; readonly reason: string }
  | { readonly type: "peerOutdated" }
  | {
      readonly type: "onChain";
      readonly ending: Ending;
      readonly outputs: readonly OutputReport[];
      readonly tipHeight: BlockHeight;
      /** What a person must know: funds may be lost (BOLT 5 "General Requirements"). */
      readonly warning?: string;
    }
  | { readonly type: "closed"; readonly ending: Ending; readonly outputs: readonly OutputReport[] }
  | { readonly type: "peerSaid"; readonly severity: "error" | "warning"; readonly text: string }
  | { readonly type: "violation"; readonly tag: string; readonly text: string };
