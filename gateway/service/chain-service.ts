/** What a gateway tells devices of Bitcoin, and publishes for them (docs/PROTOCOL.md "Chain service"). */
import type { Claim } from "../../core/chain/monitor/watched.ts";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import { PUBLISH_NEEDS } from "../../core/messages/service.ts";
import type {
  BlockEvent,
  ChainSource,
  ConfirmedTransaction,
  Outpoint,
} from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import { blockHeight, type PublicKey, txid } from "../../core/primitives/brands.ts";
import { concat, equal, toHex } from "../../core/primitives/bytes.ts";
import { p2aScript } from "../../core/transactions/script.ts";
import {
  outpointKey,
  parseTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import type { ChainPublisher } from "../chain/publisher.ts";
import { refusalOf } from "../chain/refusals.ts";

/** Outpoints that one device may have watched. */
export const MAX_WATCHES_PER_DEVICE = 1024;
const HEADERS_PER_MESSAGE = 30;
const HEADERS_PER_REQUEST = 2016;
/** Of `chain_published`, in characters; a node's words are ASCII. */
const MAX_REASON = 256;
/** Outcomes that are remembered, so that each is told once. */
const MAX_OUTCOMES = 4_096;
const WATCHES_KEY = "chain-service/watches";

export interface ChainServiceOptions {
  readonly crypto: Crypto;
  readonly source: ChainSource;
  readonly publisher: Pick<ChainPublisher, "entrusted">;
  readonly store: Store;
  send(device: PublicKey, message: Message): boolean;
  /** Largest message that the device takes; a longer transaction cannot be told to it. */
  maxMessageBytes(device: PublicKey): number;
  onProblem(text: string): void;
}

interface Watch {
  readonly device: PublicKey;
  readonly outpoint: Outpoint;
  readonly script: Uint8Array | undefined;
}

interface Subscriber {
  readonly device: PublicKey;
  /** The next header to send. */
  nextHeight: number;
  busy: boolean;
}

export class ChainService {
  private readonly subscribers = new Map<string, Subscriber>();
  /** By outpoint. */
  private readonly watches = new Map<string, Watch[]>();
  /** Confirmed transactions that create or spend a watched outpoint, by that outpoint. */
  private readonly found = new Map<string, ConfirmedTransaction[]>();

  private readonly outcomes = new Map<string, string>();

  constructor(private readonly options: ChainServiceOptions) {}

  /** Reads what devices had watched before the gateway was restarted. */
  async load(): Promise<void> {
    const stored = await this.options.store.getValue(WATCHES_KEY);
    if (!stored) return;
    const limits = { maxBytes: stored.length, maxDepth: 3, maxItems: 10_000_000 };
    for (const item of decodeCbor(stored, limits) as readonly CborValue[]) {
      const [device, id, vout, script] = item as [PublicKey, Uint8Array, number, Uint8Array | null];
      this.keepWatch({ device, outpoint: { txid: txid(id), vout }, script: script ?? undefined });
    }
  }

  /** True where the message was one of this service's. */
  receive(device: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "chain_subscribe":
        this.subscribers.set(toHex(device), {
          device,
          nextHeight: Math.max(1, message.fromHeight),
          busy: false,
        });
        this.run(this.sendHeaders(device));
        return true;
      case "chain_watch":
        this.run(this.watch(device, message));
        return true;
      case "chain_publish":
        this.run(this.publish(device, message));
        return true;
      default:
        return false;
    }
  }

  deviceGone(device: PublicKey): void {
    this.subscribers.delete(toHex(device));
  }

  /** Headers go first: a device checks a proof against the header of its block. */
  blockConnected(block: BlockEvent): void {
    for (const { device } of this.subscribers.values()) this.run(this.sendHeaders(device));
    for (const transaction of block.transactions) this.tell(transaction);
  }

  /** Devices learn of a reorganisation from the new branch's headers; its proofs are told again as they are mined. */
  blockDisconnected(height: number): void {
    for (const [key, transactions] of this.found) {
      this.found.set(
        key,
        transactions.filter((one) => one.height < height),
      );
    }
    for (const subscriber of this.subscribers.values()) {
      subscriber.nextHeight = Math.min(subscriber.nextHeight, height);
    }
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.onProblem(`chain service: ${cause instanceof Error ? cause.message : cause}`);
    });
  }

  private async sendHeaders(device: PublicKey): Promise<void> {
    const subscriber = this.subscribers.get(toHex(device));
    if (!subscriber || subscriber.busy) return;
    subscriber.busy = true;
    try {
      const { source } = this.options;
      const tip = await source.tip();
      while (
        subscriber.nextHeight <= tip.height &&
        this.subscribers.get(toHex(device)) === subscriber
      ) {
        const count = Math.min(HEADERS_PER_REQUEST, tip.height - subscriber.nextHeight + 1);
        const from = subscriber.nextHeight;
        const headers = await source.headers(blockHeight(from), count);
        if (headers.length === 0) break;
        await this.sendBatch(subscriber, from, headers, tip.height);
      }
    } finally {
      subscriber.busy = false;
    }
  }

  private async sendBatch(
    subscriber: Subscriber,
    from: number,
    headers: readonly Uint8Array[],
    tipHeight: number,
  ): Promise<void> {
    const feeratesPerKw = await this.feerates();
    for (let i = 0; i < headers.length; i += HEADERS_PER_MESSAGE) {
      const part = headers.slice(i, i + HEADERS_PER_MESSAGE);
      this.options.send(subscriber.device, {
        type: "chain_headers",
        fromHeight: from + i,
        headers: concat(...part),
        tipHeight,
        feeratesPerKw,
      });
    }
    subscriber.nextHeight = from + headers.length;
  }

  private async feerates() {
    const { source } = this.options;
    const [now, soon, economy] = await Promise.all([
      source.feeratePerKw("now"),
      source.feeratePerKw("soon"),
      source.feeratePerKw("economy"),
    ]);
    return { now: Math.ceil(now), soon: Math.ceil(soon), economy: Math.ceil(economy) };
  }

  private async watch(device: PublicKey, message: MessageNamed<"chain_watch">): Promise<void> {
    const { vout, script } = message;
    const outpoint = { txid: txid(message.txid.slice()), vout };
    const own = [...this.watches.values()].flat().filter((w) => toHex(w.device) === toHex(device));
    if (own.length >= MAX_WATCHES_PER_DEVICE) {
      this.options.onProblem(`device ${toHex(device).slice(0, 16)} watches too many outpoints`);
      return;
    }
    const watch = { device, outpoint, script: script?.slice() };
    if (this.keepWatch(watch)) await this.storeWatches();
    const key = outpointKey(outpoint);
    const created = await this.options.source.transaction(outpoint.txid);
    const known = this.found.get(key) ?? [];
    if (created && !known.some((one) => toHex(one.txid) === toHex(created.txid))) {
      this.found.set(key, [created, ...known]);
    }
    for (const transaction of this.found.get(key) ?? []) this.sendProof(device, transaction);
  }

  /** False where this device watched it already. */
  private keepWatch(watch: Watch): boolean {
    const key = outpointKey(watch.outpoint);
    const watches = this.watches.get(key) ?? [];
    if (watches.some(({ device }) => toHex(device) === toHex(watch.device))) return false;
    this.watches.set(key, [...watches, watch]);
    this.options.source.watchOutpoint(watch.outpoint);
    if (watch.script) this.options.source.watchScript(watch.script);
    return true;
  }

  private async storeWatches(): Promise<void> {
    const all = [...this.watches.values()].flat();
    const encoded = encodeCbor(
      all.map(({ device, outpoint, script }) => [
        device,
        outpoint.txid,
        outpoint.vout,
        script ?? null,
      ]),
    );
    await this.options.store.setValue(WATCHES_KEY, encoded);
  }

  /** Tells those who watch what this transaction creates or spends. */
  private tell(transaction: ConfirmedTransaction): void {
    const parsed = parseTransaction(transaction.raw);
    const id = transactionId(this.options.crypto, parsed);
    const outpoints = parsed.inputs.map(({ outpoint }) => outpoint);
    parsed.outputs.forEach((_, vout) => {
      outpoints.push({ txid: id, vout });
    });
    const told = new Set<string>();
    for (const outpoint of outpoints) {
      const key = outpointKey(outpoint);
      const watches = this.watches.get(key);
      if (!watches) continue;
      const known = (this.found.get(key) ?? []).filter((one) => toHex(one.txid) !== toHex(id));
      this.found.set(key, [...known, transaction]);
      for (const { device } of watches) {
        if (told.has(toHex(device))) continue;
        told.add(toHex(device));
        this.sendProof(device, transaction);
      }
    }
  }

  private sendProof(device: PublicKey, transaction: ConfirmedTransaction): void {
    const { raw, height, index, branch } = transaction;
    const overhead = 64 + branch.length * 34;
    if (this.options.maxMessageBytes(device) === 0) return; // away: told when it watches again
    if (raw.length + overhead > this.options.maxMessageBytes(device)) {
      this.options.onProblem(`a transaction of ${raw.length} bytes is too long for a device`);
      return;
    }
    this.options.send(device, { type: "chain_transaction", raw, height, index, branch });
  }

  /** Goes on when the device is gone; it is told of each new outcome of what it asks for. */
  private async publish(device: PublicKey, message: MessageNamed<"chain_publish">): Promise<void> {
    const { channel, id, purpose, raw } = message;
    const trusted = this.options.publisher.entrusted(device);
    const outcome =
      purpose === "close"
        ? await trusted.publishClose(channel, raw)
        : await trusted.publish(channel, claimOf(this.options.crypto, message));
    // What the next blocks explain, they explain to the device too.
    if (!outcome.ok && refusalOf(outcome.reason) !== "other") return;
    const reason = outcome.ok ? "" : outcome.reason.slice(0, MAX_REASON);
    const key = `${toHex(device)}/${toHex(channel)}/${id}`;
    const told = `${toHex(this.options.crypto.sha256(raw))} ${reason}`;
    if (this.outcomes.get(key) === told) return;
    if (this.outcomes.size >= MAX_OUTCOMES) this.outcomes.clear(); // they are told once more
    this.outcomes.set(key, told);
    this.options.send(device, {
      type: "chain_published",
      channel,
      id,
      accepted: outcome.ok,
      reason,
    });
  }
}

/** The claim as the device's monitor made it. */
function claimOf(crypto: Crypto, message: MessageNamed<"chain_publish">): Claim {
  const { id, raw, feeratePerKw, deadline, needs } = message;
  const claimTxid = transactionId(crypto, parseTransaction(raw));
  const purpose = message.purpose as Claim["purpose"];
  const claim = {
    id,
    purpose,
    raw,
    txid: claimTxid,
    deadline: blockHeight(deadline),
    feeratePerKw,
  };
  switch (needs) {
    case PUBLISH_NEEDS.anchorChild:
      // A keyed anchor takes the device's signature: its commitment pays for itself, or not at all.
      if (!isAnyonesAnchor(raw, message.anchorVout)) return claim;
      return {
        ...claim,
        needs: {
          type: "anchor-child",
          anchor: { txid: claimTxid, vout: message.anchorVout },
          keyed: false,
          amount: message.anchorSatoshis,
          feeSatoshis: message.feeSatoshis,
        },
      };
    case PUBLISH_NEEDS.feeInputs:
      return {
        ...claim,
        needs: {
          type: "fee-inputs",
          inputAmounts: message.spent.map(({ amount }) => amount),
          inputScripts: message.spent.map(({ script }) => script),
        },
      };
    default:
      return claim;
  }
}

function isAnyonesAnchor(raw: Uint8Array, vout: number): boolean {
  const output = parseTransaction(raw).outputs[vout];
  return output !== undefined && equal(output.script, p2aScript());
}
