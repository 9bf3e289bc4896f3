/** HTLCs that were offered to us: whether one is still there to be settled, and the two ways of settling it. */
import type { Htlc } from "../../core/channel/record.ts";
import { isOpen } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import { encodeFailure, type FailureCode } from "../../core/payments/failure.ts";
import type { ChannelId, PaymentHash, Preimage } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";

/** Names an HTLC that was offered to us. */
export interface IncomingHtlc {
  readonly channelId: ChannelId;
  readonly htlcId: number;
}

export function sameIncoming(a: IncomingHtlc | undefined, b: IncomingHtlc): boolean {
  return a !== undefined && a.htlcId === b.htlcId && equal(a.channelId, b.channelId);
}

/** It stands irrevocably in the channel, and no preimage of it is stored there. */
export function unsettledHtlc(node: Node, at: IncomingHtlc, hash: PaymentHash): Htlc | undefined {
  const htlc = node
    .record(at.channelId)
    ?.base.htlcs.find(({ id, offeredByLocal }) => id === at.htlcId && !offeredByLocal);
  const isIt = htlc && !htlc.preimage && equal(htlc.paymentHash, hash);
  return isIt ? htlc : undefined;
}

/** Its channel is open: what is not forwarded yet may be, and it can still be failed. */
export function isOpenFor(node: Node, at: IncomingHtlc): boolean {
  const record = node.record(at.channelId);
  return record !== undefined && isOpen(record.phase);
}

/** Also while the peer is away, and where the channel is on chain: it is claimed there. */
export function fulfillIncoming(node: Node, at: IncomingHtlc, preimage: Preimage): void {
  const { channelId, htlcId } = at;
  node.command(channelId, { type: "fulfillHtlc", htlcId, preimage });
}

/** Where the peer is away it is told again when it is back, and failed then. */
export function failIncoming(node: Node, at: IncomingHtlc, reason: Uint8Array): void {
  const { channelId, htlcId } = at;
  node.command(channelId, { type: "failHtlc", htlcId, reason });
}

export function refuseIncoming(
  node: Node,
  at: IncomingHtlc,
  code: FailureCode,
  data?: Uint8Array,
): void {
  failIncoming(node, at, encodeFailure(code, data));
}
