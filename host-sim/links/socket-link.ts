/** A stream link over a local socket: what stands in for a cable where there is no pty, and what a pty's far end is. */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Link } from "../../core/ports/link.ts";

/** Bytes waiting for whoever does not read them: more are lost, as they would be on a wire. */
export const MAX_WAITING_BYTES = 256 * 1024;

export class SocketLink implements Link {
  readonly kind = "stream";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  /** Sees what arrives too: text between frames. */
  onTap: (bytes: Uint8Array) => void = () => {};

  constructor(
    readonly name: string,
    private readonly socket: Socket,
  ) {
    socket.on("data", (bytes) => {
      this.onTap(bytes);
      this.onBytes(bytes);
    });
    socket.on("error", () => {});
    socket.on("close", () => this.onClosed("the socket closed"));
  }

  send(bytes: Uint8Array): void {
    if (this.socket.writableLength > MAX_WAITING_BYTES) return;
    if (this.socket.writable) this.socket.write(bytes);
  }

  close(): void {
    this.socket.destroy();
  }
}

export function connectSocket(path: string): Promise<SocketLink> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new SocketLink(`socket:${path}`, socket));
    });
  });
}

/** Listens on a path; each connection is handed over. */
export function listenSocket(path: string, onSocket: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onSocket);
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}
