/** What devices have watched, and what was found of it: kept over restarts, since a device may be away for months (docs/PROTOCOL.md "Chain service"). */
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Store } from "../../core/ports/store.ts";
import { type PublicKey, publicKey, type Txid, txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { outpointKey, type Transaction } from "../../core/transactions/transaction.ts";

/** Outpoints that one device may have watched. */
export const MAX_WATCHES_PER_DEVICE = 1024;
/** Devices whose watches are kept. */
export const MAX_DEVICES = 20_000;
/** Outputs are followed on behalf of a sleeping device: those of what ended its channel, and of what spent those. */
const MAX_DEPTH = 2;
/** An outpoint is made by one transaction and spent by one. */
const MAX_FOUND = 2;
const DEVICES_KEY = "chain-service/devices";
const LIMITS = { maxDepth: 6, maxItems: 10_000_000 };

/** Where a transaction stands that creates or spends a watched outpoint. */
export interface Found {
  readonly txid: Txid;
  readonly height: number;
}

export interface Watch {
  readonly outpoint: Outpoint;
  readonly script: Uint8Array | undefined;
  /** 0 where the device asked for it. */
  readonly depth: number;
  found: readonly Found[];
}

interface DeviceWatches {
  readonly device: PublicKey;
  readonly watches: Map<string, Watch>;
}

export interface WatchesOptions {
  readonly store: Store;
  /** From now on blocks are searched for it. */
  onWatch(watch: Watch): void;
}

export class DevicesWatches {
  /** By the device's node id in hexadecimal. */
  private readonly devices = new Map<string, DeviceWatches>();
  private readonly byOutpoint = new Map<string, Set<DeviceWatches>>();

  constructor(private readonly options: WatchesOptions) {}

  /** What devices had watched before the gateway was restarted. */
  async load(): Promise<void> {
    const { store } = this.options;
    const ids = await store.getValue(DEVICES_KEY);
    if (!ids) return;
    for (const id of decoded(ids) as readonly Uint8Array[]) {
      const device = publicKey(id.slice());
      const stored = await store.getValue(keyOfDevice(device));
      if (!stored) continue;
      for (const item of decoded(stored)) this.add(device, watchOf(item as readonly CborValue[]));
    }
  }

  of(device: PublicKey): ReadonlyMap<string, Watch> {
    return this.devices.get(toHex(device))?.watches ?? new Map();
  }

  /** False where it is watched already, or where there is no room: `isStale` names what may give way. */
  add(device: PublicKey, watch: Watch, isStale: (key: string) => boolean = () => false): boolean {
    const key = outpointKey(watch.outpoint);
    const of = this.deviceOf(device);
    if (!of || of.watches.has(key)) return false;
    if (of.watches.size >= MAX_WATCHES_PER_DEVICE && !this.makeRoom(of, isStale)) return false;
    of.watches.set(key, watch);
    const all = this.byOutpoint.get(key) ?? new Set();
    this.byOutpoint.set(key, all.add(of));
    this.options.onWatch(watch);
    return true;
  }

  /** Notes what was found; the devices that are to be told. */
  found(transaction: Transaction, found: Found): readonly PublicKey[] {
    const concerned = new Set<DeviceWatches>();
    const note = (outpoint: Outpoint, isSpent: boolean) => {
      for (const of of this.byOutpoint.get(outpointKey(outpoint)) ?? []) {
        const watch = of.watches.get(outpointKey(outpoint));
        if (!watch) continue;
        concerned.add(of);
        const others = watch.found.filter((one) => !equal(one.txid, found.txid));
        watch.found = [...others, found].slice(-MAX_FOUND);
        if (isSpent && watch.depth < MAX_DEPTH) this.follow(of, transaction, found, watch);
      }
    };
    for (const { outpoint } of transaction.inputs) note(outpoint, true);
    transaction.outputs.forEach((_, vout) => {
      note({ txid: found.txid, vout }, false);
    });
    return [...concerned].map(({ device }) => device);
  }

  /** The blocks from `height` on are gone; the devices that had found something in them. */
  forget(height: number): readonly PublicKey[] {
    const concerned: PublicKey[] = [];
    for (const { device, watches } of this.devices.values()) {
      let changed = false;
      for (const watch of watches.values()) {
        const left = watch.found.filter((one) => one.height < height);
        if (left.length === watch.found.length) continue;
        watch.found = left;
        changed = true;
      }
      if (changed) concerned.push(device);
    }
    return concerned;
  }

  async store(device: PublicKey): Promise<void> {
    const entries = [...this.of(device).values()].map(({ outpoint, script, depth, found }) => [
      outpoint.txid,
      outpoint.vout,
      script ?? null,
      depth,
      found.map((one) => [one.txid, one.height]),
    ]);
    await this.options.store.setValue(keyOfDevice(device), encodeCbor(entries));
  }

  private deviceOf(device: PublicKey): DeviceWatches | undefined {
    const known = this.devices.get(toHex(device));
    if (known) return known;
    if (this.devices.size >= MAX_DEVICES) return undefined;
    const of = { device, watches: new Map<string, Watch>() };
    this.devices.set(toHex(device), of);
    return of;
  }

  /** Before the first watch of a device is stored under its name. */
  async storeDevices(): Promise<void> {
    const ids = [...this.devices.values()].map(({ device }) => device);
    await this.options.store.setValue(DEVICES_KEY, encodeCbor(ids));
  }

  private follow(
    of: DeviceWatches,
    { outputs }: Transaction,
    found: Found,
    { depth }: Watch,
  ): void {
    outputs.forEach((_, vout) => {
      const outpoint = { txid: found.txid, vout };
      this.add(of.device, { outpoint, script: undefined, depth: depth + 1, found: [] });
    });
  }

  private makeRoom(of: DeviceWatches, isStale: (key: string) => boolean): boolean {
    for (const [key, { depth }] of of.watches) {
      if (depth > 0 || !isStale(key)) continue;
      of.watches.delete(key);
      this.byOutpoint.get(key)?.delete(of);
      return true;
    }
    return false;
  }
}

function keyOfDevice(device: PublicKey): string {
  return `chain-service/device/${toHex(device)}`;
}

function decoded(bytes: Uint8Array): readonly CborValue[] {
  return decodeCbor(bytes, { ...LIMITS, maxBytes: bytes.length }) as readonly CborValue[];
}

function watchOf(item: readonly CborValue[]): Watch {
  const [id, vout, script, depth, found] = item as [
    Uint8Array,
    number,
    Uint8Array | null,
    number,
    readonly (readonly [Uint8Array, number])[],
  ];
  return {
    outpoint: { txid: txid(id.slice()), vout },
    script: script?.slice(),
    depth,
    found: found.map(([one, height]) => ({ txid: txid(one.slice()), height })),
  };
}
