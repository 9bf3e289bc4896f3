/**
 * A watchtower: keeps slots for clients, holds the txid of every confirmed transaction against their hints, and punishes with
 * what a slot reveals (DESIGN §6, rule `tower-checks-kit`). It holds no key of anybody's, and knows nothing before the cheat.
 */
import type { MonitorPolicy } from "../../core/chain/monitor/watched.ts";
import type { Feerates } from "../../core/channel/context.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { TOWER_REFUSALS } from "../../core/messages/tower.ts";
import type { BlockEvent, ChainSource, ConfirmedTransaction } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import {
  type BlockHeight,
  blockHeight,
  channelId,
  type PublicKey,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { forgetHash, towerReceiptHash } from "../../core/tower/receipt.ts";
import { fromRelay, toRelay } from "../../core/tower/relay.ts";
import { hintOf, openSlots } from "../../core/tower/slot.ts";
import { parseTransaction } from "../../core/transactions/transaction.ts";
import type { ChainPublisher } from "../chain/publisher.ts";
import type { SqliteTables } from "../store/sqlite-store.ts";
import { Breach, type PenaltyOutcome } from "./breach.ts";
import { RecentHints } from "./recent-hints.ts";
import { type FoundSlot, type Kept, type StoredBreach, TowerTables } from "./tower-tables.ts";

export interface TowerOptions {
  /** Slots of one client; a slot takes about 270 bytes of disk. */
  readonly maxSlotsPerClient?: number;
  /** Of all clients together. */
  readonly maxSlots?: number;
  /** What our own coins may add to one penalty's fee. */
  readonly maxOwnFeeSatoshis?: number;
  /** Why a node is not watched for; undefined: it is. `via`: who carries its messages, where it is not itself the peer. */
  refusal?(client: PublicKey, via: PublicKey | undefined): string | undefined;
}

export interface TowerPorts {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly tables: SqliteTables;
  readonly source: Pick<ChainSource, "watchTransactions" | "watchOutpoint" | "replay" | "name">;
  readonly publisher: Pick<ChainPublisher, "entrusted">;
  send(client: PublicKey, message: Message): boolean;
  onEvent(event: TowerEvent): void;
}

export type TowerEvent =
  | { readonly type: "registered"; readonly client: PublicKey; readonly maxSlots: number }
  | {
      readonly type: "breach";
      readonly client: PublicKey | undefined;
      readonly txid: Uint8Array;
      readonly height: BlockHeight;
      /** Outputs that it punishes. */
      readonly penalties: number;
      /** What was stored for it and fits nothing. */
      readonly faults: readonly string[];
    }
  | ({ readonly type: "penalty"; readonly client: PublicKey | undefined } & PenaltyOutcome)
  | { readonly type: "problem"; readonly text: string };

export const DEFAULT_SLOTS_PER_CLIENT = 100_000;
export const DEFAULT_SLOTS = 20_000_000;
export const DEFAULT_OWN_FEE_SATOSHIS = 5_000;
/** A breach is forgotten once its outputs are spent this deep: as far as blocks are read again after a start. */
const OVER_DEPTH = 144;
/** One whose outputs nobody spends is given up after a month. */
const MAX_BREACH_BLOCKS = 4_320;
/** At a time; beyond it a block is read again at the next start. */
const MAX_BREACHES = 4_096;

interface Client {
  readonly id: PublicKey;
  /** Who carries its messages; absent: it is itself the peer. */
  readonly via?: PublicKey;
}

export class TowerServer {
  readonly #tables: TowerTables;
  readonly #breaches = new Map<string, Breach>();
  readonly #recent = new RecentHints();
  #feerates: Feerates = { now: 2_500, soon: 1_000, economy: 253 };

  constructor(
    private readonly ports: TowerPorts,
    private readonly options: TowerOptions = {},
  ) {
    const { maxSlotsPerClient = DEFAULT_SLOTS_PER_CLIENT, maxSlots = DEFAULT_SLOTS } = options;
    this.#tables = new TowerTables(ports.tables, ports.crypto, { maxSlotsPerClient, maxSlots });
  }

  /** Before the first block is told. Throws where the chain source cannot tell of every transaction. */
  start(): void {
    const { source } = this.ports;
    if (!source.watchTransactions) {
      throw new Error(`${source.name} does not tell of every transaction: no tower can watch it`);
    }
    for (const stored of this.#tables.breaches()) this.#follow(stored);
    source.watchTransactions((txid) => this.#tables.hasHint(hintOf(txid)));
  }

  totals(): ReturnType<TowerTables["totals"]> {
    return this.#tables.totals();
  }

  setFeerates(feerates: Feerates): void {
    this.#feerates = feerates;
  }

  /** Whether the message was a tower's. What it answers comes after its tables are durable. */
  receive(peer: PublicKey, message: Message): boolean {
    if (message.type === "tower_relay") {
      const carried = fromRelay(message);
      return carried !== undefined && this.#serve({ id: carried.from, via: peer }, carried.message);
    }
    return this.#serve({ id: peer }, message);
  }

  #serve(client: Client, message: Message): boolean {
    switch (message.type) {
      case "tower_register":
        this.#run(this.#register(client));
        return true;
      case "tower_update":
        this.#run(this.#update(client, message));
        return true;
      case "tower_forget":
        this.#run(this.#forget(client, message));
        return true;
      default:
        return false;
    }
  }

  blockConnected(block: BlockEvent): void {
    for (const transaction of block.transactions) {
      if (this.#look(transaction)) this.#recent.settled(transaction.txid);
      else this.#recent.handedOver(transaction.txid); // the rest of it may be on its way
    }
    this.#recent.connected(block);
    this.#punish(block.height);
    const from = this.#recent.take();
    if (from !== undefined) this.#run(this.#lookBack(blockHeight(from), block.height));
  }

  /** A cheat may confirm what it revokes only afterwards, while its victim has not heard of the block yet. */
  async #lookBack(from: BlockHeight, to: BlockHeight): Promise<void> {
    try {
      await this.ports.source.replay({ from, to }, ({ transactions }) => {
        for (const transaction of transactions) {
          if (this.#look(transaction)) this.#recent.settled(transaction.txid);
        }
      });
    } catch (cause) {
      this.#recent.again(from); // at the next block
      throw cause;
    }
    this.#punish(to);
  }

  /** The blocks from here on left the chain, or are told anew. */
  disconnected(fromHeight: BlockHeight): void {
    this.#recent.disconnected(fromHeight);
    for (const breach of this.#breaches.values()) breach.disconnected(fromHeight);
  }

  async #register(client: Client): Promise<void> {
    const note = this.options.refusal?.(client.id, client.via);
    if (note !== undefined) {
      const none = { accepted: false, maxSlots: 0, usedSlots: 0, note: note.slice(0, 128) };
      this.#answer(client, { type: "tower_terms", ...none });
      return;
    }
    const { maxSlots, usedSlots } = await this.#tables.register(client.id);
    this.ports.onEvent({ type: "registered", client: client.id, maxSlots });
    const terms = { accepted: true, maxSlots, usedSlots, note: "" };
    this.#answer(client, { type: "tower_terms", ...terms });
  }

  async #update(client: Client, message: MessageNamed<"tower_update">): Promise<void> {
    const tag = message.tag.slice();
    const { from } = message;
    let kept: Kept;
    try {
      kept = await this.#tables.keep(client.id, { tag, from, slots: message.slots });
    } catch (cause) {
      const note = "what was handed over could not be stored";
      const code = TOWER_REFUSALS.unavailable;
      this.#answer(client, { type: "tower_refused", tag, code, note });
      throw cause;
    }
    if (!kept.ok) {
      this.#answer(client, { type: "tower_refused", tag, ...REFUSALS[kept.why] });
      return;
    }
    for (const slot of message.slots) this.#recent.handedOver(slot);
    const { crypto, signer } = this.ports;
    const { count, digest, freeSlots } = kept;
    const signature = signer.sign(towerReceiptHash(crypto, client.id, kept));
    const receipt = { tag, count, digest, freeSlots, signature };
    this.#answer(client, { type: "tower_receipt", ...receipt });
  }

  /** Whoever carries a client's messages could ask for this in its name. */
  async #forget(client: Client, message: MessageNamed<"tower_forget">): Promise<void> {
    const { crypto, signer } = this.ports;
    const tag = message.tag.slice();
    const hash = forgetHash(crypto, signer.nodeId, tag);
    if (!crypto.verify(message.signature, hash, client.id)) return;
    await this.#tables.forget(client.id, tag);
    this.#answer(client, { type: "tower_forgotten", tag });
  }

  #answer({ id, via }: Client, message: Message): void {
    this.ports.send(via ?? id, via ? toRelay(id, message) : message);
  }

  /** A confirmed transaction: perhaps a revoked commitment, perhaps a spend of one's output. False: what was stored for it opens nothing. */
  #look({ raw, txid, height }: ConfirmedTransaction): boolean {
    const hint = hintOf(txid);
    const found = this.#tables.slots(hint);
    let opens = true;
    for (const channel of new Set(found.map((one) => one.channel))) {
      const key = `${toHex(txid)}/${channel}`;
      const known = this.#breaches.get(key);
      if (known) known.height = height;
      else if (!this.#open({ txid, channel, height, raw }, found)) opens = false;
    }
    if (this.#breaches.size === 0) return opens;
    const transaction = parseTransaction(raw);
    for (const breach of this.#breaches.values()) {
      breach.confirmed(transaction, txid, height);
    }
    return opens;
  }

  #open(seen: Omit<StoredBreach, "kit">, found: readonly FoundSlot[]): boolean {
    const { channel, txid } = seen;
    const first = hintOf(txid);
    const kit = openSlots(this.ports.crypto, txid, (hint) => {
      const slots = equal(hint, first) ? found : this.#tables.slots(hint);
      return slots.filter((one) => one.channel === channel).map(({ slot }) => slot);
    });
    if (!kit) return false; // 16 bytes that happen to be the same, or nonsense that was stored under them
    if (this.#breaches.size >= MAX_BREACHES) {
      this.#problem("more breaches at once than this tower follows: start it again later");
      return true;
    }
    const stored = { ...seen, kit };
    const breach = this.#follow(stored);
    if (!breach) return true;
    const { penalties, faults } = breach.punishment;
    const client = this.#tables.clientOf(channel);
    const height = seen.height as BlockHeight;
    this.ports.onEvent({
      type: "breach",
      client,
      txid,
      height,
      penalties: penalties.length,
      faults,
    });
    if (penalties.length > 0) this.#run(this.#tables.keepBreach(stored));
    return true;
  }

  /** Undefined where the kit is none: a stranger sealed it. */
  #follow(stored: StoredBreach): Breach | undefined {
    try {
      const breach = new Breach(this.ports.crypto, stored);
      for (const outpoint of breach.watched) this.ports.source.watchOutpoint(outpoint);
      this.#breaches.set(breach.key, breach);
      return breach;
    } catch (cause) {
      this.#problem(`what a client stored is no justice kit: ${wordsOf(cause)}`);
      return undefined;
    }
  }

  #punish(tip: BlockHeight): void {
    const { crypto, publisher } = this.ports;
    const { maxOwnFeeSatoshis = DEFAULT_OWN_FEE_SATOSHIS } = this.options;
    const policy: MonitorPolicy = {
      feeratesPerKw: this.#feerates,
      irrevocableDepth: OVER_DEPTH,
    };
    for (const breach of [...this.#breaches.values()]) {
      const client = this.#tables.clientOf(breach.stored.channel);
      for (const outcome of breach.news()) {
        this.ports.onEvent({ type: "penalty", client, ...outcome });
      }
      if (this.#isOver(breach, tip)) {
        this.#breaches.delete(breach.key);
        this.#run(this.#tables.dropBreach(breach.stored));
        continue;
      }
      // Each breach has its own place among what is published for others: no client takes another's.
      const entrusted = publisher.entrusted(breach.stored.txid);
      for (const claim of breach.due(crypto, tip, policy, maxOwnFeeSatoshis)) {
        void entrusted.publish(channelId(breach.stored.txid), claim);
      }
    }
  }

  #isOver(breach: Breach, tip: BlockHeight): boolean {
    const { height } = breach.stored;
    return breach.isOver(tip, OVER_DEPTH) || tip - height > MAX_BREACH_BLOCKS;
  }

  #run(work: Promise<void>): void {
    work.catch((cause: unknown) => this.#problem(wordsOf(cause)));
  }

  #problem(text: string): void {
    this.ports.onEvent({ type: "problem", text: `watchtower: ${text}` });
  }
}

const REFUSALS = {
  "not-registered": {
    code: TOWER_REFUSALS.notRegistered,
    note: "this node is not registered here",
  },
  quota: { code: TOWER_REFUSALS.quota, note: "all slots that you were granted are used" },
  full: { code: TOWER_REFUSALS.quota, note: "this tower has no room for more" },
} as const;

function wordsOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
