/** The device's Store: an append-only log with wear levelling on raw flash, safe at every power cut (DESIGN §5). */
import { PACKED_PAYMENT_BYTES, REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { StoreError } from "../../core/node/store-error.ts";
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import { type ChannelId, channelId } from "../../core/primitives/brands.ts";
import { concat, copyOf, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { Flash } from "./flash.ts";
import { type IndexedChannel, LiveIndex } from "./live-index.ts";
import {
  costOf,
  decodeItems,
  encodeItems,
  type Item,
  MAX_KEY_LENGTH,
  sizeOf,
} from "./log-items.ts";
import type { ReferenceRing } from "./reference-ring.ts";
import { type LogStatistics, SectorLog } from "./sector-log.ts";

/** References of credits, and as many of debits, that are remembered: on 512 KB or more, and on less. */
export const REFERENCE_WINDOW = 1024;
export const SMALL_REFERENCE_WINDOW = 128;
/**
 * One commit takes at most this, or an eighth of a small partition. The largest record that a peer can bring about
 * fits where the partition has 512 KB (core/channel/policy.ts, devicePolicy).
 */
export const MAX_COMMIT_BYTES = 57_344;
/** What makers of NOR flash promise for a sector. */
export const RATED_ERASES = 100_000;
/** Of the capacity, live data may fill this much with new channels, and this much with old ones. */
const NEW_CHANNEL_SHARE = 0.5;
const HARD_SHARE = 0.7;
/** Sectors kept free beside those that one commit of the largest size takes, so that making room always succeeds. */
const SPARE_SECTORS = 3;
/** Copies are written in commits of about this size. */
const COPY_BYTES = 2048;
const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

export interface FlashStoreOptions {
  /** For people: the partition's or the file's name. */
  readonly label?: string;
  /** How many references of each kind are remembered. */
  readonly referenceWindow?: number;
}

export interface FlashStatistics extends LogStatistics {
  readonly channels: number;
  /** What is needed, and how much of it may be: for new channels, and at all. */
  readonly liveBytes: number;
  readonly newChannelLimitBytes: number;
  readonly hardLimitBytes: number;
  /** Since the mount. */
  readonly commits: number;
  readonly bytesPerCommit: number;
  /** Commits like those since the mount until the sectors reach their rated erases. */
  readonly commitsLeft: number;
}

/** Reads the whole flash once. Throws a StoreError where it holds something else or a newer format. */
export class FlashLogStore implements Store {
  readonly name: string;
  /** Channels whose newest record the flash may have lost (damage, not a power cut): treat them as outdated. */
  readonly suspects: readonly ChannelId[];
  private readonly log: SectorLog;
  private readonly index: LiveIndex;
  private readonly maxCommitBytes: number;
  private readonly reserve: number;
  private readonly capacity: number;
  private commits = 0;
  private dead: StoreError | undefined;

  constructor(flash: Flash, options: FlashStoreOptions = {}) {
    this.name = `flash:${options.label ?? "partition"}`;
    const usual = flash.size >= 512 * 1024 ? REFERENCE_WINDOW : SMALL_REFERENCE_WINDOW;
    const index = new LiveIndex(options.referenceWindow ?? usual);
    this.index = index;
    this.log = new SectorLog(
      flash,
      ({ payload, address }) => {
        index.apply(decoded(payload), address, Math.floor(address / flash.sectorSize));
      },
      () => index.suspectAll(),
    );
    const { sectorCapacity } = this.log;
    this.maxCommitBytes = Math.min(MAX_COMMIT_BYTES, flash.size / 8);
    this.reserve = Math.ceil(this.maxCommitBytes / sectorCapacity) + SPARE_SECTORS;
    this.capacity = (this.log.sectors - this.reserve) * sectorCapacity;
    this.suspects = index
      .all()
      .filter((channel) => channel.suspect)
      .map((channel) => channelId(channel.channelId as Uint8Array));
  }

  load(): readonly StoredChannel[] {
    return this.index.all().map((channel) => ({
      channelId: channelId(channel.channelId as Uint8Array),
      record: this.recordOf(channel),
      archive: this.archiveOf(channel),
    }));
  }

  commit(change: StoreCommit): CommitOutcome {
    const known = this.index.find(change.channelId);
    const items = change.remove ? removal(known) : this.recordItems(change, known);
    const { items: credits, duplicates } = this.credit(change.credits);
    const debits = packedItems("debits", this.index.debits, change.debits).items;
    const values = (change.values ?? []).map((value): Item => ({ kind: "value", ...value }));
    const all = [...items, ...credits, ...debits, ...values];
    if (all.length > 0) this.write(all, change.remove ? "remove" : known ? "known" : "new");
    this.commits++;
    return duplicates.length > 0 ? { duplicateCredits: duplicates } : NO_DUPLICATES;
  }

  isDebited(reference: Uint8Array): boolean {
    assert(reference.length === REFERENCE_BYTES, "a payment reference has 16 bytes");
    return this.index.debits.has(reference);
  }

  isCredited(reference: Uint8Array): boolean {
    assert(reference.length === REFERENCE_BYTES, "a payment reference has 16 bytes");
    return this.index.credits.has(reference);
  }

  getValue(key: string): Uint8Array | undefined {
    const place = this.index.valueAt(key);
    if (!place) return undefined;
    const items = decoded(this.log.read(place.address));
    const matches = items.filter((item) => item.kind === "value" && item.key === key);
    return copyOf((matches.pop() as Item & { kind: "value" }).bytes);
  }

  /** An empty one is none from then on, and takes no room. */
  setValue(key: string, value: Uint8Array): void {
    assert(key.length <= MAX_KEY_LENGTH, "names of values are short");
    this.write([{ kind: "value", key, bytes: value }], this.index.valueAt(key) ? "known" : "new");
  }

  /** All of them go, channels stay; where power fails meanwhile, some are left. */
  forgetValues(): void {
    for (const key of this.index.valueKeys) this.setValue(key, new Uint8Array(0));
  }

  close(): void {
    this.dead ??= new StoreError("closed", `${this.name} is closed.`);
  }

  statistics(): FlashStatistics {
    const log = this.log.statistics();
    const bytesPerCommit = this.commits === 0 ? 0 : log.bytesProgrammed / this.commits;
    const erasesLeft = Math.max(0, RATED_ERASES * log.sectors - log.totalEraseCount);
    const bytesLeft = erasesLeft * this.log.sectorCapacity;
    return {
      ...log,
      channels: this.index.all().length,
      liveBytes: this.index.liveBytes,
      newChannelLimitBytes: Math.floor(this.capacity * NEW_CHANNEL_SHARE),
      hardLimitBytes: Math.floor(this.capacity * HARD_SHARE),
      commits: this.commits,
      bytesPerCommit,
      commitsLeft: bytesPerCommit === 0 ? 0 : Math.floor(bytesLeft / bytesPerCommit),
    };
  }

  private recordItems(change: StoreCommit, known: IndexedChannel | undefined): readonly Item[] {
    const handle = known?.handle ?? this.index.newHandle();
    const firstArchive = known?.nextArchive ?? 0;
    const archive = (change.archive ?? []).map(
      (bytes, i): Item => ({ kind: "archive", handle, index: firstArchive + i, bytes }),
    );
    const bytes = change.record();
    return [
      { kind: "record", handle, channelId: change.channelId.slice(), bytes, copy: false },
      ...archive,
    ];
  }

  private credit(payments: Uint8Array | undefined) {
    return packedItems("credits", this.index.credits, payments);
  }

  private recordOf(channel: IndexedChannel): Uint8Array {
    const items = decoded(this.log.read(channel.record!.address));
    for (const item of items) {
      if (item.kind === "record" && item.handle === channel.handle) return copyOf(item.bytes);
    }
    throw new StoreError("corrupt", `${this.name}: a record is not where it was stored.`);
  }

  private archiveOf(channel: IndexedChannel): readonly Uint8Array[] {
    const entries: Uint8Array[] = [];
    let readAt = -1;
    let items: readonly Item[] = [];
    for (const [index, place] of [...channel.archive].sort(([a], [b]) => a - b)) {
      if (place.address !== readAt) items = decoded(this.log.read(place.address));
      readAt = place.address;
      for (const item of items) {
        if (item.kind !== "archive" || item.handle !== channel.handle) continue;
        if (item.index === index) entries.push(copyOf(item.bytes));
      }
    }
    return entries;
  }

  private write(items: readonly Item[], what: "new" | "known" | "remove"): void {
    if (this.dead) throw this.dead;
    const payload = encodeItems(items);
    if (payload.length > this.maxCommitBytes) {
      const message = `A commit of ${payload.length} bytes is too large, ${this.maxCommitBytes} fit.`;
      throw new StoreError("too-large", message);
    }
    this.checkSpace(items, what);
    try {
      this.makeRoom(payload.length);
      this.append(items, payload);
    } catch (error) {
      this.dead = deadBecause(error, this.name);
      throw error;
    }
  }

  private checkSpace(items: readonly Item[], what: "new" | "known" | "remove"): void {
    if (what === "remove") return;
    const limit = this.capacity * (what === "new" ? NEW_CHANNEL_SHARE : HARD_SHARE);
    const growth = items.reduce((sum, item) => sum + this.growthOf(item), 0);
    if (growth <= 0 || this.index.liveBytes + growth <= limit) return;
    const message =
      what === "new"
        ? "The flash is full: close a channel before another one is opened."
        : "The flash is full: close a channel, its space is needed for the others.";
    throw new StoreError("full", message);
  }

  private growthOf(item: Item): number {
    switch (item.kind) {
      case "record": {
        const { record } = this.index.find(item.channelId) ?? {};
        return costOf(item) - (record?.cost ?? 0);
      }
      case "value":
        return (
          (item.bytes.length > 0 ? costOf(item) : 0) - (this.index.valueAt(item.key)?.cost ?? 0)
        );
      case "archive":
        return sizeOf(item);
      default:
        return 0; // windows of references count as full from the start
    }
  }

  private append(items: readonly Item[], payload: Uint8Array): void {
    const address = this.log.append(payload);
    this.index.apply(items, address, this.log.sectorOf(address));
  }

  /** Moves what is live in the oldest sectors to the end of the log until a commit of `bytes` fits. */
  private makeRoom(bytes: number): void {
    const wanted = this.reserve + Math.ceil(bytes / this.log.sectorCapacity) + 1;
    for (let round = 0; this.log.freeSectors < wanted && round < 2 * this.log.sectors; round++) {
      const oldest = this.log.oldest;
      if (oldest === undefined) break;
      this.moveFrom(oldest);
      if (this.index.needs((address) => this.log.sectorOf(address) === oldest)) {
        const message = `${this.name} lost a part of what it stored: restart to learn which channels.`;
        throw new StoreError("corrupt", message);
      }
      this.log.releaseOldest();
    }
  }

  private moveFrom(sector: number): void {
    let batch: Item[] = [];
    let size = 0;
    const flush = () => {
      if (batch.length > 0) this.append(batch, encodeItems(batch));
      batch = [];
      size = 0;
    };
    for (const item of this.liveItems(sector)) {
      batch.push(item);
      size += sizeOf(item);
      if (size >= COPY_BYTES) flush();
    }
    flush();
  }

  private *liveItems(sector: number): Generator<Item> {
    for (const address of this.log.commitsIn(sector)) {
      const payload = this.log.readWhole(address);
      if (!payload) continue;
      for (const item of decoded(payload)) {
        if (!this.index.isLive(item, address)) continue;
        yield item.kind === "record" ? { ...item, copy: true } : item;
      }
    }
    for (const kind of ["credits", "debits"] as const) {
      const longest = COPY_BYTES / REFERENCE_BYTES;
      for (const run of this.index[kind].runsIn(sector, longest)) yield { kind, ...run };
    }
  }
}

function removal(known: IndexedChannel | undefined): readonly Item[] {
  return known ? [{ kind: "remove", handle: known.handle }] : [];
}

/** The payments whose references are new, as one item, and the indices of the others. */
function packedItems(
  kind: "credits" | "debits",
  ring: ReferenceRing,
  payments: Uint8Array | undefined,
): { readonly items: readonly Item[]; readonly duplicates: readonly number[] } {
  const duplicates: number[] = [];
  const fresh: Uint8Array[] = [];
  if (!payments) return { items: [], duplicates };
  assert(payments.length % PACKED_PAYMENT_BYTES === 0, "packed payments have 24 bytes each");
  const seen = new Set<string>();
  for (let at = 0; at < payments.length; at += PACKED_PAYMENT_BYTES) {
    const reference = payments.subarray(at, at + REFERENCE_BYTES);
    const key = toHex(reference);
    if (ring.has(reference) || seen.has(key)) duplicates.push(at / PACKED_PAYMENT_BYTES);
    else fresh.push(reference);
    seen.add(key);
  }
  if (fresh.length === 0) return { items: [], duplicates };
  return { items: [{ kind, first: ring.next, references: concat(...fresh) }], duplicates };
}

function decoded(payload: Uint8Array): readonly Item[] {
  const items = decodeItems(payload);
  if (items) return items;
  const message = "The flash was written by a newer firmware: install that one again.";
  throw new StoreError("newer-format", message);
}

/** After a failed write nobody knows what the flash holds; mounting it again tells. */
function deadBecause(error: unknown, name: string): StoreError {
  if (error instanceof StoreError) return error;
  return new StoreError("io", `${name} failed while writing: restart.`, { cause: error });
}
