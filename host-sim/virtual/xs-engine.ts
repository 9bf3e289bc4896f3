/** The program of a virtual device in the real XS engine: its bundle in a worker, its board here in Node. */
import type { Image } from "../../firmware/board.ts";
import type { ProgramEvents } from "../../firmware/program.ts";
import { type HostFunctions, XsBridge } from "../xs/bridge.ts";
import { buildXsCryptoWorker } from "../xs/build.ts";
import { programScript } from "../xs/program-script.ts";
import { decodeValue, encodeValue } from "../xs/values.ts";
import type { VirtualBoard } from "./virtual-board.ts";
import { linkPorts } from "./xs-host-links.ts";
import { boardPorts, eventPorts, type Ports, type Tell } from "./xs-host-ports.ts";
import type { XsSetup } from "./xs-program.ts";

export interface XsProgramOptions {
  readonly board: VirtualBoard;
  readonly image: Image;
  readonly events: ProgramEvents;
  /** The engine is gone, or the program threw: a board would start again. */
  readonly onCrash: (cause: Error) => void;
}

/** A delivery that computes more (some 20 s) ends the engine, also where nobody is left to feed or kill it. */
const COMPUTE_LIMIT = 2_000_000_000;
/** The watchdog barks long before. */
const DELIVERY_LIMIT_MS = 120_000;

export class XsProgram {
  nodeId: Uint8Array = new Uint8Array();
  private isOver = false;
  private readonly kill = () => {
    const { processId } = this.bridge.worker;
    if (processId !== undefined) process.kill(processId, "SIGKILL");
  };

  static async start(options: XsProgramOptions): Promise<XsProgram> {
    const { board, image, events } = options;
    let program: XsProgram | undefined;
    const tell: Tell = (words, bytes) => program?.tell(words, bytes);
    const started = startAnswer();
    const ports = {
      ...boardPorts(board, tell),
      ...linkPorts(board.links, tell),
      ...eventPorts(events),
      ...started.ports,
    };
    const bridge = await XsBridge.startScript(await programScript(), {
      executable: await buildXsCryptoWorker(),
      host: hostFunctions(ports),
      timeoutMs: DELIVERY_LIMIT_MS,
      computeLimit: COMPUTE_LIMIT,
    });
    program = new XsProgram(bridge, options);
    process.on("exit", program.kill);
    await freeze(bridge);
    await bridge.call("start", encodeValue(setupOf(board, image)));
    program.nodeId = await started.nodeId;
    return program;
  }

  private constructor(
    private readonly bridge: XsBridge,
    private readonly options: XsProgramOptions,
  ) {}

  async isClaimed(): Promise<boolean> {
    const { parts } = await this.bridge.call("isClaimed");
    return decodeValue(parts[0] as Uint8Array) as boolean;
  }

  /** The program ends in order, then its engine. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.bridge.call("stop");
    await this.bridge.close();
    process.off("exit", this.kill);
  }

  private tell(words: readonly unknown[], bytes?: Uint8Array): void {
    if (this.isOver) return;
    const call = encodeValue(words);
    this.bridge.call("tell", call, ...(bytes ? [bytes] : [])).catch((cause: Error) => {
      if (this.isOver) return;
      this.isOver = true;
      this.options.onCrash(cause);
    });
  }
}

/** The firmware's modules, and the engine's own objects, become what a board's flash makes of them. */
async function freeze(bridge: XsBridge): Promise<void> {
  const { parts } = await bridge.call("freeze");
  if (parts.length === 0) return;
  const found = parts.map((part) => Buffer.from(part).toString("latin1"));
  throw new Error(`the firmware holds what flash cannot: ${found.join(", ")}`);
}

function setupOf(board: VirtualBoard, image: Image): XsSetup {
  const { records, settings, pins, system, links } = board;
  const sizes = { size: records.size, sectorSize: records.sectorSize };
  return {
    image,
    pins: pins.names,
    resetReason: system.resetReason,
    retainedBytes: system.retained?.size ?? 0,
    flash: { records: sizes, settings: { ...sizes, size: settings.size } },
    links: {
      serial: (links.serial ?? []).map((driver) => driver.name),
      ble: links.blePeripheral !== undefined,
      mqtt: links.mqtt !== undefined,
    },
  };
}

/** The program says by a call that it runs, or why it does not. */
function startAnswer(): { readonly ports: Ports; readonly nodeId: Promise<Uint8Array> } {
  let ports: Ports = {};
  const nodeId = new Promise<Uint8Array>((resolve, reject) => {
    ports = {
      started: ([id]: [Uint8Array]) => resolve(id),
      failed: ([why]: [string]) => reject(new Error(`the program in XS does not start: ${why}`)),
    };
  });
  nodeId.catch(() => {});
  return { ports, nodeId };
}

function hostFunctions(ports: Ports): HostFunctions {
  const entries = Object.entries(ports).map(([name, port]) => {
    const answer = (words: Uint8Array = new Uint8Array(), bytes: Uint8Array = new Uint8Array()) => {
      const result = port(decodeValue(words) as never, bytes);
      return [result instanceof Uint8Array ? result : encodeValue(result ?? null)];
    };
    return [name, answer] as const;
  });
  return Object.fromEntries(entries);
}
