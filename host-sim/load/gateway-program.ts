/** The real gateway program as a child process: started, asked over its API, measured through a probe, stopped or killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../../gateway/api/event-json.ts";

export interface GatewayPlace {
  /** Of the JavaScript program (`npm run build:gateway`). */
  readonly program: string;
  readonly dataDir: string;
  readonly settings: Readonly<Record<string, string>>;
  /** All that it says goes there too. */
  readonly logFile?: string | undefined;
  onExit(text: string): void;
}

export interface Usage {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly cpu: { readonly user: number; readonly system: number };
}

/** It is to be asked again under the same key: a process that was passed the call may have done what was asked. */
const UNAVAILABLE = 503;
/** The gateway answered, and said no. */
export class Refused extends Error {}

const PROBE = fileURLToPath(new URL("probe.mjs", import.meta.url));
const START_MS = 120_000;
const MAX_SAID = 20_000;

export class GatewayProgram {
  readonly nodeId: string;
  readonly startedMs: number;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 64 });
  private readonly asked = new Map<number, (answer: unknown, failure?: string) => void>();
  private readonly macaroon: string;
  private questions = 0;

  private constructor(
    private readonly child: ChildProcess,
    place: GatewayPlace,
    private readonly said: { text: string },
    beganMs: number,
  ) {
    this.startedMs = performance.now() - beganMs;
    this.nodeId = /^node:\s+([0-9a-f]{66})/m.exec(said.text)?.[1] ?? "";
    this.macaroon = readFileSync(join(place.dataDir, "admin.macaroon"), "utf8").trim();
    child.on("message", (told) => {
      const { id, answer, failure } = told as { id: number; answer: unknown; failure?: string };
      this.asked.get(id)?.(answer, failure);
      this.asked.delete(id);
    });
    child.on("exit", () => {
      for (const answer of this.asked.values()) answer(undefined, "the gateway has ended");
    });
  }

  /** Resolves once it says that it is ready. */
  static start(place: GatewayPlace): Promise<GatewayProgram> {
    const beganMs = performance.now();
    const set = Object.entries(place.settings).map(([name, value]) => `${name}=${value}`);
    const words = ["--expose-gc", "--import", PROBE, place.program, "--set", ...set];
    const child = spawn(process.execPath, [...words, `data_dir=${place.dataDir}`], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const said = { text: "" };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
      let isUp = false;
      const hear = (bytes: Buffer) => {
        if (place.logFile !== undefined) appendFileSync(place.logFile, bytes);
        said.text = (said.text + bytes.toString()).slice(-MAX_SAID);
        if (isUp || !said.text.includes("\nready;")) return;
        isUp = true;
        clearTimeout(timer);
        resolve(new GatewayProgram(child, place, said, beganMs));
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.on("exit", (code, signal) => {
        clearTimeout(timer);
        const text = `the gateway ended (${signal ?? code}): ${said.text.slice(-2_000)}`;
        if (isUp) place.onExit(text);
        else reject(new Error(text));
      });
    });
  }

  /** What its log and its words were, the last of them. */
  get output(): string {
    return this.said.text;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  private get apiPort(): number {
    return Number(/^api:\s+http:\/\/[^:]+:(\d+)/m.exec(this.said.text)?.[1]);
  }

  /** Any operation of the API. @throws with what the gateway said where it refuses. */
  call(method: string, params: JsonObject): Promise<JsonObject> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const headers = {
      authorization: `Macaroon ${this.macaroon}`,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const { agent, apiPort: port } = this;
    const place = { host: "127.0.0.1", port, path: "/rpc", method: "POST", headers, agent };
    return new Promise((resolve, reject) => {
      const sent = request(place, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("error", reject);
        response.on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => {
          const { result, error } = JSON.parse(text) as {
            result?: JsonObject;
            error?: { message: string; data?: { status?: number } };
          };
          if (result) resolve(result);
          else if (error?.data?.status === UNAVAILABLE) reject(new Error(error.message));
          else reject(new Refused(`${method}: ${error?.message ?? text}`));
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** After a collection of garbage where `isAfterGc`. */
  usage(isAfterGc = false): Promise<Usage> {
    return this.ask(isAfterGc ? "memory" : "usage") as Promise<Usage>;
  }

  ask(ask: "memory" | "usage" | "snapshot" | "profile" | "profiled", word = ""): Promise<unknown> {
    const id = ++this.questions;
    return new Promise((resolve, reject) => {
      if (!this.child.connected) {
        reject(new Error("the gateway has ended"));
        return;
      }
      this.asked.set(id, (answer, failure) => {
        if (failure === undefined) resolve(answer);
        else reject(new Error(failure));
      });
      this.child.send({ id, ask, word });
    });
  }

  stop(): Promise<void> {
    return this.end("SIGTERM");
  }

  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    this.agent.destroy();
    if (this.hasEnded) return;
    this.child.removeAllListeners("exit");
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await gone;
  }
}
