/** A clock that tests turn: timers fire in order, at their time, when it is advanced. */

interface Timer {
  readonly atMs: number;
  readonly work: () => void;
}

export class FakeClock {
  private now = 1_000_000;
  private readonly timers = new Set<Timer>();

  nowMs(): number {
    return this.now;
  }

  after(delayMs: number, work: () => void): () => void {
    const timer = { atMs: this.now + delayMs, work };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.timers.size;
  }

  advance(ms: number): void {
    const untilMs = this.now + ms;
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.atMs - b.atMs)[0];
      if (!next || next.atMs > untilMs) break;
      this.timers.delete(next);
      this.now = Math.max(this.now, next.atMs);
      next.work();
    }
    this.now = untilMs;
  }
}
