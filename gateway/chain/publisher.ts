/** Publishes what the channels ask for until it confirms: the NodeChain of whoever has a Bitcoin node and coins (BOLT 5, BIP 431). */

import { signKeyedAnchor } from "../../core/chain/monitor/close-locally.ts";
import { MIN_FEERATE_PER_KW } from "../../core/chain/monitor/fees.ts";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import type { NodeChain } from "../../core/node/options.ts";
import type {
  BroadcastResult,
  ChainSource,
  ChainWallet,
  ConfirmedTransaction,
  Outpoint,
} from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { ChannelSigner } from "../../core/ports/signer.ts";
import { blockHeight, type ChannelId, type Txid, txid } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import { anyoneClaim } from "./anyone-claim.ts";
import { scanTransaction } from "./bitcoind/block-scan.ts";
import { Publication, type PublicationStep } from "./publication.ts";
import { refusalOf } from "./refusals.ts";

export interface PublisherOptions {
  readonly crypto: Crypto;
  readonly source: ChainSource;
  readonly wallet: ChainWallet;
  /** Of a channel whose keyed anchor is spent; undefined where the channel is not known. */
  signerOf(channel: ChannelId): ChannelSigner | undefined;
  /** For a timeline and for alarms. */
  onStep?(step: PublisherStep): void;
  /** What was entrusted needs no more: it is spent in a block, or the node refused it for too long. */
  onEntrustedOver?(by: Uint8Array, channelId: ChannelId, claimId: string): void;
}

export interface PublisherStep extends Omit<PublicationStep, "claim" | "type"> {
  readonly type: PublicationStep["type"] | "confirmed";
  /** Absent for somebody else's commitment. */
  readonly channelId?: ChannelId;
  readonly claimId: string;
  readonly purpose: Claim["purpose"] | "mutual-close";
}

/** What is on its way into a block. */
export interface QueuedClaim {
  /** Absent for somebody else's commitment. */
  readonly channelId?: ChannelId;
  readonly purpose: PublisherStep["purpose"];
  readonly txid: Txid;
  /** Lose-by height; undefined: nothing is lost by waiting. */
  readonly deadline: number | undefined;
  readonly feeratePerKw: number;
  /** Waiting: the node does not have it yet, and `refusal` says why. */
  readonly state: "sent" | "waiting";
  readonly refusal?: string;
  /** A device's. */
  readonly isEntrusted: boolean;
}

/** As of a NodeChain, with the node's answer. */
export interface Entrusted {
  publish(channelId: ChannelId, claim: Claim): Promise<BroadcastResult>;
  publishClose(channelId: ChannelId, raw: Uint8Array): Promise<BroadcastResult>;
}

/** Claims that are under way at a time; beyond it new ones wait for the next block. */
export const MAX_PUBLICATIONS = 20_000;
/** Of them, those that others entrusted to us; a device that sleeps asks once. */
export const MAX_ENTRUSTED = 4_096;
export const MAX_ENTRUSTED_BY_ONE = 128;
/** Entrusted claims that the node refuses for so long, or has in a block that we were not told, are given up. */
const MAX_VAIN_ROUNDS = 144;
/** Outpoints that blocks spent, and for how many blocks they are remembered: devices hear of them later than we do. */
const MAX_SPENT = 20_000;
const SPENT_ROUNDS = 144;
/** A node's own words for it. */
const SPENT_ALREADY = "bad-txns-inputs-missingorspent";
/** Our coins pay at most this many times what the next blocks take. */
const ENTRUSTED_FEE_FACTOR = 2;

interface Entry {
  readonly key: string;
  readonly channelId?: ChannelId;
  readonly purpose: PublisherStep["purpose"];
  readonly publication: Publication;
  /** Who entrusted it, and what it spends: it goes on unasked until that is spent in a block. */
  readonly entrusted?: { readonly by: string; readonly spends: readonly string[] };
  /** The block after which it was asked for. */
  round: number;
}

export class ChainPublisher implements NodeChain {
  readonly #options: PublisherOptions;
  readonly #entries = new Map<string, Entry>();
  /** Outpoints, with the block that spent them; the last told are last. */
  readonly #spent = new Map<string, { readonly round: number; readonly height: number }>();
  #ending: Promise<void> = Promise.resolve();
  /** Claims that are being taken: the node is asked what they may cost. */
  readonly #arriving = new Set<Promise<BroadcastResult>>();
  #round = 0;
  #held = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  watch(outpoint: Outpoint, script?: Uint8Array): void {
    this.#options.source.watchOutpoint(outpoint);
    if (script) this.#options.source.watchScript(script);
  }

  publish(channelId: ChannelId, claim: Claim): void {
    void this.#want(`${toHex(channelId)}/${claim.id}`, claim, {
      channelId,
      purpose: claim.purpose,
    });
  }

  publishClose(channelId: ChannelId, raw: Uint8Array): void {
    const claim = closeClaim(raw);
    const purpose = "mutual-close" as const;
    void this.#want(`${toHex(channelId)}/${claim.id}`, claim, { channelId, purpose });
  }

  /** For a device: what it asks for once goes on until it confirms, paid by our coins where it needs any. Never throws. */
  entrusted(owner: Uint8Array): Entrusted {
    const by = toHex(owner);
    const entrust = async (
      channelId: ChannelId,
      claimOf: () => Claim,
      purpose: PublisherStep["purpose"],
    ): Promise<BroadcastResult> => {
      try {
        const claim = claimOf();
        const key = `${by}/${toHex(channelId)}/${claim.id}`;
        return await this.#entrust(key, claim, { by, channelId, purpose });
      } catch (error) {
        return { ok: false, reason: `this is no transaction: ${(error as Error).message}` };
      }
    };
    return {
      publish: (channelId, claim) => entrust(channelId, () => claim, claim.purpose),
      publishClose: (channelId, raw) => entrust(channelId, () => closeClaim(raw), "mutual-close"),
    };
  }

  /**
   * Pays for somebody else's commitment by a child on its P2A anchor, until it is in a block: no key of the channel is
   * needed. Asked again with a higher feerate, the child is replaced.
   */
  async bumpByAnyone(raw: Uint8Array, feeratePerKw: number): Promise<BroadcastResult> {
    const found = anyoneClaim(raw, feeratePerKw);
    if ("refusal" in found) return { ok: false, reason: found.refusal };
    return this.#entrust(found.claim.id, found.claim, { by: "anyone", purpose: "commitment" });
  }

  /** While blocks of the past are read again nothing is sent: what is asked for after the last of them counts. */
  hold(): void {
    this.#held = true;
  }

  resume(): void {
    if (!this.#held) return;
    this.#held = false;
    for (const { publication } of this.#entries.values()) void publication.send();
  }

  /** The node has worked on a block: what it no longer asks for ends, what others entrusted goes on. */
  blockDone(transactions: readonly ConfirmedTransaction[] = []): void {
    const spent = new Map(
      transactions.flatMap(({ raw, height }) =>
        [...scanTransaction(raw).spends].map((key) => [key, height] as const),
      ),
    );
    const txids = transactions.map((one) => one.txid);
    for (const entry of [...this.#entries.values()]) {
      const { publication, entrusted } = entry;
      if (txids.length > 0 && publication.isAmong(txids)) this.#tellConfirmed(entry);
      const over = entrusted
        ? entrusted.spends.some((key) => spent.has(key)) || publication.vainRounds > MAX_VAIN_ROUNDS
        : entry.round < this.#round;
      if (over) {
        this.#end(entry);
        this.#tellOver(entry);
      } else if (entrusted && !this.#held) void publication.send();
    }
    for (const [key, height] of spent) {
      this.#spent.delete(key);
      this.#spent.set(key, { round: this.#round, height });
    }
    for (const [key, { round }] of this.#spent) {
      if (this.#spent.size <= MAX_SPENT && round + SPENT_ROUNDS >= this.#round) break;
      this.#spent.delete(key);
    }
    this.#round++;
  }

  /** The blocks from there on have left the chain: what they spent may have to be spent again. */
  blockUndone(fromHeight: number): void {
    for (const [key, { height }] of this.#spent) if (height >= fromHeight) this.#spent.delete(key);
  }

  /** The most urgent first. */
  queue(): readonly QueuedClaim[] {
    const late = Number.MAX_SAFE_INTEGER;
    return [...this.#entries.values()]
      .map(({ channelId, purpose, publication, entrusted }): QueuedClaim => {
        const { claim, refusal, isSent } = publication;
        return {
          ...(channelId && { channelId }),
          purpose,
          txid: claim.txid,
          deadline: claim.deadline > 0 ? claim.deadline : undefined,
          feeratePerKw: claim.feeratePerKw,
          state: isSent ? "sent" : "waiting",
          ...(refusal !== undefined && { refusal }),
          isEntrusted: entrusted !== undefined,
        };
      })
      .sort((a, b) => (a.deadline ?? late) - (b.deadline ?? late));
  }

  /** What the node could not be asked for is sent again: it may answer by now, and no block has come yet. */
  retry(): void {
    if (this.#held) return;
    for (const { publication } of this.#entries.values()) {
      if (publication.isUnreached) void publication.send();
    }
  }

  /** Until nothing is under way. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#arriving);
    await this.#ending;
    for (const { publication } of this.#entries.values()) await publication.settled();
  }

  /** Transactions that stay unconfirmed stay in the mempool; their coins are given back where they were not spent. */
  async close(): Promise<void> {
    this.#held = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry);
    await this.#ending;
  }

  async #entrust(
    key: string,
    claim: Claim,
    { by, ...rest }: Pick<Entry, "channelId" | "purpose"> & { readonly by: string },
  ): Promise<BroadcastResult> {
    const spends = [...scanTransaction(claim.raw).spends];
    // Nothing would end it: what it waits for has happened.
    if (spends.some((key) => this.#spent.has(key))) return { ok: false, reason: SPENT_ALREADY };
    const others = [...this.#entries.values()].filter((entry) => entry.entrusted !== undefined);
    const byThem = others.filter(({ entrusted }) => entrusted?.by === by);
    const full = others.length >= MAX_ENTRUSTED || byThem.length >= MAX_ENTRUSTED_BY_ONE;
    if (full && !this.#entries.has(key)) {
      return { ok: false, reason: "too many claims are entrusted already: try again later" };
    }
    for (const { outpoint } of parseTransaction(claim.raw).inputs) this.watch(outpoint);
    const wanted = this.#capped(claim.feeratePerKw).then((feeratePerKw) =>
      this.#want(key, { ...claim, feeratePerKw }, { ...rest, entrusted: { by, spends } }),
    );
    this.#arriving.add(wanted);
    return wanted.finally(() => this.#arriving.delete(wanted));
  }

  async #capped(feeratePerKw: number): Promise<number> {
    try {
      const now = await this.#options.source.feeratePerKw("now");
      return Math.min(feeratePerKw, now * ENTRUSTED_FEE_FACTOR);
    } catch {
      return Math.min(feeratePerKw, MIN_FEERATE_PER_KW); // the node does not answer: no more than must be
    }
  }

  #want(
    key: string,
    claim: Claim,
    rest: Pick<Entry, "channelId" | "purpose" | "entrusted">,
  ): Promise<BroadcastResult> {
    const known = this.#entries.get(key);
    const entry = known ?? this.#add(key, claim, rest);
    if (entry === undefined) {
      const reason = "too many claims are under way: it waits for the next block";
      return Promise.resolve({ ok: false, reason });
    }
    entry.round = this.#round;
    entry.publication.want(claim);
    if (this.#held) return Promise.resolve({ ok: false, reason: "blocks are being read again" });
    return entry.publication.send();
  }

  #add(
    key: string,
    claim: Claim,
    rest: Pick<Entry, "channelId" | "purpose" | "entrusted">,
  ): Entry | undefined {
    if (this.#entries.size >= MAX_PUBLICATIONS) return undefined;
    const { source, wallet } = this.#options;
    const publication = new Publication(
      {
        source,
        wallet,
        round: () => this.#round,
        signAnchor: (child, index) => this.#signAnchor(rest.channelId, child, index),
        tell: (step) => this.#tell(entry, step),
      },
      claim,
    );
    const entry: Entry = { key, ...rest, publication, round: this.#round };
    this.#entries.set(key, entry);
    return entry;
  }

  #signAnchor(
    channelId: ChannelId | undefined,
    unsignedChild: Uint8Array,
    inputIndex: number,
  ): readonly Uint8Array[] {
    const signer = channelId && this.#options.signerOf(channelId);
    if (!signer) throw new Error("the channel of this anchor is not known here");
    const { crypto } = this.#options;
    return signKeyedAnchor({ crypto, signer }, unsignedChild, inputIndex);
  }

  #end(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#ending = this.#ending.then(() => entry.publication.end());
  }

  #tellOver({ channelId, entrusted, publication }: Entry): void {
    if (!entrusted || !channelId) return;
    this.#options.onEntrustedOver?.(fromHex(entrusted.by), channelId, publication.claim.id);
  }

  #tell({ channelId, purpose, entrusted }: Entry, { claim, ...step }: PublicationStep): void {
    // A device asks until it hears of the block that settled it, and it hears later than we do.
    if (entrusted && step.reason && refusalOf(step.reason) === "inputs-gone") return;
    const named = { claimId: claim.id, purpose, ...(channelId ? { channelId } : {}) };
    this.#options.onStep?.({ ...step, ...named });
  }

  #tellConfirmed(entry: Entry): void {
    const { claim } = entry.publication;
    const { channelId, purpose } = entry;
    const named = { claimId: claim.id, purpose, ...(channelId ? { channelId } : {}) };
    const { txid: id, feeratePerKw } = claim;
    this.#options.onStep?.({ type: "confirmed", txid: id, feeratePerKw, ...named });
  }
}

function closeClaim(raw: Uint8Array): Claim {
  const id = txid(scanTransaction(raw).txid);
  const deadline = blockHeight(0);
  return {
    id: `close:${toHex(id)}`,
    purpose: "sweep",
    raw,
    txid: id,
    deadline,
    feeratePerKw: 0,
  };
}
