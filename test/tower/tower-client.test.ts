/** A client hands over each revoked state once, and believes a tower's signed receipt and nothing else (rule `receipt-before-protected`). */
import { expect, it } from "vitest";
import { encodeMessage } from "../../core/messages/codec.ts";
import type { Message } from "../../core/messages/message.ts";
import { signature } from "../../core/primitives/brands.ts";
import { towerReceiptHash } from "../../core/tower/receipt.ts";
import { TowerClient, type TowerClientEvent } from "../../core/tower/tower-client.ts";
import { FakeTower } from "../support/fake-tower.ts";
import { crypto } from "../support/node-pair.ts";
import { bobSigner, RevokedLab } from "../support/revoked.ts";

class Desk {
  readonly tower = new FakeTower(bobSigner.nodeId);
  readonly told: TowerClientEvent[] = [];
  client!: TowerClient;
  isReachable = true;
  nowMs = 0;
  private readonly answers: Message[] = [];

  constructor(readonly lab: RevokedLab) {
    this.restart();
  }

  /** Bob's process starts, and calls the tower. */
  restart(): void {
    this.client = new TowerClient({
      crypto,
      signer: bobSigner,
      store: this.lab.store,
      tower: this.tower.signer.nodeId,
      payoutScript: this.lab.pair.b.payoutScript,
      statesPerTick: 4,
      send: (message) => {
        if (!this.isReachable) return false;
        const answer = this.tower.answer(message);
        if (answer) this.answers.push(answer);
        return true;
      },
      onEvent: (event) => this.told.push(event),
    });
    this.client.connected();
  }

  async flow(ticks = 30): Promise<void> {
    for (let i = 0; i < ticks; i++) {
      this.nowMs += 100;
      for (const answer of this.answers.splice(0)) {
        this.client.receive(this.tower.signer.nodeId, answer);
      }
      this.client.tick(this.nowMs);
    }
    await new Promise((wake) => setImmediate(wake));
  }

  get waiting(): number {
    return this.lab.channel.backlog.waiting.length;
  }

  types(): string[] {
    return this.told.map(({ type }) => type);
  }
}

it("hands over every revoked state, as they come", async () => {
  const desk = new Desk(await RevokedLab.make());
  for (let i = 0; i < 12; i++) await desk.lab.pay(1_000_000);
  await desk.flow();
  await desk.lab.offerHtlc(20_000_000);
  await desk.lab.pay(1_000_000);
  await desk.flow();

  expect(desk.waiting).toBe(0);
  expect(desk.lab.store.protection().exposureMsat).toBe(0);
  // One slot each; the state with the HTLC takes two.
  expect(desk.tower.slots).toBe(desk.lab.record.remoteNumber + 1);
  expect(desk.client.receipt(desk.lab.id)?.count).toBe(desk.tower.slots);
});

it("fits a device's message, and sends no second update before the first is answered", async () => {
  const desk = new Desk(await RevokedLab.make());
  for (let i = 0; i < 20; i++) await desk.lab.pay(1_000_000);
  await desk.flow();

  const updates = desk.tower.updates();
  for (const update of updates) {
    expect(encodeMessage(update).length).toBeLessThanOrEqual(4096);
  }
  let next = 0;
  for (const { from, slots } of updates) {
    expect(from).toBe(next);
    next += slots.length;
  }
});

it("counts nothing as protected while the tower is away", async () => {
  const desk = new Desk(await RevokedLab.make());
  await desk.flow();
  desk.client.disconnected();
  await desk.lab.pay(100_000_000);
  await desk.lab.pay(1_000_000);
  await desk.flow();
  expect(desk.waiting).toBeGreaterThanOrEqual(2);
  expect(desk.lab.store.protection().exposureMsat).toBe(101_000_000);

  desk.client.connected();
  await desk.flow();
  expect(desk.waiting).toBe(0);
});

it("believes no receipt that another key signed", async () => {
  const desk = new Desk(await RevokedLab.make());
  desk.tower.lie = (receipt) => ({ ...receipt, signature: signature(new Uint8Array(64).fill(1)) });
  await desk.lab.pay(1_000_000);
  await desk.flow();

  expect(desk.waiting).toBeGreaterThan(0);
  expect(desk.types()).toContain("refused");
  expect(desk.types()).not.toContain("receipt");
});

it("believes no receipt for other slots than it sent", async () => {
  const desk = new Desk(await RevokedLab.make());
  desk.tower.lie = (receipt) => {
    const digest = new Uint8Array(32).fill(9);
    const { tag, count } = receipt;
    const hash = towerReceiptHash(crypto, bobSigner.nodeId, { tag, count, digest });
    return { ...receipt, digest, signature: desk.tower.signer.sign(hash) };
  };
  await desk.lab.pay(1_000_000);
  await desk.flow(50);

  expect(desk.waiting).toBeGreaterThan(0);
  expect(desk.lab.channel.backlog.epoch).toBeLessThan(5); // it does not begin anew for ever
  expect(desk.types()).not.toContain("receipt");
});

it("tells when a tower holds less than it signed for, and hands over anew", async () => {
  const desk = new Desk(await RevokedLab.make());
  await desk.lab.pay(1_000_000);
  await desk.flow();
  desk.tower.held.clear(); // its disk was lost
  await desk.lab.pay(1_000_000);
  await desk.flow();

  expect(desk.types()).toContain("broken");
  expect(desk.waiting).toBe(0); // under another tag
  expect(desk.lab.channel.backlog.epoch).toBe(1);
});

it("after a crash sends again what it does not know to be acknowledged; the tower holds it once", async () => {
  const lab = await RevokedLab.make();
  const desk = new Desk(lab);
  for (let i = 0; i < 24; i++) await lab.pay(1_000_000);
  await desk.flow(60);
  const held = desk.tower.slots;
  expect(desk.waiting).toBe(0);

  await lab.restart(); // what the tower acknowledged since the last commit is not in the store
  expect(desk.waiting).toBe(24);
  desk.restart();
  await desk.flow(60);

  expect(desk.waiting).toBe(0);
  expect(desk.tower.slots).toBe(held);
  expect(desk.types()).not.toContain("broken");
  expect(desk.types()).not.toContain("restarted");
});

it("waits where its quota is used up, and asks again", async () => {
  const desk = new Desk(await RevokedLab.make());
  desk.tower.maxSlots = 2;
  for (let i = 0; i < 4; i++) await desk.lab.pay(1_000_000);
  await desk.flow();
  expect(desk.types()).toContain("refused");
  const { waiting } = desk;
  expect(waiting).toBeGreaterThan(0);

  desk.tower.maxSlots = 100;
  desk.nowMs += 600_000;
  await desk.flow();
  expect(desk.waiting).toBe(0);
});

it("has the slots of a channel that ended forgotten, also after a restart in between", async () => {
  const desk = new Desk(await RevokedLab.make());
  const { lab } = desk;
  await lab.pay(1_000_000);
  await desk.flow();
  expect(desk.tower.slots).toBeGreaterThan(0);
  desk.client.disconnected();
  const { channelId, record } = lab.channel;
  lab.store.commit({ channelId, record: () => new Uint8Array(0), live: record, remove: true });
  expect(lab.store.ended.length).toBe(1);
  await lab.store.load();

  desk.restart();
  await desk.flow();

  expect(desk.tower.slots).toBe(0);
  expect(lab.store.ended).toEqual([]);
});
