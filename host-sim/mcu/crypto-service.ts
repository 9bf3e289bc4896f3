/** The microcontroller's other program: calls of its crypto and its CRC-32 over the UART, so that a host can compare them with noble. */
import type { Crypto } from "../../core/ports/crypto.ts";
import { encodeFrame, FrameDecoder } from "../../core/transport/framing.ts";
import { callCrypto } from "../xs/crypto-calls.ts";
import { decodeParts, encodeParts } from "../xs/parts.ts";

const MAX_CALL_BYTES = 8192;
/** First byte of a call and of its answers: none that a session knows. */
export const CALL = 0x60;
export const DONE = 0x61;
export const THREW = 0x62;

/** Bytes of the UART in; answers out. A call: the method's name in ASCII, then its parameters. */
export function cryptoService(
  crypto: Crypto,
  crc32: (bytes: Uint8Array, previous: number) => number,
  send: (bytes: Uint8Array) => void,
): (bytes: Uint8Array) => void {
  const decoder = new FrameDecoder(MAX_CALL_BYTES, (frame) => {
    if (frame[0] !== CALL) return;
    const [name, ...parameters] = decodeParts(frame.slice(1));
    let method = "";
    for (const byte of name ?? []) method += String.fromCharCode(byte);
    let answer: readonly Uint8Array[];
    let status = DONE;
    try {
      answer =
        method === "crc32" ? [checksum(crc32, parameters)] : callCrypto(crypto, method, parameters);
    } catch {
      status = THREW;
      answer = [];
    }
    send(encodeFrame([Uint8Array.of(status), encodeParts(answer)]));
  });
  return (bytes) => decoder.push(bytes);
}

/** Of the second parameter, going on from the checksum in the first; four bytes each. */
function checksum(
  crc32: (bytes: Uint8Array, previous: number) => number,
  [previous, bytes]: readonly Uint8Array[],
): Uint8Array {
  const out = new Uint8Array(4);
  const before = new DataView((previous as Uint8Array).slice().buffer).getUint32(0);
  new DataView(out.buffer).setUint32(0, crc32(bytes as Uint8Array, before));
  return out;
}
