/**
 * Rebalances channels with other gateways: a payment to ourselves, out of the channel that is full and back in by the
 * one that is empty. It goes that way or it fails; what it costs is the fee that was agreed to before, or less.
 */
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
  paymentHash,
} from "../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { Circular } from "../payments/circular.ts";
import { MIN_FINAL_CLTV_EXPIRY_DELTA } from "../payments/invoices.ts";
import type { Payment } from "../payments/ledger.ts";
import type { Router } from "../payments/next-hop.ts";
import { PaymentError } from "../payments/payment-error.ts";
import type { Payments } from "../payments/payments.ts";
import type { FindRoute, RouteRequest } from "../payments/routes.ts";
import type { Action, RebalanceBody, SettlementJournal } from "./journal.ts";

export interface RebalancePolicy {
  /** A channel with more than so many percent of ours is full, one with more than so many of the peer's is empty. */
  readonly abovePercent: number;
  readonly minMsat: number;
  readonly maxMsat: number;
  readonly maxFeeMillionths: number;
  /** Of fees, in a UTC day. */
  readonly budgetPerDayMsat: number;
}

export interface RebalancerOptions {
  readonly node: () => Node;
  readonly payments: () => Payments;
  readonly router: () => Router | undefined;
  readonly journal: SettlementJournal;
  readonly policy: RebalancePolicy;
  /** Forwards for others: no device. */
  isGateway(nodeId: PublicKey): boolean;
  nowSeconds(): number;
}

export interface PlannedRebalance {
  readonly outgoing: ChannelId;
  readonly incoming: ChannelId;
  readonly amountMsat: number;
  /** Undefined: no way is known. */
  readonly feeMsat: number | undefined;
  readonly maxFeeMsat: number;
  /** Undefined: it is begun now. */
  readonly waitsFor: string | undefined;
  readonly reason: string;
}

interface Side {
  readonly id: ChannelId;
  readonly record: ChannelRecord;
  /** Of the capacity: ours, and the peer's. */
  readonly percent: number;
  readonly theirPercent: number;
}

const DAY_SECONDS = 86_400;
const TIMEOUT_SECONDS = 30;
/** Two channels between which it failed are left alone for so long. */
const AGAIN_SECONDS = 3_600;
const EXTRA_BLOCKS = 3;
const MILLION = 1_000_000;

export class Rebalancer implements Circular {
  /** Under way, by payment hash. */
  private readonly pending = new Map<string, Action<"rebalance">>();
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: RebalancerOptions) {}

  /** Before the gateway hears of HTLCs. */
  async load(): Promise<void> {
    const { journal } = this.options;
    for (const one of await journal.list("rebalance", { state: "pending" })) {
      this.pending.set(one.id, one);
    }
  }

  /** Once the gateway has read its ledger: how what was under way ended; the rest is told when it does. */
  async start(): Promise<void> {
    for (const one of [...this.pending.values()]) {
      const paid = await this.options.payments().payment(paymentHash(fromHex(one.id)));
      if (paid?.status === "pending") continue;
      await this.end(one, paid, "the gateway stopped before it was begun");
    }
  }

  isKnown(hash: PaymentHash): boolean {
    return this.pending.has(toHex(hash));
  }

  isAstray(hash: PaymentHash, channel: ChannelId): boolean {
    const known = this.pending.get(toHex(hash));
    return known !== undefined && known.body.incoming !== toHex(channel);
  }

  route(request: RouteRequest, hash: PaymentHash): ReturnType<FindRoute> {
    const known = this.pending.get(toHex(hash));
    return known ? this.way(request, known.body) : { type: "none" };
  }

  /** Looks, and changes nothing: at most one at a time. */
  async plan(): Promise<PlannedRebalance | undefined> {
    const pair = this.pair();
    if (!pair) return undefined;
    const { policy, node, journal, nowSeconds } = this.options;
    const { full, empty, amountMsat } = pair;
    const body = { outgoing: toHex(full.id), incoming: toHex(empty.id) };
    const maxFeeMsat = Math.floor((amountMsat * policy.maxFeeMillionths) / MILLION);
    const way = this.way(
      {
        destination: node().nodeId,
        gateways: [],
        amountMsat: milliSatoshi(amountMsat),
        cltvExpiry: blockHeight(node().height + MIN_FINAL_CLTV_EXPIRY_DELTA + EXTRA_BLOCKS),
        sealed: new Uint8Array(0),
      },
      body,
    );
    const feeMsat = way.type === "route" ? way.amountMsat - amountMsat : undefined;
    const now = nowSeconds();
    const rows = await journal.list("rebalance", { from: now - DAY_SECONDS - AGAIN_SECONDS });
    const isToday = ({ createdAt }: Action) => createdAt >= now - (now % DAY_SECONDS);
    const spent = rows
      .filter(isToday)
      .reduce((sum, one) => sum + (one.state === "failed" ? 0 : feeOf(one.body)), 0);
    const failed = rows.find(
      ({ state, createdAt, body: of }) =>
        state === "failed" &&
        createdAt > now - AGAIN_SECONDS &&
        of.outgoing === body.outgoing &&
        of.incoming === body.incoming,
    );
    let waitsFor: string | undefined;
    if (this.pending.size > 0) waitsFor = "another is under way";
    else if (failed) waitsFor = `it failed within the hour: ${failed.body.reason}`;
    else if (feeMsat === undefined) waitsFor = "no way leads from the one to the other";
    else if (feeMsat > maxFeeMsat) waitsFor = `the fee would be ${feeMsat} msat`;
    else if (spent + maxFeeMsat > policy.budgetPerDayMsat) waitsFor = "the day's budget is spent";
    const reason = `${full.percent}% of the one is ours, and ${empty.percent}% of the other`;
    const { id: outgoing } = full;
    return { outgoing, incoming: empty.id, amountMsat, feeMsat, maxFeeMsat, waitsFor, reason };
  }

  /** Under way when it resolves; undefined: there is nothing to do. */
  run(): Promise<PlannedRebalance | undefined> {
    const next = this.turn.then(async () => {
      const plan = await this.plan();
      if (!plan || plan.waitsFor !== undefined) return undefined;
      await this.begin(plan);
      return plan;
    });
    this.turn = next.catch(() => {});
    return next;
  }

  /** Of any payment of ours. */
  paymentEnded(payment: Payment, reason = ""): Promise<void> {
    if (payment.kind !== "sent" || payment.status === "pending") return Promise.resolve();
    const known = this.pending.get(toHex(payment.paymentHash));
    return known ? this.end(known, payment, reason) : Promise.resolve();
  }

  private async begin({ outgoing, incoming, amountMsat, maxFeeMsat }: PlannedRebalance) {
    const { journal, node, nowSeconds } = this.options;
    const { invoices, payer } = this.options.payments();
    const amount = milliSatoshi(amountMsat);
    const expirySeconds = DAY_SECONDS; // it must not expire on its way
    const invoice = await invoices.create({ amountMsat: amount, memo: "rebalance", expirySeconds });
    const { paymentHash: hash, paymentSecret } = invoice;
    const action: Action<"rebalance"> = {
      kind: "rebalance",
      id: toHex(hash),
      state: "pending",
      createdAt: nowSeconds(),
      body: { outgoing: toHex(outgoing), incoming: toHex(incoming), amountMsat, maxFeeMsat },
    };
    await journal.put(action);
    this.pending.set(action.id, action);
    const target = {
      paymentHash: hash,
      destination: node().nodeId,
      amountMsat: amount,
      paymentSecret,
      finalCltvDelta: invoice.minFinalCltvExpiryDelta,
    };
    const limits = { maxFeeMsat: milliSatoshi(maxFeeMsat), timeoutSeconds: TIMEOUT_SECONDS };
    try {
      await payer.pay(target, limits);
    } catch (cause) {
      if (cause instanceof PaymentError) await this.end(action, undefined, cause.message);
      else throw cause;
    }
  }

  private async end(one: Action<"rebalance">, paid: Payment | undefined, why: string) {
    this.pending.delete(one.id);
    const isPaid = paid?.status === "succeeded";
    const more = isPaid ? { feeMsat: paid.feeMsat as number } : { reason: why };
    const state = isPaid ? "succeeded" : "failed";
    await this.options.journal.put({ ...one, state, body: { ...one.body, ...more } });
  }

  /** Out of that channel alone, and back over the peer of the other. */
  private way(
    request: RouteRequest,
    { outgoing, incoming }: Pick<RebalanceBody, "outgoing" | "incoming">,
  ): ReturnType<FindRoute> {
    const node = this.options.node();
    const router = this.options.router();
    const last = node.channels().find(({ id }) => toHex(id) === incoming);
    if (!router || last?.channel.kind !== "live") return { type: "none" };
    const tried = node.channels().flatMap(({ id }) => (toHex(id) === outgoing ? [] : [id]));
    const gateways = [last.channel.record.remoteNodeId];
    const way = router.way({ ...request, gateways, tried });
    return way.type === "way" ? { ...way, type: "route" } : way;
  }

  /** The fullest and the emptiest between which a payment of some size can go. */
  private pair(): { full: Side; empty: Side; amountMsat: number } | undefined {
    const { policy } = this.options;
    const sides = this.sides();
    const full = sides.filter(({ percent }) => percent > policy.abovePercent).reverse();
    const empty = sides.filter(({ theirPercent }) => theirPercent > policy.abovePercent);
    for (const from of full) {
      for (const to of empty) {
        if (!isFirstOfPeer(to, sides)) continue;
        const amountMsat = Math.min(spareOf(from), -spareOf(to), policy.maxMsat);
        if (amountMsat < policy.minMsat) continue;
        // A peer that could give it back over another channel with us would do so.
        const others = sides.filter(({ id }) => id !== from.id);
        if (!isSamePeer(from, to) && mostOfPeer(from, others) >= amountMsat) continue;
        return { full: from, empty: to, amountMsat };
      }
    }
    return undefined;
  }

  /** Channels with gateways, the emptiest of ours first. */
  private sides(): readonly Side[] {
    const { node, isGateway } = this.options;
    return node()
      .channels()
      .flatMap(({ id, channel }) => {
        if (channel.kind !== "live" || channel.record.phase !== "normal") return [];
        const { record } = channel;
        if (!node().isConnected(record.remoteNodeId) || !isGateway(record.remoteNodeId)) return [];
        const { base, terms } = record;
        const capacityMsat = terms.fundingSatoshis * 1_000;
        const percent = Math.round((100 * base.toLocalMsat) / capacityMsat);
        const theirPercent = Math.round((100 * base.toRemoteMsat) / capacityMsat);
        return [{ id, record, percent, theirPercent }];
      })
      .sort((a, b) => a.percent - b.percent);
  }
}

/** What it must lose to be half full; negative: what it lacks. */
function spareOf({ record: { base } }: Side): number {
  return Math.floor((base.toLocalMsat - base.toRemoteMsat) / 2);
}

/** A gateway gives over the channel in which it has the most (next-hop.ts). */
function isFirstOfPeer(side: Side, sides: readonly Side[]): boolean {
  return mostOfPeer(side, sides) === side.record.base.toRemoteMsat;
}

function mostOfPeer(side: Side, sides: readonly Side[]): number {
  const others = sides.filter((one) => isSamePeer(one, side));
  return Math.max(0, ...others.map(({ record }) => record.base.toRemoteMsat as number));
}

function isSamePeer(one: Side, other: Side): boolean {
  return equal(one.record.remoteNodeId, other.record.remoteNodeId);
}

/** What it may cost while it is under way. */
function feeOf({ feeMsat, maxFeeMsat }: RebalanceBody): number {
  return feeMsat ?? maxFeeMsat;
}
