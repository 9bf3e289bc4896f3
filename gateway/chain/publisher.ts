/** Publishes what the channels ask for until it confirms: the NodeChain of whoever has a Bitcoin node and coins (BOLT 5, BIP 431). */

import { signKeyedAnchor } from "../../core/chain/monitor/close-locally.ts";
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
import { blockHeight, type ChannelId, type Txid } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { anyoneClaim } from "./anyone-claim.ts";
import { scanTransaction } from "./bitcoind/block-scan.ts";
import { Publication, type PublicationStep } from "./publication.ts";

export interface PublisherOptions {
  readonly crypto: Crypto;
  readonly source: ChainSource;
  readonly wallet: ChainWallet;
  /** Of a channel whose keyed anchor is spent; undefined where the channel is not known. */
  signerOf(channel: ChannelId): ChannelSigner | undefined;
  /** For a timeline and for alarms. */
  onStep?(step: PublisherStep): void;
}

export interface PublisherStep extends Omit<PublicationStep, "claim" | "type"> {
  readonly type: PublicationStep["type"] | "confirmed";
  /** Absent for somebody else's commitment. */
  readonly channelId?: ChannelId;
  readonly claimId: string;
  readonly purpose: Claim["purpose"] | "mutual-close";
}

/** Claims that are under way at a time; beyond it new ones wait for the next block. */
export const MAX_PUBLICATIONS = 20_000;
/** Of them, commitments of others. */
export const MAX_ANYONE_PUBLICATIONS = 256;

interface Entry {
  readonly key: string;
  readonly channelId?: ChannelId;
  readonly purpose: PublisherStep["purpose"];
  readonly publication: Publication;
  /** Where the transaction's first input comes from: its spend ends an entry that nobody asks for again. */
  readonly spends?: string;
  /** The block after which it was asked for. */
  round: number;
}

export class ChainPublisher implements NodeChain {
  readonly #options: PublisherOptions;
  readonly #entries = new Map<string, Entry>();
  #ending: Promise<void> = Promise.resolve();
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
    const txid = scanTransaction(raw).txid as Txid;
    const id = `close:${toHex(txid)}`;
    const claim: Claim = {
      id,
      purpose: "sweep",
      raw,
      txid,
      deadline: blockHeight(0),
      feeratePerKw: 0,
    };
    void this.#want(`${toHex(channelId)}/${id}`, claim, { channelId, purpose: "mutual-close" });
  }

  /**
   * Pays for somebody else's commitment by a child on its P2A anchor, until it is in a block: no key of the channel is
   * needed. Asked again with a higher feerate, the child is replaced.
   */
  async bumpByAnyone(raw: Uint8Array, feeratePerKw: number): Promise<BroadcastResult> {
    const found = anyoneClaim(raw, feeratePerKw);
    if ("refusal" in found) return { ok: false, reason: found.refusal };
    const { claim, spends } = found;
    const others = [...this.#entries.values()].filter((entry) => entry.spends !== undefined);
    if (!this.#entries.has(claim.id) && others.length >= MAX_ANYONE_PUBLICATIONS) {
      return { ok: false, reason: "too many commitments are being bumped: try again later" };
    }
    this.#options.source.watchOutpoint(spends);
    const from = outpointText(spends);
    return this.#want(claim.id, claim, { purpose: "commitment", spends: from });
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
    const spent = new Set(transactions.flatMap(({ raw }) => scanSpends(raw)));
    const txids = transactions.map(({ txid }) => txid);
    for (const entry of [...this.#entries.values()]) {
      const { publication, spends } = entry;
      if (txids.length > 0 && publication.isAmong(txids)) this.#tellConfirmed(entry);
      const over = spends === undefined ? entry.round < this.#round : spent.has(spends);
      if (over) this.#end(entry);
      else if (spends !== undefined && !this.#held) void publication.send();
    }
    this.#round++;
  }

  /** Until nothing is under way. */
  async idle(): Promise<void> {
    await this.#ending;
    for (const { publication } of this.#entries.values()) await publication.settled();
  }

  /** Transactions that stay unconfirmed stay in the mempool; their coins are given back where they were not spent. */
  async close(): Promise<void> {
    this.#held = true;
    for (const entry of [...this.#entries.values()]) this.#end(entry);
    await this.#ending;
  }

  #want(
    key: string,
    claim: Claim,
    rest: Pick<Entry, "channelId" | "purpose" | "spends">,
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
    rest: Pick<Entry, "channelId" | "purpose" | "spends">,
  ): Entry | undefined {
    if (this.#entries.size >= MAX_PUBLICATIONS) return undefined;
    const { source, wallet } = this.#options;
    const publication = new Publication(
      {
        source,
        wallet,
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

  #tell({ channelId, purpose }: Entry, { claim, ...step }: PublicationStep): void {
    const named = { claimId: claim.id, purpose, ...(channelId ? { channelId } : {}) };
    this.#options.onStep?.({ ...step, ...named });
  }

  #tellConfirmed(entry: Entry): void {
    const { claim } = entry.publication;
    const { txid, feeratePerKw } = claim;
    const { channelId, purpose } = entry;
    const named = { claimId: claim.id, purpose, ...(channelId ? { channelId } : {}) };
    this.#options.onStep?.({ type: "confirmed", txid, feeratePerKw, ...named });
  }
}

function scanSpends(raw: Uint8Array): readonly string[] {
  return scanTransaction(raw).spends;
}

function outpointText({ txid, vout }: Outpoint): string {
  return `${toHex(txid)}:${vout}`;
}
