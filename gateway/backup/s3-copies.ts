/** Brings backups to a bucket as they change: one thing at a time, the newest of each, again and again where the store does not take it. */
import type { S3Layout, SnapshotToKeep } from "./s3-layout.ts";

export interface S3CopiesOptions {
  readonly layout: Pick<S3Layout, "name" | "putChannels" | "putPart" | "putSnapshot" | "retain">;
  /** Whole snapshots that stay. */
  readonly keep: number;
  /** Before anything is written there: why nothing may be. */
  refusal?(): Promise<string | undefined>;
  readonly retryMs?: number;
  readonly alarmMs?: number;
  onProblem(text: string): void;
}

export interface S3State {
  readonly name: string;
  readonly channelsAtMs: number | undefined;
  readonly snapshotAtMs: number | undefined;
  readonly partAtMs: number | undefined;
  /** It has all that it should. */
  readonly isCurrent: boolean;
  readonly failure: string | undefined;
}

interface WaitingPart {
  readonly generation: Uint8Array;
  readonly number: number;
  readonly sealed: Uint8Array;
}

const RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
const ALARM_MS = 600_000;
/** Of parts that wait; beyond it the stream there ends until the next snapshot. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** What is left at the end is brought there if it is quick. */
const LAST_MS = 5_000;

export class S3Copies {
  private channels: Uint8Array | undefined;
  private snapshot: SnapshotToKeep | undefined;
  private parts: WaitingPart[] = [];
  private waitingBytes = 0;
  private isGapped = false;
  private running: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private waitMs: number;
  private failedAtMs: number | undefined;
  private isTold = false;
  private failure: string | undefined;
  private channelsAtMs: number | undefined;
  private snapshotAtMs: number | undefined;
  private partAtMs: number | undefined;
  private isStopped = false;
  private isAllowed = false;
  private refused: string | undefined;

  constructor(private readonly options: S3CopiesOptions) {
    this.waitMs = options.retryMs ?? RETRY_MS;
  }

  get state(): S3State {
    const { failure, refused, channelsAtMs, snapshotAtMs, partAtMs } = this;
    const isCurrent = !this.isWaiting && refused === undefined;
    const { name } = this.options.layout;
    return { name, channelsAtMs, snapshotAtMs, partAtMs, isCurrent, failure: refused ?? failure };
  }

  putChannels(sealed: Uint8Array): void {
    this.channels = sealed;
    this.begin();
  }

  putSnapshot(snapshot: SnapshotToKeep): void {
    this.snapshot = snapshot;
    this.begin();
  }

  putPart(generation: Uint8Array, number: number, sealed: Uint8Array): void {
    if (number === 0) this.isGapped = false;
    if (this.isGapped) return;
    if (this.waitingBytes + sealed.length > MAX_WAITING_BYTES) {
      this.isGapped = true;
      this.options.onProblem(
        `${this.options.layout.name} takes the record stream too slowly: it goes on with the next snapshot`,
      );
      return;
    }
    this.waitingBytes += sealed.length;
    this.parts.push({ generation, number, sealed });
    this.begin();
  }

  /** All that waits was brought there, or could not be. */
  async idle(): Promise<void> {
    await this.running;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.begin();
    await Promise.race([this.running, new Promise((done) => setTimeout(done, LAST_MS).unref())]);
  }

  private get isWaiting(): boolean {
    return this.channels !== undefined || this.snapshot !== undefined || this.parts.length > 0;
  }

  private begin(): void {
    if (this.running || this.timer || !this.isWaiting || this.refused) return;
    this.running = this.work().finally(() => {
      this.running = undefined;
    });
  }

  private async work(): Promise<void> {
    try {
      if (!this.isAllowed) await this.ask();
      while (this.isWaiting) await this.one();
      this.succeeded();
    } catch (cause) {
      this.failed(cause as Error);
    }
  }

  /** Once; what is refused waits for nothing. */
  private async ask(): Promise<void> {
    const refusal = await this.options.refusal?.();
    if (refusal === undefined) {
      this.isAllowed = true;
      return;
    }
    this.options.onProblem(refusal);
    this.isStopped = true;
    this.refused = refusal;
    [this.channels, this.snapshot, this.parts] = [undefined, undefined, []];
  }

  /** The smallest first, and what can save the most. */
  private async one(): Promise<void> {
    const { layout, keep } = this.options;
    const { channels, snapshot } = this;
    const [part] = this.parts;
    if (channels) {
      await layout.putChannels(channels);
      this.channelsAtMs = Date.now();
      if (this.channels === channels) this.channels = undefined;
      return;
    }
    if (part) {
      await layout.putPart(part.generation, part.number, part.sealed);
      this.partAtMs = Date.now();
      this.parts.shift();
      this.waitingBytes -= part.sealed.length;
      return;
    }
    if (!snapshot) return;
    await layout.putSnapshot(snapshot);
    this.snapshotAtMs = Date.now();
    await layout.retain(keep);
    if (this.snapshot === snapshot) this.snapshot = undefined;
  }

  private succeeded(): void {
    if (this.isTold) this.options.onProblem(`${this.options.layout.name} takes backups again`);
    this.isTold = false;
    this.failure = undefined;
    this.failedAtMs = undefined;
    this.waitMs = this.options.retryMs ?? RETRY_MS;
  }

  private failed(cause: Error): void {
    const { alarmMs = ALARM_MS, layout, onProblem } = this.options;
    this.failure = cause.message;
    this.failedAtMs ??= Date.now();
    if (!this.isTold && Date.now() - this.failedAtMs >= alarmMs) {
      this.isTold = true;
      onProblem(
        `${layout.name} has not taken backups for ${Math.round(alarmMs / 60_000)} minutes: ${cause.message}`,
      );
    }
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.begin();
    }, this.waitMs);
    this.timer.unref();
    this.waitMs = Math.min(MOST_RETRY_MS, this.waitMs * 2);
  }
}
