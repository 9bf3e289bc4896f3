/** Runs the channels of the leases that this process holds, among several on one database (issue 4 "Store"). */
import type { StoredChannel } from "../../core/ports/store.ts";
import {
  type BlockHeight,
  blockHeight,
  type PublicKey,
  publicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { LeasedStore, LeaseEvents, LeaseTable, Subject, TakenLease } from "../store/lease.ts";

/** The part of a gateway whose channels come and go. */
export interface SharingGateway {
  /** Of the newest block that it has worked on. */
  readonly height: BlockHeight;
  /** Runs the channels of these peers; when it resolves they know all that happened to them on chain. */
  adopt(adopted: Adopted): Promise<void>;
  /** Begins or goes on to end the channels with that peer: true once nothing of them is under way. */
  release(peer: PublicKey): boolean;
  /** What it has in memory of payments counts no more. */
  halt(): void;
  /** What others need to go on with the peer's payments is durable when it resolves. */
  handOver(peer: PublicKey): Promise<void>;
  /** Channels came: others may have waited for them. */
  lookAround(): void;
  /** It is here, or there is something of it to look after while it is away. */
  isNeeded(peer: PublicKey): boolean;
}

export interface Adopted {
  readonly peers: readonly PublicKey[];
  readonly channels: readonly StoredChannel[];
  /** What they know of the chain from here on is to be told again. */
  readonly fromHeight: BlockHeight;
  /** Funding transactions that the former process held back, as it stored them: of these peers and of others. */
  readonly heldFundings: Uint8Array | undefined;
}

export interface LeaseRunnerOptions {
  readonly store: LeasedStore;
  /** Undefined before it runs. */
  gateway(): SharingGateway | undefined;
  /** Another process may run what ran here: nothing is sent any more, and this process must end. */
  onLost(reason: string): void;
  onServed?(peer: PublicKey, isServed: boolean): void;
  /** It called, and its lease is being asked for, or its channels are being read: it comes too early, or that is over. */
  onComing?(peer: PublicKey, isComing: boolean): void;
  onProblem(text: string): void;
}

/** Values of each process (gateway/store/lease.ts). */
const CHAIN_HEIGHT = "chain-height";
const HELD_FUNDINGS = "held-fundings";
/** Of the last blocks that the former process saw, it may have seen another branch. */
const REORGANISED_BLOCKS = 12;
/** As at a start after a long time. */
const LONG_AGO_BLOCKS = 144;
const TRY_AGAIN_MS = 500;
const RELEASE_EVERY_MS = 10;
const PUBLIC_KEY_BYTES = 33;
/** Peers whose lease is being asked for. */
const MAX_WANTED = 4_096;
/** Peers whose channels are read at a time: the first ones are served while the next ones are read. */
const ADOPTED_AT_ONCE = 1_000;
/** Peers that leave at a time: each is without a process until all of them have left. */
const LEAVING_AT_ONCE = 100;

export class LeaseRunner implements LeaseEvents {
  /** Hexadecimal. */
  private readonly served = new Set<string>();
  private readonly leaving = new Set<string>();
  private readonly wanted = new Set<string>();
  /** Whatever comes while others are read is read together. */
  private coming: TakenLease[] = [];
  private gone: PublicKey[] = [];
  private isReady: () => void = () => {};
  /** What comes before the gateway runs waits for it. */
  private turn = new Promise<void>((done) => {
    this.isReady = done;
  });
  private stopped = false;
  private readonly leases: LeaseTable;

  constructor(private readonly options: LeaseRunnerOptions) {
    this.leases = options.store.leases;
    for (const peer of this.leases.held()) if (isPeer(peer)) this.serve(publicKey(peer));
  }

  /** As soon as the store is open: whoever is not heard of is dead to the others, however long its start takes. */
  beginBeating(): void {
    this.leases.start(this);
  }

  /** The gateway runs. */
  start(): void {
    this.isReady();
  }

  /** For Node: a peer whose lease is not ours is turned away, and its lease asked for; it comes again. */
  servesPeer(peer: PublicKey): boolean {
    const key = toHex(peer);
    if (this.served.has(key)) return this.leases.isHeld(peer);
    if (!this.stopped && !this.leaving.has(key)) void this.want(peer);
    return false;
  }

  isServed(peer: PublicKey): boolean {
    return this.served.has(toHex(peer));
  }

  /** A peer without channels that went away needs no lease. */
  peerGone(peer: PublicKey): void {
    if (this.stopped || !this.isServed(peer)) return;
    this.gone.push(peer);
    if (this.gone.length > 1) return;
    this.inTurn(async () => {
      const peers = this.gone.filter((one) => this.isServed(one) && !this.gateway.isNeeded(one));
      this.gone = [];
      await this.giveAway(peers);
    });
  }

  taken(leases: readonly TakenLease[]): void {
    this.coming.push(...leases);
    if (this.coming.length > leases.length) return;
    this.inTurn(async () => {
      while (this.coming.length > 0 && !this.stopped) {
        await this.adopt(this.coming.splice(0, ADOPTED_AT_ONCE));
      }
    });
  }

  /** By then nothing can be stored, hence nothing signed: what is in memory must not be believed any more. */
  lost(subjects: readonly Subject[], reason: string): void {
    this.stopped = true;
    const gateway = this.options.gateway();
    gateway?.halt();
    for (const subject of subjects) {
      if (!isPeer(subject)) continue;
      this.unserve(publicKey(subject));
      gateway?.release(publicKey(subject));
    }
    this.options.onLost(reason);
  }

  asked(subjects: readonly Subject[]): void {
    this.inTurn(async () => {
      await this.leases.release(subjects.filter((subject) => !isPeer(subject)));
      const peers = subjects.filter(isPeer).map((peer) => publicKey(peer));
      for (let at = 0; at < peers.length && !this.stopped; at += LEAVING_AT_ONCE) {
        await this.giveAway(peers.slice(at, at + LEAVING_AT_ONCE));
      }
    });
  }

  /** The leases themselves are given back when the store is closed. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.isReady();
    await this.turn;
  }

  private get gateway(): SharingGateway {
    const gateway = this.options.gateway();
    if (!gateway) throw new Error("the gateway does not run yet");
    return gateway;
  }

  private async giveAway(peers: readonly PublicKey[]): Promise<void> {
    const keys = peers.map(toHex);
    for (const key of keys) this.leaving.add(key);
    for (const peer of peers) this.unserve(peer);
    try {
      await Promise.all(peers.map((peer) => this.end(peer)));
      if (!this.stopped) await this.leases.release(peers);
    } catch (cause) {
      // Half given away they would be nobody's: a new start reads how things stand.
      this.lost([], `leases could not be given away: ${messageOf(cause)}`);
    } finally {
      for (const key of keys) this.leaving.delete(key);
    }
  }

  private async end(peer: PublicKey): Promise<void> {
    const { gateway } = this;
    while (!gateway.release(peer) && !this.stopped) await pause(RELEASE_EVERY_MS);
    if (!this.stopped) await gateway.handOver(peer);
  }

  private async want(peer: PublicKey): Promise<void> {
    const key = toHex(peer);
    if (this.wanted.has(key) || this.wanted.size >= MAX_WANTED) return;
    this.wanted.add(key);
    this.options.onComing?.(peer, true);
    let isTaken = false;
    try {
      isTaken = await this.leases.acquire(peer); // `taken` follows
    } catch {
      // The peer comes again, and so does the database.
    } finally {
      this.wanted.delete(key);
      if (!isTaken) this.options.onComing?.(peer, false);
    }
  }

  /** In groups of one former process: each had come to a height of its own. */
  private async adopt(leases: readonly TakenLease[]): Promise<void> {
    const formers = new Set(leases.map(({ from }) => from));
    for (const from of formers) {
      const subjects = leases.filter((one) => one.from === from).map(({ subject }) => subject);
      for (;;) {
        if (this.stopped) return;
        try {
          await this.adoptFrom(subjects, from);
          break;
        } catch (cause) {
          this.options.onProblem(`taking channels over: ${messageOf(cause)}; tried again`);
          await pause(TRY_AGAIN_MS);
        }
      }
    }
  }

  private async adoptFrom(subjects: readonly Subject[], from: string | undefined): Promise<void> {
    const { store } = this.options;
    const { gateway } = this;
    const held = subjects.filter((subject) => isPeer(subject) && this.leases.isHeld(subject));
    const peers = held.map((subject) => publicKey(new Uint8Array(subject)));
    await gateway.adopt({
      peers,
      channels: await store.loadOf(peers),
      fromHeight: await this.heightToReadFrom(from),
      heldFundings: from === undefined ? undefined : await store.valueOf(from, HELD_FUNDINGS),
    });
    if (this.stopped) return;
    for (const peer of peers) if (this.leases.isHeld(peer)) this.serve(peer);
    gateway.lookAround();
  }

  private async heightToReadFrom(from: string | undefined): Promise<BlockHeight> {
    const { height } = this.gateway;
    const bytes = from && (await this.options.store.valueOf(from, CHAIN_HEIGHT));
    const known = bytes
      ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0)
      : (height as number);
    const seen = Math.min(known, height);
    const margin = height - seen > REORGANISED_BLOCKS ? LONG_AGO_BLOCKS : REORGANISED_BLOCKS;
    return blockHeight(Math.max(1, seen + 1 - margin));
  }

  private serve(peer: PublicKey): void {
    this.served.add(toHex(peer));
    this.options.onServed?.(peer, true);
  }

  private unserve(peer: PublicKey): void {
    if (this.served.delete(toHex(peer))) this.options.onServed?.(peer, false);
  }

  private inTurn(work: () => Promise<void>): void {
    this.turn = this.turn.then(async () => {
      if (this.stopped) return;
      try {
        await work();
      } catch (cause) {
        this.options.onProblem(`leases: ${messageOf(cause)}`);
      }
    });
  }
}

function isPeer(subject: Subject): boolean {
  return subject.length === PUBLIC_KEY_BYTES;
}

function pause(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
