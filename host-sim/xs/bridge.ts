/** Calls between Node and the core inside a real XS engine: bytes in, bytes out, in both directions. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ascii, plain } from "../../core/primitives/bytes.ts";
import type { DeviceScripts, XsScripts } from "./bundle.ts";
import { decodeParts, encodeParts } from "./parts.ts";
import { type XsMeter, XsWorker, type XsWorkerOptions } from "./worker.ts";

/** What an XS program may ask of Node, by name; the program stands still until the answer is there. */
export type HostFunctions = Readonly<
  Record<string, (...parameters: readonly Uint8Array[]) => readonly Uint8Array[]>
>;

export interface XsBridgeOptions extends Omit<XsWorkerOptions, "onIssue"> {
  /** The default builds them, which takes a second: build once where many bridges are started. */
  readonly scripts?: XsScripts;
  readonly host?: HostFunctions;
}

export interface XsAnswer {
  readonly parts: readonly Uint8Array[];
  readonly meter: XsMeter;
}

/** Globals of the worker that a device does not have: they go before our code loads, so that nothing can lean on them. */
const ABSENT_ON_A_DEVICE = [
  "TextEncoder",
  "TextDecoder",
  "Base64",
  "Compartment",
  "ModuleSource",
  "performance",
  "setImmediate",
  "Date",
  "WeakRef",
  "FinalizationRegistry",
  "SharedArrayBuffer",
  "Atomics",
] as const;

export class XsBridge {
  readonly #worker: XsWorker;

  static async start(options: XsBridgeOptions = {}): Promise<XsBridge> {
    const {
      scripts = await (await bundler()).bundleXsScripts(),
      host = {},
      ...workerOptions
    } = options;
    const onIssue = (request: Uint8Array) => answerIssue(host, request);
    const worker = await XsWorker.start({ ...workerOptions, onIssue });
    return XsBridge.#load(worker, async () => {
      await worker.evaluate(scripts.core);
      await worker.evaluate(scripts.noble);
      await worker.evaluate(scripts.agent);
    });
  }

  /** A worker with one script, whose program serves the calls. */
  static async startScript(
    script: string,
    { host = {}, ...options }: Omit<XsBridgeOptions, "scripts">,
  ): Promise<XsBridge> {
    const onIssue = (request: Uint8Array) => answerIssue(host, request);
    const worker = await XsWorker.start({ ...options, onIssue });
    return XsBridge.#load(worker, async () => {
      await worker.evaluate(script);
    });
  }

  /** A worker with the device's own bundle as an ES module, and no more than its node to call. */
  static async startDevice(
    options: Omit<XsBridgeOptions, "scripts"> & { readonly scripts?: DeviceScripts } = {},
  ): Promise<XsBridge> {
    const {
      scripts = await (await bundler()).bundleDeviceScripts(),
      host = {},
      ...workerOptions
    } = options;
    const onIssue = (request: Uint8Array) => answerIssue(host, request);
    const worker = await XsWorker.start({ ...workerOptions, onIssue });
    const folder = await mkdtemp(join(tmpdir(), "picobolt-xs-"));
    try {
      return await XsBridge.#load(worker, async () => {
        await writeFile(join(folder, "core.mjs"), scripts.core);
        const main = "import * as core from './core.mjs'; picoboltDevice.run(core);";
        await writeFile(join(folder, "main.mjs"), main);
        await worker.evaluate(scripts.agent);
        await worker.importModule(join(folder, "main.mjs"));
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  static async #load(worker: XsWorker, load: () => Promise<void>): Promise<XsBridge> {
    try {
      const names = JSON.stringify(ABSENT_ON_A_DEVICE);
      await worker.evaluate(`for (const name of ${names}) delete globalThis[name]`);
      await worker.evaluate("delete Math.random");
      await load();
      return new XsBridge(worker);
    } catch (error) {
      await worker.close();
      throw error;
    }
  }

  private constructor(worker: XsWorker) {
    this.#worker = worker;
  }

  /** The worker itself, for scripts and for its process id. */
  get worker(): XsWorker {
    return this.#worker;
  }

  /** Calls a function that the agent serves; throws its error's text. */
  async call(name: string, ...parameters: readonly Uint8Array[]): Promise<XsAnswer> {
    const reply = await this.#worker.command(encodeParts([ascii(name), ...parameters]));
    const [status, ...parts] = decodeParts(reply.bytes);
    if (status?.[0] !== ascii("+")[0]) {
      throw new Error(`${name} in XS: ${parts.map((part) => Buffer.from(part)).join(" ")}`);
    }
    return { parts, meter: reply.meter };
  }

  close(): Promise<void> {
    return this.#worker.close();
  }
}

/** Rollup is large: only who bundles loads it. */
function bundler() {
  return import("./bundle.ts");
}

function answerIssue(host: HostFunctions, request: Uint8Array): Uint8Array {
  try {
    const [name, ...parameters] = decodeParts(plain(request));
    const called = Buffer.from(name ?? []).toString("latin1");
    const body = Object.hasOwn(host, called) ? host[called] : undefined;
    if (body === undefined) throw new Error("no such function");
    return encodeParts([ascii("+"), ...body(...parameters)]);
  } catch (error) {
    return encodeParts([ascii("-"), Buffer.from(String(error), "utf8")]);
  }
}
