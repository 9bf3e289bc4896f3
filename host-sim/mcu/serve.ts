/** An emulated microcontroller on a serial port: its UART as a pty, for whoever would plug a board in there. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { toHex } from "../../core/primitives/bytes.ts";
import { MAX_WAITING_BYTES, type SocketLink } from "../../gateway/links/socket-link.ts";
import { CableEnd, hasSocat } from "../links/cable.ts";
import type { McuImage } from "./build.ts";
import { ConsoleLines } from "./console-lines.ts";
import { Mcu } from "./emulator.ts";
import { cardOn } from "./owner.ts";

export interface ServeOptions {
  /** Where its port is to be; nothing may be there. */
  readonly port: string;
  /** Keeps its flash; without one it is a new machine, and gone in the end. */
  readonly folder?: string | undefined;
  /** Switches it off. */
  readonly signal: AbortSignal;
  readonly onReady: (machine: { readonly nodeId: string; readonly claimed: boolean }) => void;
  /** What it writes on its console. */
  readonly onLine: (line: string) => void;
}

/** Until it is switched off. Throws where it cannot start, or ends by itself. */
export async function serveMcu(image: McuImage, options: ServeOptions): Promise<void> {
  const port = resolve(options.port);
  requirePort(port);
  const work = mkdtempSync(join(tmpdir(), "picobolt-mcu-"));
  const forget = () => rmSync(work, { recursive: true, force: true });
  process.once("exit", forget);
  const folder = options.folder ?? work;
  mkdirSync(folder, { recursive: true });
  try {
    const mcu = await Mcu.start(image, folder);
    try {
      await plugIn(mcu, { ...options, port, work });
    } finally {
      if (mcu.isRunning) await mcu.kill();
    }
  } finally {
    process.off("exit", forget);
    forget();
  }
}

/** Throws where no port can be made at this path. */
export function requirePort(port: string): void {
  if (!hasSocat()) throw new Error("socat makes the serial port: apt-get install socat");
  if (!existsSync(dirname(resolve(port)))) {
    throw new Error(`${port} cannot be made: there is no folder ${dirname(port)}`);
  }
  if (lstatSync(port, { throwIfNoEntry: false })) {
    throw new Error(`${port} is there already: name a path that is free, or remove it`);
  }
}

async function plugIn(
  mcu: Mcu,
  { port, work, signal, onReady, onLine }: ServeOptions & { readonly work: string },
): Promise<void> {
  const uart = await mcu.openUart();
  const lines = new ConsoleLines(onLine);
  uart.onTap = (bytes) => lines.push(bytes);
  const { nodeId, claimed } = await cardOn(uart);
  const pty = join(work, "port");
  const end = new CableEnd(pty, "pty", (bytes) => uart.send(bytes));
  await end.open();
  try {
    connect(uart, end);
    symlinkSync(readlinkSync(pty), port);
    const unlink = () => rmSync(port, { force: true });
    process.once("exit", unlink);
    try {
      onReady({ nodeId: toHex(nodeId), claimed });
      await ended(mcu, signal);
    } finally {
      process.off("exit", unlink);
      unlink();
    }
  } finally {
    await end.close();
  }
}

/** What nobody reads is lost in the end, as on a wire. */
function connect(uart: SocketLink, { socket }: CableEnd): void {
  uart.onClosed = () => {};
  uart.onBytes = (bytes) => {
    if (socket?.writable && socket.writableLength < MAX_WAITING_BYTES) socket.write(bytes);
  };
}

async function ended(mcu: Mcu, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const off = new Promise<undefined>((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const code = await Promise.race([off, mcu.exited]);
  if (code !== undefined) throw new Error(`the emulator ended by itself (${code})`);
}
