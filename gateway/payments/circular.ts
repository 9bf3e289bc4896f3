/** Payments of this gateway to itself, out by one channel and back in by another (gateway/settlement/rebalancer.ts). */
import type { ChannelId, PaymentHash } from "../../core/primitives/brands.ts";
import type { FindRoute, RouteRequest } from "./routes.ts";

export interface Circular {
  /** Whether it is one of these: any other invoice of our own is not ours to pay. */
  isKnown(hash: PaymentHash): boolean;
  /** Whether it came back by another channel than it was to: then it is refused, and nothing moved. */
  isAstray(hash: PaymentHash, channel: ChannelId): boolean;
  route(request: RouteRequest, hash: PaymentHash): ReturnType<FindRoute>;
}
