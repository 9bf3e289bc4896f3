/** One revoked commitment on chain and its penalties: what is to be sent at a height, and what became of each output (BOLT 5). */
import { feerateAt } from "../../core/chain/monitor/fees.ts";
import type { Claim, MonitorPolicy } from "../../core/chain/monitor/watched.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type BlockHeight, blockHeight, type Txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { decodeKit } from "../../core/tower/justice-kit.ts";
import { type Punishment, punish, type ReadyPenalty } from "../../core/tower/punish.ts";
import {
  outpointKey,
  parseTransaction,
  serializeTransaction,
  type Transaction,
  transactionId,
  transactionWeight,
} from "../../core/transactions/transaction.ts";
import type { StoredBreach } from "./tower-tables.ts";

/** An added coin and its change. */
const FEE_INPUT_WEIGHT = 272 + 124;

export interface PenaltyOutcome {
  readonly penalty: ReadyPenalty;
  /** "escaped": to somebody else; from there the victim itself can still take a second stage. */
  readonly result: "punished" | "escaped";
  readonly height: BlockHeight;
  readonly by: Txid;
}

interface Spent {
  readonly height: BlockHeight;
  readonly by: Txid;
  readonly paysVictim: boolean;
}

export class Breach {
  readonly key: string;
  readonly punishment: Punishment;
  /** Undefined while a reorganisation has taken the commitment out of the chain. */
  height: BlockHeight | undefined;
  readonly #payoutScript: Uint8Array;
  /** By output. */
  readonly #spent = new Map<string, Spent>();
  readonly #told = new Set<string>();

  /** Throws ProtocolViolation where the kit is none. */
  constructor(
    crypto: Crypto,
    readonly stored: StoredBreach,
  ) {
    const kit = decodeKit(stored.kit);
    this.key = `${toHex(stored.txid)}/${stored.channel}`;
    this.height = blockHeight(stored.height);
    this.#payoutScript = kit.payoutScript;
    this.punishment = punish(crypto, kit, parseTransaction(stored.raw), stored.txid);
  }

  /** Outputs whose spends must be seen. */
  get watched(): readonly Outpoint[] {
    return this.punishment.penalties.map(({ outpoint }) => outpoint);
  }

  /** A transaction in a block at `height`; true where it spends something of this breach. */
  confirmed(transaction: Transaction, txid: Txid, height: BlockHeight): boolean {
    let touched = false;
    for (const { outpoint } of transaction.inputs) {
      const key = outpointKey(outpoint);
      if (!this.punishment.penalties.some((one) => outpointKey(one.outpoint) === key)) continue;
      const paysVictim = transaction.outputs.some(({ script }) =>
        equal(script, this.#payoutScript),
      );
      this.#spent.set(key, { height, by: txid, paysVictim });
      touched = true;
    }
    return touched;
  }

  disconnected(fromHeight: BlockHeight): void {
    if (this.height !== undefined && this.height >= fromHeight) this.height = undefined;
    for (const [key, { height }] of this.#spent) {
      if (height >= fromHeight) this.#spent.delete(key);
    }
  }

  /** What is final for now and was not told yet. */
  news(): readonly PenaltyOutcome[] {
    const fresh: PenaltyOutcome[] = [];
    for (const penalty of this.punishment.penalties) {
      const spent = this.#spent.get(outpointKey(penalty.outpoint));
      if (!spent || this.#isOfSecondStage(penalty, spent)) continue;
      const result = spent.paysVictim ? ("punished" as const) : ("escaped" as const);
      const told = `${outpointKey(penalty.outpoint)} ${toHex(spent.by)}`;
      if (this.#told.has(told)) continue;
      this.#told.add(told);
      fresh.push({ penalty, result, height: spent.height, by: spent.by });
    }
    return fresh;
  }

  /** Penalties whose output is on chain and unspent, with the fee that the height asks for. */
  due(crypto: Crypto, tip: BlockHeight, policy: MonitorPolicy, maxOwnFee: number): Claim[] {
    if (this.height === undefined) return [];
    const claims: Claim[] = [];
    for (const penalty of this.punishment.penalties) {
      if (this.#spent.has(outpointKey(penalty.outpoint))) continue;
      const since = penalty.after ? this.#secondStageSince(penalty) : this.height;
      if (since === undefined) continue;
      claims.push(this.#claim(crypto, penalty, since, tip, policy, maxOwnFee));
    }
    return claims;
  }

  /** Every output is spent, and that deep. */
  isOver(tip: BlockHeight, depth: number): boolean {
    return this.punishment.penalties.every((penalty) => {
      const spent = this.#spent.get(outpointKey(penalty.outpoint));
      if (spent !== undefined) return tip - spent.height >= depth;
      return penalty.after !== undefined && this.#secondStageSince(penalty) === undefined;
    });
  }

  #claim(
    crypto: Crypto,
    { transaction, spent, feeSatoshis, outpoint }: ReadyPenalty,
    since: BlockHeight,
    tip: BlockHeight,
    policy: MonitorPolicy,
    maxOwnFee: number,
  ): Claim {
    const weight = transactionWeight(transaction);
    const deadline = blockHeight(since + this.punishment.toSelfDelay);
    const own = Math.floor((feeSatoshis * 1000) / weight);
    // Our own coins pay for strangers: up to a limit (rule `tower-fee-bounded`), beyond what the penalty pays itself.
    const most = Math.floor(((feeSatoshis + maxOwnFee) * 1000) / (weight + FEE_INPUT_WEIGHT));
    const ceiling = Math.max(own, most);
    const schedule = { start: since, deadline, urgency: "contested" as const };
    return {
      id: `tower:${outpointKey(outpoint)}`,
      purpose: "penalty",
      raw: serializeTransaction(transaction),
      txid: transactionId(crypto, transaction),
      deadline,
      feeratePerKw: feerateAt(schedule, tip, policy, ceiling),
      needs: {
        type: "fee-inputs",
        inputAmounts: [spent.amount],
        inputScripts: [spent.script],
      },
    };
  }

  /** When the HTLC transaction that creates its output came into the chain. */
  #secondStageSince({ after, outpoint }: ReadyPenalty): BlockHeight | undefined {
    const spent = after && this.#spent.get(outpointKey(after));
    return spent && equal(spent.by, outpoint.txid) ? spent.height : undefined;
  }

  /** The cheater took it there, and there it is punished. */
  #isOfSecondStage(penalty: ReadyPenalty, { by }: Spent): boolean {
    return this.punishment.penalties.some(
      ({ after, outpoint }) =>
        after !== undefined &&
        outpointKey(after) === outpointKey(penalty.outpoint) &&
        equal(outpoint.txid, by),
    );
  }
}
