/** The client of a watchtower: hands over a slot for each revoked state, a few at each tick, and holds the tower to its receipts (docs/PROTOCOL.md "Watchtower"). */
import type { Message, MessageNamed } from "../messages/message.ts";
import { SLOTS_PER_UPDATE } from "../messages/tower.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { NodeSigner } from "../ports/signer.ts";
import type { ChannelId, PublicKey } from "../primitives/brands.ts";
import { equal, toHex } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import type { Backlog } from "./backlog.ts";
import { isKitPayout } from "./justice-kit.ts";
import { TowerOutbox } from "./outbox.ts";
import { PENALTY_FEERATE_PER_KW } from "./penalty.ts";
import type { ProtectedChannel, ProtectedStore } from "./protected-store.ts";
import { emptyDigest, forgetHash, type Holding, towerReceiptHash, towerTag } from "./receipt.ts";

/** A tower's signed word. */
export interface TowerReceipt extends Holding {
  readonly signature: Uint8Array;
}

export type TowerClientEvent =
  | { readonly type: "registered"; readonly maxSlots: number; readonly usedSlots: number }
  /** It watches for nobody, or for nobody more; asked again later. */
  | { readonly type: "refused"; readonly reason: string }
  | { readonly type: "receipt"; readonly channelId: ChannelId; readonly receipt: TowerReceipt }
  /**
   * "broken": it holds less than it has signed for, or something else, and what it acknowledged is perhaps unprotected.
   * "restarted": it has what our store no longer knows. What waits is handed over anew under another tag.
   */
  | {
      readonly type: "broken" | "restarted";
      readonly channelId: ChannelId;
      readonly expected: Holding;
      readonly receipt: TowerReceipt;
    };

export interface TowerClientOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly store: ProtectedStore;
  readonly tower: PublicKey;
  /** Where penalties pay. */
  readonly payoutScript: Uint8Array;
  /** Of the penalties as they are signed. */
  readonly feeratePerKw?: number;
  /** States for which slots are made at each tick: some milliseconds of a host each, tens of a device. */
  readonly statesPerTick: number;
  /** To the tower; false where it is not connected. */
  send(message: Message): boolean;
  onEvent(event: TowerClientEvent): void;
}

const VERSION = 1;
/** Of a channel that ended, the tower is told of no more. */
const MAX_EPOCHS = 8;
/** Receipts that do not fit: beginning anew helps once, with a tower or a store that lost something. */
const MAX_MISMATCHES = 2;
/** After a refusal. */
const RETRY_MS = 600_000;
/** An update that is not answered is sent again. */
const ANSWER_MS = 30_000;
/** What the tower acknowledged is written even where no commit takes it along. */
const FLUSH_MS = 60_000;

export class TowerClient {
  readonly #outboxes = new Map<string, TowerOutbox>();
  readonly #byTag = new Map<string, ChannelId>();
  readonly #receipts = new Map<string, TowerReceipt>();
  #state: "away" | "connected" | "registered" = "away";
  #retryAtMs = 0;
  /** Since it was registered. */
  #mismatches = 0;
  #flushAtMs = 0;
  #nowMs = 0;

  constructor(private readonly options: TowerClientOptions) {
    assert(isKitPayout(options.payoutScript), "a tower pays SegWit scripts of 22 or 34 bytes");
    options.store.tagsOf = ({ channelId, backlog }) => {
      const first = Math.max(0, backlog.epoch + 1 - MAX_EPOCHS);
      const tags: Uint8Array[] = [];
      for (let epoch = first; epoch <= backlog.epoch; epoch++) {
        tags.push(this.#tag(channelId, epoch));
      }
      return tags;
    };
  }

  get tower(): PublicKey {
    return this.options.tower;
  }

  get isRegistered(): boolean {
    return this.#state === "registered";
  }

  /** The newest of each channel. */
  receipt(id: ChannelId): TowerReceipt | undefined {
    return this.#receipts.get(toHex(id));
  }

  /** The tower, or a node by way of which it can be reached. */
  connected(): void {
    this.#state = "connected";
    this.#retryAtMs = 0;
    this.#outboxes.clear();
    this.#byTag.clear();
    this.#register();
  }

  disconnected(): void {
    this.#state = "away";
  }

  /** Hands over what waits. Some times a second. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (nowMs >= this.#flushAtMs) {
      this.#flushAtMs = nowMs + FLUSH_MS;
      void this.options.store.flush().catch(() => undefined); // with the next commit, then
    }
    if (this.#state === "connected" && this.#retryAtMs > 0 && nowMs >= this.#retryAtMs) {
      this.#register();
    }
    if (this.#state !== "registered") return;
    let states = this.options.statesPerTick;
    for (const channel of this.options.store.waiting()) {
      if (states <= 0) break;
      states -= this.#handOver(channel, states);
    }
  }

  /** Whether it was a tower's. */
  receive(from: PublicKey, message: Message): boolean {
    if (!equal(from, this.options.tower)) return false;
    switch (message.type) {
      case "tower_terms":
        this.#terms(message);
        return true;
      case "tower_receipt":
        this.#receiptCame(message);
        return true;
      case "tower_refused":
        this.#refused(message.note);
        return true;
      case "tower_forgotten":
        void this.options.store.forget(message.tag).catch(() => undefined); // asked again
        return true;
      default:
        return false;
    }
  }

  #register(): void {
    this.#retryAtMs = this.#nowMs + 2 * ANSWER_MS;
    this.options.send({ type: "tower_register", version: VERSION });
  }

  #terms({ accepted, maxSlots, usedSlots, note }: MessageNamed<"tower_terms">): void {
    if (!accepted) {
      this.#refused(note);
      return;
    }
    this.#state = "registered";
    this.#mismatches = 0;
    this.options.onEvent({ type: "registered", maxSlots, usedSlots });
    const { crypto, signer, store, tower, send } = this.options;
    for (const tag of store.ended) {
      const signature = signer.sign(forgetHash(crypto, tower, tag));
      send({ type: "tower_forget", tag, signature });
    }
  }

  #refused(reason: string): void {
    if (this.#state === "away") return;
    this.#state = "connected";
    this.#retryAtMs = this.#nowMs + RETRY_MS;
    this.options.onEvent({ type: "refused", reason });
  }

  /** States for which slots were made. */
  #handOver(channel: ProtectedChannel, states: number): number {
    const outbox = this.#outboxOf(channel);
    const { sentAtMs } = outbox;
    if (sentAtMs !== undefined && this.#nowMs < sentAtMs + ANSWER_MS) return 0;
    const made = outbox.prepare(channel, states, SLOTS_PER_UPDATE);
    const backlog = outbox.withoutIdle(channel.backlog);
    if (backlog !== channel.backlog) this.options.store.setBacklog(channel.channelId, backlog);
    const update = outbox.update(backlog, SLOTS_PER_UPDATE);
    if (update && this.options.send({ type: "tower_update", tag: outbox.tag, ...update })) {
      outbox.sentAtMs = this.#nowMs;
    }
    return made;
  }

  #outboxOf({ channelId, record, backlog }: ProtectedChannel): TowerOutbox {
    const key = toHex(channelId);
    const known = this.#outboxes.get(key);
    if (known?.fits(backlog)) return known;
    const { crypto, signer, payoutScript } = this.options;
    const { feeratePerKw = PENALTY_FEERATE_PER_KW } = this.options;
    const made = new TowerOutbox(this.#tag(channelId, backlog.epoch), backlog, {
      crypto,
      signer: signer.channel(record.terms.keyIndex),
      payoutScript,
      feeratePerKw,
    });
    this.#outboxes.set(key, made);
    this.#byTag.set(toHex(made.tag), channelId);
    return made;
  }

  #tag(channelId: ChannelId, epoch: number): Uint8Array {
    const { crypto, signer } = this.options;
    return towerTag(crypto, signer, channelId, epoch);
  }

  #receiptCame(message: MessageNamed<"tower_receipt">): void {
    const { tag, count, digest, signature } = message;
    const { crypto, signer, tower, store, onEvent } = this.options;
    const channelId = this.#byTag.get(toHex(tag));
    const outbox = channelId && this.#outboxes.get(toHex(channelId));
    const backlog = channelId && store.channel(channelId)?.backlog;
    if (!outbox || !backlog || !equal(outbox.tag, tag)) return; // the channel has ended, or begun anew
    const hash = towerReceiptHash(crypto, signer.nodeId, { tag, count, digest });
    // Rule `receipt-before-protected`: what no receipt covers stays in the backlog.
    if (!crypto.verify(signature, hash, tower)) {
      this.#refused("its receipt is not signed by its key");
      return;
    }
    outbox.sentAtMs = undefined;
    // A message's bytes are views of its packet.
    const receipt = {
      tag: outbox.tag,
      count,
      digest: digest.slice(),
      signature: signature.slice(),
    };
    const after = outbox.acknowledged(backlog, count, digest);
    if (!after) {
      const { acknowledged, digest: known } = backlog;
      const isLess = count < acknowledged || (count === acknowledged && !equal(digest, known));
      const expected = { tag, count: acknowledged, digest: known };
      const type = isLess ? ("broken" as const) : ("restarted" as const);
      store.setBacklog(channelId, anew(backlog));
      onEvent({ type, channelId, expected, receipt });
      if (++this.#mismatches > MAX_MISMATCHES) this.#refused("its receipts fit nothing we sent");
      return;
    }
    store.setBacklog(channelId, after);
    this.#receipts.set(toHex(channelId), receipt);
    onEvent({ type: "receipt", channelId, receipt });
  }
}

/** Under another tag, from nothing. */
function anew(backlog: Backlog): Backlog {
  const { epoch } = backlog;
  return { ...backlog, epoch: epoch + 1, acknowledged: 0, digest: emptyDigest() };
}
