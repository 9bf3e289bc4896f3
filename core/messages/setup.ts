/** Setup and control messages (BOLT 1). */
import { bytes, bytes32, channelIdField, list, message, text, u16 } from "./schema.ts";

export const init = message(16, "init", {
  /** Feature bits as in BOLT 9, big-endian, no leading zero byte. */
  features: bytes(0, 64),
  /** Genesis hashes of the chains this node is on. */
  chainHashes: list(bytes32, 4),
  /** The largest message this node takes, in bytes (a device 4096, a host 65535). */
  maxMessageBytes: u16,
});
/** `channelId` of zeroes speaks of all channels. */
export const error = message(17, "error", { channelId: channelIdField, data: text(512) });
export const warning = message(1, "warning", { channelId: channelIdField, data: text(512) });
export const ping = message(18, "ping", { pongBytes: u16, ignored: bytes(0, 1024) });
export const pong = message(19, "pong", { ignored: bytes(0, 65531) });

export const setupMessages = [init, error, warning, ping, pong] as const;
