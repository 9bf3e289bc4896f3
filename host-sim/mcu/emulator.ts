/** The emulated microcontroller, running: QEMU with its two flash banks as files, the UART on a unix socket, its figures read from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import type { SocketLink } from "../../gateway/links/socket-link.ts";
import { connectSocket } from "../links/socket-link.ts";
import type { McuImage } from "./build.ts";
import { decodeFigures, FIGURES_BYTES, type McuFigures, symbolAddress } from "./figures.ts";

export interface Strapping {
  /** Read by its program (straps.ts). */
  readonly settings?: Uint8Array;
  /** This allocation fails, counted from the start. */
  readonly failingAllocation?: number;
  /** Power fails at this step of the flash. */
  readonly failingFlashStep?: number;
}

/** As in platform/mcu.h. */
const STRAPS_OFFSET = 0x100000;
const STRAPS_MAGIC = 0x50535452;
const BANK_BYTES = 32 * 1024 * 1024;
const RAM_KB = 320;
const START_MS = 60_000;
const QEMU = "qemu-system-riscv32";
/** Of util-linux, on every Debian. */
const WITH_US = ["setpriv", "--pdeathsig", "KILL"];

export class Mcu {
  private readonly exit: Promise<number | string>;
  private ended = false;

  private constructor(
    private readonly image: McuImage,
    private readonly folder: string,
    private readonly child: ChildProcess,
  ) {
    this.exit = new Promise((resolve) => {
      child.on("error", (error) => resolve(error.message));
      child.on("exit", (code, signal) => resolve(signal ?? code ?? 0));
    });
    void this.exit.then(() => {
      this.ended = true;
    });
  }

  /** Powers it on; `folder` keeps its flash from one life to the next. */
  static async start(image: McuImage, folder: string, strapping: Strapping = {}): Promise<Mcu> {
    const flash = join(folder, "norflash.bin");
    if (!existsSync(flash)) writeFileSync(flash, Buffer.alloc(BANK_BYTES, 0xff));
    writeStraps(flash, strapping);
    const uart = join(folder, "uart.sock");
    const monitor = join(folder, "monitor.sock");
    for (const path of [uart, monitor]) rmSync(path, { force: true });
    const words = [
      ...["-M", "virt", "-cpu", "rv32,f=off,d=off,a=off", "-m", `${RAM_KB}K`, "-bios", "none"],
      ...["-drive", `if=pflash,format=raw,unit=0,readonly=on,file=${image.file}`],
      ...["-drive", `if=pflash,format=raw,unit=1,file=${flash}`],
      ...["-display", "none", "-icount", "shift=3,sleep=on"],
      ...["-serial", `unix:${uart},server=on,wait=on`],
      ...["-monitor", `unix:${monitor},server=on,wait=off`],
    ];
    // Linux ends it with us also where we are killed.
    const [program, ...before] = process.platform === "linux" ? [...WITH_US, QEMU] : [QEMU];
    const stdio = ["ignore", "ignore", "pipe"] as const;
    const child = spawn(program as string, [...before, ...words], { stdio: [...stdio] });
    const mcu = new Mcu(image, folder, child);
    // Whatever ends this process ends the machine.
    const switchOff = () => void child.kill("SIGKILL");
    process.once("exit", switchOff);
    void mcu.exit.then(() => process.off("exit", switchOff));
    let complaint = "";
    child.stderr?.on("data", (bytes: Buffer) => {
      complaint = (complaint + bytes.toString()).slice(-2000);
    });
    const until = Date.now() + START_MS;
    while (!existsSync(uart)) {
      if (mcu.ended || Date.now() > until) {
        await mcu.kill();
        throw new Error(`the emulated microcontroller does not start: ${complaint.trim()}`);
      }
      await new Promise((wake) => setTimeout(wake, 10));
    }
    return mcu;
  }

  /** The other end of its UART, for one at a time: the machine starts to run when it is open. */
  openUart(): Promise<SocketLink> {
    return this.whenItListens(() => connectSocket(join(this.folder, "uart.sock")));
  }

  /** A socket's file is there a moment before anybody listens, and the monitor's comes after the UART's is open. */
  private async whenItListens<T>(connect: () => Promise<T>): Promise<T> {
    const until = Date.now() + START_MS;
    for (;;) {
      try {
        return await connect();
      } catch (cause) {
        if (this.ended) {
          const how = await this.exit;
          throw new Error(`the emulated microcontroller has ended (${how})`, { cause });
        }
        if (Date.now() > until) throw cause;
        await new Promise((wake) => setTimeout(wake, 10));
      }
    }
  }

  get isRunning(): boolean {
    return !this.ended;
  }

  get exited(): Promise<number | string> {
    return this.exit;
  }

  /** As a power cut. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exit;
  }

  async figures(): Promise<McuFigures> {
    const address = symbolAddress(this.image.elf, "mcu_figures");
    const words = FIGURES_BYTES / 4;
    const command = `xp /${words}wx 0x${address.toString(16)}`;
    const answer = await this.whenItListens(() => this.monitor(command));
    return decodeFigures(answer);
  }

  private monitor(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket: Socket = createConnection(join(this.folder, "monitor.sock"));
      let text = "";
      let asked = false;
      socket.setTimeout(START_MS, () =>
        socket.destroy(new Error("the emulator's monitor is silent")),
      );
      socket.on("error", reject);
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        if (!text.includes("(qemu)")) return;
        if (!asked) {
          asked = true;
          text = "";
          socket.write(`${command}\n`);
        } else {
          socket.end();
          resolve(text);
        }
      });
    });
  }
}

/** The page that the machine reads at its start: magic, faults, fresh entropy, settings. */
function writeStraps(flash: string, strapping: Strapping): void {
  const { settings = new Uint8Array(0), failingAllocation = 0, failingFlashStep = 0 } = strapping;
  const page = Buffer.alloc(4096, 0xff);
  page.writeUInt32LE(STRAPS_MAGIC, 0);
  page.writeUInt32LE(failingAllocation, 4);
  page.writeUInt32LE(failingFlashStep, 8);
  randomBytes(32).copy(page, 16);
  page.writeUInt32LE(settings.length, 48);
  Buffer.from(settings).copy(page, 52);
  const file = openSync(flash, "r+");
  try {
    writeSync(file, page, 0, page.length, STRAPS_OFFSET);
  } finally {
    closeSync(file);
  }
}
