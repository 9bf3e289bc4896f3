/** So many at once, and so many a second from then on: what is sent to a peer, and what is taken from one. */
export class TokenBucket {
  private tokens: number;
  private atMs: number | undefined;

  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
  ) {
    this.tokens = burst;
  }

  /** False: it is empty. */
  take(nowMs: number): boolean {
    const passed = Math.max(0, nowMs - (this.atMs ?? nowMs));
    this.atMs = nowMs;
    this.tokens = Math.min(this.burst, this.tokens + (passed * this.perSecond) / 1_000);
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
