/** Runs the real command as a process, as a person or a script would. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { PATIENCE_MS } from "../support/patience.ts";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Each line of standard output as JSON; throws where one is not. */
  readonly json: readonly Record<string, unknown>[];
  readonly last: Record<string, unknown>;
}

const COMMAND = new URL("../../cli/picobolt.mjs", import.meta.url).pathname;

export interface RunOptions {
  readonly home?: string;
  /** Typed at once. */
  readonly input?: string;
}

export function picobolt(words: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Running(words, options).done;
}

export class Running {
  stdout = "";
  stderr = "";
  readonly done: Promise<Ran>;
  readonly process: ChildProcessWithoutNullStreams;

  constructor(words: readonly string[], { home, input = "" }: RunOptions = {}) {
    const env = { ...process.env, ...(home && { PICOBOLT_HOME: home }) };
    this.process = spawn(process.execPath, [COMMAND, ...words], { env });
    this.process.stdin.on("error", () => {});
    this.process.stdin.end(input);
    this.process.stdout.on("data", (bytes: Buffer) => {
      this.stdout += bytes.toString();
    });
    this.process.stderr.on("data", (bytes: Buffer) => {
      this.stderr += bytes.toString();
    });
    this.done = new Promise((resolve) => {
      this.process.once("close", (code) => resolve(ranOf(code, this.stdout, this.stderr)));
    });
  }

  /** Until it has written that, on either stream. */
  async says(words: string | RegExp, timeoutMs = PATIENCE_MS): Promise<void> {
    const until = Date.now() + timeoutMs;
    const isThere = () => {
      const all = this.stdout + this.stderr;
      return typeof words === "string" ? all.includes(words) : words.test(all);
    };
    while (!isThere()) {
      if (Date.now() > until || this.process.exitCode !== null) {
        throw new Error(`it never said ${words}, but:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }
}

function ranOf(code: number | null, stdout: string, stderr: string): Ran {
  const lines = () =>
    stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return {
    code,
    stdout,
    stderr,
    get json() {
      return lines();
    },
    get last() {
      return lines().at(-1) ?? {};
    },
  };
}
