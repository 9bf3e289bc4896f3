/** The loop of a device: a beat some times a second; the watchdog is fed only while it is healthy. */
import type { Board } from "../board.ts";

export const BEAT_MS = 50;
export const WATCHDOG_MS = 8_000;
/** Beats in a row that may fail before the watchdog is left to do its work. */
export const MAX_FAILURES = 20;

export class Heart {
  private cancel: (() => void) | undefined;
  private failures = 0;
  private isStopped = false;

  constructor(
    private readonly board: Board,
    private readonly beat: (nowMs: number) => void,
    /** `failures` in a row, this one included; at MAX_FAILURES the watchdog is left to do its work. */
    private readonly onFailure: (cause: unknown, failures: number) => void,
  ) {}

  start(): void {
    this.board.system.watchdog?.start(WATCHDOG_MS);
    this.next();
  }

  stop(): void {
    this.isStopped = true;
    this.cancel?.();
  }

  /** Beats without a failure since the last one. */
  get isHealthy(): boolean {
    return this.failures === 0;
  }

  private next(): void {
    if (this.isStopped) return;
    this.cancel = this.board.clock.after(BEAT_MS, () => {
      this.once();
      this.next();
    });
  }

  private once(): void {
    try {
      this.beat(this.board.clock.nowMs());
      this.failures = 0;
    } catch (cause) {
      this.failures++;
      this.onFailure(cause, this.failures);
    }
    if (this.failures < MAX_FAILURES) this.board.system.watchdog?.feed();
  }
}
