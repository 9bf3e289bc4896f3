/** What devices have watched, and what was found of it: kept over restarts, since a device may be away for months (docs/PROTOCOL.md "Chain service"). */
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Store } from "../../core/ports/store.ts";
import { type PublicKey, publicKey, type Txid, txid } from "../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../core/primitives/bytes.ts";
import {
  outpointKey,
  sameOutpoint,
  type Transaction,
} from "../../core/transactions/transaction.ts";
import { readList } from "../store/stored-list.ts";

/** Outpoints that one device may have watched. */
export const MAX_WATCHES_PER_DEVICE = 1024;
/** Devices whose watches are kept. */
export const MAX_DEVICES = 20_000;
/** Outputs are followed on behalf of a sleeping device: those of what ended its channel, and of what spent those. */
const MAX_DEPTH = 2;
/** An outpoint is made by one transaction and spent by one. */
const MAX_FOUND = 2;
const READ_TOGETHER = 1_000;
const DEVICES_KEY = "chain-service/devices";

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
  /** Of the device, in which it named this last: one of this process. */
  visit?: number;
}

interface KeptWatch extends Watch {
  /** Node id in hexadecimal. */
  readonly device: string;
}

export interface WatchesOptions {
  readonly store: Store;
  /** From now on blocks are searched for it. */
  onWatch(watch: Watch): void;
  /** Devices that are known otherwise: taken for watching ones where the list of those is damaged. */
  known?(): readonly PublicKey[];
  onProblem(text: string): void;
}

export class DevicesWatches {
  /** By the device's node id in hexadecimal. Lists, not maps: there are thousands, and most have one watch. */
  private readonly devices = new Map<string, readonly KeptWatch[]>();
  private readonly byOutpoint = new Map<string, readonly KeptWatch[]>();
  private storing: Promise<void> = Promise.resolve();
  /** Asked for while another one is under way. */
  private nextStoring: Promise<void> | undefined;

  constructor(private readonly options: WatchesOptions) {}

  /** What devices had watched before the gateway was restarted; those that are served elsewhere by now are not ours. */
  async load(serves: (device: PublicKey) => boolean = () => true): Promise<void> {
    const { store, onProblem, known } = this.options;
    const { items, isDamaged } = await readList(store, onProblem, {
      key: DEVICES_KEY,
      what: "the list of devices that have something watched on chain",
      advice:
        "Devices with a channel here are served all the same; any other is served again when it connects: wake those whose channels are with each other.",
      read: (id) => publicKey((id as Uint8Array).slice()),
    });
    const others = isDamaged ? (known?.() ?? []) : [];
    const devices = new Map([...items, ...others].map((device) => [toHex(device), device]));
    await this.readAll([...devices.values()].filter(serves));
  }

  /** Devices that another process served until now. */
  async takeOver(devices: readonly PublicKey[]): Promise<void> {
    const before = this.devices.size;
    await this.readAll(devices);
    if (this.devices.size > before) await this.storeDevices();
  }

  /** It is served elsewhere. What was asked of the chain goes on being asked for. */
  drop(device: PublicKey): void {
    const watches = this.of(device);
    this.devices.delete(toHex(device));
    for (const watch of watches) this.unlist(watch);
  }

  /** Asked for together: a store may read them by one query. */
  private async readAll(devices: readonly PublicKey[]): Promise<void> {
    for (let at = 0; at < devices.length; at += READ_TOGETHER) {
      const some = devices.slice(at, at + READ_TOGETHER);
      const all = await Promise.all(some.map((device) => this.read(device)));
      for (const [i, device] of some.entries()) {
        // One whose list is damaged is served like the others: what it entrusted goes on.
        if (all[i]?.isDamaged) this.makePlace(toHex(device));
        for (const watch of all[i]?.items ?? []) this.add(device, watch);
      }
    }
  }

  private read(device: PublicKey) {
    const { store, onProblem } = this.options;
    return readList(store, onProblem, {
      key: keyOfDevice(device),
      what: `the list of what device ${toHex(device)} has watched on chain`,
      advice:
        "What of it cannot be read is not looked for until the device has connected and names it anew: wake it.",
      read: (item) => watchOf(item as readonly CborValue[]),
    });
  }

  all(): readonly PublicKey[] {
    return [...this.devices.keys()].map((device) => publicKey(fromHex(device)));
  }

  has(device: PublicKey): boolean {
    return this.devices.has(toHex(device));
  }

  of(device: PublicKey): readonly KeptWatch[] {
    return this.devices.get(toHex(device)) ?? [];
  }

  get(device: PublicKey, outpoint: Outpoint): Watch | undefined {
    return this.of(device).find((watch) => sameOutpoint(watch.outpoint, outpoint));
  }

  /** False where it is watched already, or where there is no room: `isStale` names what may give way. */
  add(id: PublicKey, watch: Watch, isStale: (other: Watch) => boolean = () => false): boolean {
    if (this.get(id, watch.outpoint)) return false;
    const watches = this.of(id);
    const device = watches[0]?.device ?? toHex(id);
    if (!this.makePlace(device)) return false;
    const isFull = watches.length >= MAX_WATCHES_PER_DEVICE;
    const leaving = isFull && watches.find((one) => one.depth === 0 && isStale(one));
    if (isFull && !leaving) return false;
    if (leaving) this.unlist(leaving);
    const kept: KeptWatch = Object.assign(watch, { device });
    this.devices.set(device, watches.filter((one) => one !== leaving).concat(kept));
    const key = outpointKey(watch.outpoint);
    this.byOutpoint.set(key, (this.byOutpoint.get(key) ?? []).concat(kept));
    this.options.onWatch(watch);
    return true;
  }

  /** Notes what was found; the devices that are to be told. */
  found(transaction: Transaction, found: Found): readonly PublicKey[] {
    const concerned = new Set<string>();
    const note = (outpoint: Outpoint, isSpent: boolean) => {
      for (const watch of this.byOutpoint.get(outpointKey(outpoint)) ?? []) {
        concerned.add(watch.device);
        const others = watch.found.filter((one) => !equal(one.txid, found.txid));
        watch.found = [...others, found].slice(-MAX_FOUND);
        if (isSpent && watch.depth < MAX_DEPTH) this.follow(transaction, found, watch);
      }
    };
    for (const { outpoint } of transaction.inputs) note(outpoint, true);
    transaction.outputs.forEach((_, vout) => {
      note({ txid: found.txid, vout }, false);
    });
    return [...concerned].map((device) => publicKey(fromHex(device)));
  }

  /** The blocks from `height` on are gone; the devices that had found something in them. */
  forget(height: number): readonly PublicKey[] {
    const concerned: PublicKey[] = [];
    for (const [device, watches] of this.devices) {
      let changed = false;
      for (const watch of watches) {
        const left = watch.found.filter((one) => one.height < height);
        if (left.length === watch.found.length) continue;
        watch.found = left;
        changed = true;
      }
      if (changed) concerned.push(publicKey(fromHex(device)));
    }
    return concerned;
  }

  /** What is served elsewhere by now is not ours to write. */
  async store(device: PublicKey): Promise<void> {
    if (!this.devices.has(toHex(device))) return;
    const entries = this.of(device).map(({ outpoint, script, depth, found }) => [
      outpoint.txid,
      outpoint.vout,
      script ?? null,
      depth,
      found.map((one) => [one.txid, one.height]),
    ]);
    await this.options.store.setValue(keyOfDevice(device), encodeCbor(entries));
  }

  /** False where too many devices have theirs. */
  private makePlace(device: string): boolean {
    if (this.devices.has(device)) return true;
    if (this.devices.size >= MAX_DEVICES) return false;
    this.devices.set(device, []);
    return true;
  }

  /** Before the first watch of a device is stored under its name. Devices that come together are written together. */
  storeDevices(): Promise<void> {
    this.nextStoring ??= this.storing.then(async () => {
      this.nextStoring = undefined;
      const ids = encodeCbor([...this.all()]);
      const stored = Promise.resolve(this.options.store.setValue(DEVICES_KEY, ids));
      this.storing = stored.catch(() => {});
      await stored;
    });
    return this.nextStoring;
  }

  private follow({ outputs }: Transaction, found: Found, { device, depth }: KeptWatch): void {
    outputs.forEach((_, vout) => {
      const outpoint = { txid: found.txid, vout };
      const watch = { outpoint, script: undefined, depth: depth + 1, found: [] };
      this.add(publicKey(fromHex(device)), watch);
    });
  }

  private unlist(watch: KeptWatch): void {
    const key = outpointKey(watch.outpoint);
    const others = (this.byOutpoint.get(key) ?? []).filter((one) => one !== watch);
    if (others.length === 0) this.byOutpoint.delete(key);
    else this.byOutpoint.set(key, others);
  }
}

function keyOfDevice(device: PublicKey): string {
  return `chain-service/device/${toHex(device)}`;
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
