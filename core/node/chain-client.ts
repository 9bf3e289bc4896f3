/** A device's view of Bitcoin through its gateway: headers and merkle branches are checked here, the gateway is not trusted (DESIGN "On-chain", rule `device-trusts-nobody`). */
import {
  blockHash,
  type Checkpoint,
  checkpointAt,
  extendHeaderChain,
  type HeaderChain,
  headerAt,
  headerTime,
  previousHash,
  startHeaderChain,
} from "../chain/headers.ts";
import { verifyInclusion } from "../chain/merkle.ts";
import type { Claim } from "../chain/monitor/watched.ts";
import type { Network } from "../chain/networks.ts";
import type { Feerates } from "../channel/context.ts";
import type { Message, MessageNamed } from "../messages/message.ts";
import { HEADERS_PER_SUBSCRIPTION, PUBLISH_NEEDS } from "../messages/service.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import { type BlockHeight, blockHeight, type ChannelId, satoshi } from "../primitives/brands.ts";
import { copyOf, equal, toHex } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { outpointKey, parseTransaction, transactionId } from "../transactions/transaction.ts";
import type { Node } from "./node.ts";
import type { NodeChain } from "./options.ts";
import { type Proof, WaitingProofs } from "./waiting-proofs.ts";

export interface ChainClientOptions {
  readonly crypto: Crypto;
  readonly network: Network;
  /** In the image, or the newest one stored. */
  readonly checkpoint: Checkpoint;
  /** Wall clock in seconds when a header was last verified, as it was stored with the checkpoint. */
  readonly verifiedAtSeconds?: number | undefined;
  /** Sends to the gateway; false where it is not connected. */
  send(message: Message): boolean;
  readonly events: ChainClientEvents;
  /** Wall clock in seconds, where there is one. */
  nowSeconds?(): number | undefined;
}

export interface ChainClientEvents {
  /** The verified tip rose, or moved to another branch. */
  onTip(height: BlockHeight, isSynced: boolean): void;
  /** A transaction was proven to stand in the chain. */
  onProven(txid: string, height: BlockHeight): void;
  /** The gateway sent what does not check: it lies, or is broken. */
  onRefused(reason: string): void;
  onPublished(outcome: MessageNamed<"chain_published">): void;
  /** To be stored, and given back at the next start: CHECKPOINT_DEPTH below the verified tip. */
  onCheckpoint?(checkpoint: Checkpoint, verifiedAtSeconds: number | undefined): void;
}

/** Outpoints that one device watches. */
export const MAX_WATCHED = 1024;
/** Headers asked for again below the tip, so that a fork connects. */
const OVERLAP_HEADERS = 6;
/** A stored checkpoint lies so deep that every reorganisation which can be followed connects to it or above. */
export const CHECKPOINT_DEPTH = 100;
/** The tip rises by so much before another one is stored: flash wears. */
export const CHECKPOINT_EVERY = 12;
/** Satoshi per 1000 weight: what a gateway says beyond it would only burn the device's coins (500 sat per virtual byte). */
const MAX_FEERATE_PER_KW = 125_000;

export class ChainClient implements NodeChain {
  private chain: HeaderChain;
  private readonly watched = new Map<string, MessageNamed<"chain_watch">>();
  private readonly waiting = new WaitingProofs();
  /** Heights by txid: the gateway may tell a proof again for each outpoint that it concerns. */
  private readonly proven = new Map<string, number>();
  /** Headers of a branch that is valid, and has no more work than ours so far: the rest of it may come. */
  private fork: readonly Uint8Array[] = [];
  /** The last height that the gateway sends before it is asked again. */
  private windowEnd = 0;
  /** All that is kept was asked for, and nothing has connected since. */
  private askedForAll = false;
  /** A channel has ended: what was watched for it may be dropped. */
  private mayDrop = false;
  private storedTip: number;
  private reread = false;
  private node: Node | undefined;
  private tipVerifiedAt: number | undefined;

  constructor(private readonly options: ChainClientOptions) {
    this.chain = startHeaderChain(options.crypto, options.network, options.checkpoint);
    this.storedTip = this.chain.tip.height;
    this.tipVerifiedAt = options.verifiedAtSeconds;
  }

  /** The node that is told of blocks and proofs. */
  feed(node: Node): void {
    this.node = node;
  }

  /** Headers came since the start: what was known from blocks above the checkpoint is proven anew, or was. */
  get isReread(): boolean {
    return this.reread;
  }

  get tipHeight(): BlockHeight {
    return blockHeight(this.chain.tip.height);
  }

  /** For the offline budget (core/chain/offline-budget.ts). */
  get freshness(): { readonly tipTimeSeconds: number; readonly tipVerifiedAtSeconds?: number } {
    const header = headerAt(this.chain, this.chain.tip.height) ?? this.chain.base.header;
    const verified = this.tipVerifiedAt;
    return {
      tipTimeSeconds: headerTime(header),
      ...(verified === undefined ? {} : { tipVerifiedAtSeconds: verified }),
    };
  }

  /**
   * The gateway is there (again): it hears what is watched, and only then from where to catch up. It answers in order,
   * so that a proof arrives before its header is so deep that it is forgotten again.
   */
  gatewayConnected(): void {
    this.askedForAll = false;
    this.fork = [];
    for (const message of this.watched.values()) this.options.send(message);
    this.subscribeFrom(
      Math.max(this.chain.base.height, this.chain.tip.height - OVERLAP_HEADERS) + 1,
    );
  }

  private subscribeFrom(fromHeight: number): void {
    this.windowEnd = fromHeight + HEADERS_PER_SUBSCRIPTION - 1;
    this.options.send({ type: "chain_subscribe", fromHeight });
  }

  /** True where the message was one of the chain service's. */
  receive(message: Message): boolean {
    switch (message.type) {
      case "chain_headers":
        this.receiveHeaders(message);
        return true;
      case "chain_transaction":
        this.receiveTransaction(message);
        return true;
      case "chain_published":
        this.options.events.onPublished(message);
        return true;
      default:
        return false;
    }
  }

  watch(outpoint: Outpoint, script?: Uint8Array): void {
    const key = outpointKey(outpoint);
    if (this.watched.has(key)) return;
    if (this.watched.size >= MAX_WATCHED) this.dropUnused();
    if (this.watched.size >= MAX_WATCHED) {
      this.options.events.onRefused(`more than ${MAX_WATCHED} outpoints would be watched`);
      return;
    }
    const message = { type: "chain_watch", ...outpoint, script } as const;
    this.watched.set(key, message);
    this.options.send(message);
  }

  /** A channel has ended; what it watched goes with the next block. */
  channelEnded(): void {
    this.mayDrop = true;
  }

  get watchedCount(): number {
    return this.watched.size;
  }

  /** All that is watched is the funding of a channel, or an output of what a channel's record holds of the chain. */
  private dropUnused(): void {
    const { node } = this;
    // While something is being stored, the record may not yet hold it.
    if (!node?.isIdle) return;
    const used = new Set<string>();
    for (const { channel } of node.channels()) {
      if (channel.kind === "opening") return;
      if (channel.kind !== "live") continue;
      const { terms, facts } = channel.record;
      used.add(toHex(terms.fundingOutpoint.txid));
      for (const { raw } of facts) {
        used.add(toHex(transactionId(this.options.crypto, parseTransaction(raw))));
      }
    }
    for (const [key, { txid }] of this.watched) {
      if (!used.has(toHex(txid))) this.watched.delete(key);
    }
    this.mayDrop = false;
  }

  publish(channelId: ChannelId, claim: Claim): void {
    const { id, purpose, raw, feeratePerKw, deadline, needs } = claim;
    const nothing = {
      anchorVout: 0,
      anchorSatoshis: satoshi(0),
      feeSatoshis: satoshi(0),
      spent: [],
    };
    const base = {
      type: "chain_publish",
      channel: channelId,
      id,
      purpose,
      raw,
      feeratePerKw,
      deadline,
    } as const;
    if (!needs) {
      this.options.send({ ...base, ...nothing, needs: PUBLISH_NEEDS.nothing });
    } else if (needs.type === "fee-inputs") {
      const spent = needs.inputAmounts.map((amount, i) => ({
        amount,
        script: needs.inputScripts[i] as Uint8Array,
      }));
      this.options.send({ ...base, ...nothing, spent, needs: PUBLISH_NEEDS.feeInputs });
    } else {
      this.options.send({
        ...base,
        needs: PUBLISH_NEEDS.anchorChild,
        anchorVout: needs.anchor.vout,
        anchorSatoshis: needs.amount,
        feeSatoshis: needs.feeSatoshis,
        spent: [],
      });
    }
  }

  publishClose(channelId: ChannelId, raw: Uint8Array): void {
    this.options.send({
      type: "chain_publish",
      channel: channelId,
      id: `close:${toHex(channelId).slice(0, 16)}`,
      purpose: "close",
      raw,
      feeratePerKw: 0,
      deadline: 0,
      needs: PUBLISH_NEEDS.nothing,
      anchorVout: 0,
      anchorSatoshis: satoshi(0),
      feeSatoshis: satoshi(0),
      spent: [],
    });
  }

  private receiveHeaders(message: MessageNamed<"chain_headers">): void {
    const { headers: packed, tipHeight, feeratesPerKw, fromHeight } = message;
    demand(packed.length % 80 === 0, "chain_headers.headers", "must be whole headers of 80 bytes");
    const headers = [...this.forkBefore(packed)];
    for (let at = 0; at < packed.length; at += 80) headers.push(packed.subarray(at, at + 80));
    const { crypto, nowSeconds } = this.options;
    const outcome = extendHeaderChain(crypto, this.chain, headers, nowSeconds?.());
    this.fork = [];
    if (outcome.ok) {
      this.node?.setFeerates(bounded(feeratesPerKw));
      if (outcome.connected.length > 0) this.extended(outcome, tipHeight);
    } else if (outcome.rule === "less-work" && headers.length <= this.chain.maxKept) {
      this.fork = headers.map(copyOf);
    } else {
      this.unconnected(outcome.rule === "unconnected", fromHeight, outcome.reason);
      return;
    }
    const last = fromHeight + packed.length / 80 - 1;
    if (last >= this.windowEnd && last < tipHeight) this.subscribeFrom(last + 1);
  }

  /** What came before these headers of a branch with little work until now. */
  private forkBefore(packed: Uint8Array): readonly Uint8Array[] {
    const last = this.fork.at(-1);
    const follows = last && equal(previousHash(packed), blockHash(this.options.crypto, last));
    return follows ? this.fork : [];
  }

  private unconnected(mayBeDeeper: boolean, fromHeight: number, reason: string): void {
    const lowest = this.chain.base.height + 1;
    if (mayBeDeeper && fromHeight > lowest && !this.askedForAll) {
      this.askedForAll = true;
      this.subscribeFrom(lowest); // a deeper fork: ask for all that we keep
    } else {
      this.options.events.onRefused(`headers from ${fromHeight}: ${reason}`);
    }
  }

  private extended(
    { chain, disconnected }: Extract<ReturnType<typeof extendHeaderChain>, { ok: true }>,
    tipHeight: number,
  ): void {
    const { nowSeconds, events } = this.options;
    this.chain = chain;
    this.askedForAll = false;
    this.tipVerifiedAt = nowSeconds?.() ?? this.tipVerifiedAt;
    const lowest = disconnected.at(-1);
    if (lowest !== undefined) this.rewind(lowest);
    // While it was off, blocks above the checkpoint may have left the chain: what they held is proven anew, and the gateway
    // told of it before these headers. Until it is heard of, a device without its gateway goes by what it knew.
    if (!this.reread) this.node?.rewind(blockHeight(this.options.checkpoint.height + 1), true);
    this.reread = true;
    this.proveWaiting();
    const height = this.tipHeight;
    this.node?.blockConnected({ height, transactions: [] });
    this.offerCheckpoint();
    if (this.mayDrop) this.dropUnused();
    events.onTip(height, height >= tipHeight);
  }

  private offerCheckpoint(): void {
    const { chain, tipVerifiedAt } = this;
    const { onCheckpoint } = this.options.events;
    if (!onCheckpoint || chain.tip.height < this.storedTip + CHECKPOINT_EVERY) return;
    this.storedTip = chain.tip.height;
    const height = Math.max(chain.base.height, chain.tip.height - CHECKPOINT_DEPTH);
    onCheckpoint(checkpointAt(chain, height), tipVerifiedAt);
  }

  private rewind(lowest: BlockHeight): void {
    for (const [id, height] of this.proven) if (height >= lowest) this.proven.delete(id);
    this.node?.rewind(lowest);
  }

  private receiveTransaction(message: Proof): void {
    const isEarly = message.height > this.chain.tip.height;
    const outcome = isEarly ? "early" : this.prove(message);
    if (outcome === "learnt") this.node?.reconsider();
    if (outcome === "learnt" || outcome === "nothing new") return;
    // Perhaps the branch it stands on is still on its way: its headers connect once they carry more work than ours.
    this.waiting.add(message);
  }

  /** Proofs whose header has come by now. */
  private proveWaiting(): void {
    for (const proof of this.waiting.take(this.chain.tip.height)) {
      const outcome = this.prove(proof);
      if (outcome === "learnt" || outcome === "nothing new") continue;
      const { height } = proof;
      const reason = `a transaction that is not in block ${height}: ${outcome.notInBlock}`;
      this.options.events.onRefused(reason);
    }
  }

  /** The node is told of what it did not know. */
  private prove(proof: Proof): "learnt" | "nothing new" | { readonly notInBlock: string } {
    const { raw, height, index, branch } = proof;
    const { crypto, events } = this.options;
    const transaction = parseTransaction(raw);
    const txid = transactionId(crypto, transaction);
    const id = toHex(txid.slice().reverse());
    if (!this.isWatched(transaction, txid)) return "nothing new";
    const header = headerAt(this.chain, height);
    if (!header) {
      if (!this.isKnown(txid)) {
        events.onRefused(`a proof for block ${height}, which is too old to be checked here`);
      }
      return "nothing new";
    }
    const outcome = verifyInclusion(crypto, { raw, index, branch, header });
    if (!outcome.ok) return { notInBlock: outcome.reason };
    if (this.proven.get(id) === height) return "nothing new";
    this.proven.delete(id);
    this.proven.set(id, height);
    if (this.proven.size > MAX_WATCHED) this.proven.delete(this.proven.keys().next().value ?? id);
    this.node?.transactionConfirmed(raw, blockHeight(height));
    events.onProven(id, blockHeight(height));
    return "learnt";
  }

  /** It creates or spends what this device asked for: nothing else is worth the work. */
  private isWatched(transaction: ReturnType<typeof parseTransaction>, txid: Uint8Array): boolean {
    return (
      transaction.inputs.some(({ outpoint }) => this.watched.has(outpointKey(outpoint))) ||
      transaction.outputs.some((_, vout) => this.watched.has(outpointKey({ txid, vout })))
    );
  }

  /** It was proven before this start: a record tells of it. */
  private isKnown(txid: Uint8Array): boolean {
    const { crypto } = this.options;
    const isThis = (raw: Uint8Array) => equal(transactionId(crypto, parseTransaction(raw)), txid);
    return (this.node?.channels() ?? []).some(
      ({ channel }) =>
        channel.kind === "live" &&
        ((channel.record.fundingHeight !== undefined &&
          equal(channel.record.terms.fundingOutpoint.txid, txid)) ||
          channel.record.facts.some(({ raw }) => isThis(raw))),
    );
  }
}

function bounded({ now, soon, economy }: Feerates): Feerates {
  const most = (feerate: number) => Math.min(feerate, MAX_FEERATE_PER_KW);
  return { now: most(now), soon: most(soon), economy: most(economy) };
}
