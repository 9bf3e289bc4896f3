/** How an owner administers a device: CBOR requests and answers inside a session (docs/PROTOCOL.md "Administration"). */
import { bytes, message, optional, safeUint, text } from "./schema.ts";

/** Bytes of a request's parameters, or of an answer's result: they fit a device's message. */
export const MAX_ADMIN_BYTES = 3840;

/** Owner → device. `params` is a CBOR map with text keys, or absent. */
export const adminRequest = message(32851, "admin_request", {
  id: safeUint,
  method: text(32),
  params: optional(bytes(0, MAX_ADMIN_BYTES)),
});
/** Device → owner: either `result`, a CBOR value, or `error`, a sentence that begins with a code and a colon. */
export const adminResponse = message(32853, "admin_response", {
  id: safeUint,
  result: optional(bytes(0, MAX_ADMIN_BYTES)),
  error: optional(text(512)),
});

export const adminMessages = [adminRequest, adminResponse] as const;
