/**
 * Opens channels to devices that can hardly be paid any more: within the operator's sizes, budgets and reserve, written
 * down before each is begun, so that neither a crash nor a refusal spends the budget twice.
 */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { type ChannelId, milliSatoshi, publicKey, satoshi } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import type { Action, OpenBody, SettlementJournal } from "./journal.ts";

export interface InboundPolicy {
  /** A device that can receive less gets a channel, … */
  readonly lowSat: number;
  /** … so large that it can receive so much, … */
  readonly targetSat: number;
  /** … within these. */
  readonly minSat: number;
  readonly maxSat: number;
  /** Stays in the wallet. */
  readonly reserveSat: number;
  /** Of a UTC day, and of all days. */
  readonly budgetPerDaySat: number;
  readonly budgetTotalSat: number;
  readonly maxAtOnce: number;
  readonly maxFeeratePerKw: number;
}

export interface InboundOptions {
  readonly node: () => Node;
  readonly journal: SettlementJournal;
  readonly wallet: Pick<ChainWallet, "balance">;
  readonly source: Pick<ChainSource, "feeratePerKw">;
  readonly policy: InboundPolicy;
  /** Node ids of our own devices, hexadecimal. */
  devices(): readonly string[];
  nowSeconds(): number;
  onAlarm(text: string): void;
}

export interface PlannedOpen {
  readonly nodeId: string;
  readonly capacitySat: number;
  readonly feeSat: number;
  /** Undefined: it is opened now. */
  readonly waitsFor: string | undefined;
  readonly reason: string;
}

/** Of a funding transaction with one coin and change. */
const OPEN_WEIGHT = 44 + 272 + 2 * 4 * 43;
const DAY_SECONDS = 86_400;
/** A device that refused one, or was lost meanwhile, is not asked again for so long. */
const AGAIN_SECONDS = 3_600;

export class Inbound {
  private readonly opening = new Map<string, Action<"open">>();
  /** What is told of an opening before its id is known. */
  private early: Map<string, ChannelEvent> | undefined;
  private begun = 0;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: InboundOptions) {}

  /** What a crash interrupted: a channel is there now, or there never will be one. */
  async start(): Promise<void> {
    const { journal, node } = this.options;
    for (const one of await journal.list("open", { state: "pending" })) {
      const { nodeId, capacitySat, known } = one.body;
      const made = node()
        .channels(publicKey(fromHex(nodeId)))
        .some(({ id, channel }) => {
          if (channel.kind !== "live" || known.includes(toHex(id))) return false;
          const { terms } = channel.record;
          return terms.localIsOpener && terms.fundingSatoshis === capacitySat;
        });
      await this.end(one, made ? "succeeded" : "failed", "the gateway stopped meanwhile");
    }
  }

  /** Looks, and changes nothing. */
  async plan(): Promise<readonly PlannedOpen[]> {
    const wants = this.options.devices().flatMap((nodeId) => this.want(nodeId) ?? []);
    if (wants.length === 0) return [];
    const { policy, wallet, source, journal } = this.options;
    const feeratePerKw = await source.feeratePerKw("soon");
    const feeSat = Math.ceil((feeratePerKw * OPEN_WEIGHT) / 1_000);
    const rows = (await journal.list("open")).filter(({ state }) => state !== "failed");
    const today = this.options.nowSeconds() - (this.options.nowSeconds() % DAY_SECONDS);
    const sumOf = (some: readonly Action<"open">[]) =>
      some.reduce((sum, { body }) => sum + body.capacitySat, 0);
    let day = sumOf(rows.filter(({ createdAt }) => createdAt >= today));
    let total = sumOf(rows);
    let balance: number = await wallet.balance();
    let underWay = rows.filter(({ state }) => state === "pending").length;
    const refused = await this.refusedLately();
    return wants.map(({ nodeId, capacitySat, reason }) => {
      const waitsFor = firstOf([
        [!this.isConnected(nodeId), "it is away"],
        [refused.has(nodeId), `an opening failed within the hour: ${refused.get(nodeId)}`],
        [feeratePerKw > policy.maxFeeratePerKw, "fees are above the bound"],
        [underWay >= policy.maxAtOnce, `${underWay} openings are under way`],
        [
          day + capacitySat > policy.budgetPerDaySat,
          `the day's budget is ${policy.budgetPerDaySat} sat`,
        ],
        [total + capacitySat > policy.budgetTotalSat, `the budget is ${policy.budgetTotalSat} sat`],
        [
          balance - capacitySat - feeSat < policy.reserveSat,
          `the wallet has ${balance} sat, and ${policy.reserveSat} sat stay in it`,
        ],
      ]);
      if (waitsFor === undefined) {
        day += capacitySat;
        total += capacitySat;
        balance -= capacitySat + feeSat;
        underWay++;
      }
      return { nodeId, capacitySat, feeSat, waitsFor, reason };
    });
  }

  /** Opens what the plan says; they are under way when it resolves. */
  run(): Promise<readonly PlannedOpen[]> {
    const next = this.turn.then(async () => {
      const plans = (await this.plan()).filter(({ waitsFor }) => waitsFor === undefined);
      for (const plan of plans) await this.open(plan);
      return plans;
    });
    this.turn = next.catch(() => {});
    return next;
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    if (!["created", "openFailed", "rejected"].includes(event.type)) return;
    const key = toHex(id);
    const action = this.opening.get(key);
    if (!action) {
      this.early?.set(key, event);
      return;
    }
    this.opening.delete(key);
    this.turn = this.turn.then(() => this.told(action, event)).catch(() => {});
  }

  /** Until nothing is being written. */
  async idle(): Promise<void> {
    await this.turn;
  }

  private want(nodeId: string): Pick<PlannedOpen, "nodeId" | "capacitySat" | "reason"> | undefined {
    const { policy, node } = this.options;
    let receivableSat = 0;
    for (const { channel } of node().channels(publicKey(fromHex(nodeId)))) {
      if (channel.kind === "opening") return undefined;
      if (channel.kind !== "live") continue;
      if (channel.record.phase === "awaiting-funding" || channel.record.phase === "normal") {
        receivableSat += receivable(channel.record);
      }
    }
    if (receivableSat >= policy.lowSat) return undefined;
    const missing = policy.targetSat - receivableSat;
    const capacitySat = Math.min(Math.max(missing, policy.minSat), policy.maxSat);
    const reason = `it can receive ${receivableSat} sat, and ${policy.lowSat} are wanted`;
    return { nodeId, capacitySat, reason };
  }

  private async open({ nodeId, capacitySat }: PlannedOpen): Promise<void> {
    const { node, journal, nowSeconds } = this.options;
    const peer = publicKey(fromHex(nodeId));
    const known = node()
      .channels(peer)
      .map(({ id }) => toHex(id));
    const body: OpenBody = { nodeId, capacitySat, known };
    const createdAt = nowSeconds();
    const id = `${nodeId} ${createdAt} ${this.begun++} ${known.length}`;
    const action: Action<"open"> = { kind: "open", id, state: "pending", createdAt, body };
    await journal.put(action); // first: a crash does not spend the budget twice
    this.early = new Map();
    const temporaryId = toHex(
      node().open({
        remoteNodeId: peer,
        channelType: "zero_fee_commitments",
        fundingSatoshis: satoshi(capacitySat),
        pushMsat: milliSatoshi(0),
        feeratePerKw: 0,
      }),
    );
    const early = this.early.get(temporaryId);
    this.early = undefined;
    if (early) await this.told(action, early);
    else this.opening.set(temporaryId, action);
  }

  private async told(action: Action<"open">, event: ChannelEvent): Promise<void> {
    const reason = "reason" in event ? String(event.reason ?? "") : "";
    await this.end(action, event.type === "created" ? "succeeded" : "failed", reason);
    if (event.type === "created") return;
    const short = action.body.nodeId.slice(0, 16);
    this.options.onAlarm(`settlement: no channel with ${short} was opened: ${reason}`);
  }

  private end(action: Action<"open">, state: "succeeded" | "failed", reason: string) {
    const body = state === "failed" ? { ...action.body, reason } : action.body;
    return this.options.journal.put({ ...action, state, body });
  }

  private async refusedLately(): Promise<ReadonlyMap<string, string>> {
    const from = this.options.nowSeconds() - AGAIN_SECONDS;
    const rows = await this.options.journal.list("open", { state: "failed", from });
    return new Map(rows.map(({ body }) => [body.nodeId, body.reason ?? ""]));
  }

  private isConnected(nodeId: string): boolean {
    return this.options.node().isConnected(publicKey(fromHex(nodeId)));
  }
}

/** Ours, less what the device wants to stay on our side. */
function receivable({ base, terms }: ChannelRecord): number {
  const reserve = terms.remote.channelReserveSatoshis;
  return Math.max(0, Math.floor(base.toLocalMsat / 1_000) - reserve);
}

function firstOf(reasons: readonly (readonly [boolean, string])[]): string | undefined {
  return reasons.find(([applies]) => applies)?.[1];
}
