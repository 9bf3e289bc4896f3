/** A device's view of Bitcoin through its gateway: headers and merkle branches are checked here, the gateway is not trusted (DESIGN "On-chain"). */
import {
  type Checkpoint,
  extendHeaderChain,
  type HeaderChain,
  headerAt,
  headerTime,
  startHeaderChain,
} from "../chain/headers.ts";
import { verifyInclusion } from "../chain/merkle.ts";
import type { Claim } from "../chain/monitor/watched.ts";
import type { Network } from "../chain/networks.ts";
import type { Message, MessageNamed } from "../messages/message.ts";
import { PUBLISH_NEEDS } from "../messages/service.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import { type BlockHeight, blockHeight, type ChannelId, satoshi } from "../primitives/brands.ts";
import { toHex } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { outpointKey } from "../transactions/transaction.ts";
import type { Node } from "./node.ts";
import type { NodeChain } from "./options.ts";

export interface ChainClientOptions {
  readonly crypto: Crypto;
  readonly network: Network;
  /** In the image, or the newest one stored. */
  readonly checkpoint: Checkpoint;
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
}

/** Outpoints that one device watches. */
export const MAX_WATCHED = 1024;
/** Proofs that wait for their header. */
const MAX_WAITING = 32;
/** Headers asked for again below the tip, so that a fork connects. */
const OVERLAP_HEADERS = 6;

type Proof = MessageNamed<"chain_transaction">;

export class ChainClient implements NodeChain {
  private chain: HeaderChain;
  private readonly watched = new Map<string, Message>();
  private waiting: Proof[] = [];
  /** Heights by txid: the gateway may tell a proof again for each outpoint that it concerns. */
  private readonly proven = new Map<string, number>();
  private node: Node | undefined;
  private tipVerifiedAt: number | undefined;

  constructor(private readonly options: ChainClientOptions) {
    this.chain = startHeaderChain(options.crypto, options.network, options.checkpoint);
    this.tipVerifiedAt = options.nowSeconds?.();
  }

  /** The node that is told of blocks and proofs. */
  feed(node: Node): void {
    this.node = node;
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

  /** The gateway is there (again): catch up, and name what is watched. */
  gatewayConnected(): void {
    this.subscribeFrom(
      Math.max(this.chain.base.height, this.chain.tip.height - OVERLAP_HEADERS) + 1,
    );
    for (const message of this.watched.values()) this.options.send(message);
  }

  private subscribeFrom(fromHeight: number): void {
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
    if (this.watched.size >= MAX_WATCHED) {
      this.options.events.onRefused(`more than ${MAX_WATCHED} outpoints would be watched`);
      return;
    }
    const message: Message = { type: "chain_watch", ...outpoint, script };
    this.watched.set(key, message);
    this.options.send(message);
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
    const { headers: packed, tipHeight, feeratesPerKw } = message;
    demand(packed.length % 80 === 0, "chain_headers.headers", "must be whole headers of 80 bytes");
    const headers: Uint8Array[] = [];
    for (let at = 0; at < packed.length; at += 80) headers.push(packed.slice(at, at + 80));
    const { crypto, nowSeconds, events } = this.options;
    const outcome = extendHeaderChain(crypto, this.chain, headers, nowSeconds?.());
    this.node?.setFeerates(feeratesPerKw);
    if (!outcome.ok) {
      if (outcome.rule === "unconnected" && message.fromHeight > this.chain.base.height + 1) {
        this.subscribeFrom(this.chain.base.height + 1); // a deeper fork: ask for all that we keep
      } else {
        events.onRefused(`headers from ${message.fromHeight}: ${outcome.reason}`);
      }
      return;
    }
    if (outcome.connected.length === 0) return;
    this.chain = outcome.chain;
    this.tipVerifiedAt = nowSeconds?.();
    const lowest = outcome.disconnected.at(-1);
    if (lowest !== undefined) this.rewind(lowest);
    const height = this.tipHeight;
    this.node?.blockConnected({ height, transactions: [] });
    this.proveWaiting();
    events.onTip(height, height >= tipHeight);
  }

  private rewind(lowest: BlockHeight): void {
    for (const [id, height] of this.proven) if (height >= lowest) this.proven.delete(id);
    this.node?.rewind(lowest);
  }

  private receiveTransaction(message: Proof): void {
    if (message.height > this.chain.tip.height) {
      this.waiting = [...this.waiting, message].slice(-MAX_WAITING);
      return;
    }
    if (this.prove(message)) this.node?.reconsider();
  }

  /** Proofs whose header has come by now. */
  private proveWaiting(): void {
    const ready = this.waiting.filter(({ height }) => height <= this.chain.tip.height);
    if (ready.length === 0) return;
    this.waiting = this.waiting.filter(({ height }) => height > this.chain.tip.height);
    const proven = ready.filter((proof) => this.prove(proof));
    if (proven.length > 0) this.node?.reconsider();
  }

  private prove({ raw, height, index, branch }: Proof): boolean {
    const { crypto, events } = this.options;
    const header = headerAt(this.chain, height);
    if (!header) {
      events.onRefused(`a proof for block ${height}, which is too old to be checked here`);
      return false;
    }
    const outcome = verifyInclusion(crypto, { raw, index, branch, header });
    if (!outcome.ok) {
      events.onRefused(`a transaction that is not in block ${height}: ${outcome.reason}`);
      return false;
    }
    const at = blockHeight(height);
    const id = toHex(outcome.txid.slice().reverse());
    if (this.proven.get(id) === height) return false;
    this.node?.transactionConfirmed(raw, at);
    this.proven.set(id, height);
    if (this.proven.size > MAX_WATCHED) this.proven.delete(this.proven.keys().next().value ?? id);
    events.onProven(id, at);
    return true;
  }
}
