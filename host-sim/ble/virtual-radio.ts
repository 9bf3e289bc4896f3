/** The air between virtual devices: BlueZ's controller emulator as a process with sockets of its own; each connection is a controller. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A controller of the radio for one host stack, by the path of a socket. */
export interface Controller {
  readonly path: string;
}

const SOURCE = join(import.meta.dirname, "btvirt-shim.c");
const CACHE = join(import.meta.dirname, "../../.cache/ble");
const READY_MS = 30_000;

/** What to do where this machine has no virtual radio; undefined: it has one. */
export function whyNoVirtualRadio(): string | undefined {
  const runs = (program: string, argument: string) =>
    spawnSync(program, [argument], { stdio: "ignore" }).error === undefined;
  if (!runs("btvirt", "--help")) {
    return "btvirt (BlueZ's virtual controller) is missing: apt-get install bluez-test-tools";
  }
  return runs("gcc", "--version") ? undefined : "gcc is missing: apt-get install gcc";
}

export class VirtualRadio {
  private constructor(
    private readonly folder: string,
    private readonly process: ChildProcess,
    private readonly onExit: () => void,
  ) {}

  /** Where the sockets are: another process may name it. */
  static at(folder: string): Controller {
    return { path: join(folder, "bt-server-le") };
  }

  static async start(): Promise<VirtualRadio> {
    const missing = whyNoVirtualRadio();
    if (missing) throw new Error(missing);
    const shim = await builtShim();
    const folder = mkdtempSync(join(tmpdir(), "picobolt-air-"));
    // It ends with this process, also where that is killed.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "btvirt", "-s"], {
      stdio: "ignore",
      env: { ...process.env, LD_PRELOAD: shim, PICOBOLT_BTVIRT_FOLDER: folder },
    });
    // Whatever ends this process takes the emulator along.
    const onExit = () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    };
    process.on("exit", onExit);
    const radio = new VirtualRadio(folder, child, onExit);
    try {
      await radio.ready();
      return radio;
    } catch (cause) {
      await radio.stop();
      throw cause;
    }
  }

  /** A controller for one stack: connecting to it makes it. */
  controller(): Controller {
    return VirtualRadio.at(this.folder);
  }

  /** For processes of their own. */
  get socketFolder(): string {
    return this.folder;
  }

  async stop(): Promise<void> {
    const { process: child } = this;
    process.off("exit", this.onExit);
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    let failed: Error | undefined;
    this.process.once("error", (cause) => {
      failed = cause;
    });
    const { path } = this.controller();
    for (const until = Date.now() + READY_MS; !(await answers(path)); ) {
      if (failed) throw new Error(`btvirt does not start: ${failed.message}`);
      if (this.process.exitCode !== null) {
        throw new Error(`btvirt ended with code ${this.process.exitCode} before it listened`);
      }
      if (Date.now() > until) throw new Error("btvirt made no socket");
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }
}

/** The name is there a moment before anybody listens. */
function answers(path: string): Promise<boolean> {
  return new Promise((tell) => {
    const socket = connect(path, () => {
      socket.destroy();
      tell(true);
    });
    socket.once("error", () => tell(false));
  });
}

/** Compiled once for each state of its source. */
async function builtShim(): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16);
  const file = join(CACHE, `btvirt-shim-${hash}.so`);
  if (existsSync(file)) return file;
  mkdirSync(CACHE, { recursive: true });
  const unfinished = `${file}.${process.pid}`;
  await promisify(execFile)("gcc", ["-shared", "-fPIC", "-O2", "-o", unfinished, SOURCE, "-ldl"]);
  renameSync(unfinished, file);
  return file;
}
