/** Pauses that double, a part of them at random: a fleet that lost its broker does not come back as one. */
import type { Entropy } from "../../core/ports/crypto.ts";

export interface BackoffRange {
  readonly minMs: number;
  readonly maxMs: number;
}

/** More doublings than any range has. */
const MAX_DOUBLINGS = 20;

export class Backoff {
  private failures = 0;

  constructor(
    private readonly range: BackoffRange,
    private readonly entropy: Entropy,
  ) {}

  /** The next pause: longer than the one before, and up to a quarter more. */
  next(): number {
    const { minMs, maxMs } = this.range;
    const pauseMs = Math.min(maxMs, minMs * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, MAX_DOUBLINGS);
    return Math.floor(pauseMs * (1 + (this.entropy.random(1)[0] as number) / 1024));
  }

  reset(): void {
    this.failures = 0;
  }
}
