/** Seeded random lives between the node and the second peer: payments of all kinds, lost links, and balances that both agree on. */
import { describe, expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { InteropLab } from "./lab.ts";
import { type Bytes, bigEndian, hex, sha256 } from "./second-peer/bytes.ts";
import type { ChannelType } from "./second-peer/commitment.ts";
import { ALL_TYPES } from "./second-peer/peer.ts";

/** `PICOBOLT_SEEDS=first,count` for more. */
const [FIRST = 1, COUNT = 2] = (process.env.PICOBOLT_SEEDS ?? "1,2").split(",").map(Number);
const SEEDS = Array.from({ length: COUNT }, (_, at) => FIRST + at);
const STEPS = 150;
const STEPS_BETWEEN_SETTLES = 12;
const MOST_HTLCS = 8;

/** A life by one seed; every choice comes from it. */
class RandomLife {
  private readonly secrets = new Map<string, Bytes>();
  private readonly startMsat: number;
  private draws = 0;

  constructor(
    private readonly lab: InteropLab,
    private readonly seed: number,
    private readonly canChangeFee: boolean,
  ) {
    [this.startMsat] = lab.agreedBalances();
  }

  static async begin(seed: number, type: ChannelType): Promise<RandomLife> {
    const lab = await InteropLab.make();
    lab.connect(seed % 2 ? "peer" : "node");
    const options = { type, fundingSatoshis: 1_000_000, pushMsat: 480_000_000 };
    await lab.open(seed % 4 < 2 ? "peer" : "node", options);
    return new RandomLife(lab, seed, type !== "zero_fee_commitments");
  }

  async run(): Promise<void> {
    for (let step = 1; step <= STEPS; step++) {
      await this.step();
      if (step % STEPS_BETWEEN_SETTLES === 0) await this.settle();
    }
    await this.finish();
  }

  private draw(below: number): number {
    const bytes = sha256(bigEndian(this.seed, 4), bigEndian(this.draws++, 4));
    return new DataView(bytes.buffer).getUint32(0) % below;
  }

  private amount(): number {
    return 1 + this.draw([999, 300_000, 3_000_000, 20_000_000, 400_000_000][this.draw(5)] ?? 1);
  }

  private async step(): Promise<void> {
    const { lab } = this;
    const { channel } = lab;
    channel.holdsBack = this.draw(4) === 0;
    const kind = this.draw(12);
    if (kind < 2) this.peersPush();
    else if (kind < 4) {
      lab.command({ type: "push", payments: lab.payments(this.amount(), this.amount()) });
    } else if (kind < 6) this.peersHtlc();
    else if (kind < 8) this.nodesHtlc();
    else if (kind < 9) this.answerAsPeer();
    else if (kind < 10) this.answerAsNode();
    else if (kind < 11) this.changeFee();
    else await this.loseLink();
    lab.cable.pump(this.draw(6));
    if (this.draw(3) === 0) await lab.flow();
  }

  private peersPush(): void {
    const { channel } = this.lab;
    if (!channel.isReady) return;
    const sendable = channel.state.sendableMsat();
    const greedy = this.draw(12) === 0;
    const amounts = Array.from({ length: 1 + this.draw(3) }, () => this.amount());
    const total = amounts.reduce((sum, amount) => sum + amount, 0);
    if (greedy && sendable > 0) channel.push(this.lab.payments(sendable));
    else if (sendable >= total) channel.push(this.lab.payments(...amounts));
  }

  private newHash(): Bytes {
    const secret = sha256(
      bigEndian(this.seed, 4),
      bigEndian(this.secrets.size, 4),
      Uint8Array.of(1),
    );
    const hash = sha256(secret);
    this.secrets.set(hex(hash), secret);
    return hash;
  }

  private peersHtlc(): void {
    const { channel } = this.lab;
    const sendable = channel.state.sendableMsat();
    const amount = this.draw(12) ? this.amount() : Math.max(1, sendable);
    const { them } = channel.state;
    const offered = channel.state.log
      .balances(them, channel.state.remoteNumber, channel.state.freshFor(them))
      .htlcs.filter(({ offeredBy }) => offeredBy === channel.state.us);
    if (!channel.isReady || offered.length >= MOST_HTLCS) return;
    if (sendable >= amount) {
      channel.addHtlc(amount, this.newHash(), 500 + this.draw(3));
    }
  }

  private nodesHtlc(): void {
    const base = this.lab.node.node.record(this.lab.id)?.base;
    if ((base?.htlcs.length ?? 0) >= 2 * MOST_HTLCS) return;
    this.lab.command({
      type: "addHtlc",
      amountMsat: milliSatoshi(this.amount()),
      paymentHash: paymentHash(this.newHash()),
      cltvExpiry: blockHeight(500 + this.draw(3)),
    });
  }

  private answerAsPeer(): boolean {
    const { channel } = this.lab;
    const open = channel.state.lockedIn();
    const htlc = open[this.draw(Math.max(1, open.length))];
    if (!htlc || !channel.isReady) return false;
    const secret = this.secrets.get(hex(htlc.paymentHash)) as Bytes;
    if (isToFail(htlc.paymentHash)) channel.fail(htlc.id);
    else channel.fulfill(htlc.id, secret);
    return true;
  }

  private answerAsNode(): boolean {
    const { lab } = this;
    const htlcs = lab.node.node.record(lab.id)?.base.htlcs ?? [];
    const open = htlcs.filter(({ offeredByLocal }) => !offeredByLocal);
    const htlc = open[this.draw(Math.max(1, open.length))];
    if (!htlc) return false;
    const { id: htlcId } = htlc;
    if (isToFail(htlc.paymentHash)) {
      lab.command({ type: "failHtlc", htlcId, reason: new Uint8Array(3) });
    } else {
      const secret = this.secrets.get(hex(htlc.paymentHash)) as Bytes;
      lab.command({ type: "fulfillHtlc", htlcId, preimage: preimage(secret) });
    }
    return true;
  }

  private changeFee(): void {
    const { lab, canChangeFee } = this;
    if (!canChangeFee) return;
    const feeratePerKw = 500 + this.draw(1500);
    const { channel } = lab;
    if (channel.state.us === "acceptor") lab.command({ type: "updateFee", feeratePerKw });
    else if (channel.isReady && channel.state.sendableMsat(feeratePerKw) > 0) {
      channel.fee(feeratePerKw);
    }
  }

  private async loseLink(): Promise<void> {
    const { lab } = this;
    lab.cable.pump(this.draw(5));
    lab.disconnect();
    await lab.flow();
    lab.connect(this.draw(2) ? "node" : "peer");
  }

  /** Lets everything under way come to its end, and compares. */
  private async settle(): Promise<void> {
    const { lab } = this;
    lab.channel.holdsBack = false;
    if (!lab.peer.isConnected) lab.connect("peer");
    lab.channel.progress();
    await lab.flow();
    expect(lab.peer.complaints).toEqual([]);
    expect(lab.channel.isQuiet).toBe(true);
    lab.agreedBalances();
    expect(lab.channel.receipts.owedCount).toBeLessThanOrEqual(STEPS_BETWEEN_SETTLES * 3);
    expect(lab.node.checking.faults).toEqual([]);
    expect(lab.node.events("violation")).toEqual([]);
  }

  private async finish(): Promise<void> {
    const { lab } = this;
    await this.settle();
    for (let round = 0; round < 4 * MOST_HTLCS; round++) {
      const asPeer = this.answerAsPeer();
      const asNode = this.answerAsNode();
      await lab.flow();
      if (!asPeer && !asNode) break;
    }
    await this.settle();
    const [node, peer] = lab.agreedBalances();
    expect(lab.channel.state.local().htlcs).toEqual([]);
    expect(node + peer).toBe(1_000_000_000);
    expect(lab.toldBalance(this.startMsat)).toBe(node);
    expect(lab.channel.receipts.below).toBe(lab.channel.state.updates("push").length);
    lab.channel.shutdown();
    await lab.flow();
    lab.expectAgreedClose();
  }
}

/** An answer may be lost with the link; who showed a preimage once does not fail its HTLC later. */
function isToFail([first = 0]: Uint8Array): boolean {
  return first % 3 === 0;
}

describe.each(ALL_TYPES)("random lives of type %s", (type) => {
  test.each(SEEDS)("seed %i", async (seed) => {
    const life = await RandomLife.begin(seed, type);
    await life.run();
  });
});
