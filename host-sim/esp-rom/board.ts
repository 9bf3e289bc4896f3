/** An ESP board on a pty: its loader, its flash file, and the program that starts when the flash holds one. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, existsSync, openSync, rmSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { listenSocket } from "../links/socket-link.ts";
import { startableApp } from "./boot.ts";
import { CHIPS, type ChipName } from "./chips.ts";
import { type LoaderFaults, RomLoader } from "./rom-loader.ts";
import { SpiFlash } from "./spi-flash.ts";

export interface EspBoardOptions {
  readonly chip: ChipName;
  /** Where the pty appears. */
  readonly port: string;
  /** Keeps the flash over restarts. */
  readonly flashFile?: string;
  readonly flashMegabytes?: number;
  readonly faults?: LoaderFaults;
  /** Starts what a real chip would run; it connects to the unix socket given. Absent: the chip prints its banner. */
  startProgram?(socket: string): ChildProcess;
}

/** A program that ends with this wants to be started again (host-sim/virtual/virtual-board.ts). */
const RESTART_CODE = 75;
const READY_TIMEOUT_MS = 30_000;
/** The head of a SYNC packet: on a pty, where no reset line is, it stands for reset with BOOT held. */
const SYNC_HEAD = [0xc0, 0x00, 0x08, 0x24, 0x00];

export class EspBoard {
  readonly faults: LoaderFaults;
  readonly flash: SpiFlash;
  private loader!: RomLoader;
  private server: Server | undefined;
  private socat: ChildProcess | undefined;
  private host: Socket | undefined;
  /** Our own open handle on the pty, so that it outlives whoever uses it. */
  private holder: number | undefined;
  private program: ChildProcess | undefined;
  private programServer: Server | undefined;
  private programSocket: Socket | undefined;

  private constructor(private readonly options: EspBoardOptions) {
    this.faults = options.faults ?? {};
    this.flash = new SpiFlash(options.flashFile, options.flashMegabytes);
  }

  /** Plugs the board in: with a program in its flash it runs that, else it waits in its loader. */
  static async plugIn(options: EspBoardOptions): Promise<EspBoard> {
    const board = new EspBoard(options);
    const { port } = options;
    board.programServer = await listenSocket(`${port}.program`, (socket) => {
      board.programSocket = socket;
      socket.on("data", (bytes) => board.host?.write(bytes));
      socket.on("error", () => {});
    });
    await board.connect();
    await board.reset();
    return board;
  }

  /** How often the loader was given each command since it was last reset. */
  get commandCounts(): ReadonlyMap<number, number> {
    return this.loader.counts;
  }

  get isRunning(): boolean {
    return this.program !== undefined;
  }

  /** The cable is pulled: the port vanishes. */
  async unplug(): Promise<void> {
    await this.stopProgram();
    const { socat, server, holder } = this;
    this.socat = undefined;
    this.server = undefined;
    this.holder = undefined;
    if (holder !== undefined) closeSync(holder);
    this.host?.destroy();
    await stop(socat);
    await close(server);
    rmSync(this.options.port, { force: true });
  }

  /** In again: the port is back, and the board starts anew. */
  async replug(): Promise<void> {
    await this.connect();
    await this.reset();
  }

  /** The RESET button. */
  async reset(): Promise<void> {
    await this.stopProgram();
    this.enterLoader();
    if (startableApp(CHIPS[this.options.chip], this.flash).app) this.boot();
  }

  async close(): Promise<void> {
    await this.unplug();
    await close(this.programServer);
    this.programServer = undefined;
  }

  private async connect(): Promise<void> {
    const { port } = this.options;
    this.server = await listenSocket(`${port}.sock`, (socket) => {
      this.host = socket;
      socket.on("data", (bytes) => this.receive(bytes));
      socket.on("error", () => {});
    });
    const pty = `pty,raw,echo=0,link=${port}`;
    this.host = undefined;
    this.socat = spawn("socat", [pty, `unix-connect:${port}.sock`], { stdio: "ignore" });
    const until = Date.now() + READY_TIMEOUT_MS;
    while (!existsSync(port) || !this.host) {
      if (Date.now() > until) throw new Error(`socat made no pty at ${port}`);
      await new Promise((wake) => setTimeout(wake, 10));
    }
    this.holder = openSync(port, constants.O_RDWR | constants.O_NOCTTY);
  }

  private enterLoader(): void {
    this.loader = new RomLoader(CHIPS[this.options.chip], this.flash, this.faults, {
      send: (bytes) => this.host?.write(bytes),
      onUnplugged: () => void this.unplug(),
      onReboot: () => this.boot(),
    });
  }

  private receive(bytes: Uint8Array): void {
    if (this.program && startsWithSync(bytes) && !this.faults.isSilent) {
      void this.stopProgram();
      this.enterLoader();
    }
    if (this.program) this.programSocket?.write(bytes);
    else this.loader.receive(bytes);
  }

  private boot(): void {
    const chip = CHIPS[this.options.chip];
    const { app, problem } = startableApp(chip, this.flash);
    this.host?.write(`${chip.banner}\r\n${app ? "" : `${problem}\r\n`}`);
    if (!app) return;
    const program = this.options.startProgram?.(`${this.options.port}.program`);
    this.program = program;
    program?.once("exit", (code) => {
      if (code === RESTART_CODE && this.program === program) this.boot();
    });
  }

  private async stopProgram(): Promise<void> {
    const { program } = this;
    this.program = undefined;
    this.programSocket?.destroy();
    await stop(program);
  }
}

function startsWithSync(bytes: Uint8Array): boolean {
  return SYNC_HEAD.every((byte, index) => bytes[index] === byte);
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

async function close(server: Server | undefined): Promise<void> {
  if (server) await new Promise<void>((done) => server.close(() => done()));
}
