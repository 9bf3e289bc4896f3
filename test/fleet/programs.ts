/** Programs of the fleet as processes that end with this one, however it ends; they can be killed and started again. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";

/** The kernel kills what follows when we are gone, also where we were killed. */
export const TIED_TO_US = ["setpriv", "--pdeathsig", "KILL"] as const;
export const PICOBOLT = [
  process.execPath,
  new URL("../../cli/picobolt.mjs", import.meta.url).pathname,
] as const;

const STEP_MS = 25;

export class GivenUp extends Error {
  override readonly name = "GivenUp";
}

/** Looks until it is so; a look that throws is one that found nothing. The error names what was waited for. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  { ms = 60_000, stepMs = STEP_MS }: { readonly ms?: number; readonly stepMs?: number } = {},
): Promise<T> {
  const reasons = new Set<string>();
  for (const end = Date.now() + ms; Date.now() < end; await pause(stepMs)) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (cause) {
      reasons.add(cause instanceof Error ? cause.message : String(cause));
    }
  }
  const why = reasons.size > 0 ? ` (${[...reasons].join("; then: ")})` : "";
  throw new GivenUp(`not within ${ms / 1000} s: ${what}${why}`);
}

export function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms));
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of standard output that are JSON. */
  readonly json: readonly Record<string, unknown>[];
  readonly last: Record<string, unknown>;
}

interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly ms?: number;
  /** Each line of standard error, as it comes. */
  onNote?(line: string): void;
}

/** The `picobolt` command, once. */
export async function picobolt(words: readonly string[], options: RunOptions): Promise<Ran> {
  const [program, ...more] = [...TIED_TO_US, ...PICOBOLT, ...words, "--json"];
  const child = spawn(program, more, { env: { ...process.env, ...options.env } });
  child.stdin.end();
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (bytes: Buffer) => {
    stdout += bytes.toString();
  });
  child.stderr.on("data", (bytes: Buffer) => {
    stderr += bytes.toString();
    for (const line of bytes.toString().split("\n")) if (line) options.onNote?.(line);
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), options.ms ?? 120_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  const json = stdout
    .split("\n")
    .map(parsed)
    .filter((one) => one !== undefined);
  return { code, stdout, stderr, json, last: json.at(-1) ?? {} };
}

/** One that must come to its end without an error. */
export async function done(words: readonly string[], options: RunOptions): Promise<Ran> {
  const ran = await picobolt(words, options);
  if (ran.code === 0) return ran;
  throw new Error(
    `picobolt ${words.join(" ")} ended with ${ran.code}: ${ran.stderr}${ran.last.error}`,
  );
}

interface ServerOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** It ended, and nobody had killed it. */
  onDied(how: string): void;
}

/** A program that runs until it is killed. */
export class Server {
  private child: ChildProcessWithoutNullStreams | undefined;
  private isWanted = false;

  constructor(private readonly options: ServerOptions) {}

  get isRunning(): boolean {
    return this.child !== undefined;
  }

  /** Resolves with what `ready` finds in a line of its standard output; at once without it. */
  start<T = void>(ready?: (line: string) => T | undefined): Promise<T | undefined> {
    const { name, command, env, logFile } = this.options;
    const [program, ...words] = [...TIED_TO_US, ...command];
    const child = spawn(program, words, { env: { ...process.env, ...env } });
    this.child = child;
    this.isWanted = true;
    child.stdin.on("error", () => {});
    return new Promise((resolve, reject) => {
      if (!ready) resolve(undefined);
      let line = "";
      child.stdout.on("data", (bytes: Buffer) => {
        appendFileSync(logFile, bytes);
        line += bytes.toString();
        for (let at = line.indexOf("\n"); at >= 0; at = line.indexOf("\n")) {
          const found = ready?.(line.slice(0, at));
          if (found !== undefined) resolve(found);
          line = line.slice(at + 1);
        }
      });
      child.stderr.on("data", (bytes: Buffer) => appendFileSync(logFile, bytes));
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        if (this.child === child) this.child = undefined;
        appendFileSync(logFile, `--- ended: ${signal ?? code}\n`);
        reject(new Error(`${name} ended (${signal ?? code}); its words are in ${logFile}`));
        if (this.isWanted) this.options.onDied(String(signal ?? code));
      });
    });
  }

  /** As a power cut. */
  kill(): Promise<void> {
    return this.end("SIGKILL");
  }

  /** In order, as its operator would. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.child?.kill("SIGKILL"), 15_000);
    await this.end("SIGTERM");
    clearTimeout(timer);
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.isWanted = false;
    if (!child) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }
}

function parsed(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
