/** A cable in memory that delivers when told to: for tests that pull, lose and repeat at every point. */
import type { Link } from "../../core/ports/link.ts";

class MemoryLink implements Link {
  readonly kind = "stream";
  other: MemoryLink | undefined;
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  constructor(
    readonly name: string,
    private readonly cable: Cable,
  ) {}

  send(bytes: Uint8Array): void {
    const { other } = this;
    if (other) this.cable.carry(() => other.onBytes(bytes));
  }

  close(): void {
    this.onClosed("closed");
  }
}

/** Carries what both sides send, in order; `pump` lets it flow. */
export class Cable {
  private readonly queue: (() => void)[] = [];
  cut = false;
  /** Deliveries so far. */
  delivered = 0;
  readonly ends: readonly [Link, Link];

  constructor() {
    const a = new MemoryLink("memory:a", this);
    const b = new MemoryLink("memory:b", this);
    a.other = b;
    b.other = a;
    this.ends = [a, b];
  }

  carry(delivery: () => void): void {
    if (!this.cut) this.queue.push(delivery);
  }

  /** Delivers until nothing moves, at most `most` deliveries; how many there were. */
  pump(most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    for (; count < most; count++) {
      const delivery = this.queue.shift();
      if (!delivery) break;
      this.delivered++;
      delivery();
    }
    return count;
  }

  get waiting(): number {
    return this.queue.length;
  }

  /** What is next is delivered twice, now. */
  repeat(): void {
    const delivery = this.queue[0];
    if (!delivery) return;
    this.queue.unshift(delivery);
  }

  /** Everything under way is lost. */
  lose(): void {
    this.queue.length = 0;
  }
}
