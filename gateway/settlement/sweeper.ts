/**
 * Sweeps the wallet's coins to the operator's descriptor: many in one transaction, one transaction at a time, written
 * down before it is sent, sent again at every block until it is in one, and made dearer where none takes it.
 */
import type { ChainSource } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type Satoshi, satoshi } from "../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { assert } from "../../core/primitives/errors.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { toDisplay, txidFromDisplay } from "../chain/bitcoind/units.ts";
import type { WalletCoin } from "../chain/fee-payer.ts";
import { InsufficientFunds } from "../chain/insufficient-funds.ts";
import { refusalOf } from "../chain/refusals.ts";
import { MAX_SWEPT_COINS, type SweepWallet } from "../chain/sweep-wallet.ts";
import type { OpenDescriptor } from "./descriptors.ts";
import type { Action, SettlementJournal, SweepBody, SweepVersion } from "./journal.ts";
import { type Bump, bumpOf } from "./sweep-bump.ts";

export interface SweepPolicy {
  /** Never swept: channels and their claims are paid with it. */
  readonly reserveSat: number;
  /** Coins that are left as they are: each child of a closing channel takes one (BIP 431). */
  readonly reserveCoins: number;
  /** Less is not worth a transaction. */
  readonly minSat: number;
  /** As dear as this it goes at once, … */
  readonly maxFeeratePerKw: number;
  /** … and from this amount on at any feerate. */
  readonly urgentSat: number;
}

export interface SweeperOptions {
  readonly crypto: Crypto;
  readonly journal: SettlementJournal;
  readonly wallet: SweepWallet;
  readonly source: Pick<
    ChainSource,
    "broadcast" | "feeratePerKw" | "unspentOutput" | "transaction" | "tip"
  >;
  readonly destination: OpenDescriptor;
  readonly policy: SweepPolicy;
  nowSeconds(): number;
  onAlarm(text: string): void;
}

export type SweepPlan =
  | {
      readonly type: "sweep";
      readonly coins: readonly WalletCoin[];
      /** Goes back to the wallet. */
      readonly keepSat: number;
      /** Arrives, before the fee. */
      readonly amountSat: number;
      readonly feeratePerKw: number;
      readonly feeSat: number;
      readonly reason: string;
    }
  | { readonly type: "wait"; readonly reason: string; readonly sweepableSat: number };

/** Of a P2WPKH input, and of the rest of a transaction with two outputs: for estimates. */
const INPUT_WEIGHT = 272;
const REST_WEIGHT = 44 + 2 * 4 * 43;
const PER_KW_OF_SAT_PER_VB = 250;
/** Blocks for which its coins must be missing before it is given up. */
const GONE_BLOCKS = 6;
/** More than the schedule of fees has steps. */
const MAX_VERSIONS = 32;
/** Core's words where its mempool wants more than the transaction pays. */
const TOO_CHEAP = /mempool min fee not met|min relay fee not met/i;

export class Sweeper {
  private turn: Promise<unknown> = Promise.resolve();
  private readonly goneSince = new Map<string, number>();

  constructor(private readonly options: SweeperOptions) {}

  /** What a run would do now; looks, and changes nothing. */
  async plan(): Promise<SweepPlan> {
    const { journal, wallet, source, policy } = this.options;
    const [under] = await journal.list("sweep", { state: "pending", limit: 1 });
    if (under) {
      return { type: "wait", reason: waitOf(under.body), sweepableSat: 0 };
    }
    const { coins, keepSat, worth } = choose(await wallet.coins(), policy);
    const amountSat = worth - keepSat;
    const wait = (reason: string): SweepPlan => {
      return { type: "wait", reason, sweepableSat: Math.max(0, amountSat) };
    };
    if (amountSat < policy.minSat) {
      const reserve = `${policy.reserveSat} sat and ${policy.reserveCoins} coins are kept`;
      return wait(
        `${Math.max(0, amountSat)} sat are to spare of at least ${policy.minSat} sat: ${reserve}`,
      );
    }
    const feeratePerKw = await source.feeratePerKw("economy");
    const isUrgent = amountSat >= policy.urgentSat;
    if (feeratePerKw > policy.maxFeeratePerKw && !isUrgent) {
      const most = `${perVb(policy.maxFeeratePerKw)} sat/vB`;
      return wait(`fees of ${perVb(feeratePerKw)} sat/vB are above ${most}`);
    }
    const feeSat = Math.ceil(((coins.length * INPUT_WEIGHT + REST_WEIGHT) * feeratePerKw) / 1000);
    const reason = isUrgent
      ? `${amountSat} sat have gathered`
      : `fees are at ${perVb(feeratePerKw)} sat/vB`;
    return { type: "sweep", coins, keepSat, amountSat, feeratePerKw, feeSat, reason };
  }

  /** One at a time; undefined: there was nothing to sweep. */
  run(): Promise<Action<"sweep"> | undefined> {
    return this.queued(async () => {
      const plan = await this.plan();
      return plan.type === "sweep" ? this.sweep(plan) : undefined;
    });
  }

  /** After each block and at the start: what was made is sent again until it is in a block. */
  tend(): Promise<void> {
    return this.queued(async () => {
      for (const one of await this.options.journal.list("sweep", { state: "pending" })) {
        if (await this.endedInBlock(one)) continue;
        const reason = (await this.send(one)) ?? "";
        if (refusalOf(reason) !== "inputs-gone") await this.bump(one, TOO_CHEAP.test(reason));
      }
    });
  }

  private queued<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.then(work, work);
    this.turn = next.catch(() => {});
    return next;
  }

  private async sweep(
    plan: Extract<SweepPlan, { type: "sweep" }>,
  ): Promise<Action<"sweep"> | undefined> {
    const { crypto, journal, wallet, source, destination, nowSeconds } = this.options;
    const index = destination.isRanged ? await this.nextIndex() : 0;
    const script = await destination.script(index);
    const { coins, feeratePerKw } = plan;
    let raw: Uint8Array;
    try {
      raw = await wallet.sendAll({ coins, keep: satoshi(plan.keepSat), script, feeratePerKw });
    } catch (cause) {
      if (cause instanceof InsufficientFunds) return undefined; // coins went meanwhile
      throw cause;
    }
    const transaction = parseTransaction(raw);
    const amountSat = transaction.outputs.find((one) => equal(one.script, script))?.amount;
    assert(amountSat !== undefined, "a sweep pays the operator");
    const inside = coins.reduce((sum, { output }) => sum + output.amount, 0);
    const outside = transaction.outputs.reduce((sum, { amount }) => sum + amount, 0);
    const txid = toDisplay(transactionId(crypto, transaction));
    const action: Action<"sweep"> = {
      kind: "sweep",
      id: txid,
      state: "pending",
      createdAt: nowSeconds(),
      body: {
        txid,
        raw: toHex(raw),
        amountSat,
        feeSat: inside - outside,
        coins: coins.length,
        index,
        sinceHeight: (await source.tip()).height,
      },
    };
    try {
      await journal.put(action); // before it is sent: after a crash the same one is
    } catch (cause) {
      await wallet.release(raw);
      throw cause;
    }
    await this.send(action);
    return action;
  }

  private async nextIndex(): Promise<number> {
    const all = await this.options.journal.list("sweep");
    return all.reduce((next, { body }) => Math.max(next, body.index + 1), 0);
  }

  /** What the node said against it, if it said anything. */
  private async send({ id, body, ...rest }: Action<"sweep">): Promise<string | undefined> {
    const { source, onAlarm } = this.options;
    const { txid, raw, replaced = [] } = body;
    const sent = await source.broadcast(fromHex(raw));
    if (sent.ok) return undefined;
    const refusal = refusalOf(sent.reason);
    if (refusal === "known") return undefined;
    if (refusal === "outbid" && replaced.length > 0) return undefined; // a version before it is there
    if (refusal === "inputs-gone") await this.gone({ id, body, ...rest });
    else {
      onAlarm(`the sweep ${txid} was refused, and is sent again at the next block: ${sent.reason}`);
    }
    return sent.reason;
  }

  /** Where it has waited long: the same coins at a higher fee, which the operator's output pays. */
  private async bump(action: Action<"sweep">, isTooCheap: boolean): Promise<void> {
    const { source, policy, destination } = this.options;
    const { body } = action;
    const tipHeight = (await source.tip()).height;
    const [now, soon, economy] = await Promise.all([
      source.feeratePerKw("now"),
      source.feeratePerKw("soon"),
      source.feeratePerKw("economy"),
    ]);
    const isUrgent = body.amountSat + body.feeSat >= policy.urgentSat;
    const bump = bumpOf({
      body,
      transaction: parseTransaction(fromHex(body.raw)),
      script: await destination.script(body.index),
      tipHeight,
      feeratesPerKw: { now, soon, economy },
      maxFeeratePerKw: isUrgent ? Number.MAX_SAFE_INTEGER : policy.maxFeeratePerKw,
      isTooCheap,
    });
    if (bump) await this.replace(action, bump, tipHeight);
  }

  private async replace(
    action: Action<"sweep">,
    { outputs, amountSat, feeSat }: Bump,
    raisedHeight: number,
  ): Promise<void> {
    const { crypto, journal, wallet } = this.options;
    const { replaced = [], ...body } = action.body;
    const raw = await wallet.resign(fromHex(body.raw), outputs);
    const txid = toDisplay(transactionId(crypto, parseTransaction(raw)));
    const version = { txid, amountSat, feeSat };
    const before = [...replaced, versionOf(body)].slice(-MAX_VERSIONS);
    const next: Action<"sweep"> = {
      ...action,
      body: { ...body, ...version, raw: toHex(raw), raisedHeight, replaced: before },
    };
    await journal.put(next); // before it is sent: whichever a block takes is known
    await this.send(next);
  }

  /** A reorganisation may have taken them for a while; or it is in a block, and its outputs were spent at once. */
  private async gone(action: Action<"sweep">): Promise<void> {
    const { source, onAlarm } = this.options;
    const { height } = await source.tip();
    const since = this.goneSince.get(action.id) ?? height;
    this.goneSince.set(action.id, since);
    if (height < since + GONE_BLOCKS) return;
    this.goneSince.delete(action.id);
    for (const version of versionsOf(action.body)) {
      if (await source.transaction(txidFromDisplay(version.txid))) {
        return this.end(action, "succeeded", version);
      }
    }
    const { txid } = action.body;
    onAlarm(`the sweep ${txid} can no longer be sent: something else spent its coins`);
    return this.end(action, "failed");
  }

  private async endedInBlock(action: Action<"sweep">): Promise<boolean> {
    const { source } = this.options;
    const { outputs } = parseTransaction(fromHex(action.body.raw));
    for (const version of versionsOf(action.body)) {
      const txid = txidFromDisplay(version.txid);
      for (const vout of outputs.keys()) {
        if (!(await source.unspentOutput({ txid, vout }))) continue;
        await this.end(action, "succeeded", version);
        return true;
      }
    }
    return false;
  }

  private end(
    action: Action<"sweep">,
    state: "succeeded" | "failed",
    version: SweepVersion = action.body,
  ): Promise<void> {
    const body = { ...action.body, ...versionOf(version) };
    return this.options.journal.put({ ...action, state, body });
  }
}

/** The newest first: it is the likeliest. */
function versionsOf({ replaced = [], ...newest }: SweepBody): readonly SweepVersion[] {
  return [newest, ...[...replaced].reverse()];
}

function versionOf({ txid, amountSat, feeSat }: SweepVersion): SweepVersion {
  return { txid, amountSat, feeSat };
}

function waitOf({ txid, replaced = [], sinceHeight }: SweepBody): string {
  const dearer = replaced.length > 0 ? `, made dearer ${replaced.length} times` : "";
  return `${txid} is not in a block yet (begun at block ${sinceHeight}${dearer})`;
}

interface Chosen {
  readonly coins: readonly WalletCoin[];
  readonly keepSat: number;
  readonly worth: number;
}

/** The smallest coins stay as the reserve's; what the reserve lacks then comes back as a new coin. */
function choose(all: readonly WalletCoin[], policy: SweepPolicy): Chosen {
  const sorted = [...all].sort((a, b) => a.output.amount - b.output.amount);
  const sum = (coins: readonly WalletCoin[]) =>
    coins.reduce((total, { output }) => total + output.amount, 0);
  const left = sorted.slice(0, policy.reserveCoins);
  const largest = sorted.slice(policy.reserveCoins).reverse();
  const coins = largest.slice(0, MAX_SWEPT_COINS);
  const rest = sum(left) + sum(largest.slice(MAX_SWEPT_COINS));
  const keepSat = Math.max(0, policy.reserveSat - rest);
  return { coins, keepSat: keepSat > 0 ? Math.max(keepSat, LEAST_KEPT_SAT) : 0, worth: sum(coins) };
}

/** A coin that is worth keeping. */
const LEAST_KEPT_SAT: Satoshi = satoshi(10_000);

function perVb(perKw: number): number {
  return Math.round((perKw / PER_KW_OF_SAT_PER_VB) * 10) / 10;
}
