/** Two whole nodes joined by a cable in memory, on a chain of two functions: for tests of channels and of the runner. */

import { expect } from "vitest";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { hostPolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Node } from "../../core/node/node.ts";
import type { NodeOptions } from "../../core/node/options.ts";
import { packPayments } from "../../core/payments/push.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { ChannelSigner } from "../../core/ports/signer.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { serializeTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { channelFeatures } from "../../gateway/gateway-features.ts";
import { CheckingStore } from "../../host-sim/world/checkers/checking-store.ts";
import { Cable } from "./cable.ts";
import { native, noble } from "./crypto-providers.ts";

export const crypto: Crypto = native ?? noble;
export const CHAIN_HASH = new Uint8Array(32).fill(7);
export const FEATURES = channelFeatures;

export interface Told {
  readonly id: ChannelId;
  readonly event: ChannelEvent;
}

/** One node with all that it said. */
export class TestNode {
  node!: Node;
  readonly told: Told[] = [];
  readonly alarms: string[] = [];
  readonly services: Message[] = [];
  readonly watched: Outpoint[] = [];
  readonly claims: Claim[] = [];
  readonly closes: Uint8Array[] = [];
  readonly signer: SeedSigner;
  readonly payoutScript: Uint8Array;
  /** Looks at every record; `this.disk` is what it keeps them in. */
  checking: CheckingStore;
  nowMs = 0;
  /** Every message of a channel that leaves, oldest first. */
  readonly sent: Message[] = [];
  /** Changes, adds or swallows what leaves: a cheat, or a link that is. */
  tamper: (message: Message) => readonly Message[] = (message) => [message];
  declineReason: string | undefined;
  /** Of several processes that are one node. */
  shared: Pick<NodeOptions, "servesPeer" | "keyIndices" | "restAfterMs"> = {};
  private randomByte: number;
  private readonly signers = new Map<number, ChannelSigner>();

  constructor(
    readonly name: string,
    readonly seed: number,
    disk: Store = new MemoryStore(),
    readonly policy: ChannelPolicy = hostPolicy,
    readonly maxMessageBytes = 65535,
    readonly features = FEATURES,
  ) {
    this.signer = new SeedSigner(crypto, new Uint8Array(32).fill(seed));
    this.payoutScript = p2wpkh(crypto, this.signer.nodeId);
    this.randomByte = seed;
    this.checking = this.check(disk);
  }

  /** Another store from now on, from the next start. */
  use(disk: Store): void {
    this.checking = this.check(disk);
  }

  private check(disk: Store): CheckingStore {
    const basepointsOf = (keyIndex: number) => this.channelSigner(keyIndex).basepoints;
    return new CheckingStore(disk, basepointsOf, this.maxMessageBytes);
  }

  /** One for each key index: making one costs as much as a payment. */
  private channelSigner(keyIndex: number): ChannelSigner {
    const known = this.signers.get(keyIndex);
    if (known) return known;
    const made = this.signer.channel(keyIndex);
    this.signers.set(keyIndex, made);
    return made;
  }

  async start(height = 100): Promise<this> {
    this.node = await Node.start(
      {
        crypto,
        signer: this.signer,
        store: this.checking,
        entropy: {
          random: (length) => {
            const out = crypto.sha256(
              Uint8Array.of(this.seed, ++this.randomByte >> 8, this.randomByte),
            );
            return length === 32 ? out : out.slice(0, length);
          },
        },
        chain: {
          watch: (outpoint) => this.watched.push(outpoint),
          publish: (_, claim) => this.claims.push(claim),
          publishClose: (_, raw) => this.closes.push(raw),
        },
        chainHash: CHAIN_HASH,
        policy: this.policy,
        features: this.features,
        maxMessageBytes: this.maxMessageBytes,
        payoutScript: this.payoutScript,
        maxChannels: 16,
        maxLinks: 16,
        events: {
          onChannelEvent: (id, event) => this.told.push({ id, event }),
          onPeer: () => {},
          onServiceMessage: (_, message) => this.services.push(message),
          onAlarm: (text) => this.alarms.push(text),
        },
        nowMs: this.nowMs,
        declineReason: () => this.declineReason,
        ...this.shared,
      },
      blockHeight(height),
    );
    const { node } = this;
    const send = node.send.bind(node);
    node.send = (runner, message) => {
      for (const leaving of this.tamper(message)) {
        if (leaving === message) this.checkSent(runner.storedId, message);
        this.sent.push(leaving);
        send(runner, leaving);
      }
    };
    return this;
  }

  /** Rules `persist-before-send` and `secret-after-successor-stored`, seen from outside. */
  private checkSent(id: ChannelId, message: Message): void {
    const stored = this.checking.stored(id);
    const fault = (text: string) => this.checking.faults.push(`${this.name}: ${text}`);
    if (message.type === "commitment_signed" && !stored?.awaitingRevocation) {
      fault("commitment_signed left before it was stored");
    }
    if (message.type === "funding_signed" && !stored) fault("funding_signed without a record");
    if (message.type !== "revoke_and_ack") return;
    const point = crypto.publicKeyOf(message.perCommitmentSecret as never);
    const signer = this.channelSigner(stored?.terms.keyIndex ?? 0);
    const revoked = signer.perCommitmentPoint(((stored?.localNumber ?? 0) - 1) as never);
    if (hex(point) !== hex(revoked)) fault("a secret left before its successor was stored");
  }

  get nodeId(): PublicKey {
    return this.signer.nodeId;
  }

  /** All events of one type, oldest first. */
  events<T extends ChannelEvent["type"]>(type: T): Extract<ChannelEvent, { type: T }>[] {
    return this.told.flatMap(({ event }) => (event.type === type ? [event as never] : []));
  }
}

export interface PairOptions {
  readonly policyA?: ChannelPolicy;
  readonly policyB?: ChannelPolicy;
  readonly diskA?: Store;
  readonly diskB?: Store;
  readonly maxMessageA?: number;
  readonly maxMessageB?: number;
  readonly features?: Uint8Array;
}

export class Pair {
  cable = new Cable();
  height = 100;
  private nowMs = 0;

  constructor(
    readonly a: TestNode,
    readonly b: TestNode,
  ) {}

  static async make(options: PairOptions = {}): Promise<Pair> {
    const { diskA, diskB, policyA, policyB } = options;
    const a = new TestNode("alice", 1, diskA, policyA, options.maxMessageA, options.features);
    const b = new TestNode("bob", 2, diskB, policyB, options.maxMessageB, options.features);
    const pair = new Pair(await a.start(), await b.start());
    pair.connect();
    return pair;
  }

  /** A new cable: alice calls bob. */
  connect(): void {
    this.plugIn();
    this.settle();
  }

  /** Nothing has flowed yet. */
  plugIn(): void {
    this.cable = new Cable();
    this.a.node.attach(this.cable.ends[0], this.b.nodeId);
    this.b.node.attach(this.cable.ends[1]);
  }

  disconnect(): void {
    this.cable.lose();
    for (const end of this.cable.ends) end.onClosed("the cable was pulled");
  }

  /** The cable is pulled, a new one put in. */
  reconnect(): void {
    this.disconnect();
    this.connect();
  }

  /** The process of one side is gone without a word; a new one starts from its store. */
  async restart(side: TestNode): Promise<void> {
    this.cable.cut = true;
    this.cable.lose();
    for (const end of this.cable.ends) {
      end.onBytes = () => {};
      end.onClosed("the process ended");
    }
    side.nowMs = this.nowMs;
    await side.start(this.height);
  }

  /** Nobody halted, complained, closed by force, or stored what it should not. */
  expectPeace(): void {
    for (const side of [this.a, this.b]) {
      expect({
        name: side.name,
        alarms: side.alarms,
        faults: side.checking.faults,
        violations: side.events("violation"),
        forced: side.events("forceClosing"),
        claims: side.claims.length,
      }).toEqual({
        name: side.name,
        alarms: [],
        faults: [],
        violations: [],
        forced: [],
        claims: 0,
      });
    }
  }

  tick(): void {
    this.nowMs += 100;
    this.a.node.tick(this.nowMs);
    this.b.node.tick(this.nowMs);
  }

  /** Lets messages flow and some time pass. */
  settle(): void {
    for (let i = 0; i < 20; i++) {
      this.tick();
      this.cable.pump();
    }
  }

  /** Delivers, and lets stores that answer later answer, until nothing moves. */
  async flow(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      const idle = this.a.node.isIdle && this.b.node.isIdle;
      if (this.cable.pump() > 0 || !idle) quiet = 0;
      await breath();
    }
  }

  /** Mines blocks; `raws` are confirmed in the first of them. */
  mine(count: number, raws: readonly Uint8Array[] = []): void {
    for (let i = 0; i < count; i++) {
      this.height++;
      const height = blockHeight(this.height);
      const transactions = (i === 0 ? raws : []).map((raw) => ({ raw, height }) as never);
      for (const { node } of [this.a, this.b]) node.blockConnected({ height, transactions });
      this.cable.pump();
    }
  }

  /** Opens a channel from alice to bob and confirms it; its id. */
  async open(
    options: {
      readonly channelType?: ChannelType;
      readonly fundingSatoshis?: number;
      readonly pushMsat?: number;
    } = {},
  ): Promise<ChannelId> {
    const { channelType = "zero_fee_commitments", fundingSatoshis = 1_000_000 } = options;
    const temporaryId = this.a.node.open({
      remoteNodeId: this.b.nodeId,
      channelType,
      fundingSatoshis: satoshi(fundingSatoshis),
      pushMsat: milliSatoshi(options.pushMsat ?? 0),
      feeratePerKw: 1000,
    });
    this.cable.pump();
    const needed = this.a.events("fundingNeeded").at(-1);
    if (!needed)
      throw new Error(`not accepted: ${JSON.stringify(this.a.told.map((t) => t.event))}`);
    const raw = fundingTransaction(needed, this.height);
    const txid = transactionId(crypto, raw.transaction);
    this.a.node.command(temporaryId, { type: "funded", outpoint: { txid, vout: 0 } });
    await this.flow();
    const created = this.a.events("created").at(-1);
    if (!created)
      throw new Error(
        `not created: ${[...this.a.alarms, ...this.b.alarms].join("; ")} ${JSON.stringify([this.a.told, this.b.told])}`,
      );
    this.mine(3, [raw.bytes]);
    await this.flow();
    return created.channelId;
  }

  /** Balances in millisatoshi as both sides see them: [alice, bob] by alice, then by bob. */
  balances(id: ChannelId): readonly number[] {
    const a = this.a.node.record(id)?.base;
    const b = this.b.node.record(id)?.base;
    return [
      a?.toLocalMsat ?? -1,
      a?.toRemoteMsat ?? -1,
      b?.toRemoteMsat ?? -1,
      b?.toLocalMsat ?? -1,
    ];
  }
}

export function fundingTransaction(
  { script, amountSatoshis }: { script: Uint8Array; amountSatoshis: number },
  salt: number,
) {
  const source = crypto.sha256(Uint8Array.of(salt >> 8, salt & 255));
  const transaction = {
    version: 2,
    inputs: [
      {
        outpoint: { txid: source as never, vout: 0 },
        sequence: 0xfffffffd,
        scriptSig: new Uint8Array(0),
        witness: [new Uint8Array(64).fill(1)],
      },
    ],
    outputs: [{ script, amount: satoshi(amountSatoshis) }],
    locktime: 0,
  };
  return { transaction, bytes: serializeTransaction(transaction) };
}

let nextReference = 0;

/** A packed push of one payment under a fresh reference. */
export function payment(amountMsat: number, count = 1): Uint8Array {
  return packPayments(
    Array.from({ length: count }, () => {
      const reference = new Uint8Array(16);
      new DataView(reference.buffer).setUint32(12, ++nextReference);
      return { reference, amountMsat: milliSatoshi(amountMsat) };
    }),
  );
}

export function hex(bytes: Uint8Array): string {
  return toHex(bytes);
}

/** Lets promises that are ready go on. */
export async function breath(): Promise<void> {
  for (let i = 0; i < 16; i++) await Promise.resolve();
}
