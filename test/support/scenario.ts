/** Two whole nodes with a channel on a real or simulated chain, told what to do step by step, and the account at the end. */

import { closeLocally } from "../../core/chain/monitor/close-locally.ts";
import { resolve } from "../../core/chain/monitor/resolve.ts";
import type { Claim, OutputReport } from "../../core/chain/monitor/watched.ts";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import { watchedChannel } from "../../core/channel/on-chain.ts";
import type { ChainWallet } from "../../core/ports/chain.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  type PublicKey,
  paymentHash,
  preimage,
  satoshi,
} from "../../core/primitives/brands.ts";
import { ascii, equal } from "../../core/primitives/bytes.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { anyoneClaim } from "../../gateway/chain/anyone-claim.ts";
import { type Account, Auditor } from "./auditor.ts";
import { Cable } from "./cable.ts";
import type { ChainLab } from "./chain-lab.ts";
import { type BackupStore, ChainNode, quickPolicy } from "./chain-node.ts";
import { crypto, payment } from "./node-pair.ts";

export interface ScenarioOptions {
  readonly channelType?: ChannelType;
  readonly fundingSatoshis?: number;
  readonly pushMsat?: number;
  readonly policyA?: Partial<ChannelPolicy>;
  readonly policyB?: Partial<ChannelPolicy>;
  /** False: the funding is in the mempool and nothing more. */
  readonly confirm?: boolean;
  readonly payoutKeyA?: string;
  readonly walletA?: ChainWallet;
  /** Watches for alice. */
  readonly towerA?: PublicKey;
  readonly penaltyFeeratePerKwA?: number;
}

export interface SomeHtlc {
  readonly from: "a" | "b";
  readonly amountMsat?: number;
  /** Blocks from now. */
  readonly expiresIn?: number;
}

export interface MadeHtlc {
  readonly from: "a" | "b";
  readonly id: number;
  readonly preimage: Preimage;
  readonly paymentHash: PaymentHash;
}

const MAX_END_BLOCKS = 60;
const MONITOR_POLICY = {
  feeratesPerKw: { now: 2000, soon: 1000, economy: 500 },
  irrevocableDepth: 3,
};

export class Scenario {
  cable = new Cable();
  id!: ChannelId;
  auditor!: Auditor;
  /** What the funding wallet signed. */
  funding!: Uint8Array;
  private nowMs = 0;
  private salt = 0;
  private readonly others: (() => Promise<void>)[] = [];

  private constructor(
    readonly lab: ChainLab,
    public a: ChainNode,
    public b: ChainNode,
    private readonly title: string,
  ) {}

  /** Alice has funded a channel to bob; half of it is bob's unless told. */
  static async make(
    lab: ChainLab,
    title: string,
    options: ScenarioOptions = {},
  ): Promise<Scenario> {
    const seedOf = (name: string) => crypto.sha256(ascii(`${title}/${name}`));
    const { payoutKeyA, walletA, towerA, penaltyFeeratePerKwA: penaltyFeeratePerKw } = options;
    const a = await ChainNode.start(lab, {
      name: "alice",
      seed: seedOf("alice"),
      policy: { ...quickPolicy, ...options.policyA },
      ...(payoutKeyA === undefined ? {} : { payoutKey: payoutKeyA }),
      ...(walletA === undefined ? {} : { wallet: walletA }),
      ...(towerA === undefined ? {} : { tower: towerA }),
      ...(penaltyFeeratePerKw === undefined ? {} : { penaltyFeeratePerKw }),
    });
    const b = await ChainNode.start(lab, {
      name: "bob",
      seed: seedOf("bob"),
      policy: { ...quickPolicy, ...options.policyB },
    });
    const scenario = new Scenario(lab, a, b, title);
    scenario.connect();
    await scenario.open(options);
    return scenario;
  }

  /** A new cable: alice calls bob, and they tell each other where they stand. */
  connect(): void {
    this.attach();
    this.flow();
  }

  /** A new cable, nothing delivered yet. */
  attach(): void {
    this.cable = new Cable();
    this.a.node.attach(this.cable.ends[0], this.b.nodeId);
    this.b.node.attach(this.cable.ends[1]);
  }

  disconnect(): void {
    this.cable.lose();
    for (const end of this.cable.ends) end.onClosed("the cable was pulled");
  }

  /** Lets messages flow and some time pass. */
  flow(): void {
    for (let i = 0; i < 10; i++) {
      this.tick();
      this.cable.pump();
    }
  }

  /** What time it is after a while on both sides. */
  tick(): number {
    this.nowMs += 100;
    for (const side of [this.a, this.b]) if (side.isRunning) side.tick(this.nowMs);
    return this.nowMs;
  }

  /** Delivers one message after the other until `condition` holds. */
  flowUntil(condition: () => boolean): void {
    let silent = 0;
    while (!condition()) {
      if (this.cable.pump(1) > 0) continue;
      if (++silent > 20) throw new Error("the messages ended before it came to that");
      this.tick();
    }
  }

  /** Block by block, with time for messages after each. */
  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      await this.lab.mine(1);
      await this.rest();
    }
  }

  /** Until nothing is under way. */
  async rest(): Promise<void> {
    this.flow();
    for (const side of [this.a, this.b]) if (side.isRunning) await side.idle();
    this.flow();
  }

  async reorg(depth: number, options?: Parameters<ChainLab["reorg"]>[1]): Promise<void> {
    await this.lab.reorg(depth, options);
    await this.rest();
  }

  push(from: "a" | "b", amountMsat: number): void {
    this[from].node.command(this.id, { type: "push", payments: payment(amountMsat) });
    this.flow();
  }

  /** Offered and committed on both sides, unless `flowing` is false. */
  async addHtlc({ from, amountMsat = 50_000_000, expiresIn = 20 }: SomeHtlc, flowing = true) {
    const secret = preimage(crypto.sha256(ascii(`${this.title} htlc ${++this.salt}`)));
    const hash = paymentHash(crypto.sha256(secret));
    const id = this[from].record(this.id).nextLocalHtlcId;
    this[from].node.command(this.id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(amountMsat),
      paymentHash: hash,
      cltvExpiry: blockHeight((await this.lab.height()) + expiresIn),
    });
    if (flowing) this.flow();
    return { from, id, preimage: secret, paymentHash: hash };
  }

  fulfill(htlc: MadeHtlc): void {
    const receiver = htlc.from === "a" ? this.b : this.a;
    const { id: htlcId, preimage: known } = htlc;
    receiver.node.command(this.id, { type: "fulfillHtlc", htlcId, preimage: known });
    this.flow();
  }

  async forceClose(side: "a" | "b"): Promise<void> {
    this[side].node.command(this.id, { type: "forceClose" });
    await this.rest();
  }

  /** One side goes, and comes back on another machine with what this store holds; the old one's story stays with it. */
  async restore(side: "a" | "b", store: BackupStore = this[side].store.copy()): Promise<void> {
    this.disconnect();
    await this[side].stop();
    this[side] = await ChainNode.start(this.lab, { ...this[side].options, store });
  }

  /** Its newest commitment, signed; what a device would hand to its gateway. */
  async commitmentOf(side: "a" | "b"): Promise<Uint8Array> {
    const { channel, context } = this.watched(side);
    const facts = { tipHeight: await this.lab.height(), confirmed: [] };
    const [claim] = closeLocally(context, channel, facts, MONITOR_POLICY);
    if (!claim) throw new Error("there is nothing to publish");
    return claim.raw;
  }

  /** A child that pays for a commitment by its P2A anchor, from the funding wallet. */
  async childOf(commitment: Uint8Array): Promise<Uint8Array> {
    const found = anyoneClaim(commitment, 1000);
    if (!("claim" in found) || found.claim.needs?.type !== "anchor-child") {
      throw new Error("it has no P2A anchor");
    }
    const { anchor, amount } = found.claim.needs;
    return (await this.lab.wallet("funder")).fundChild({
      parents: [commitment],
      parentsFee: satoshi(0),
      anchor,
      anchorOutput: { amount, script: p2aScript() },
      version: 3,
      feeratePerKw: 1000,
    });
  }

  /** What `side` would publish next if `raw` were confirmed in the tip. */
  async claimsAfter(
    side: "a" | "b",
    raw: Uint8Array,
    known: readonly Preimage[] = [],
  ): Promise<readonly Claim[]> {
    const { channel: own, context } = this.watched(side);
    const channel = { ...own, preimages: [...own.preimages, ...known] };
    const tipHeight = await this.lab.height();
    const facts = { tipHeight, confirmed: [{ raw, height: tipHeight }] };
    return resolve(context, channel, facts, MONITOR_POLICY).claims;
  }

  private watched(side: "a" | "b") {
    const { node, signer } = this[side];
    const record = this[side].record(this.id);
    const channelSigner = signer.channel(record.terms.keyIndex);
    const { localNumber, remoteNumber, outdated, remoteNodeId } = record;
    channelSigner.stored({ localNumber, remoteNumber, outdated });
    const context = { ...node.context({ signer: channelSigner, remoteNodeId }), archive: [] };
    return { channel: watchedChannel(context, record), context };
  }

  /** A copy of one side as its store is now, on its own: a thief's, or an old backup. */
  async ghost(side: "a" | "b", store?: BackupStore): Promise<ChainNode> {
    const ghost = await ChainNode.start(this.lab, {
      ...this[side].options,
      store: store ?? this[side].store.copy(),
    });
    this.others.push(() => ghost.stop());
    return ghost;
  }

  /** Mines until those sides are done with the channel. */
  async toTheEnd(sides: readonly ChainNode[] = [this.a, this.b]): Promise<Account> {
    for (let i = 0; i < MAX_END_BLOCKS; i++) {
      if (sides.every(({ node }) => node.channels().length === 0)) return this.account();
      await this.mine(1);
    }
    const waits = sides.flatMap(({ told }) => told.at(-1) ?? []);
    throw new Error(`no end after ${MAX_END_BLOCKS} blocks: ${describe(waits)}`);
  }

  /** Every satoshi of the channel, checked against the chain; what is left there was reported. */
  async account(): Promise<Account> {
    const account = await this.auditor.account();
    const reports = [...this.a.told, ...this.b.told].flatMap(
      ({ event }): readonly OutputReport[] =>
        event.type === "onChain" || event.type === "closed" ? event.outputs : [],
    );
    for (const { outpoint, amount } of account.left) {
      const found = reports.find(
        (report) =>
          report.outpoint.vout === outpoint.vout &&
          equal(report.outpoint.txid, outpoint.txid) &&
          (report.status === "abandoned" || report.status === "cold"),
      );
      if (!found) throw new Error(`${amount} sat are left on the chain, and nobody was told`);
    }
    return account;
  }

  /** Alarms and refusals of both sides: there should be none. */
  get troubles(): readonly string[] {
    return [this.a, this.b].flatMap((side) => [
      ...side.alarms,
      ...side
        .stepsOf("refused")
        .map(({ claimId, reason }) => `${side.options.name} ${claimId}: ${reason}`),
    ]);
  }

  async close(): Promise<void> {
    for (const stop of this.others) await stop();
    await this.a.stop();
    await this.b.stop();
  }

  private async open(options: ScenarioOptions): Promise<void> {
    const { channelType = "zero_fee_commitments", fundingSatoshis = 1_000_000 } = options;
    const { a, b, lab } = this;
    const temporaryId = a.node.open({
      remoteNodeId: b.nodeId,
      channelType,
      fundingSatoshis: satoshi(fundingSatoshis),
      pushMsat: milliSatoshi(options.pushMsat ?? fundingSatoshis * 500),
      feeratePerKw: 1000,
    });
    this.flow();
    const needed = a.events("fundingNeeded").at(-1);
    if (!needed) throw new Error(`not accepted: ${describe(a.told)}`);
    const output = { script: needed.script, amount: needed.amountSatoshis };
    this.funding = await (await lab.wallet("funder")).fund([output], 1000);
    const transaction = parseTransaction(this.funding);
    const txid = transactionId(crypto, transaction);
    const vout = transaction.outputs.findIndex(({ script }) => equal(script, needed.script));
    const watching = await Auditor.start(
      lab,
      { funding: { txid, vout }, fundingSatoshis },
      { a: a.payoutScript, b: b.payoutScript },
    );
    this.auditor = watching.auditor;
    this.others.push(() => watching.close());
    a.node.command(temporaryId, { type: "funded", outpoint: { txid, vout } });
    this.flow();
    const created = a.events("created").at(-1);
    if (!created?.broadcastFunding)
      throw new Error(`not created: ${describe([...a.told, ...b.told])}`);
    this.id = created.channelId;
    const sent = await a.source.broadcast(this.funding);
    if (!sent.ok) throw new Error(`the funding was refused: ${sent.reason}`);
    if (options.confirm ?? true) await this.mine(1);
  }
}

function describe(value: unknown): string {
  return JSON.stringify(value, (_, part) =>
    part instanceof Uint8Array ? Buffer.from(part).toString("hex").slice(0, 16) : part,
  );
}
