/** Bytes that wait to be sent, a bounded number of them; what does not fit is dropped whole. */
export class ByteQueue {
  private readonly parts: Uint8Array[] = [];
  length = 0;

  constructor(private readonly maxBytes: number) {}

  /** False: no room, nothing was taken. The bytes are copied. */
  put(bytes: Uint8Array): boolean {
    if (this.length + bytes.length > this.maxBytes) return false;
    if (bytes.length > 0) this.parts.push(bytes.slice());
    this.length += bytes.length;
    return true;
  }

  /** The next bytes, at most `maxBytes`, in an array of its own. */
  take(maxBytes: number): Uint8Array {
    const first = this.parts[0];
    if (first === undefined) return new Uint8Array(0);
    const taken = first.length <= maxBytes ? first : first.slice(0, maxBytes);
    if (taken === first) this.parts.shift();
    else this.parts[0] = first.slice(maxBytes);
    this.length -= taken.length;
    return taken;
  }

  clear(): void {
    this.parts.length = 0;
    this.length = 0;
  }
}
