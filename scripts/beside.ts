/** A command beside a whole run of the tests: it takes the time in which tests wait, and its end is part of theirs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

export interface BesideResult {
  /** Of what it printed; where it failed, also of what it said on stderr. */
  readonly text: string;
  readonly ok: boolean;
}

interface BesideOptions {
  /** Tests come first; the command must still go on while they use all processors. */
  readonly niceness: number;
  /** What of stderr is for people who look at it while it runs. */
  readonly isProgress?: (line: string) => boolean;
}

export class Beside {
  isOver = false;
  /** What of its progress is for people is shown from now on. */
  isShown = false;
  private readonly ended: Promise<BesideResult>;

  constructor(command: readonly string[], { niceness, isProgress }: BesideOptions) {
    const child = spawn("nice", ["-n", `${niceness}`, ...command], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const printed: Buffer[] = [];
    const complained: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => void printed.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => {
      complained.push(chunk);
      const lines = this.isShown ? chunk.toString().split(/[\r\n]+/) : [];
      for (const line of lines) if (isProgress?.(line)) process.stdout.write(`${line}\n`);
    });
    const stop = () => void child.kill();
    process.once("exit", stop);
    const closed = once(child, "close") as Promise<[number | null]>;
    this.ended = closed.then(
      ([code]) => {
        process.off("exit", stop);
        const text = Buffer.concat(printed).toString();
        if (code === 0) return { text, ok: true };
        const lines = Buffer.concat(complained)
          .toString()
          .split(/[\r\n]+/);
        return {
          text: `${lines.filter((line) => !isProgress?.(line)).join("\n")}\n${text}`,
          ok: false,
        };
      },
      (error: Error) => ({ text: error.message, ok: false }),
    );
    void this.ended.then(() => {
      this.isOver = true;
    });
  }

  /** Once it has ended. */
  result(): Promise<BesideResult> {
    return this.ended;
  }
}
