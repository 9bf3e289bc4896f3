/** Progress for whoever waits: one line that changes on a terminal, lines from time to time elsewhere; on standard error. */
const WIDTH = 30;
const EVERY_MS = 200;
const LINE_EVERY_MS = 10_000;

export class Shown {
  private line = "";
  private shownMs = Number.NEGATIVE_INFINITY;
  private readonly isTerminal = process.stderr.isTTY === true;
  private readonly startMs = performance.now();

  note(text: string): void {
    this.end();
    process.stderr.write(`${this.time()} ${text}\n`);
  }

  step(name: string): (done: number, of: number) => void {
    this.end();
    if (!this.isTerminal) process.stderr.write(`${this.time()} ${name} …\n`);
    this.shownMs = performance.now();
    return (done, of) => {
      const full = Math.round((Math.min(done, of) / Math.max(1, of)) * WIDTH);
      const bar = `${"█".repeat(full)}${"░".repeat(WIDTH - full)}`;
      this.line = `${this.time()} ${bar} ${Math.round(done)}/${Math.round(of)} ${name}`;
      const everyMs = this.isTerminal ? EVERY_MS : LINE_EVERY_MS;
      if (performance.now() - this.shownMs < everyMs) return;
      this.shownMs = performance.now();
      process.stderr.write(this.isTerminal ? `\r${this.line}\x1b[K` : `${this.line}\n`);
    };
  }

  /** Leaves the last state of a step standing. */
  end(): void {
    if (this.line === "") return;
    process.stderr.write(this.isTerminal ? `\r${this.line}\x1b[K\n` : `${this.line}\n`);
    this.line = "";
  }

  private time(): string {
    return `${((performance.now() - this.startMs) / 1_000).toFixed(0).padStart(4)} s`;
  }
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
