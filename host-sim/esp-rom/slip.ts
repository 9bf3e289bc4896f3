/** SLIP as ESP loaders use it (RFC 1055; a packet stands between two END bytes). */

const END = 0xc0;
const ESCAPE = 0xdb;
const ESCAPED_END = 0xdc;
const ESCAPED_ESCAPE = 0xdd;
/** Larger than any packet of the loaders: what is longer is noise. */
const MAX_PACKET_BYTES = 0x8000;

export function slipPacket(content: Uint8Array): Uint8Array {
  const out = [END];
  for (const byte of content) {
    if (byte === END) out.push(ESCAPE, ESCAPED_END);
    else if (byte === ESCAPE) out.push(ESCAPE, ESCAPED_ESCAPE);
    else out.push(byte);
  }
  out.push(END);
  return Uint8Array.from(out);
}

/** Bytes in at any boundaries, whole packets out; what stands outside of packets is dropped. */
export class SlipReader {
  private packet: number[] | undefined;
  private isEscaped = false;

  constructor(private readonly onPacket: (packet: Uint8Array) => void) {}

  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.take(byte);
  }

  private take(byte: number): void {
    if (byte === END) {
      const done = this.packet;
      this.packet = done && done.length > 0 ? undefined : [];
      this.isEscaped = false;
      if (done && done.length > 0) this.onPacket(Uint8Array.from(done));
      return;
    }
    if (!this.packet) return;
    if (this.isEscaped) {
      this.packet.push(byte === ESCAPED_END ? END : ESCAPE);
      this.isEscaped = false;
    } else if (byte === ESCAPE) this.isEscaped = true;
    else this.packet.push(byte);
    if (this.packet.length > MAX_PACKET_BYTES) this.packet = undefined;
  }
}
