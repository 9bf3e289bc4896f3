/** Peer storage (BOLT 1 "peer_storage"): an encrypted blob of one's own, kept by a peer and given back at each connection. */
import { bytes, message } from "./schema.ts";

/** With the rest of its message it fits into the largest one there is. */
export const MAX_STORED_BYTES = 63 * 1024;

/** Keep this in place of what you had; nothing of it is a peer's to read. */
export const peerStorage = message(7, "peer_storage", { blob: bytes(0, MAX_STORED_BYTES) });
/** After `init`, before anything of a channel: the last blob, or an empty one where there is none. */
export const peerStorageRetrieval = message(9, "peer_storage_retrieval", {
  blob: bytes(0, MAX_STORED_BYTES),
});

export const storageMessages = [peerStorage, peerStorageRetrieval] as const;
