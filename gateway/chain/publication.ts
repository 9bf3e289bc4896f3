/** One claim on its way into a block: sent, sent again at every block, replaced where a later version asks for more (BOLT 5, BIP 125, 431). */

import { KEYED_ANCHOR_WITNESS_WEIGHT } from "../../core/chain/monitor/close-locally.ts";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import type { BroadcastResult, ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { type Txid, txid } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import { parseTransaction, transactionWeight } from "../../core/transactions/transaction.ts";
import { scanTransaction } from "./bitcoind/block-scan.ts";
import { isInChain, type Refusal, refusalOf } from "./refusals.ts";

/** Signs input `inputIndex` of an unsigned child that spends a keyed anchor of the channel (close-locally.ts). */
export type SignAnchor = (unsignedChild: Uint8Array, inputIndex: number) => readonly Uint8Array[];

export interface PublicationPorts {
  readonly source: ChainSource;
  readonly wallet: ChainWallet;
  readonly signAnchor: SignAnchor;
  /** Blocks so far. */
  round(): number;
  tell(step: PublicationStep): void;
}

export interface PublicationStep {
  readonly type: "published" | "bumped" | "refused";
  readonly claim: Claim;
  /** Of the claim's transaction, with the fee inputs that it got. */
  readonly txid: Txid;
  readonly childTxid?: Txid;
  readonly feeratePerKw: number;
  /** The node's or the wallet's own words. */
  readonly reason?: string;
}

/** What the node has from us. */
interface Sent {
  readonly claim: Claim;
  readonly raws: readonly Uint8Array[];
  /** The one that spends coins of the wallet. */
  readonly paid?: Uint8Array;
  /** For what was asked. */
  readonly feeratePerKw: number;
}

/** Rounds in which a refusal that blocks usually explain is not yet worth a word. */
const QUIET_ROUNDS = 3;
const QUIET: readonly Refusal[] = ["outbid", "inputs-gone", "too-early"];

export class Publication {
  #wanted: Claim;
  #sent: Sent | undefined;
  #running: Promise<BroadcastResult> | undefined;
  #again = false;
  /** The block since which the node refuses it. */
  #refusedSince: number | undefined;
  #lastReason: string | undefined;
  /** Why the newest try did not take it to the node. */
  #refusal: string | undefined;
  #isUnreached = false;
  #inBlockSince: number | undefined;

  constructor(
    private readonly ports: PublicationPorts,
    claim: Claim,
  ) {
    this.#wanted = claim;
  }

  get claim(): Claim {
    return this.#wanted;
  }

  /** Blocks for which the node has refused it. */
  get refusedRounds(): number {
    return this.#refusedSince === undefined ? 0 : this.ports.round() - this.#refusedSince;
  }

  /** Blocks for which it was sent to no purpose: the node refuses it, or has it in a block. */
  get vainRounds(): number {
    const inBlock = this.#inBlockSince === undefined ? 0 : this.ports.round() - this.#inBlockSince;
    return Math.max(this.refusedRounds, inBlock);
  }

  /** The node has it, as far as we know. */
  get isSent(): boolean {
    return this.#sent !== undefined && this.#refusal === undefined;
  }

  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** Nobody refused it: the node or its wallet did not answer. */
  get isUnreached(): boolean {
    return this.#isUnreached;
  }

  /** The newest version; `send` works on it. */
  want(claim: Claim): void {
    this.#wanted = claim;
  }

  /** Takes the newest version to the node; calls while that is under way are answered by one more turn. Never throws. */
  send(): Promise<BroadcastResult> {
    if (this.#running) {
      this.#again = true;
      return this.#running;
    }
    this.#running = this.#turns().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Until nothing of it is under way. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** It is in a block, or no longer wanted: coins that no transaction took go back to the wallet. */
  async end(): Promise<void> {
    await this.settled();
    const { paid } = this.#sent ?? {};
    this.#sent = undefined;
    await this.#release(paid);
  }

  /** Whether a transaction that the node has from us is among these. */
  isAmong(txids: readonly Txid[]): boolean {
    const raws = this.#sent?.raws ?? [this.#wanted.raw];
    const own = idOf(raws[0] as Uint8Array);
    return txids.some((one) => equal(one, own));
  }

  async #turns(): Promise<BroadcastResult> {
    let outcome: BroadcastResult;
    do {
      this.#again = false;
      this.#isUnreached = false;
      try {
        outcome = await this.#turn(this.#wanted);
      } catch (error) {
        this.#isUnreached = true;
        outcome = { ok: false, reason: wordsOf(error) };
        this.#refused(this.#wanted, outcome.reason);
      }
    } while (this.#again);
    return outcome;
  }

  async #turn(claim: Claim): Promise<BroadcastResult> {
    const sent = this.#sent;
    if (!sent || !isSame(sent.claim, claim) || claim.feeratePerKw > sent.feeratePerKw) {
      return this.#replace(claim, sent);
    }
    const outcome = await this.#broadcast(sent.raws);
    if (outcome.ok) return this.#accepted(outcome);
    const rebuilt = sent.paid !== undefined && refusalOf(outcome.reason) === "inputs-gone";
    if (!rebuilt) return this.#refused(claim, outcome.reason);
    // The wallet's coin may be what is gone: the claim gets another.
    await this.#release(sent.paid);
    this.#sent = undefined;
    return this.#replace(claim, undefined);
  }

  async #replace(claim: Claim, before: Sent | undefined): Promise<BroadcastResult> {
    let next: Sent;
    try {
      next = await this.#pay(claim, before);
    } catch (error) {
      this.#refused(claim, wordsOf(error));
      return this.#broadcast(before?.raws ?? [claim.raw]); // perhaps it passes as it is
    }
    const outcome = await this.#broadcast(next.raws);
    if (!outcome.ok) {
      await this.#release(next.paid);
      return this.#outbid(claim, before, outcome.reason);
    }
    // A child that replaces another spends the other's coins; fee inputs are chosen anew.
    if (claim.needs?.type === "fee-inputs") await this.#release(before?.paid);
    this.#sent = next;
    const dearer = before !== undefined && next.feeratePerKw > before.feeratePerKw;
    this.#told(dearer ? "bumped" : "published", next);
    return this.#accepted(outcome);
  }

  /** What is in the mempool already may be better: ours from before, or our commitment with somebody else's child. */
  async #outbid(claim: Claim, before: Sent | undefined, reason: string): Promise<BroadcastResult> {
    const mayStand = before !== undefined || claim.needs?.type === "anchor-child";
    if (mayStand && refusalOf(reason) === "outbid") {
      const standing = await this.#broadcast(before?.raws ?? [claim.raw]);
      if (standing.ok) return this.#accepted(standing);
    }
    return this.#refused(claim, reason);
  }

  /** The transactions to send, with what the wallet adds. */
  async #pay(claim: Claim, before: Sent | undefined): Promise<Sent> {
    const { needs, raw, feeratePerKw } = claim;
    if (needs === undefined) return { claim, raws: [raw], feeratePerKw };
    if (needs.type === "fee-inputs") {
      const outputs = needs.inputAmounts.map((amount, i) => {
        return { amount, script: needs.inputScripts[i] as Uint8Array };
      });
      const paid = await this.ports.wallet.addFee(raw, outputs, feeratePerKw);
      return { claim, raws: [paid], feeratePerKw, ...(equal(paid, raw) ? {} : { paid }) };
    }
    const parent = parseTransaction(raw);
    if (needs.feeSatoshis * 1000 >= feeratePerKw * transactionWeight(parent)) {
      return { claim, raws: [raw], feeratePerKw };
    }
    const replaces = before && isSame(before.claim, claim) ? before.paid : undefined;
    const child = await this.#child(claim, needs, parent.version === 3 ? 3 : 2, replaces);
    return { claim, raws: [raw, child], feeratePerKw, paid: child };
  }

  async #child(
    { raw, feeratePerKw }: Claim,
    needs: Extract<NonNullable<Claim["needs"]>, { type: "anchor-child" }>,
    version: 2 | 3,
    replaces: Uint8Array | undefined,
  ): Promise<Uint8Array> {
    const { anchor, amount, keyed, feeSatoshis } = needs;
    const output = parseTransaction(raw).outputs[anchor.vout];
    const request = {
      parents: [raw],
      parentsFee: feeSatoshis,
      anchor,
      anchorOutput: { amount, script: output?.script ?? p2aScript() },
      version,
      feeratePerKw,
      ...(keyed
        ? {
            keyedAnchor: {
              witnessWeight: KEYED_ANCHOR_WITNESS_WEIGHT,
              sign: this.ports.signAnchor,
            },
          }
        : {}),
    };
    return this.ports.wallet.fundChild(replaces ? { ...request, replaces } : request);
  }

  async #broadcast(raws: readonly Uint8Array[]): Promise<BroadcastResult> {
    const { source } = this.ports;
    const [first] = raws as [Uint8Array];
    const outcome =
      raws.length === 1 ? await source.broadcast(first) : await source.broadcastPackage(raws);
    const isInBlock = !outcome.ok && isInChain(outcome.reason);
    this.#inBlockSince = isInBlock ? (this.#inBlockSince ?? this.ports.round()) : undefined;
    if (outcome.ok || refusalOf(outcome.reason) !== "known") return outcome;
    return { ok: true, txid: idOf(raws[raws.length - 1] as Uint8Array) };
  }

  #accepted(outcome: BroadcastResult): BroadcastResult {
    this.#refusedSince = undefined;
    this.#lastReason = undefined;
    this.#refusal = undefined;
    return outcome;
  }

  /** Told once; what the next blocks probably explain only where they do not. */
  #refused(claim: Claim, reason: string): BroadcastResult {
    this.#refusedSince ??= this.ports.round();
    this.#refusal = reason;
    const quiet = QUIET.includes(refusalOf(reason));
    if (quiet && this.refusedRounds < QUIET_ROUNDS) return { ok: false, reason };
    if (reason !== this.#lastReason) {
      this.#lastReason = reason;
      const { txid: id, feeratePerKw } = claim;
      this.ports.tell({ type: "refused", claim, txid: id, feeratePerKw, reason });
    }
    return { ok: false, reason };
  }

  #told(type: "published" | "bumped", { claim, raws, feeratePerKw }: Sent): void {
    const [own, child] = raws as [Uint8Array, Uint8Array?];
    const childTxid = child && idOf(child);
    this.ports.tell({
      type,
      claim,
      txid: idOf(own),
      feeratePerKw,
      ...(childTxid ? { childTxid } : {}),
    });
  }

  async #release(paid: Uint8Array | undefined): Promise<void> {
    try {
      if (paid === undefined) return;
      const named = parseTransaction(this.#wanted.raw).inputs.map(({ outpoint }) => outpoint);
      await this.ports.wallet.release(paid, named);
    } catch {
      // The coins stay set aside until the wallet's node restarts; nothing is lost.
    }
  }
}

/** The same transaction, whatever it shall pay. */
function isSame(one: Claim, other: Claim): boolean {
  return equal(one.txid, other.txid);
}

function idOf(raw: Uint8Array): Txid {
  return txid(scanTransaction(raw).txid);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
