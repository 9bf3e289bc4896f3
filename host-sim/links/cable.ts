/** A cable between two processes that can be pulled: two ptys by socat (or two sockets), with us as the wire between them. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, existsSync, openSync, writeSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { join } from "node:path";
import { MAX_WAITING_BYTES } from "../../gateway/links/socket-link.ts";
import { listenSocket } from "./socket-link.ts";

export type CableKind = "pty" | "socket";

/** Whether this machine can make ptys for us. */
export function hasSocat(): boolean {
  return spawnSync("socat", ["-V"], { stdio: "ignore" }).status === 0;
}

const READY_TIMEOUT_MS = 30_000;
/** Never needed, unless socat hangs. */
const DRAIN_MS = 10_000;
const NOISE_BYTES = 16;

/** One end of a wire that we are: bytes in by `onBytes`, out by `socket`. */
export class CableEnd {
  socket: Socket | undefined;
  bytes = 0;
  private server: Server | undefined;
  private socat: ChildProcess | undefined;
  /** Our own open handle on the pty, so that it outlives a device that is killed. */
  private holder: number | undefined;

  constructor(
    private readonly base: string,
    private readonly kind: CableKind,
    private readonly onBytes: (bytes: Uint8Array) => void,
  ) {}

  /** What a process opens: a serial port, or a socket. */
  get link(): string {
    return this.kind === "pty" ? `serial:${this.base}` : `socket:${this.base}.sock`;
  }

  async open(): Promise<void> {
    this.server = await listenSocket(`${this.base}.sock`, (socket) => {
      this.socket = socket;
      socket.on("data", (bytes) => {
        this.bytes += bytes.length;
        this.onBytes(bytes);
      });
      socket.on("error", () => {});
    });
    if (this.kind === "socket") return;
    const pty = `pty,raw,echo=0,link=${this.base}`;
    this.socat = spawn("socat", [pty, `unix-connect:${this.base}.sock`], { stdio: "ignore" });
    const until = Date.now() + READY_TIMEOUT_MS;
    while (!existsSync(this.base) || !this.socket) {
      if (Date.now() > until) throw new Error(`socat made no pty at ${this.base}`);
      await new Promise((wake) => setTimeout(wake, 10));
    }
    this.holder = openSync(this.base, constants.O_RDWR | constants.O_NOCTTY);
  }

  /** What was written into the pty last has come through: a line of noise after it has, as when a plug is pulled. */
  async drained(): Promise<void> {
    const { holder, socket } = this;
    if (holder === undefined || !socket) return;
    const noise = randomBytes(NOISE_BYTES);
    let heard = Buffer.alloc(0);
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      socket.on("data", (bytes) => {
        heard = Buffer.concat([heard.subarray(-NOISE_BYTES), bytes]);
        if (heard.includes(noise)) resolve();
      });
      socket.once("close", () => resolve());
      timer = setTimeout(resolve, DRAIN_MS);
      writeSync(holder, noise);
    });
    clearTimeout(timer);
  }

  /** Resolves when socat is gone too; a second call does nothing. */
  async close(): Promise<void> {
    const { holder, socat, server } = this;
    this.holder = undefined;
    this.socat = undefined;
    this.server = undefined;
    if (holder !== undefined) closeSync(holder);
    this.socket?.destroy();
    this.socket = undefined;
    if (socat && socat.exitCode === null && socat.signalCode === null) {
      const gone = new Promise((resolve) => socat.once("exit", resolve));
      socat.kill();
      await gone;
    }
    if (server) await new Promise<void>((done) => server.close(() => done()));
  }
}

export class Cable {
  /** Pulled: what is sent on either side is lost, and nobody is told. */
  pulled = false;
  lostBytes = 0;
  private readonly a: CableEnd;
  private readonly b: CableEnd;

  private constructor(folder: string, name: string, kind: CableKind) {
    this.a = new CableEnd(join(folder, `${name}-a`), kind, (bytes) => this.carry(bytes, this.b));
    this.b = new CableEnd(join(folder, `${name}-b`), kind, (bytes) => this.carry(bytes, this.a));
  }

  static async lay(folder: string, name: string, kind: CableKind): Promise<Cable> {
    const cable = new Cable(folder, name, kind);
    await Promise.all([cable.a.open(), cable.b.open()]);
    return cable;
  }

  get ends(): readonly [string, string] {
    return [this.a.link, this.b.link];
  }

  /** Bytes that went through, both ways. */
  get bytes(): number {
    return this.a.bytes + this.b.bytes;
  }

  async close(): Promise<void> {
    await Promise.all([this.a.close(), this.b.close()]);
  }

  private carry(bytes: Uint8Array, to: CableEnd): void {
    const { socket } = to;
    const isFull = socket !== undefined && socket.writableLength > MAX_WAITING_BYTES;
    if (this.pulled || isFull) this.lostBytes += bytes.length;
    else if (socket?.writable) socket.write(bytes);
  }
}
