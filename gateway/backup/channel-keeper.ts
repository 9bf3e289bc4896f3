/** Keeps the static channel backup current: written whenever a channel comes, is funded or ends, before its funding is broadcast. */
import { existsSync, renameSync, statSync } from "node:fs";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { isOpen } from "../../core/channel/record.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { replacePrivate } from "../secrets/private-file.ts";
import { type BackupAbout, contentOf, openBackup, sealBackup } from "./backup-file.ts";
import {
  decodeChannels,
  encodeChannel,
  encodeChannels,
  encodedChannels,
  MAX_BACKUP_BYTES,
  type PeerAddress,
} from "./channel-backup.ts";
import { countLost, type StoreLife } from "./other-life.ts";

export interface ChannelKeeperOptions
  extends Pick<StoreLife, "key" | "network" | "origin" | "elsewhere"> {
  /** The same content in each: in the data folder, and where the operator says. */
  readonly paths: readonly string[];
  records(): readonly ChannelRecord[];
  basepointsOf: Parameters<typeof decodeChannels>[1];
  addressOf(nodeId: string): PeerAddress | undefined;
  /** What is to be kept is another: told after the files were written. */
  onChange?(sealed: Uint8Array): void;
  onProblem(text: string): void;
}

/** A look that takes longer is paced. */
const QUICK_MS = 25;
const PACE_MS = 1_000;
const RETRY_MS = 30_000;

interface KeptStage {
  readonly stage: string;
  /** Node id, hexadecimal. */
  readonly peer: string;
}

export interface KeptChannel extends KeptStage {
  /** What `encodeChannel` gave. */
  readonly bytes: Uint8Array;
}

export class ChannelKeeper {
  private kept = new Map<string, KeptStage>();
  /** What the files have, before it is sealed: `encodeChannels` of what is kept, in its order; one piece for thousands. */
  private content = encodeChannels([]);
  /** The last ones that were known, of peers that nobody calls now too. */
  private readonly addresses = new Map<string, PeerAddress>();
  private readonly paths: string[] = [];
  private timer: NodeJS.Timeout | undefined;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private tookMs = 0;
  private isStale = true;
  /** Undefined until it was once. */
  writtenAtMs: number | undefined;

  private constructor(private readonly options: ChannelKeeperOptions) {}

  /** A backup whose channels the store does not have is put aside first: it may be all that is left of them. */
  static async start(options: ChannelKeeperOptions): Promise<ChannelKeeper> {
    const keeper = new ChannelKeeper(options);
    for (const path of options.paths) {
      try {
        await keeper.putAside(path);
        keeper.paths.push(path);
      } catch (cause) {
        options.onProblem(`nothing is backed up to ${path}: ${(cause as Error).message}`);
      }
    }
    keeper.update();
    return keeper;
  }

  /** Something about the channels may have changed. Where there are very many, what comes at once shares a write. */
  update(): void {
    const wait = this.tookMs <= QUICK_MS ? 0 : this.lookedAtMs + PACE_MS - performance.now();
    if (wait <= 0) this.look();
    else this.lookLater(wait);
  }

  /** Its address may be another. */
  peerConnected(nodeId: string): void {
    this.addressOf(nodeId);
    this.lookLater(PACE_MS);
  }

  get channels(): readonly KeptChannel[] {
    const bytes = encodedChannels(this.content);
    return [...this.kept.values()].flatMap((kept, i) => {
      const found = bytes[i];
      return found ? [{ ...kept, bytes: found }] : [];
    });
  }

  /** The newest, as it is in the files. */
  get sealed(): Uint8Array | undefined {
    return this.writtenAtMs === undefined ? undefined : this.seal(this.writtenAtMs);
  }

  /** Those that could be written at the start. */
  get places(): readonly string[] {
    return this.paths;
  }

  /** Every place has what it should. */
  get isCurrent(): boolean {
    return !this.isStale && this.paths.length === this.options.paths.length;
  }

  stop(): void {
    this.look();
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    this.lookedAtMs = performance.now();
    if (this.collect() || this.isStale) this.write();
    this.tookMs = performance.now() - this.lookedAtMs;
  }

  private lookLater(waitMs: number): void {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.look();
    }, waitMs);
    this.timer.unref();
  }

  private write(): void {
    const { onProblem } = this.options;
    const nowMs = Date.now();
    const sealed = this.seal(nowMs);
    this.isStale = false;
    for (const path of this.paths) {
      try {
        replacePrivate(path, sealed);
      } catch (cause) {
        this.isStale = true;
        onProblem(`the backup of the channels is not current: ${(cause as Error).message}`);
      }
    }
    if (this.isStale) this.lookLater(RETRY_MS);
    else this.writtenAtMs = nowMs;
    this.options.onChange?.(sealed);
  }

  private seal(atMs: number): Uint8Array {
    const { key, network, origin } = this.options;
    const about: BackupAbout = { network, origin, createdAtSeconds: Math.floor(atMs / 1_000) };
    return sealBackup(key, "channels", about, this.content);
  }

  /** Whether anything changed since. */
  private collect(): boolean {
    const next = new Map<string, KeptStage>();
    const fresh = new Map<string, Uint8Array>();
    for (const record of this.options.records()) {
      const id = toHex(record.channelId);
      const peer = toHex(record.remoteNodeId);
      const address = this.addressOf(peer);
      const stage = stageOf(record, address);
      const known = this.kept.get(id);
      if (known?.stage === stage) {
        next.set(id, known);
        continue;
      }
      fresh.set(id, encodeChannel({ record, address }));
      next.set(id, { stage, peer });
    }
    if (fresh.size === 0 && next.size === this.kept.size) return false;
    const before = encodedChannels(this.content);
    [...this.kept.keys()].forEach((id, i) => {
      const bytes = before[i];
      if (bytes && !fresh.has(id)) fresh.set(id, bytes);
    });
    this.content = encodeChannels([...next.keys()].flatMap((id) => fresh.get(id) ?? []));
    this.kept = next;
    return true;
  }

  private addressOf(nodeId: string): PeerAddress | undefined {
    const now = this.options.addressOf(nodeId);
    if (now) this.addresses.set(nodeId, { host: now.host, port: now.port });
    return this.addresses.get(nodeId);
  }

  private async putAside(path: string): Promise<void> {
    if (!existsSync(path)) return;
    const lost = await this.lostIn(path);
    if (lost === 0) return;
    if (lost === "ended elsewhere") {
      renameSync(path, `${path}.before`);
      return;
    }
    let number = 1;
    while (existsSync(`${path}.${number}`)) number++;
    renameSync(path, `${path}.${number}`);
    const what =
      lost === undefined ? "cannot be read" : `has ${lost} channels that the store lacks`;
    this.options.onProblem(
      `${path} ${what}: it was kept as ${path}.${number}; if the store was lost, stop and run ` +
        "picobolt restore-gateway",
    );
  }

  /**
   * Undefined where the file cannot be read: it may be another node's. With several processes on one store, channels
   * of a former start of this one may have gone to others, and may have ended there.
   */
  private async lostIn(path: string): Promise<number | "ended elsewhere" | undefined> {
    const { key, network, origin, elsewhere, basepointsOf, records, onProblem } = this.options;
    try {
      if (statSync(path).size === 0) return 0;
      const backup = await openBackup(key, path);
      try {
        // The simulated chain begins anew with each start.
        if (backup.network === "sim" && network === "sim") return 0;
        const held = new Set(records().map(({ channelId }) => toHex(channelId)));
        const channels = decodeChannels(await contentOf(backup, MAX_BACKUP_BYTES), basepointsOf);
        for (const { record, address } of channels) {
          if (address) this.addresses.set(toHex(record.remoteNodeId), address);
        }
        if (backup.network !== network) return channels.length;
        const ids = channels.map(({ record }) => toHex(record.channelId));
        const lost = await countLost(
          this.options,
          ids.filter((id) => !held.has(id)),
        );
        const isOurs = backup.origin !== undefined && equal(backup.origin, origin);
        return lost > 0 && isOurs && elsewhere ? "ended elsewhere" : lost;
      } finally {
        await backup.close();
      }
    } catch (cause) {
      onProblem((cause as Error).message);
      return undefined;
    }
  }
}

/** What of a channel is worth another write. */
function stageOf(record: ChannelRecord, address: PeerAddress | undefined): string {
  const phase = isOpen(record.phase) ? "open" : `${record.phase} ${record.facts.length}`;
  const where = address ? `${address.host}:${address.port}` : "";
  return `${phase} ${record.fundingHeight !== undefined} ${where}`;
}
