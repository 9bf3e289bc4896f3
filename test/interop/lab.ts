/** The real node and the second peer, joined by a cable in memory: what each did is checked by the other. */
import type { Transaction } from "bitcoinjs-lib";
import { expect } from "vitest";
import type { Command } from "../../core/channel/inputs.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  satoshi,
} from "../../core/primitives/brands.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { Cable } from "../support/cable.ts";
import { breath, CHAIN_HASH, crypto, fundingTransaction, TestNode } from "../support/node-pair.ts";
import { judgeSpend } from "../support/script-verifier.ts";
import { type Bytes, concat, hex, sha256 } from "./second-peer/bytes.ts";
import type { Channel } from "./second-peer/channel.ts";
import { amountOf, packPayment } from "./second-peer/channel-state.ts";
import type { OpenOptions } from "./second-peer/opening.ts";
import { OFFERED, SecondPeer } from "./second-peer/peer.ts";
import { fundingScript, p2wsh } from "./second-peer/scripts.ts";

export type Side = "node" | "peer";

export class InteropLab {
  cable = new Cable();
  height = 100;
  /** The node's id of the channel. */
  id: ChannelId = new Uint8Array(32) as ChannelId;
  private nowMs = 0;
  private references = 0;

  private constructor(
    readonly node: TestNode,
    readonly peer: SecondPeer,
  ) {}

  /** The peer offers these features, or all. */
  static async make(features: readonly number[] = OFFERED): Promise<InteropLab> {
    const node = await new TestNode("node", 1).start();
    const seed = sha256(Uint8Array.of(99));
    return new InteropLab(node, new SecondPeer({ seed, chainHash: CHAIN_HASH, features }));
  }

  get channel(): Channel {
    return this.peer.channel;
  }

  /** A new cable, and time for the handshake. */
  connect(caller: Side, kind: "stream" | "datagram" = "stream"): void {
    this.cable = new Cable();
    for (const end of this.cable.ends) Object.assign(end, { kind });
    const [nodesEnd, peersEnd] = this.cable.ends;
    const peersId = this.peer.nodeId as typeof this.node.nodeId;
    if (caller === "peer") this.node.node.attach(nodesEnd);
    this.peer.attach(peersEnd, caller === "peer" ? this.node.nodeId : undefined);
    if (caller === "node") this.node.node.attach(nodesEnd, peersId);
    this.wait(2);
  }

  /** What is under way is lost. */
  disconnect(): void {
    this.cable.lose();
    for (const end of this.cable.ends) end.onClosed("the cable was pulled");
  }

  /** Lets time pass, in steps of 100 ms, and messages flow. */
  wait(steps = 1): void {
    for (let i = 0; i < steps; i++) {
      this.nowMs += 100;
      this.node.node.tick(this.nowMs);
      this.peer.tick(this.nowMs);
      this.cable.pump();
    }
  }

  /** Delivers until nothing moves. */
  async flow(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      if (this.cable.pump() > 0) quiet = 0;
      await breath();
    }
  }

  mine(count: number, raw?: Uint8Array): void {
    for (let i = 0; i < count; i++) {
      const height = blockHeight(++this.height);
      const transactions = i === 0 && raw ? [{ raw, height, index: 1 } as never] : [];
      this.node.node.blockConnected({ height, transactions });
    }
  }

  async open(opener: Side, options: OpenOptions): Promise<void> {
    await (opener === "node" ? this.openFromNode(options) : this.openFromPeer(options));
  }

  private async openFromPeer(options: OpenOptions): Promise<void> {
    const opening = this.peer.open(options);
    await this.flow();
    const raw = opening.fundingTransaction?.toBuffer();
    if (!raw) throw new Error(`not accepted: ${this.peer.complaints.join("; ")}`);
    await this.confirm(Uint8Array.from(raw));
  }

  private async openFromNode(options: OpenOptions): Promise<void> {
    const temporaryId = this.node.node.open({
      remoteNodeId: this.peer.nodeId as typeof this.node.nodeId,
      channelType: options.type as ChannelType,
      fundingSatoshis: satoshi(options.fundingSatoshis),
      pushMsat: milliSatoshi(options.pushMsat ?? 0),
      feeratePerKw: options.feeratePerKw ?? 1000,
    });
    await this.flow();
    const needed = this.node.events("fundingNeeded").at(-1);
    if (!needed) throw new Error(`not accepted: ${JSON.stringify(this.node.told)}`);
    const { transaction, bytes } = fundingTransaction(needed, this.height);
    const txid = transactionId(crypto, transaction);
    this.node.node.command(temporaryId, { type: "funded", outpoint: { txid, vout: 0 } });
    await this.flow();
    await this.confirm(bytes);
  }

  private async confirm(raw: Uint8Array): Promise<void> {
    const created = this.node.events("created").at(-1);
    if (!created) throw new Error(`not created: ${JSON.stringify(this.node.told)}`);
    this.id = created.channelId;
    expect(created.channelId).toEqual(this.channel.options.id);
    this.mine(3, raw);
    this.channel.confirmed();
    await this.flow();
    expect(this.channel.isReady).toBe(true);
    expect(this.node.events("ready")).toHaveLength(1);
  }

  command(command: Exclude<Command, { readonly type: "open" }>): void {
    this.node.node.command(this.id, command);
  }

  /** Payments of these amounts, each under a fresh reference. */
  payments(...amountsMsat: readonly number[]): Bytes {
    return concat(
      ...amountsMsat.map((amountMsat) => {
        const reference = sha256(Uint8Array.of(++this.references >> 8, this.references & 255));
        return packPayment(reference.slice(0, 16), amountMsat);
      }),
    );
  }

  /** Millisatoshi of [node, peer], on which both sides and both commitments agree. */
  agreedBalances(): readonly [number, number] {
    const { state } = this.channel;
    const us = state.us === "opener" ? "openerMsat" : "acceptorMsat";
    const them = state.us === "opener" ? "acceptorMsat" : "openerMsat";
    const base = this.node.node.record(this.id)?.base;
    const all = {
      local: [state.local()[them], state.local()[us], state.local().htlcs.length],
      remote: [state.remote()[them], state.remote()[us], state.remote().htlcs.length],
      node: [base?.toLocalMsat, base?.toRemoteMsat, base?.htlcs.length],
    };
    expect(all.remote).toEqual(all.local);
    expect(all.node).toEqual(all.local);
    return [state.local()[them], state.local()[us]];
  }

  /** What the node believes to have, counted from all that it told its application. */
  toldBalance(startMsat: number): number {
    const { node } = this;
    const sum = (payments: readonly Uint8Array[]) =>
      payments.reduce((all, packed) => all + amountOf(packed), 0);
    const received = sum(node.events("pushReceived").map(({ payments }) => payments));
    const sent = sum(node.events("pushSettled").map(({ payments }) => payments));
    const earned = node.events("htlcSettled").filter(({ fulfilled }) => fulfilled);
    // a preimage is told when it comes, and again when its message is repeated after a reconnect
    const paid = new Map(node.events("htlcFulfilled").map(({ htlc }) => [htlc.id, htlc]));
    const total = (htlcs: Iterable<{ readonly amountMsat: number }>) =>
      [...htlcs].reduce((all, { amountMsat }) => all + amountMsat, 0);
    return startMsat + received - sent + total(earned) - total(paid.values());
  }

  /** Both hold the same closing transactions, and they are valid. */
  expectAgreedClose(): void {
    const { transactions } = this.channel.closing;
    expect(transactions.length).toBeGreaterThan(0);
    const ours = transactions.map((transaction) => transaction.toHex());
    const theirs = this.node.closes.map((raw) => hex(raw));
    expect([...new Set(theirs)].sort()).toEqual(ours.sort());
    for (const transaction of transactions) expectValid(transaction, this.fundingOutput());
  }

  fundingOutput(): { readonly script: Bytes; readonly value: bigint } {
    const { opener, acceptor, fundingSatoshis } = this.channel.options.terms;
    const script = p2wsh(fundingScript(opener.points.funding, acceptor.points.funding));
    return { script, value: BigInt(fundingSatoshis) };
  }

  /** Neither side has anything to complain of. */
  expectPeace(): void {
    expect({
      peer: this.peer.complaints,
      alarms: this.node.alarms,
      faults: this.node.checking.faults,
      violations: this.node.events("violation"),
      rejected: this.node.events("rejected"),
      forced: this.node.events("forceClosing"),
    }).toEqual({ peer: [], alarms: [], faults: [], violations: [], rejected: [], forced: [] });
  }
}

/** bitcore-lib's interpreter takes this input. */
export function expectValid(
  transaction: Transaction,
  { script, value }: { readonly script: Uint8Array; readonly value: bigint },
  index = 0,
): void {
  const parsed = parseTransaction(Uint8Array.from(transaction.toBuffer()));
  const spent = { script, amount: satoshi(Number(value)) };
  expect(judgeSpend(parsed, index, spent)).toBe("valid");
}
