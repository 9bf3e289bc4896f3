/** A stream link over a socket: TCP to a peer, or a local socket that stands in for a cable. */
import type { Socket } from "node:net";
import type { Link } from "../../core/ports/link.ts";

/** Bytes waiting for whoever does not read them: more are lost, as they would be on a wire. A quarter more than a channel may have under way. */
export const MAX_WAITING_BYTES = 640 * 1024;
/** Beyond so many at all sockets of a listener, each keeps few: a thousand strangers who read nothing fill no memory. */
const MAX_WAITING_TOGETHER = 64 * 1024 * 1024;
const FEW_WAITING_BYTES = 64 * 1024;

/** What waits at several sockets. */
export interface WaitingTogether {
  bytes: number;
}

export class SocketLink implements Link {
  readonly kind = "stream";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  /** Sees what arrives too: text between frames. */
  onTap: (bytes: Uint8Array) => void = () => {};
  private reason = "the socket closed";

  constructor(
    readonly name: string,
    private readonly socket: Socket,
    private readonly together: WaitingTogether = { bytes: 0 },
  ) {
    socket.on("data", (bytes) => {
      this.onTap(bytes);
      this.onBytes(bytes);
    });
    socket.on("error", ({ message }) => {
      this.reason = message;
    });
    socket.on("close", () => this.onClosed(this.reason));
  }

  get isOpen(): boolean {
    return !this.socket.destroyed;
  }

  send(bytes: Uint8Array): void {
    const { socket, together } = this;
    const most = together.bytes > MAX_WAITING_TOGETHER ? FEW_WAITING_BYTES : MAX_WAITING_BYTES;
    if (!socket.writable || socket.writableLength > most) return;
    together.bytes += bytes.length;
    socket.write(bytes, () => {
      together.bytes -= bytes.length;
    });
  }

  close(): void {
    this.socket.destroy();
  }
}
