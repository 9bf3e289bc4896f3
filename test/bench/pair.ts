/** Two whole nodes in one process, joined by a cable in memory, with one open channel: what the bench measures. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { hostPolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { featureBitmap } from "../../core/messages/features.ts";
import { Node } from "../../core/node/node.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PublicKey,
  satoshi,
  type Txid,
} from "../../core/primitives/brands.ts";
import { assert } from "../../core/primitives/errors.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { serializeTransaction, transactionId } from "../../core/transactions/transaction.ts";

const CHAIN_HASH = new Uint8Array(32).fill(7);
export const FEATURES = featureBitmap({
  required: ["staticRemotekey", "channelType"],
  optional: ["shutdownAnysegwit", "zeroFeeCommitments", "simpleClose", "pushUpdates"],
});
export const FUNDING_SATOSHIS = 16_000_000;
const START_HEIGHT = 100;

export class BenchNode {
  readonly nodeId: PublicKey;
  /** Replaced by what a measurement waits for. */
  onEvent: (event: ChannelEvent) => void = () => {};
  node!: Node;
  private readonly signer: SeedSigner;

  constructor(
    private readonly crypto: Crypto,
    private readonly seedByte: number,
    private readonly store: Store,
  ) {
    this.signer = new SeedSigner(crypto, new Uint8Array(32).fill(seedByte));
    this.nodeId = this.signer.nodeId;
  }

  async start(): Promise<void> {
    const { crypto, signer, store, seedByte } = this;
    let drawn = 0;
    this.node = await Node.start(
      {
        crypto,
        signer,
        store,
        entropy: {
          random: (length) => crypto.sha256(Uint8Array.of(seedByte, drawn++)).slice(0, length),
        },
        chain: { watch() {}, publish() {}, publishClose() {} },
        chainHash: CHAIN_HASH,
        policy: hostPolicy,
        features: FEATURES,
        maxMessageBytes: 65535,
        payoutScript: p2wpkh(crypto, signer.nodeId),
        maxChannels: 1,
        maxLinks: 1,
        events: {
          onChannelEvent: (_id, event) => this.onEvent(event),
          onPeer() {},
          onServiceMessage() {},
          onAlarm(text) {
            throw new Error(text);
          },
        },
        nowMs: 0,
      },
      blockHeight(START_HEIGHT),
    );
  }
}

/** A cable that delivers when it is pumped, counts bytes, and is a stream as a serial line is. */
export class Cable {
  readonly ends: readonly [CableEnd, CableEnd];
  bytes = 0;
  frames = 0;
  private queue: { readonly to: CableEnd; readonly bytes: Uint8Array }[] = [];

  constructor() {
    const a = new CableEnd((bytes) => this.carry(b, bytes));
    const b = new CableEnd((bytes) => this.carry(a, bytes));
    this.ends = [a, b];
  }

  /** Delivers until nothing moves. */
  pump(): void {
    while (this.queue.length > 0) {
      const now = this.queue;
      this.queue = [];
      for (const { to, bytes } of now) to.onBytes(bytes);
    }
  }

  private carry(to: CableEnd, bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.frames++;
    this.queue.push({ to, bytes });
  }
}

class CableEnd implements Link {
  readonly name = "cable";
  readonly kind = "stream";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  constructor(readonly send: (bytes: Uint8Array) => void) {}
  close(): void {}
}

export class BenchPair {
  readonly cable = new Cable();
  private constructor(
    readonly payer: BenchNode,
    readonly payee: BenchNode,
    readonly height: number,
    public id: ChannelId,
  ) {}

  /** Half of the money lies on each side. */
  static async open(
    cryptos: { readonly payer: Crypto; readonly payee: Crypto },
    stores: { readonly payer: Store; readonly payee: Store },
    channelType: ChannelType = "zero_fee_commitments",
  ): Promise<BenchPair> {
    const payer = new BenchNode(cryptos.payer, 1, stores.payer);
    const payee = new BenchNode(cryptos.payee, 2, stores.payee);
    await payer.start();
    await payee.start();
    const pair = new BenchPair(payer, payee, START_HEIGHT + 3, undefined as never);
    payer.node.attach(pair.cable.ends[0], payee.nodeId);
    payee.node.attach(pair.cable.ends[1]);
    payer.node.tick(1);
    pair.cable.pump();
    await pair.fund(cryptos.payer, channelType);
    return pair;
  }

  /** Lets messages flow; with durable stores, until both nodes rest. */
  async settle(done: () => boolean): Promise<void> {
    this.cable.pump();
    while (!done()) {
      await new Promise(setImmediate);
      this.cable.pump();
    }
  }

  private async fund(crypto: Crypto, channelType: ChannelType): Promise<void> {
    const { payer, payee } = this;
    const seen: ChannelEvent[] = [];
    payer.onEvent = (event) => seen.push(event);
    const find = <T extends ChannelEvent["type"]>(type: T) =>
      seen.find((event): event is Extract<ChannelEvent, { type: T }> => event.type === type);
    const temporaryId = payer.node.open({
      remoteNodeId: payee.nodeId,
      channelType,
      fundingSatoshis: satoshi(FUNDING_SATOSHIS),
      pushMsat: milliSatoshi(FUNDING_SATOSHIS * 500),
      feeratePerKw: 1_000,
    });
    await this.settle(() => find("fundingNeeded") !== undefined);
    const needed = find("fundingNeeded");
    assert(needed, "the opener was asked for an output");
    const funding = fundingOf(crypto, needed.script, needed.amountSatoshis);
    const outpoint = { txid: funding.txid, vout: 0 };
    payer.node.command(temporaryId, { type: "funded", outpoint });
    await this.settle(() => find("created") !== undefined);
    this.id = find("created")?.channelId as ChannelId;
    for (let height = START_HEIGHT + 1; height <= this.height; height++) {
      const at = blockHeight(height);
      const transactions = height === START_HEIGHT + 1 ? [{ raw: funding.raw, height: at }] : [];
      for (const { node } of [payer, payee]) {
        node.blockConnected({ height: at, transactions: transactions as never });
      }
    }
    await this.settle(() => find("ready") !== undefined && payer.node.isIdle && payee.node.isIdle);
  }
}

export function fundingOf(crypto: Crypto, script: Uint8Array, amount: number) {
  const outpoint = { txid: new Uint8Array(32).fill(0xcf) as Txid, vout: 0 };
  const witness = [new Uint8Array(64).fill(1)];
  const transaction = {
    version: 2,
    inputs: [{ outpoint, sequence: 0xfffffffd, scriptSig: new Uint8Array(0), witness }],
    outputs: [{ script, amount: satoshi(amount) }],
    locktime: 0,
  };
  return { txid: transactionId(crypto, transaction), raw: serializeTransaction(transaction) };
}
