/** When which device is visited: soon after it came, now and then while it is there, and never two visits at once. */
import { AdminSilence } from "../admin/client.ts";

export interface VisitsOptions {
  readonly askSeconds: number;
  /** Unix seconds. */
  nowSeconds(): number;
  isConnected(nodeId: string): boolean;
  visit(nodeId: string): Promise<void>;
  readonly events: { onProblem(text: string): void };
}

/** At a time: a fleet that comes back all at once waits in line. */
const MAX_AT_ONCE = 64;
/** Something waits, and could not be done the last time. */
const AGAIN_SECONDS = 15;
/** Of a device on trial. */
const CLOSE_SECONDS = 10;

export class Visits {
  /** Device → when it is visited next. */
  private readonly due = new Map<string, number>();
  private readonly lastAt = new Map<string, number>();
  private readonly underWay = new Map<string, Promise<void>>();
  private isClosed = false;

  constructor(private readonly options: VisitsOptions) {}

  soon(nodeId: string): void {
    this.due.set(nodeId, this.options.nowSeconds());
  }

  /** Something waits for it: as soon as the last visit is long enough ago. */
  wanted(nodeId: string): void {
    this.notLaterThan(nodeId, AGAIN_SECONDS);
  }

  closely(nodeId: string, healthySeconds: number): void {
    this.notLaterThan(nodeId, Math.min(CLOSE_SECONDS, Math.max(1, healthySeconds / 4)));
  }

  forget(nodeId: string): void {
    this.due.delete(nodeId);
  }

  isUnderWay(nodeId: string): boolean {
    return this.underWay.has(nodeId);
  }

  tick(): void {
    if (this.isClosed) return;
    const now = this.options.nowSeconds();
    for (const [nodeId, at] of this.due) {
      if (this.underWay.size >= MAX_AT_ONCE) return;
      if (at > now || this.underWay.has(nodeId)) continue;
      if (this.options.isConnected(nodeId)) this.begin(nodeId, now);
      else this.due.delete(nodeId);
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.underWay.values());
  }

  private begin(nodeId: string, now: number): void {
    this.lastAt.set(nodeId, now);
    this.due.set(nodeId, now + this.options.askSeconds);
    const work = this.options
      .visit(nodeId)
      .catch((cause: unknown) => {
        // It went away: it is visited when it is back.
        if (cause instanceof AdminSilence) return;
        const text = cause instanceof Error ? cause.message : String(cause);
        this.options.events.onProblem(`the visit to ${nodeId.slice(0, 16)} failed: ${text}`);
      })
      .finally(() => this.underWay.delete(nodeId));
    this.underWay.set(nodeId, work);
  }

  private notLaterThan(nodeId: string, seconds: number): void {
    const last = this.lastAt.get(nodeId) ?? Number.NEGATIVE_INFINITY;
    const due = this.due.get(nodeId) ?? Number.POSITIVE_INFINITY;
    if (due > last + seconds) this.due.set(nodeId, Math.max(last + seconds, 0));
  }
}
