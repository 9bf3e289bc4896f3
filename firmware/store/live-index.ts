/** Where the newest copy of everything stands in the flash log; rebuilt at mount, kept in memory. */
import { REFERENCE_BYTES } from "../../core/node/reference-set.ts";
import { ByteMap } from "../../core/primitives/byte-map.ts";
import { assert, unreachable } from "../../core/primitives/errors.ts";
import { costOf, type Item, sizeOf } from "./log-items.ts";
import { MAX_WINDOW, ReferenceRing } from "./reference-ring.ts";

interface Place {
  readonly address: number;
  /** Flash that it takes when it is copied. */
  readonly cost: number;
}

export interface IndexedChannel {
  readonly handle: number;
  /** Undefined while only archive entries were met: their record follows in the log. */
  channelId: Uint8Array | undefined;
  record: Place | undefined;
  readonly archive: Map<number, Place>;
  nextArchive: number;
  /** A commit that the flash lost may have held a newer record of this channel. */
  suspect: boolean;
}

/**
 * HTLCs of revoked commitments that are remembered for each channel (policy `maxArchivedHtlcs`): a peer that adds and
 * removes HTLCs all day fills no flash (rule `bounded`).
 */
export const MAX_ARCHIVED_HTLCS = 512;
/** Flash that a reference takes, its share of headers included, at worst. */
const REFERENCE_COST = REFERENCE_BYTES + 4;

export class LiveIndex {
  readonly credits: ReferenceRing;
  readonly debits: ReferenceRing;
  private readonly channels = new Map<number, IndexedChannel>();
  private readonly handles = new ByteMap<number>();
  private readonly values = new Map<string, Place>();
  private nextHandle = 1;
  private live: number;
  private lossSeen = false;

  constructor(window: number) {
    assert(window > 0 && window <= MAX_WINDOW, "the window of references is out of range");
    this.live = 2 * window * REFERENCE_COST;
    this.credits = new ReferenceRing(window);
    this.debits = new ReferenceRing(window);
  }

  find(channelId: Uint8Array): IndexedChannel | undefined {
    const handle = this.handles.get(channelId);
    return handle === undefined ? undefined : this.channels.get(handle);
  }

  /** Channels with a record, in the order in which they were opened. */
  all(): readonly IndexedChannel[] {
    const whole = [...this.channels.values()].filter((channel) => channel.record);
    return whole.sort((a, b) => a.handle - b.handle);
  }

  valueAt(key: string): Place | undefined {
    return this.values.get(key);
  }

  get valueKeys(): readonly string[] {
    return [...this.values.keys()];
  }

  newHandle(): number {
    return this.nextHandle;
  }

  /** Flash that all live items take; references count as many as the windows can hold. */
  get liveBytes(): number {
    return this.live;
  }

  /** Whether the newest copy of anything stands in a commit that begins in `sector`. */
  needs(isInSector: (address: number) => boolean): boolean {
    for (const place of this.values.values()) if (isInSector(place.address)) return true;
    for (const channel of this.channels.values()) {
      if (channel.record && isInSector(channel.record.address)) return true;
      for (const place of channel.archive.values()) if (isInSector(place.address)) return true;
    }
    return false;
  }

  apply(items: readonly Item[], address: number, sector: number): void {
    for (const item of items) this.applyOne(item, address, sector);
  }

  /** Every channel may miss a newer record that the flash lost, until one is met that was written later. */
  suspectAll(): void {
    this.lossSeen = true;
    for (const channel of this.channels.values()) channel.suspect = true;
  }

  /** Whether `item`, found at `address`, is the newest copy; references are asked of their rings. */
  isLive(item: Item, address: number): boolean {
    switch (item.kind) {
      case "record":
        return this.channels.get(item.handle)?.record?.address === address;
      case "archive":
        return this.channels.get(item.handle)?.archive.get(item.index)?.address === address;
      case "value":
        return this.values.get(item.key)?.address === address;
      case "remove": // whatever it removes is older, hence gone before it
      case "credits":
      case "debits":
        return false;
      default:
        return unreachable(item);
    }
  }

  private applyOne(item: Item, address: number, sector: number): void {
    switch (item.kind) {
      case "record": {
        const channel = this.channel(item.handle);
        channel.channelId = item.channelId;
        channel.record = this.moved(channel.record, { address, cost: costOf(item) });
        if (!item.copy) channel.suspect = false;
        if (this.handles.get(item.channelId) !== item.handle) {
          this.handles.set(item.channelId, item.handle);
        }
        return;
      }
      case "archive": {
        const channel = this.channel(item.handle);
        if (item.index < channel.nextArchive - MAX_ARCHIVED_HTLCS) return;
        const place = { address, cost: sizeOf(item) };
        channel.archive.set(item.index, this.moved(channel.archive.get(item.index), place));
        const next = Math.max(channel.nextArchive, item.index + 1);
        const kept = next - MAX_ARCHIVED_HTLCS;
        for (let i = channel.nextArchive - MAX_ARCHIVED_HTLCS; i < kept; i++) this.drop(channel, i);
        channel.nextArchive = next;
        return;
      }
      case "remove": {
        const channel = this.channels.get(item.handle);
        if (channel) this.forget(channel);
        return;
      }
      case "credits":
      case "debits":
        for (let at = 0, i = item.first; at < item.references.length; i++) {
          const end = at + REFERENCE_BYTES;
          this[item.kind].put(i, item.references.subarray(at, end), sector);
          at = end;
        }
        return;
      case "value":
        this.applyValue(
          item.key,
          item.bytes.length > 0 ? { address, cost: costOf(item) } : undefined,
        );
        return;
      default:
        unreachable(item);
    }
  }

  /** An empty one removes: as with channels, whatever it removes is older, and gone from the flash before it. */
  private applyValue(key: string, place: Place | undefined): void {
    const before = this.values.get(key);
    if (place) this.values.set(key, this.moved(before, place));
    else if (before) {
      this.live -= before.cost;
      this.values.delete(key);
    }
  }

  private moved(from: Place | undefined, to: Place): Place {
    this.live += to.cost - (from?.cost ?? 0);
    return to;
  }

  private drop(channel: IndexedChannel, index: number): void {
    this.live -= channel.archive.get(index)?.cost ?? 0;
    channel.archive.delete(index);
  }

  private forget(channel: IndexedChannel): void {
    this.live -= channel.record?.cost ?? 0;
    for (const place of channel.archive.values()) this.live -= place.cost;
    if (channel.channelId) this.handles.delete(channel.channelId);
    this.channels.delete(channel.handle);
  }

  private channel(handle: number): IndexedChannel {
    const known = this.channels.get(handle);
    if (known) return known;
    this.nextHandle = Math.max(this.nextHandle, handle + 1);
    const channel: IndexedChannel = {
      handle,
      channelId: undefined,
      record: undefined,
      archive: new Map(),
      nextArchive: 0,
      suspect: this.lossSeen,
    };
    this.channels.set(handle, channel);
    return channel;
  }
}
