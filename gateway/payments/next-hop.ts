/** Where an HTLC goes next: over a channel with the destination itself, or on to another gateway. */
import type { Node } from "../../core/node/node.ts";
import { decodeFailure, type FailureCode } from "../../core/payments/failure.ts";
import type { ForwardInstructions } from "../../core/payments/instructions.ts";
import type {
  BlockHeight,
  ChannelId,
  MilliSatoshi,
  PublicKey,
} from "../../core/primitives/brands.ts";

export type NextHop =
  | { readonly type: "open"; readonly channelId: ChannelId; readonly way?: Way | undefined }
  /** There is a channel, and its peer is not there. */
  | { readonly type: "asleep" }
  /** There is a channel, and too little in it. */
  | { readonly type: "no-room" }
  /** Another process of this node may have a channel with it. */
  | { readonly type: "elsewhere" }
  | { readonly type: "none" };

/** What is to reach a destination, and what is known of where it is. */
export interface WayRequest extends Omit<ForwardInstructions, "type"> {
  /** Who offers it to us: it does not go back there. */
  readonly from?: PublicKey | undefined;
  /** Channels that this payment failed over already. */
  readonly tried?: readonly ChannelId[];
}

/** Over other gateways: what the first of them gets. */
export interface Way {
  readonly type: "way";
  readonly channelId: ChannelId;
  /** With the fees of all gateways on it. */
  readonly amountMsat: MilliSatoshi;
  readonly cltvExpiry: BlockHeight;
  readonly onion: Uint8Array;
  /** Hexadecimal ids of the gateways on it, and of the destination where it is one. */
  readonly nodes: readonly string[];
}

/** Ways over other gateways (gateway/routing). */
export interface Router {
  /** `no-room`: gateways that lead there are known, and nothing leads to them now. */
  way(request: WayRequest): Way | Exclude<NextHop, { type: "open" | "asleep" }>;
  /** What was offered over this channel came back. */
  failed(request: WayRequest, channelId: ChannelId): void;
}

const NOT_THE_DESTINATION: readonly FailureCode[] = [
  "temporaryNodeFailure",
  "permanentNodeFailure",
  "temporaryChannelFailure",
  "permanentChannelFailure",
  "unknownNextPeer",
  "amountBelowMinimum",
  "feeInsufficient",
  "incorrectCltvExpiry",
];

/** Another way may do: it was not the destination that refused. */
export function isOfTheWay(reason: Uint8Array): boolean {
  const failure = decodeFailure(reason);
  return (
    reason.length === 0 || (failure !== undefined && NOT_THE_DESTINATION.includes(failure.code))
  );
}

export type FindNextHop = (destination: PublicKey, amountMsat: MilliSatoshi) => NextHop;

/** Of several channels with the destination, the one with the most of ours in it. */
export function directHop(node: () => Node): FindNextHop {
  return (destination, amountMsat) => {
    const usable = node()
      .channels(destination)
      .flatMap(({ id, channel }) =>
        channel.kind === "live" && channel.record.phase === "normal"
          ? [{ id, record: channel.record, session: channel.session }]
          : [],
      )
      .sort((a, b) => b.record.base.toLocalMsat - a.record.base.toLocalMsat);
    const [best] = usable;
    if (!best) return { type: "none" };
    if (best.record.base.toLocalMsat < amountMsat) return { type: "no-room" };
    const { reestablishSent, reestablishReceived, connected } = best.session;
    const isAwake = connected && reestablishSent && reestablishReceived;
    return isAwake ? { type: "open", channelId: best.id } : { type: "asleep" };
  };
}
