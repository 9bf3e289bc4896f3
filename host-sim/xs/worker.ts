/** Drives one worker of the real XS engine (npm @agoric/xsnap 0.15.0) over its pipes, file descriptors 3 and 4. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { buildXsWorker } from "./build.ts";
import { encodeNetstring, NetstringReader } from "./netstring.ts";

/** What one delivery cost; `compute` is exact and repeatable for the same engine, bundle and input. */
export interface XsMeter {
  /** Steps of the engine; wraps at 2^32. */
  readonly compute: number;
  /** Bytes that the machine has taken from its host so far. */
  readonly allocate: number;
  readonly currentHeapCount: number;
}

export interface XsReply {
  /** The ArrayBuffer that the script or `handleCommand` returned (or resolved to); else empty. */
  readonly bytes: Uint8Array;
  readonly meter: XsMeter;
}

export interface XsWorkerOptions {
  /** Path of the worker; the default builds it. */
  readonly executable?: string;
  /** Answers `issueCommand(arrayBuffer)`, which blocks the script until then. */
  readonly onIssue?: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
  /** Receives what scripts `print`. */
  readonly onPrint?: (text: string) => void;
  /** A delivery that computes more ends the worker; 0, the default, is no limit. */
  readonly computeLimit?: number;
  /** A delivery that takes longer ends the worker. */
  readonly timeoutMs?: number;
}

/** The script threw; the worker lives on. */
export class XsScriptError extends Error {
  override readonly name = "XsScriptError";
}

/** The worker is gone: it crashed, ran out of something, or was ended after a timeout. */
export class XsWorkerDeath extends Error {
  override readonly name = "XsWorkerDeath";
}

interface Pending {
  readonly resolve: (reply: XsReply) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const CLOSE_PATIENCE_MS = 2_000;
const METER_END = 1;
const EXIT_REASONS: Readonly<Record<number, string>> = {
  11: "not enough memory",
  12: "stack overflow",
  15: "unhandled exception",
  16: "no more keys",
  17: "compute limit exceeded",
};

export class XsWorker {
  readonly #child: ChildProcess;
  readonly #toWorker: Writable;
  readonly #reader = new NetstringReader();
  readonly #options: XsWorkerOptions;
  readonly #exited: Promise<void>;
  #queue: Promise<unknown> = Promise.resolve();
  #pending: Pending | undefined;
  #death: XsWorkerDeath | undefined;
  #closing = false;
  #errors = "";

  static async start(options: XsWorkerOptions = {}): Promise<XsWorker> {
    return new XsWorker(options.executable ?? (await buildXsWorker()), options);
  }

  private constructor(executable: string, options: XsWorkerOptions) {
    this.#options = options;
    const limit = options.computeLimit ?? 0;
    const metering = limit > 0 ? ["-l", String(limit)] : ["-i", "1"];
    const child = spawn(executable, ["picobolt", ...metering], {
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    });
    this.#child = child;
    this.#toWorker = child.stdio[3] as Writable;
    this.#toWorker.on("error", () => {}); // its death is reported by "close"
    (child.stdio[4] as Readable).on("data", (chunk: Buffer) => this.#onBytes(chunk));
    child.stdout?.on("data", (chunk: Buffer) => options.onPrint?.(chunk.toString("utf8")));
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString("utf8")).slice(-2000);
    });
    this.#exited = new Promise((resolve) => {
      child.on("error", (cause) => {
        this.#die(new XsWorkerDeath("the XS worker could not be started", { cause }));
        resolve();
      });
      child.on("close", (code, signal) => {
        this.#die(new XsWorkerDeath(this.#describeExit(code, signal)));
        resolve();
      });
    });
  }

  get processId(): number | undefined {
    return this.#child.pid;
  }

  /** Runs a script in the worker's global scope, sloppy mode; its value counts where it is an ArrayBuffer or a promise holder `{ result }`. */
  evaluate(source: string): Promise<XsReply> {
    return this.#deliver("e", Buffer.from(source, "utf8"));
  }

  /** Runs an ES module file, and the files it imports by relative paths. What goes wrong is on the worker's stderr alone. */
  importModule(file: string): Promise<XsReply> {
    return this.#deliver("m", Buffer.from(file, "utf8"));
  }

  /** Calls the script's global `handleCommand(arrayBuffer)`. Deliveries are served one after the other. */
  command(bytes: Uint8Array): Promise<XsReply> {
    return this.#deliver("?", bytes);
  }

  /** Ends the worker; a delivery under way is rejected. Safe to call twice. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#death === undefined) {
      this.#write("q", new Uint8Array());
      this.#toWorker.end();
      const kill = setTimeout(() => this.#child.kill("SIGKILL"), CLOSE_PATIENCE_MS);
      await this.#exited;
      clearTimeout(kill);
    }
  }

  #deliver(tag: "e" | "m" | "?", body: Uint8Array): Promise<XsReply> {
    const turn = this.#queue.then(() => this.#send(tag, body));
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #send(tag: string, body: Uint8Array): Promise<XsReply> {
    return new Promise((resolve, reject) => {
      if (this.#death !== undefined) return reject(this.#death);
      if (this.#closing) return reject(new XsWorkerDeath("the XS worker was closed"));
      const patience = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
      const timer = setTimeout(() => this.#abort(`no answer within ${patience} ms`), patience);
      this.#pending = { resolve, reject, timer };
      this.#write(tag, body);
    });
  }

  #write(tag: string, body: Uint8Array): void {
    this.#toWorker.write(encodeNetstring(Buffer.concat([Buffer.from(tag, "latin1"), body])));
  }

  #onBytes(chunk: Uint8Array): void {
    try {
      for (const message of this.#reader.push(chunk)) this.#onMessage(message);
    } catch (error) {
      this.#abort(error instanceof Error ? error.message : String(error));
    }
  }

  #onMessage(message: Uint8Array): void {
    const tag = String.fromCharCode(message[0] ?? 0);
    const body = message.subarray(1);
    if (tag === "?") {
      void this.#answer(body);
      return;
    }
    const pending = this.#pending;
    if (pending === undefined) throw new Error(`the XS worker sent "${tag}" unasked`);
    this.#pending = undefined;
    clearTimeout(pending.timer);
    if (tag === "!") pending.reject(this.#scriptError(body));
    else if (tag === ".") pending.resolve(parseReply(body));
    else pending.reject(this.#abort(`it sent a message of unknown kind "${tag}"`));
  }

  async #answer(question: Uint8Array): Promise<void> {
    try {
      const handler = this.#options.onIssue;
      if (handler === undefined) throw new Error("the script issued a command, nobody listens");
      this.#write("/", await handler(question));
    } catch (error) {
      // The script cannot be told of a failure: the worker's protocol has no such answer.
      this.#abort(`issueCommand failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #scriptError(body: Uint8Array): XsScriptError {
    const message = Buffer.from(body).toString("utf8");
    return new XsScriptError(message === "" ? `module failed: ${this.#errors.trim()}` : message);
  }

  #abort(reason: string): XsWorkerDeath {
    const death = new XsWorkerDeath(`the XS worker was ended: ${reason}`);
    this.#die(death);
    this.#child.kill("SIGKILL");
    return death;
  }

  #die(death: XsWorkerDeath): void {
    this.#death ??= death;
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined) {
      clearTimeout(pending.timer);
      pending.reject(this.#death);
    }
  }

  #describeExit(code: number | null, signal: NodeJS.Signals | null): string {
    const how = signal !== null ? `signal ${signal}` : `exit code ${code}`;
    const reason = EXIT_REASONS[code ?? -1];
    const words = [reason, this.#errors.trim()].filter((word) => word !== undefined && word !== "");
    return `the XS worker ended (${how})${words.length > 0 ? `: ${words.join("; ")}` : ""}`;
  }
}

function parseReply(body: Uint8Array): XsReply {
  const end = body.indexOf(METER_END);
  if (end < 0) throw new Error("the XS worker's reply has no meter");
  const meter = JSON.parse(Buffer.from(body.subarray(0, end)).toString("latin1")) as XsMeter;
  const { compute, allocate, currentHeapCount } = meter;
  return {
    bytes: new Uint8Array(body.subarray(end + 1)),
    meter: { compute, allocate, currentHeapCount },
  };
}
