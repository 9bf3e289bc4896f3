/** The first HTLC of a payment: to the destination itself, or to a gateway with instructions for it. */
import { encodeInstructions } from "../../core/payments/instructions.ts";
import {
  type BlockHeight,
  blockHeight,
  type ChannelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { type ForwardTerms, forwardFee } from "./forward-policy.ts";
import type { FindNextHop, NextHop, Router } from "./next-hop.ts";

export interface RouteRequest {
  readonly destination: PublicKey;
  /** Gateways that the destination has channels with, where they are known. */
  readonly gateways: readonly PublicKey[];
  readonly amountMsat: MilliSatoshi;
  /** Expiry of the HTLC that reaches the destination. */
  readonly cltvExpiry: BlockHeight;
  readonly sealed: Uint8Array;
  /** What a gateway said it asks for, when it refused an earlier attempt. */
  readonly terms?: ForwardTerms | undefined;
  /** Channels that an attempt failed over just now. */
  readonly tried?: readonly ChannelId[];
}

export interface Route {
  readonly type: "route";
  readonly channelId: ChannelId;
  /** The fee is in it. */
  readonly amountMsat: MilliSatoshi;
  readonly cltvExpiry: BlockHeight;
  readonly onion: Uint8Array;
}

export type FindRoute = (request: RouteRequest) => Route | Exclude<NextHop, { type: "open" }>;

/** Over our own channels with the destination. */
export function directRoute(nextHop: FindNextHop): FindRoute {
  return ({ destination, amountMsat, cltvExpiry, sealed }) => {
    const hop = nextHop(destination, amountMsat);
    if (hop.type !== "open") return hop;
    const onion = encodeInstructions({ type: "final", sealed });
    return { type: "route", channelId: hop.channelId, amountMsat, cltvExpiry, onion };
  };
}

/** Over our own channels with the destination, else over other gateways, whose terms the router knows. */
export function routedRoute(direct: FindRoute, router: Router): FindRoute {
  return (request) => {
    const found = direct(request);
    if (found.type === "route" || found.type === "asleep") return found;
    const way = router.way(request);
    return way.type === "way" ? { ...way, type: "route" } : way;
  };
}

/** Through the gateway that we have a channel with; to itself without a fee. */
export function gatewayRoute(
  nextHop: FindNextHop,
  gateway: PublicKey,
  usualTerms: ForwardTerms,
): FindRoute {
  const direct = directRoute(nextHop);
  return (request) => {
    const { destination, amountMsat, cltvExpiry, sealed, gateways } = request;
    if (equal(destination, gateway)) return direct(request);
    const terms = request.terms ?? usualTerms;
    const withFee = milliSatoshi(amountMsat + forwardFee(terms, amountMsat));
    const hop = nextHop(gateway, withFee);
    if (hop.type !== "open") return hop;
    return {
      type: "route",
      channelId: hop.channelId,
      amountMsat: withFee,
      cltvExpiry: blockHeight(cltvExpiry + terms.cltvExpiryDelta),
      onion: encodeInstructions({
        type: "forward",
        destination,
        amountMsat,
        cltvExpiry,
        sealed,
        gateways,
      }),
    };
  };
}
