/** Keeps blobs for peers that have a channel with us, and gives each its own back when it connects (BOLT 1 "peer_storage"). */
import type { Message } from "../../core/messages/message.ts";
import { MAX_STORED_BYTES } from "../../core/messages/storage.ts";
import type { Node } from "../../core/node/node.ts";
import type { Store } from "../../core/ports/store.ts";
import { type ChannelId, channelId, type PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";

export interface PeerStoragePorts {
  readonly store: Pick<Store, "getValue" | "setValue">;
  node(): Pick<Node, "channels" | "contextOf" | "record" | "sendService">;
  /** A peer gave our own blob back; empty where it has none. */
  onReturned(peer: PublicKey, blob: Uint8Array): void;
  onProblem(text: string): void;
}

/** A blob of full size is kept for channels of so much together: to fill our disk is then dearer than the disk. */
const FULL_SIZE_SAT = 100_000;
const SMALL_BYTES = 4_000;
/** Of one peer; what comes sooner replaces what waits. */
const WRITE_EVERY_MS = 10_000;
const ALL_CHANNELS = channelId(new Uint8Array(32));

interface Shelf {
  writtenAtMs: number;
  /** What was given to the store last. */
  writing: Promise<void>;
  waiting: Uint8Array | undefined;
}

export class PeerStorage {
  private readonly shelves = new Map<string, Shelf>();
  /** Peers of whom a channel has ended. */
  private readonly leaving = new Map<string, PublicKey>();
  private nowMs = 0;

  constructor(private readonly ports: PeerStoragePorts) {}

  /** Connected peers with a channel, who may keep a blob of `bytes` for us. */
  isHolder(peer: PublicKey, bytes: number): boolean {
    return this.negotiatedWith(peer)?.provideStorage === true && this.takes(peer, bytes);
  }

  async connected(peer: PublicKey): Promise<void> {
    if (this.negotiatedWith(peer)?.provideStorage !== true) return;
    try {
      const found = this.kept(peer);
      // Where the store answers at once, so do we: nothing of a channel goes before it.
      const kept = found instanceof Promise ? await found : found;
      const blob = kept ?? new Uint8Array(0);
      // Sent all the same it would end the session, and the next one too.
      if (!this.takes(peer, blob.length)) {
        this.warn(peer, `of yours a blob of ${blob.length} bytes is kept here, and you take less`);
        return;
      }
      this.ports.node().sendService(peer, { type: "peer_storage_retrieval", blob });
    } catch (cause) {
      this.ports.onProblem(`a peer's stored blob cannot be read: ${(cause as Error).message}`);
    }
  }

  /** Undefined where it left nothing. */
  async keptFor(peer: PublicKey): Promise<Uint8Array | undefined> {
    const blob = await this.kept(peer);
    return blob && blob.length > 0 ? blob : undefined;
  }

  /** Whether the message was about storage. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type === "peer_storage_retrieval") {
      this.ports.onReturned(peer, message.blob.slice());
      return true;
    }
    if (message.type !== "peer_storage") return false;
    const most = this.quotaOf(peer);
    if (message.blob.length > most) {
      const has = `yours has ${message.blob.length}, and the last one stays`;
      this.warn(peer, `of a blob for you ${most} bytes are kept here: ${has}`);
      return true;
    }
    const shelf = this.shelfOf(peer);
    shelf.waiting = message.blob.slice();
    this.writeIfDue(toHex(peer), shelf);
    return true;
  }

  /** A channel that ended for good may have been the last one with its peer. */
  channelEnded(id: ChannelId): void {
    const peer = this.ports.node().record(id)?.remoteNodeId;
    if (peer) this.leaving.set(toHex(peer), peer);
  }

  tick(nowMs: number): void {
    this.nowMs = nowMs;
    for (const [name, peer] of this.leaving) {
      this.leaving.delete(name);
      if (this.ports.node().channels(peer).length > 0) continue;
      this.shelves.delete(name);
      void this.write(name, new Uint8Array(0));
    }
    for (const [name, shelf] of this.shelves) this.writeIfDue(name, shelf);
  }

  /** Another process serves this peer as soon as it resolves: it reads what came last, and this one writes no more. */
  async handOver(peer: PublicKey): Promise<void> {
    const name = toHex(peer);
    const shelf = this.shelves.get(name);
    if (!shelf) return;
    this.shelves.delete(name);
    await shelf.writing;
    if (shelf.waiting) await this.write(name, shelf.waiting);
  }

  /** Everything is written. */
  async stop(): Promise<void> {
    for (const [name, { waiting }] of this.shelves) if (waiting) await this.write(name, waiting);
    this.shelves.clear();
  }

  private kept(peer: PublicKey): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    return this.shelves.get(toHex(peer))?.waiting ?? this.ports.store.getValue(keyOf(peer));
  }

  private writeIfDue(name: string, shelf: Shelf): void {
    const { waiting } = shelf;
    if (!waiting || this.nowMs < shelf.writtenAtMs + WRITE_EVERY_MS) return;
    shelf.writtenAtMs = this.nowMs;
    shelf.waiting = undefined;
    shelf.writing = this.write(name, waiting);
  }

  private async write(name: string, blob: Uint8Array): Promise<void> {
    try {
      await this.ports.store.setValue(`${KEY}${name}`, blob);
    } catch (cause) {
      this.ports.onProblem(`a peer's blob was not stored: ${(cause as Error).message}`);
    }
  }

  private shelfOf(peer: PublicKey): Shelf {
    const name = toHex(peer);
    const known = this.shelves.get(name);
    if (known) return known;
    const made: Shelf = {
      writtenAtMs: Number.NEGATIVE_INFINITY,
      writing: Promise.resolve(),
      waiting: undefined,
    };
    this.shelves.set(name, made);
    return made;
  }

  /** Bytes; rule `bounded`. */
  private quotaOf(peer: PublicKey): number {
    const channels = this.ports.node().channels(peer);
    let capacitySat = 0;
    let isAny = false;
    for (const { channel } of channels) {
      if (channel.kind !== "live") continue;
      isAny = true;
      capacitySat += channel.record.terms.fundingSatoshis;
    }
    if (!isAny) return 0;
    return capacitySat >= FULL_SIZE_SAT ? MAX_STORED_BYTES : SMALL_BYTES;
  }

  private warn(peer: PublicKey, data: string): void {
    this.ports.node().sendService(peer, { type: "warning", channelId: ALL_CHANNELS, data });
  }

  /** Its `init` said so. */
  private takes(peer: PublicKey, blobBytes: number): boolean {
    const most = this.negotiatedWith(peer)?.remoteMaxMessageBytes ?? 0;
    return most >= blobBytes + MESSAGE_BYTES;
  }

  private negotiatedWith(peer: PublicKey) {
    const node = this.ports.node();
    const [first] = node.channels(peer);
    return first && node.contextOf(first.id)?.negotiated;
  }
}

const KEY = "peer-storage ";
/** Of a message around a blob. */
const MESSAGE_BYTES = 8;

function keyOf(peer: PublicKey): string {
  return `${KEY}${toHex(peer)}`;
}
