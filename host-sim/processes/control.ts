/** JSON lines between a process and whoever runs it: requests `{id, method, params}`, answers `{id, result | error}`, events `{event, …}`. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Json, JsonObject } from "../../gateway/api/event-json.ts";

/** What a method returns must be JSON. */
export type Methods = Readonly<Record<string, (params: JsonObject) => unknown>>;

/** The side that is run: answers requests from standard input; ends when it closes. */
export function serveControl(methods: Methods, onEnd: () => void): void {
  // Ctrl-C reaches every process of the terminal: whoever runs this one ends it in order, by closing its input.
  process.on("SIGINT", () => {});
  const lines = createInterface({ input: process.stdin as Readable });
  lines.on("line", (line) => void answer(methods, line));
  lines.on("close", onEnd);
}

async function answer(methods: Methods, line: string): Promise<void> {
  let id: Json = null;
  try {
    const request = JSON.parse(line) as { id: number; method: string; params?: JsonObject };
    id = request.id;
    const method = methods[request.method];
    if (!method) throw new Error(`no such method: ${request.method}`);
    const result = ((await method(request.params ?? {})) ?? null) as Json;
    print({ id, result });
  } catch (cause) {
    print({ id, error: cause instanceof Error ? cause.message : String(cause) });
  }
}

export function emitEvent(event: string, fields: JsonObject = {}): void {
  print({ event, ...fields });
}

function print(value: JsonObject): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export type EventListener = (event: string, fields: JsonObject) => void;

/** The side that runs it. */
export class ControlledProcess {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly waiting = new Map<
    number,
    { resolve: (value: Json) => void; reject: (error: Error) => void }
  >();
  private nextId = 1;
  private stderr = "";
  readonly exited: Promise<number | string>;
  private ended = false;
  private how: number | string = 0;

  constructor(
    readonly name: string,
    command: readonly string[],
    private readonly onEvent: EventListener,
  ) {
    const [program, ...words] = command;
    this.child = spawn(program as string, words, { stdio: ["pipe", "pipe", "pipe"] });
    createInterface({ input: this.child.stdout }).on("line", (line) => this.receive(line));
    this.child.stderr.on("data", (bytes: Buffer) => {
      this.stderr = (this.stderr + bytes.toString()).slice(-8000);
    });
    this.child.stdin.on("error", () => {});
    this.exited = new Promise((resolve) => {
      const end = (how: number | string) => {
        this.ended = true;
        this.how = how;
        for (const { reject } of this.waiting.values()) reject(this.ending());
        this.waiting.clear();
        resolve(how);
      };
      this.child.on("error", (error) => end(error.message));
      this.child.on("exit", (code, signal) => end(signal ?? code ?? 0));
    });
  }

  call(method: string, params: JsonObject = {}): Promise<Json> {
    if (this.ended) return Promise.reject(this.ending());
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.child.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
    });
  }

  private ending(): Error {
    const words = this.stderr.trim();
    return new Error(`the ${this.name} has ended (${this.how})${words && `: ${words}`}`);
  }

  /** SIGKILL: as a power cut ends a device. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exited;
  }

  /** Closes its standard input and waits; kills it where it does not end. */
  async stop(timeoutMs = 30_000): Promise<void> {
    if (this.ended) return;
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeoutMs);
    await this.exited;
    clearTimeout(timer);
  }

  private receive(line: string): void {
    let value: JsonObject;
    try {
      value = JSON.parse(line) as JsonObject;
    } catch {
      this.onEvent("output", { line });
      return;
    }
    if (typeof value.event === "string") {
      this.onEvent(value.event, value);
      return;
    }
    const waiter = this.waiting.get(value.id as number);
    this.waiting.delete(value.id as number);
    if (typeof value.error === "string") waiter?.reject(new Error(value.error));
    else waiter?.resolve(value.result ?? null);
  }
}
