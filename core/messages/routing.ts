/** Between gateways: one message of the routing table, opaque to all others (docs/PROTOCOL.md "Routing table"). */
import { bytes, message } from "./schema.ts";

/** An announcement with its four signatures has 552 bytes at most. */
export const MAX_ROUTING_BYTES = 640;

/** What it says is read by core/messages/routing-statement.ts, which devices do without. */
export const routing = message(32881, "routing", { statement: bytes(1, MAX_ROUTING_BYTES) });

export const routingMessages = [routing] as const;
