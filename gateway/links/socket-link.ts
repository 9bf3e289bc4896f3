/** A stream link over a socket: TCP to a peer, or a local socket that stands in for a cable. */
import type { Socket } from "node:net";
import type { Link } from "../../core/ports/link.ts";

/** Bytes waiting for whoever does not read them: more are lost, as they would be on a wire. Twice what a channel may have under way. */
export const MAX_WAITING_BYTES = 1024 * 1024;

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
    if (this.socket.writableLength > MAX_WAITING_BYTES) return;
    if (this.socket.writable) this.socket.write(bytes);
  }

  close(): void {
    this.socket.destroy();
  }
}
