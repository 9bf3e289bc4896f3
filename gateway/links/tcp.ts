/** Peers over TCP: those that call, in bounds, and those that are called, again and again while they are away. */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Link } from "../../core/ports/link.ts";
import { SocketLink, type WaitingTogether } from "./socket-link.ts";

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

export interface TcpListenOptions extends TcpAddress {
  attach(link: Link): void;
  onProblem?(text: string): void;
}

/** Connections at a time, and of one address among them. */
const MAX_CONNECTIONS = 1_024;
const MAX_PER_ADDRESS = 64;
const KEEP_ALIVE_MS = 60_000;
const CONNECT_MS = 10_000;
const LEAST_WAIT_MS = 500;
const MOST_WAIT_MS = 60_000;

/** Throws, with the address, where the port cannot be had. */
export async function listenTcp(options: TcpListenOptions): Promise<TcpListener> {
  const listener = new TcpListener(options);
  await listener.start();
  return listener;
}

export class TcpListener {
  private readonly server: Server;
  private readonly sockets = new Map<Socket, string>();
  private readonly together: WaitingTogether = { bytes: 0 };

  constructor(private readonly options: TcpListenOptions) {
    this.server = createServer((socket) => this.accept(socket));
  }

  /** The one that was given where 0 was asked for. */
  get port(): number {
    const address = this.server.address();
    return address !== null && typeof address === "object" ? address.port : this.options.port;
  }

  get connections(): number {
    return this.sockets.size;
  }

  start(): Promise<void> {
    const { host, port } = this.options;
    return new Promise((resolve, reject) => {
      this.server.once("error", (cause: NodeJS.ErrnoException) => {
        reject(new Error(`peers cannot be listened for on ${host}:${port}: ${reasonOf(cause)}`));
      });
      this.server.listen({ host, port }, () => resolve());
    });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.server.close(() => done()));
    for (const socket of this.sockets.keys()) socket.destroy();
    await closed;
  }

  private accept(socket: Socket): void {
    const from = socket.remoteAddress ?? "";
    const ofAddress = [...this.sockets.values()].filter((one) => one === from).length;
    if (this.sockets.size >= MAX_CONNECTIONS || ofAddress >= MAX_PER_ADDRESS) {
      socket.destroy();
      return;
    }
    this.sockets.set(socket, from);
    socket.once("close", () => this.sockets.delete(socket));
    try {
      this.options.attach(linkOf(socket, `tcp:${from}:${socket.remotePort}`, this.together));
    } catch (cause) {
      socket.destroy();
      this.options.onProblem?.(`a peer was not let in: ${(cause as Error).message}`);
    }
  }
}

function linkOf(socket: Socket, name: string, together?: WaitingTogether): SocketLink {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return new SocketLink(name, socket, together);
}

/** One connection; the error names the address. */
export function connectTcp({ host, port }: TcpAddress): Promise<SocketLink> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port });
    const timer = setTimeout(() => socket.destroy(new Error("it does not answer")), CONNECT_MS);
    socket.once("close", () => clearTimeout(timer));
    const refused = (cause: Error) => reject(new Error(`${host}:${port}: ${reasonOf(cause)}`));
    socket.once("error", refused);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", refused);
      resolve(linkOf(socket, `tcp:${host}:${port}`));
    });
  });
}

function reasonOf(cause: NodeJS.ErrnoException): string {
  if (cause.code === "EADDRINUSE") return "the port is in use: another program has it";
  if (cause.code === "EACCES") return "this user may not use that port";
  if (cause.code === "ECONNREFUSED") return "nobody listens there";
  return cause.message;
}

export interface DialOptions extends TcpAddress {
  /** Each connection that comes about. */
  attach(link: Link): void;
  isConnected(): boolean;
  /** The first of a row of failures. */
  onProblem?(text: string): void;
}

/** Calls a peer whenever it is away; waits longer after each failure. */
export class TcpDialer {
  private timer: NodeJS.Timeout | undefined;
  private waitMs = LEAST_WAIT_MS;
  private isEnding = false;
  private link: SocketLink | undefined;

  constructor(private readonly options: DialOptions) {
    void this.dial();
  }

  close(): void {
    this.isEnding = true;
    clearTimeout(this.timer);
    this.link?.close();
  }

  private async dial(): Promise<void> {
    const { attach, isConnected, onProblem } = this.options;
    if (!this.link?.isOpen && !isConnected()) {
      try {
        const link = await connectTcp(this.options);
        if (this.isEnding) link.close();
        else {
          this.link = link;
          attach(link);
          this.waitMs = LEAST_WAIT_MS;
        }
      } catch (cause) {
        if (this.waitMs === LEAST_WAIT_MS) onProblem?.((cause as Error).message);
        this.waitMs = Math.min(MOST_WAIT_MS, this.waitMs * 2);
      }
    }
    if (this.isEnding) return;
    this.timer = setTimeout(() => void this.dial(), this.waitMs);
  }
}
