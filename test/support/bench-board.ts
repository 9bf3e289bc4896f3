/** Pins and a clock on a table: time passes when the test says so, and each edge is what the test makes of it. */
import type { Clock, Pins } from "../../firmware/board.ts";

interface Timer {
  readonly at: number;
  readonly work: () => void;
}

export class BenchClock implements Clock {
  private now = 1_000;
  private timers: Timer[] = [];
  wallSeconds: number | undefined;

  nowMs(): number {
    return this.now;
  }

  nowSeconds(): number | undefined {
    return this.wallSeconds;
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { at: this.now + delayMs, work };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  /** Each timer runs at its own time; promises go on in between. */
  async pass(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.now = Math.max(this.now, next.at);
      next.work();
    }
    this.now = end;
    await settle();
  }

  /** The processor was busy elsewhere: all timers are late. */
  stall(ms: number): void {
    this.now += ms;
  }

  /** As after a power cut: nothing is awaited any more. */
  forget(): void {
    this.timers = [];
  }
}

export class BenchPins implements Pins {
  readonly levels = new Map<string, boolean>();
  private readonly listeners = new Map<string, (on: boolean, atMs?: number) => void>();
  /** What the outside does when the program writes. */
  onWrite: (name: string, on: boolean) => void = () => {};

  constructor(readonly names: readonly string[]) {}

  write(name: string, on: boolean): void {
    this.levels.set(name, on);
    this.onWrite(name, on);
  }

  read(name: string): boolean {
    return this.levels.get(name) ?? false;
  }

  watch(name: string, onEdge: (on: boolean, atMs?: number) => void): void {
    this.listeners.set(name, onEdge);
  }

  /** From outside. */
  set(name: string, on: boolean): void {
    if (this.read(name) === on) return;
    this.levels.set(name, on);
    this.listeners.get(name)?.(on);
  }

  /** Late, of an edge that was at `atMs`. */
  tell(name: string, on: boolean, atMs: number): void {
    this.levels.set(name, on);
    this.listeners.get(name)?.(on, atMs);
  }

  pulse(name: string): void {
    this.set(name, true);
    this.set(name, false);
  }

  forget(): void {
    this.listeners.clear();
    this.levels.clear();
  }
}

function settle(): Promise<void> {
  return new Promise((wake) => void setImmediate(wake));
}
