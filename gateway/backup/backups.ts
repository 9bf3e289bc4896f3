/** The backups of a running gateway: the channels' kept current, the store's by the clock and on demand, its changes every few seconds; in files, at peers, in a bucket. */
import { existsSync, statSync } from "node:fs";
import type Database from "better-sqlite3";
import { BackupError } from "./backup-error.ts";
import { ChannelKeeper, type ChannelKeeperOptions } from "./channel-keeper.ts";
import type { StoreLife } from "./other-life.ts";
import { PeerCopies, type PeerCopiesOptions } from "./peer-copies.ts";
import { RecordStream } from "./record-stream.ts";
import type { S3Copies } from "./s3-copies.ts";
import { dropPart, type Snapshot, takeSnapshot } from "./snapshot.ts";

export const CHANNELS_FILE = "channels.backup";
export const STORE_FILE = "store.backup";
export const STREAM_FILE = "store.stream";

export interface BackupsOptions
  extends Omit<ChannelKeeperOptions, "paths" | "onChange">,
    Pick<StoreLife, "isHeld"> {
  /** Of a file in the data folder. */
  at(name: string): string;
  /** A second place for the channels. */
  readonly channelsFile?: string | undefined;
  /** Undefined where the store is no file of ours. */
  readonly db: Database.Database | undefined;
  /** Of the store's snapshot, if not in the data folder. */
  readonly snapshotFile?: string | undefined;
  /** 0: on demand alone. */
  readonly snapshotEveryHours: number;
  /** 0: none. */
  readonly streamSeconds: number;
  /** Peers who may keep the channels' backup. */
  readonly atPeers: Pick<PeerCopiesOptions, "hasChannel" | "isHolder" | "send" | "nowMs">;
  readonly s3?: S3Copies | undefined;
}

/** The kinds of channel events after which the set of channels may be another. */
const CHANGES: ReadonlySet<string> = new Set([
  "created",
  "ready",
  "forceClosing",
  "onChain",
  "outdated",
  "closed",
  "forgotten",
]);
const LOOK_EVERY_MS = 60_000;
const TICK_MS = 500;
const HOUR_MS = 3_600_000;

export class Backups {
  readonly stream: RecordStream | undefined;
  readonly copies: PeerCopies;
  private readonly timers: NodeJS.Timeout[] = [];
  private keeper!: ChannelKeeper;
  private running: Promise<Snapshot> | undefined;
  /** What failed last, until it succeeds. */
  snapshotFailure: string | undefined;

  private constructor(private readonly options: BackupsOptions) {
    const { db, streamSeconds, atPeers, s3 } = options;
    this.copies = new PeerCopies({
      ...options,
      ...atPeers,
      channels: () => this.keeper.channels,
    });
    if (!db || streamSeconds === 0) return;
    this.stream = new RecordStream({
      ...options,
      db,
      about: () => ({ ...this.about, createdAtSeconds: Math.floor(Date.now() / 1_000) }),
      path: this.streamPath,
      onPart: (generation, number, sealed) => s3?.putPart(generation, number, sealed),
    });
  }

  static async start(options: BackupsOptions): Promise<Backups> {
    const { at, channelsFile, s3 } = options;
    dropPart(at(PART));
    const backups = new Backups(options);
    const paths = [at(CHANNELS_FILE), ...(channelsFile === undefined ? [] : [channelsFile])];
    const onChange = (sealed: Uint8Array) => {
      backups.copies.changed();
      s3?.putChannels(sealed);
    };
    backups.keeper = await ChannelKeeper.start({ ...options, paths, onChange });
    backups.run();
    return backups;
  }

  get snapshotPath(): string {
    return this.options.snapshotFile ?? this.options.at(STORE_FILE);
  }

  /** Beside the snapshot. */
  get streamPath(): string {
    const path = this.snapshotPath;
    return path.endsWith(".backup") ? `${path.slice(0, -7)}.stream` : `${path}.stream`;
  }

  get channels(): Pick<
    ChannelKeeper,
    "channels" | "writtenAtMs" | "isCurrent" | "sealed" | "places"
  > {
    return this.keeper;
  }

  get s3(): S3Copies | undefined {
    return this.options.s3;
  }

  get isStoreOurs(): boolean {
    return this.options.db !== undefined;
  }

  /** Synchronous with up to some thousand channels: a new channel's funding is broadcast after its backup is on disk. */
  channelEvent(type: string): void {
    if (CHANGES.has(type)) this.keeper.update();
  }

  peerConnected(nodeId: string): void {
    this.keeper.peerConnected(nodeId);
    this.copies.connected(nodeId);
  }

  peerDisconnected(nodeId: string): void {
    this.copies.disconnected(nodeId);
  }

  /** Now; whoever asks while one is made gets that one. @throws BackupError "unsupported", "io". */
  snapshot(): Promise<Snapshot> {
    const { db } = this.options;
    if (!db) {
      const message =
        "the store is PostgreSQL: back it up by its own means (pg_dump, replication).";
      return Promise.reject(new BackupError("unsupported", message));
    }
    this.running ??= this.take(db).finally(() => {
      this.running = undefined;
    });
    return this.running;
  }

  async stop(): Promise<void> {
    for (const timer of this.timers) clearInterval(timer);
    await this.running?.catch(() => {});
    this.stream?.stop();
    this.keeper.stop();
    await this.options.s3?.stop();
  }

  private get about() {
    const { network, origin } = this.options;
    return { network, origin };
  }

  private async take(db: Database.Database): Promise<Snapshot> {
    const { key, at, s3 } = this.options;
    const { stream } = this;
    const path = this.snapshotPath;
    try {
      stream?.begin();
      const snapshot = await takeSnapshot({
        db,
        key,
        about: this.about,
        partPath: at(PART),
        path,
        ...(stream && { copied: () => stream.copied() }),
      });
      stream?.replaced();
      s3?.putSnapshot({ ...snapshot, generation: snapshot.stream?.generation });
      this.snapshotFailure = undefined;
      return snapshot;
    } catch (cause) {
      stream?.fail();
      this.snapshotFailure = (cause as Error).message;
      throw cause;
    }
  }

  private run(): void {
    const { snapshotEveryHours, streamSeconds } = this.options;
    this.every(TICK_MS, () => this.copies.tick());
    if (this.stream) this.every(streamSeconds * 1_000, () => this.stream?.flush());
    if (snapshotEveryHours === 0 && !this.stream) return;
    this.every(LOOK_EVERY_MS, () => this.snapshotIfDue());
    this.snapshotIfDue();
  }

  private every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms);
    timer.unref();
    this.timers.push(timer);
  }

  private snapshotIfDue(): void {
    const { snapshotEveryHours, onProblem } = this.options;
    const path = this.snapshotPath;
    const ageMs = existsSync(path) ? Date.now() - statSync(path).mtimeMs : Number.POSITIVE_INFINITY;
    const isOld = snapshotEveryHours > 0 && ageMs >= snapshotEveryHours * HOUR_MS;
    if (!isOld && this.stream?.isFull !== true) return;
    this.snapshot().catch((cause: unknown) => onProblem((cause as Error).message));
  }
}

const PART = "store.backup.part";
