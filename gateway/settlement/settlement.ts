/** Settlement: what waits for the chain, what a run would do, and doing it; by hand or, where the operator says so, at each block. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChainSource } from "../../core/ports/chain.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { toDisplay } from "../chain/bitcoind/units.ts";
import type { QueuedClaim } from "../chain/publisher.ts";
import type { Gateway } from "../gateway.ts";
import type { Payment } from "../payments/ledger.ts";
import type { Inbound } from "./inbound.ts";
import type { IncomeBook } from "./income.ts";
import { ACTION_KINDS, type Action, type ActionKind, type SettlementJournal } from "./journal.ts";
import type { Rebalancer } from "./rebalancer.ts";
import type { Sweeper, SweepPlan } from "./sweeper.ts";

export interface SettlementOptions {
  readonly journal: SettlementJournal;
  readonly income: IncomeBook;
  readonly inbound: Inbound;
  readonly rebalancer: Rebalancer;
  /** Undefined: nobody said where to. */
  readonly sweeper: Sweeper | undefined;
  readonly source: Pick<ChainSource, "tip">;
  readonly gateway: () => Gateway;
  /** Done without being asked. */
  readonly automatic: readonly ActionKind[];
  onAlarm(text: string): void;
}

/** Something that a run does, or would do. */
export interface PlannedAction {
  readonly kind: ActionKind;
  readonly amountSat: number;
  /** An estimate; null: not known. */
  readonly feeSat: number | null;
  /** A node id, a channel id, or the operator. */
  readonly to: string;
  readonly reason: string;
  /** Null: a run does it now. */
  readonly waitsFor: string | null;
}

export interface QueuedItem {
  readonly what: QueuedClaim["purpose"] | "closing";
  readonly channelId: string | null;
  readonly txid: string | null;
  /** Block by which it must be in the chain; null: nothing is lost by waiting. */
  readonly deadline: number | null;
  readonly feeratePerKw: number;
  readonly state: "sent" | "waiting";
  readonly waitsFor: string | null;
}

export interface SettlementView {
  /** Null: it answers. */
  readonly chainProblem: string | null;
  readonly queue: readonly QueuedItem[];
  readonly actions: readonly PlannedAction[];
  readonly recent: readonly Action[];
}

const RETRY_MS = 5_000;
const RECENT = 20;
const MSAT_PER_SAT = 1_000;

export class Settlement {
  readonly income: IncomeBook;
  readonly rebalancer: Rebalancer;
  readonly automatic: readonly ActionKind[];
  private isStarted = false;
  private isBusy = false;
  private retriedMs = 0;
  private working: Promise<void> = Promise.resolve();

  constructor(private readonly options: SettlementOptions) {
    this.income = options.income;
    this.rebalancer = options.rebalancer;
    this.automatic = options.automatic;
  }

  /** Once the gateway runs: what a crash interrupted is finished or given up. */
  async start(): Promise<void> {
    const { inbound, rebalancer, income } = this.options;
    await inbound.start();
    await rebalancer.start();
    await income.bookAll();
    this.isStarted = true;
    this.block();
  }

  async stop(): Promise<void> {
    this.isStarted = false;
    await this.working;
    await this.options.inbound.idle();
    await this.options.income.bookAll();
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    this.options.income.channelEvent(id, event);
    this.options.inbound.channelEvent(id, event);
  }

  payment(payment: Payment, reason?: string): void {
    this.quietly(this.options.rebalancer.paymentEnded(payment, reason));
  }

  /** A block was worked on. */
  block(): void {
    if (!this.isStarted || this.isBusy) return;
    this.isBusy = true;
    const work = async () => {
      await this.options.income.bookAll();
      await this.options.sweeper?.tend();
      await this.run(this.automatic);
    };
    this.working = this.quietly(
      work().finally(() => {
        this.isBusy = false;
      }),
    );
  }

  tick(nowMs: number): void {
    this.options.income.tick(nowMs);
    if (nowMs - this.retriedMs < RETRY_MS) return;
    this.retriedMs = nowMs;
    this.options.gateway().publisher.retry();
  }

  /** What is there, and what a run of all kinds would do; changes nothing. */
  async view(): Promise<SettlementView> {
    const { journal, source } = this.options;
    let chainProblem: string | null = null;
    try {
      await source.tip();
    } catch (cause) {
      chainProblem = wordsOf(cause);
    }
    const recent: Action[] = [];
    for (const kind of ACTION_KINDS) recent.push(...(await journal.list(kind, { limit: RECENT })));
    recent.sort((a, b) => b.createdAt - a.createdAt);
    const actions = await this.plan(ACTION_KINDS);
    return { chainProblem, queue: this.queue(), actions, recent: recent.slice(0, RECENT) };
  }

  /** Of each of these kinds. */
  async plan(kinds: readonly ActionKind[]): Promise<readonly PlannedAction[]> {
    const planned: PlannedAction[] = [];
    for (const kind of ACTION_KINDS) {
      if (!kinds.includes(kind)) continue;
      try {
        planned.push(...(await this.planOf(kind)));
      } catch (cause) {
        const waitsFor = wordsOf(cause);
        planned.push({ kind, amountSat: 0, feeSat: null, to: "", reason: "not known", waitsFor });
      }
    }
    return planned;
  }

  /** What was begun; each kind keeps to its own limits, however often this is called. */
  async run(kinds: readonly ActionKind[]): Promise<readonly PlannedAction[]> {
    const { sweeper, inbound, rebalancer } = this.options;
    const done: PlannedAction[] = [];
    if (kinds.includes("sweep") && sweeper) {
      const swept = await sweeper.run();
      if (swept) {
        const { amountSat, feeSat, txid, coins } = swept.body;
        const reason = `${coins} coins in ${txid}`;
        done.push({ kind: "sweep", amountSat, feeSat, to: OPERATOR, reason, waitsFor: null });
      }
    }
    if (kinds.includes("open")) done.push(...(await inbound.run()).map(openOf));
    if (kinds.includes("rebalance")) {
      const begun = await rebalancer.run();
      if (begun) done.push(rebalanceOf(begun));
    }
    return done;
  }

  private queue(): readonly QueuedItem[] {
    const { node, publisher } = this.options.gateway();
    const claims = publisher.queue().map(itemOf);
    const waiting = node.channels().flatMap(({ id, channel }): QueuedItem[] => {
      if (channel.kind !== "live" || channel.record.phase !== "closing") return [];
      const channelId = toHex(id);
      if (claims.some((one) => one.channelId === channelId)) return [];
      const isThere = node.isConnected(channel.record.remoteNodeId);
      const waitsFor = isThere ? "HTLCs in it are settled first" : "its peer is away";
      const none = { txid: null, deadline: null, feeratePerKw: 0, state: "waiting" as const };
      return [{ ...none, what: "closing", channelId, waitsFor }];
    });
    return [...claims, ...waiting];
  }

  private async planOf(kind: ActionKind): Promise<readonly PlannedAction[]> {
    const { sweeper, inbound, rebalancer } = this.options;
    switch (kind) {
      case "sweep":
        return sweeper ? [sweepOf(await sweeper.plan())] : [];
      case "open":
        return (await inbound.plan()).map(openOf);
      case "rebalance": {
        const plan = await rebalancer.plan();
        return plan ? [rebalanceOf(plan)] : [];
      }
    }
  }

  private async quietly(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (cause) {
      this.options.onAlarm(`settlement: ${wordsOf(cause)}`);
    }
  }
}

const OPERATOR = "the operator's descriptor";

function itemOf(claim: QueuedClaim): QueuedItem {
  return {
    what: claim.purpose,
    channelId: claim.channelId ? toHex(claim.channelId) : null,
    txid: toDisplay(claim.txid),
    deadline: claim.deadline ?? null,
    feeratePerKw: claim.feeratePerKw,
    state: claim.state,
    waitsFor: claim.refusal ?? null,
  };
}

function sweepOf(plan: SweepPlan): PlannedAction {
  const common = { kind: "sweep" as const, to: OPERATOR };
  if (plan.type === "wait") {
    const reason = "coins above the reserve";
    return { ...common, amountSat: plan.sweepableSat, feeSat: null, reason, waitsFor: plan.reason };
  }
  const { amountSat, feeSat, reason } = plan;
  return { ...common, amountSat: amountSat - feeSat, feeSat, reason, waitsFor: null };
}

function openOf(plan: Awaited<ReturnType<Inbound["plan"]>>[number]): PlannedAction {
  const { capacitySat: amountSat, feeSat, nodeId: to, reason, waitsFor = null } = plan;
  return { kind: "open", amountSat, feeSat, to, reason, waitsFor };
}

function rebalanceOf(plan: NonNullable<Awaited<ReturnType<Rebalancer["plan"]>>>): PlannedAction {
  const { amountMsat, feeMsat, incoming, reason, waitsFor = null } = plan;
  const feeSat = feeMsat === undefined ? null : feeMsat / MSAT_PER_SAT;
  const amountSat = amountMsat / MSAT_PER_SAT;
  return { kind: "rebalance", amountSat, feeSat, to: toHex(incoming), reason, waitsFor };
}

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
