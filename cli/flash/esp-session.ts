/** A conversation with an ESP chip's loader: finds it, checks which chip it is, reads, erases and writes its flash (esptool-js). */
import { createHash } from "node:crypto";
import { ESPLoader, Transport } from "esptool-js";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { explainPortError } from "../ports/port-errors.ts";
import { usbOf } from "../ports/serial-ports.ts";
import type { EspTarget } from "./boards.ts";
import { hex } from "./firmware.ts";
import { WebSerialPort } from "./web-serial-port.ts";

export const ROM_BAUD = 115_200;
const RESET_ATTEMPTS = 2;
/** A port whose other end is gone may never say that it is closed. */
const CLOSE_TIMEOUT_MS = 1000;
const RESET_PULSE_MS = 100;

export interface SessionOptions {
  readonly path: string;
  readonly target: EspTarget;
  readonly baud: number;
  /** So long a chip is waited for that does not answer. */
  readonly timeoutMs: number;
  /** Once, where it does not answer at first. */
  onNoAnswer(): void;
  /** What esptool-js says; for debugging. */
  onDetail(line: string): void;
}

export interface FoundChip {
  readonly description: string;
  readonly flashBytes: number;
  readonly baud: number;
}

export class EspSession {
  readonly chip: FoundChip;

  private constructor(
    private readonly loader: ESPLoader,
    private readonly port: WebSerialPort,
    chip: FoundChip,
  ) {
    this.chip = chip;
  }

  /** Throws a Failure where nothing answers, or another chip than `target`: nothing was written then. */
  static async open(options: SessionOptions): Promise<EspSession> {
    const { loader, port } = await findChip(options);
    try {
      checkChip(loader, options);
      const description = await loader.chip.getChipDescription(loader);
      if (loader.chip.postConnect) await loader.chip.postConnect(loader);
      await loader.runStub();
      if (options.baud !== ROM_BAUD) await loader.changeBaud();
      const flashBytes = await flashSize(loader);
      const { baudrate: baud } = loader.transport;
      return new EspSession(loader, port, { description, flashBytes, baud });
    } catch (cause) {
      await closeSoon(loader.transport);
      throw cause;
    }
  }

  read(address: number, length: number): Promise<Uint8Array> {
    return this.orLost(this.loader.readFlash(address, length));
  }

  /** Hexadecimal. */
  md5(address: number, length: number): Promise<string> {
    return this.orLost(this.loader.flashMd5sum(address, length));
  }

  async eraseAll(): Promise<void> {
    await this.orLost(this.loader.eraseFlash());
  }

  /** Erases and writes whole sectors, and compares their MD5; false where the flash holds something else. */
  async write(
    address: number,
    data: Uint8Array,
    onProgress: (share: number) => void,
  ): Promise<boolean> {
    await this.orLost(
      this.loader.writeFlash({
        fileArray: [{ data, address }],
        flashSize: "keep",
        flashMode: "keep",
        flashFreq: "keep",
        eraseAll: false,
        compress: true,
        reportProgress: (_, written, total) => onProgress(written / total),
      }),
    );
    return (await this.md5(address, data.length)) === md5Of(data);
  }

  /** Starts what was written: the loader by its own command, and by the reset line where the port has one. */
  async restart(): Promise<void> {
    await this.loader.flashBegin(0, 0).catch(() => {});
    await this.loader.flashFinish(true).catch(() => {});
    const { transport } = this.loader;
    await transport.setDTR(false);
    await transport.setRTS(true);
    await new Promise((wake) => setTimeout(wake, RESET_PULSE_MS));
    await transport.setRTS(false);
  }

  close(): Promise<void> {
    return closeSoon(this.loader.transport);
  }

  private orLost<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // the port may be lost before it
    return Promise.race([work, this.port.lost]);
  }
}

/** Its shortest time limits (0.2 s for the stub's start, 0.5 s at a new rate) are less than a busy computer takes. */
class PatientLoader extends ESPLoader {
  override checkCommand(...words: Parameters<ESPLoader["checkCommand"]>) {
    const [what, command, data, checksum, responseBytes, timeoutMs = 0] = words;
    const patientMs = Math.max(timeoutMs, this.DEFAULT_TIMEOUT);
    return super.checkCommand(what, command, data, checksum, responseBytes, patientMs);
  }

  override readReg(address: number, timeoutMs = 0): Promise<number> {
    return super.readReg(address, Math.max(timeoutMs, this.DEFAULT_TIMEOUT));
  }
}

export function md5Of(data: Uint8Array): string {
  return createHash("md5").update(data).digest("hex");
}

interface Found {
  readonly loader: ESPLoader;
  readonly port: WebSerialPort;
}

async function findChip(options: SessionOptions): Promise<Found> {
  const usb = await usbOf(options.path);
  const until = Date.now() + options.timeoutMs;
  let wasTold = false;
  for (;;) {
    const port = new WebSerialPort(options.path, usb);
    const loader = loaderOn(port, options);
    try {
      await Promise.race([loader.detectChip("default_reset", RESET_ATTEMPTS), port.lost]);
      return { loader, port };
    } catch (cause) {
      await closeSoon(loader.transport);
      const problem = await explainPortError(options.path, cause);
      if (problem) throw new Failure(problem, EXIT.noAnswer);
      if (/Unexpected (chip|CHIP)/.test(messageOf(cause))) throw unknownChip(options, cause);
    }
    if (Date.now() > until) throw noAnswer(options);
    if (!wasTold) options.onNoAnswer();
    wasTold = true;
  }
}

function loaderOn(port: WebSerialPort, { baud, onDetail }: SessionOptions): ESPLoader {
  const transport = new Transport(port as unknown as ConstructorParameters<typeof Transport>[0]);
  transport.trace = onDetail; // it writes to standard output otherwise
  const terminal = { clean: () => {}, writeLine: onDetail, write: onDetail };
  return new PatientLoader({ transport, baudrate: baud, romBaudrate: ROM_BAUD, terminal });
}

function checkChip(loader: ESPLoader, { path, target }: SessionOptions): void {
  const found = loader.chip.CHIP_NAME;
  if (found === target.chipFamily) return;
  throw new Failure(
    `the chip on ${path} is an ${found}, the board ${target.board} has an ${target.chipFamily}; nothing was written, give the --board that it is`,
    EXIT.refused,
  );
}

function unknownChip({ path }: SessionOptions, cause: unknown): Failure {
  return new Failure(
    `the chip on ${path} is none that picobolt knows (${messageOf(cause)}); nothing was written`,
    EXIT.refused,
  );
}

function noAnswer({ path }: SessionOptions): Failure {
  return new Failure(
    `no ESP chip answers on ${path}; hold BOOT while you press RESET (or plug it in), let go, and run the command again`,
    EXIT.noAnswer,
  );
}

async function flashSize(loader: ESPLoader): Promise<number> {
  const size = await loader.detectFlashSize();
  const megabytes = Number(/^(\d+)MB$/.exec(size ?? "")?.[1]);
  if (!megabytes) {
    throw new Failure(
      "the chip's flash does not answer; nothing was written, check the board's power and that nothing is wired to its flash pins",
    );
  }
  return megabytes * 1024 * 1024;
}

async function closeSoon(transport: Transport): Promise<void> {
  const late = new Promise<void>((wake) => setTimeout(wake, CLOSE_TIMEOUT_MS).unref());
  await Promise.race([transport.disconnect().catch(() => {}), late]);
}

export function spanOf(address: number, length: number): string {
  return `${hex(address)}…${hex(address + length)}`;
}
