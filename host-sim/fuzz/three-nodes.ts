/** Three whole nodes in a line, Alice – Bob – Carol, on links in memory and a chain that only counts: what a fuzzer plays with. */

import type { ChannelEvent } from "../../core/channel/effects.ts";
import { hostPolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Node } from "../../core/node/node.ts";
import type { Link } from "../../core/ports/link.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  satoshi,
} from "../../core/primitives/brands.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { serializeTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { channelFeatures } from "../../gateway/gateway-features.ts";
import { promise } from "./target.ts";

export const crypto = chooseCrypto();
export const FUNDING_SAT = 1_000_000;
const START_HEIGHT = 100;
const FEATURES = channelFeatures;
const PUSHED_MSAT = 400_000_000;
const STEP_MS = 200;

interface FuzzEnd extends Link {
  peer: FuzzEnd | undefined;
}

/** Frames under way between two nodes, in one queue for both directions. */
export class Wire {
  readonly queue: { readonly to: FuzzEnd; bytes: Uint8Array }[] = [];
  readonly ends: readonly [FuzzEnd, FuzzEnd];

  constructor() {
    const end = (name: string): FuzzEnd => ({
      name,
      kind: "stream",
      peer: undefined,
      onBytes: () => {},
      onClosed: () => {},
      send(bytes) {
        if (this.peer) queue.push({ to: this.peer, bytes: bytes.slice() });
      },
      close() {
        this.onClosed("closed");
      },
    });
    const { queue } = this;
    this.ends = [end("left"), end("right")];
    this.ends[0].peer = this.ends[1];
    this.ends[1].peer = this.ends[0];
  }

  pump(most: number): number {
    let count = 0;
    for (; count < most; count++) {
      const next = this.queue.shift();
      if (!next) break;
      next.to.onBytes(next.bytes);
    }
    return count;
  }

  cut(): void {
    this.queue.length = 0;
    for (const end of this.ends) {
      end.peer = undefined;
      end.onClosed("cut");
    }
  }
}

/** One of them, with what it said. */
export class Party {
  node!: Node;
  readonly events: { readonly id: ChannelId; readonly event: ChannelEvent }[] = [];
  readonly alarms: string[] = [];
  readonly signer: SeedSigner;
  store = new MemoryStore();
  private drawn = 0;

  constructor(readonly seed: number) {
    this.signer = new SeedSigner(crypto, new Uint8Array(32).fill(seed));
  }

  async start(height: number, nowMs: number): Promise<void> {
    this.node = await Node.start(
      {
        crypto,
        signer: this.signer,
        store: this.store,
        entropy: {
          random: (length) => {
            const next = ++this.drawn;
            const hash = crypto.sha256(Uint8Array.of(this.seed, next >> 8, next & 255));
            return hash.slice(0, length);
          },
        },
        chain: { watch: () => {}, publish: () => {}, publishClose: () => {} },
        chainHash: new Uint8Array(32).fill(7),
        policy: hostPolicy,
        features: FEATURES,
        maxMessageBytes: 65_535,
        payoutScript: p2wpkh(crypto, this.signer.nodeId),
        maxChannels: 16,
        maxLinks: 16,
        events: {
          onChannelEvent: (id, event) => this.events.push({ id, event }),
          onPeer: () => {},
          onServiceMessage: () => {},
          onAlarm: (text) => this.alarms.push(text),
        },
        nowMs,
      },
      blockHeight(height),
    );
  }

  /** Another that is as this one was, from its store on. */
  async copy(): Promise<Party> {
    const copy = new Party(this.seed);
    copy.drawn = this.drawn;
    for (const { channelId, record } of this.store.load()) {
      const { live } = record as { readonly live: unknown };
      copy.store.commit({ channelId, record: () => new Uint8Array(0), live });
    }
    for (const key of ["next-key-index"]) {
      const value = this.store.getValue(key);
      if (value) copy.store.setValue(key, value);
    }
    return copy;
  }

  told<T extends ChannelEvent["type"]>(type: T): Extract<ChannelEvent, { type: T }>[] {
    return this.events.flatMap(({ event }) => (event.type === type ? [event as never] : []));
  }
}

export class ThreeNodes {
  height = START_HEIGHT;
  nowMs = 0;
  wires: Wire[] = [];

  private constructor(
    readonly parties: readonly [Party, Party, Party],
    /** Alice – Bob, Bob – Carol. */
    readonly channels: readonly ChannelId[],
  ) {}

  /** Opens both channels; made once, then copied. */
  static async make(): Promise<ThreeNodes> {
    const channels: ChannelId[] = [];
    const all = new ThreeNodes([new Party(1), new Party(2), new Party(3)], channels);
    await all.startAll();
    for (const k of [0, 1]) channels.push(await all.open(k));
    return all;
  }

  async copy(): Promise<ThreeNodes> {
    const [a, b, c] = this.parties;
    const parties = [await a.copy(), await b.copy(), await c.copy()] as const;
    const copy = new ThreeNodes(parties, this.channels);
    copy.height = this.height;
    copy.nowMs = this.nowMs;
    await copy.startAll();
    return copy;
  }

  async restart(index: number): Promise<void> {
    for (const k of [index - 1, index]) this.wires[k]?.cut();
    await this.parties[index]?.start(this.height, this.nowMs);
    for (const k of [index - 1, index]) if (this.wires[k]) this.connect(k);
  }

  /** A new cable in the place of the old one. */
  reconnect(k: number): void {
    this.wires[k]?.cut();
    this.connect(k);
  }

  mine(): void {
    const height = blockHeight(++this.height);
    for (const { node } of this.parties) node.blockConnected({ height, transactions: [] });
  }

  /** Everything that is under way arrives, and some time passes. */
  settle(rounds = 12): void {
    for (let i = 0; i < rounds; i++) {
      this.tick();
      for (const wire of this.wires) wire.pump(500);
    }
  }

  tick(): void {
    this.nowMs += STEP_MS;
    for (const { node } of this.parties) node.tick(this.nowMs);
  }

  say(from: number, to: number, message: Message): void {
    const receiver = this.parties[to];
    if (receiver) this.parties[from]?.node.sendService(receiver.signer.nodeId, message);
  }

  private async startAll(): Promise<void> {
    for (const party of this.parties) await party.start(this.height, this.nowMs);
    this.wires = [new Wire(), new Wire()];
    for (const k of [0, 1]) this.connect(k);
    this.settle(4);
  }

  private connect(k: number): void {
    const wire = new Wire();
    this.wires[k] = wire;
    const [left, right] = [this.parties[k], this.parties[k + 1]];
    if (!left || !right) return;
    left.node.attach(wire.ends[0], right.signer.nodeId);
    right.node.attach(wire.ends[1]);
  }

  private async open(k: number): Promise<ChannelId> {
    const [opener, acceptor] = [this.parties[k] as Party, this.parties[k + 1] as Party];
    const temporary = opener.node.open({
      remoteNodeId: acceptor.signer.nodeId,
      channelType: k === 0 ? "zero_fee_commitments" : "anchors",
      fundingSatoshis: satoshi(FUNDING_SAT),
      pushMsat: milliSatoshi(PUSHED_MSAT),
      feeratePerKw: 1_000,
    });
    this.settle(2);
    const needed = opener.told("fundingNeeded").at(-1);
    promise(needed, "a channel is accepted");
    const funding = {
      version: 2,
      inputs: [
        {
          outpoint: { txid: new Uint8Array(32).fill(40 + k) as never, vout: 0 },
          sequence: 0xfffffffd,
          scriptSig: new Uint8Array(0),
          witness: [new Uint8Array(64).fill(1)],
        },
      ],
      outputs: [{ script: needed.script, amount: needed.amountSatoshis }],
      locktime: 0,
    };
    const outpoint = { txid: transactionId(crypto, funding), vout: 0 };
    opener.node.command(temporary, { type: "funded", outpoint });
    this.settle(2);
    const raw = serializeTransaction(funding);
    for (let i = 0; i < hostPolicy.minimumDepth; i++) {
      const height = blockHeight(++this.height);
      const transactions = i === 0 ? [{ raw, height } as never] : [];
      for (const { node } of this.parties) node.blockConnected({ height, transactions });
    }
    this.settle(4);
    const created = opener.told("created").at(-1);
    promise(created && opener.told("ready").length > 0, "a channel opens");
    return created.channelId;
  }
}
