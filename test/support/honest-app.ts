/** What an honest application does over a channel: pays each thing once, answers HTLCs, tries again after whatever went wrong. */
import { expect } from "vitest";
import type { ChannelRecord, Update } from "../../core/channel/record.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { crypto, type Pair, type TestNode } from "./node-pair.ts";

interface WantedPush {
  readonly payments: Uint8Array;
  asked: boolean;
  done: boolean;
}

interface WantedHtlc {
  readonly amountMsat: number;
  readonly hash: PaymentHash;
  readonly secret: Preimage;
  readonly fulfil: boolean;
  asked: boolean;
  done: boolean;
}

const MAX_ROUNDS = 40;

/** One side's application; it outlives the node that it runs on. */
export class HonestApp {
  readonly pushes: WantedPush[] = [];
  readonly htlcs: WantedHtlc[] = [];
  /** Times that a reference was told as received and not as a duplicate. */
  readonly received = new Map<string, number>();
  readonly receipts = new Set<number>();
  private read = 0;

  constructor(
    readonly side: TestNode,
    readonly pair: Pair,
    readonly id: ChannelId,
    /** The payer's app, whose HTLCs this one answers. */
    readonly other: () => HonestApp,
  ) {}

  push(payments: Uint8Array): void {
    const wanted = { payments, asked: true, done: false };
    this.pushes.push(wanted);
    this.side.node.command(this.id, { type: "push", payments });
  }

  offer(amountMsat: number, fulfil: boolean): void {
    const secret = preimage(crypto.sha256(Uint8Array.of(this.side.seed, this.htlcs.length)));
    const hash = paymentHash(crypto.sha256(secret));
    this.htlcs.push({ amountMsat, hash, secret, fulfil, asked: false, done: false });
    this.retry();
  }

  /** What was told since the last time. */
  listen(): void {
    const { told } = this.side;
    for (; this.read < told.length; this.read++) {
      const event = told[this.read]?.event;
      if (event?.type === "rejected" && event.command.type === "push") {
        const { payments } = event.command;
        const wanted = this.pushes.find((push) => equal(push.payments, payments));
        if (wanted) wanted.asked = false;
      }
      if (event?.type === "rejected" && event.command.type === "addHtlc") {
        const { paymentHash: hash } = event.command;
        const wanted = this.htlcs.find((htlc) => equal(htlc.hash, hash));
        if (wanted) wanted.asked = false;
      }
      if (event?.type === "pushCommitted") this.markPushed(event.payments);
      if (event?.type === "htlcCommitted") this.markOffered(event.htlc.paymentHash);
      if (event?.type === "receipt") this.receipts.add(event.pushId);
      if (event?.type === "pushReceived") {
        unpackPayments(event.payments).forEach(({ reference }, i) => {
          if (event.duplicates?.includes(i)) return;
          const key = toHex(reference);
          this.received.set(key, (this.received.get(key) ?? 0) + 1);
        });
      }
      if (event?.type === "htlcReceived") this.answer(event.htlc.id, event.htlc.paymentHash);
    }
  }

  /** Asks again for what was rejected; never for what may be under way. */
  retry(): void {
    for (const wanted of this.pushes) {
      if (wanted.done || wanted.asked) continue;
      wanted.asked = true;
      this.side.node.command(this.id, { type: "push", payments: wanted.payments });
    }
    for (const wanted of this.htlcs) {
      if (wanted.done || wanted.asked) continue;
      wanted.asked = true;
      this.side.node.command(this.id, {
        type: "addHtlc",
        amountMsat: milliSatoshi(wanted.amountMsat),
        paymentHash: wanted.hash,
        cltvExpiry: blockHeight(this.pair.height + 500),
      });
    }
  }

  /** After a restart the events of the last moments may be missing: the store knows. */
  async recover(): Promise<void> {
    this.listen();
    const record = this.side.node.record(this.id);
    for (const wanted of this.pushes) {
      wanted.done = await this.side.checking.isDebited(wanted.payments.subarray(0, 16));
      wanted.asked = wanted.done;
    }
    for (const wanted of this.htlcs) {
      wanted.done ||= record !== undefined && hasHtlc(record, wanted.hash);
      wanted.asked = wanted.done;
    }
  }

  private markPushed(payments: Uint8Array): void {
    for (const push of this.pushes) if (equal(push.payments, payments)) push.done = true;
  }

  private markOffered(hash: PaymentHash): void {
    for (const htlc of this.htlcs) if (equal(htlc.hash, hash)) htlc.done = true;
  }

  private answer(htlcId: number, hash: PaymentHash): void {
    const htlc = this.other().htlcs.find((wanted) => equal(wanted.hash, hash));
    if (!htlc) return;
    const { node } = this.side;
    if (htlc.fulfil) node.command(this.id, { type: "fulfillHtlc", htlcId, preimage: htlc.secret });
    else node.command(this.id, { type: "failHtlc", htlcId, reason: new Uint8Array(4) });
  }

  /** Millisatoshi that left for good when all is done. */
  get spentMsat(): number {
    const pushed = this.pushes.flatMap(({ payments }) => unpackPayments(payments));
    const paid = this.htlcs.filter(({ fulfil }) => fulfil);
    return [...pushed, ...paid].reduce((sum, { amountMsat }) => sum + amountMsat, 0);
  }
}

function hasHtlc({ base, pending }: ChannelRecord, hash: PaymentHash): boolean {
  const added = (updates: readonly Update[]) =>
    updates.flatMap((update) => (update.type === "add" ? [update.htlc] : []));
  const all = [...base.htlcs, ...added(pending.localSigned), ...added(pending.localAcked)];
  return all.some((htlc) => htlc.offeredByLocal && equal(htlc.paymentHash, hash));
}

/** Both applications over one channel, and the account at the end. */
export class HonestPair {
  readonly a: HonestApp;
  readonly b: HonestApp;

  constructor(
    readonly pair: Pair,
    readonly id: ChannelId,
    readonly startMsat: { readonly a: number; readonly b: number },
  ) {
    this.a = new HonestApp(pair.a, pair, id, () => this.b);
    this.b = new HonestApp(pair.b, pair, id, () => this.a);
  }

  /** Both listen and answer; nothing is delivered. */
  react(): void {
    this.a.listen();
    this.b.listen();
  }

  get isDone(): boolean {
    const { pair, id } = this;
    const settled = [pair.a, pair.b].every(({ node }) => {
      const record = node.record(id);
      if (!record || record.awaitingRevocation || record.base.htlcs.length > 0) return false;
      const { localSigned, localAcked, remoteAcked, remoteSigned } = record.pending;
      const pending = [localSigned, localAcked, remoteAcked, remoteSigned];
      return pending.every(({ length }) => length === 0) && record.receiptsAwaited.length === 0;
    });
    const apps = [this.a, this.b];
    return settled && apps.every((app) => [...app.pushes, ...app.htlcs].every(({ done }) => done));
  }

  /** After the faults stop, everything settles within a bounded number of rounds. */
  async settle(): Promise<void> {
    const { pair } = this;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      if (!pair.a.node.isConnected(pair.b.nodeId) || !pair.b.node.isConnected(pair.a.nodeId)) {
        pair.reconnect();
      }
      pair.settle();
      await pair.flow();
      this.react();
      await pair.flow();
      if (this.isDone) return;
      this.a.retry();
      this.b.retry();
      pair.settle();
    }
    throw new Error(`did not settle: ${JSON.stringify(this.summary(), undefined, 1)}`);
  }

  private summary(): unknown {
    return [this.a, this.b].map((app) => {
      const record = app.side.node.record(this.id);
      return {
        name: app.side.name,
        phase: record?.phase,
        htlcs: record?.base.htlcs.length,
        pending: record?.pending,
        awaiting: record?.awaitingRevocation,
        receipts: record?.receiptsAwaited.length,
        pushes: app.pushes.map(({ asked, done }) => ({ asked, done })),
        wanted: app.htlcs.map(({ asked, done }) => ({ asked, done })),
        alarms: app.side.alarms,
        faults: app.side.checking.faults,
        last: app.side.told.slice(-4).map(({ event }) => event.type),
      };
    });
  }

  /** Both agree, each payment moved once, each was credited once, each receipt is held. */
  async expectSettled({ quiet = true }: { readonly quiet?: boolean } = {}): Promise<void> {
    const { pair, id, a, b, startMsat } = this;
    const alice = startMsat.a - a.spentMsat + b.spentMsat;
    const bob = startMsat.b - b.spentMsat + a.spentMsat;
    expect(pair.balances(id)).toEqual([alice, bob, alice, bob]);
    for (const app of [a, b]) {
      const credited = app.other().pushes.flatMap(({ payments }) => unpackPayments(payments));
      for (const { reference } of credited) {
        expect(await app.side.checking.isCredited(reference)).toBe(true);
        expect(app.received.get(toHex(reference)) ?? 0).toBeLessThanOrEqual(1);
      }
      const record = app.side.node.record(id);
      expect(record?.receiptsBelow).toBe(record?.nextLocalPushId);
      expect(app.side.events("pushReceived").every(({ duplicates }) => !duplicates)).toBe(true);
      expect(app.side.checking.faults).toEqual([]);
      expect(app.side.claims).toEqual([]);
      expect(app.side.events("forceClosing")).toEqual([]);
      if (quiet) expect(app.side.events("violation")).toEqual([]);
    }
  }
}
