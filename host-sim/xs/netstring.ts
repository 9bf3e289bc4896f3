/** Netstrings (D. J. Bernstein, 1997): `length:bytes,`, the framing on the XS worker's pipes. */

/** Longest message that the worker accepts: nine digits of length. */
export const MAX_NETSTRING_BYTES = 64 * 1024 * 1024;
const MAX_LENGTH_DIGITS = 9;
const COLON = 0x3a;
const COMMA = 0x2c;

export function encodeNetstring(body: Uint8Array): Uint8Array {
  if (body.length > MAX_NETSTRING_BYTES) {
    throw new RangeError(`netstring of ${body.length} bytes, at most ${MAX_NETSTRING_BYTES}`);
  }
  return Buffer.concat([Buffer.from(`${body.length}:`, "latin1"), body, Buffer.of(COMMA)]);
}

/** Cuts a stream into netstrings; what is not one throws, and the stream is then unusable. */
export class NetstringReader {
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  /** Bytes that must be there before looking again is worth it. */
  #wanted = 2;

  /** Adds bytes and returns the bodies that they completed, in order. */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    const bodies: Uint8Array[] = [];
    while (this.#buffered >= this.#wanted) {
      const body = this.#take();
      if (body === undefined) break;
      bodies.push(body);
    }
    return bodies;
  }

  #take(): Uint8Array | undefined {
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    this.#chunks = [all];
    const colon = all.subarray(0, MAX_LENGTH_DIGITS + 1).indexOf(COLON);
    const digits = Buffer.from(all.subarray(0, colon < 0 ? MAX_LENGTH_DIGITS + 1 : colon)).toString(
      "latin1",
    );
    if (!/^(0|[1-9][0-9]*)?$/.test(digits) || (colon < 0 && digits.length > MAX_LENGTH_DIGITS)) {
      throw new Error("not a netstring: bad length");
    }
    if (colon <= 0) {
      if (colon === 0) throw new Error("not a netstring: no length");
      this.#wanted = all.length + 1;
      return undefined;
    }
    const length = Number(digits);
    if (length > MAX_NETSTRING_BYTES) throw new Error(`netstring of ${length} bytes is too long`);
    const end = colon + 1 + length;
    if (all.length <= end) {
      this.#wanted = end + 1;
      return undefined;
    }
    if (all[end] !== COMMA) throw new Error("not a netstring: no comma at its end");
    this.#chunks = all.length > end + 1 ? [all.subarray(end + 1)] : [];
    this.#buffered = all.length - end - 1;
    this.#wanted = 2;
    return all.subarray(colon + 1, end);
  }
}
