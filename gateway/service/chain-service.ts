/** What a gateway tells devices of Bitcoin, and publishes for them (docs/PROTOCOL.md "Chain service"). */
import type { Feerates } from "../../core/channel/context.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { HEADERS_PER_SUBSCRIPTION } from "../../core/messages/service.ts";
import type {
  BlockEvent,
  BroadcastResult,
  ChainSource,
  ConfirmedTransaction,
} from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Store } from "../../core/ports/store.ts";
import { blockHeight, type ChannelId, type PublicKey, txid } from "../../core/primitives/brands.ts";
import { concat, equal, toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { ChainPublisher } from "../chain/publisher.ts";
import { refusalOf } from "../chain/refusals.ts";
import { DevicesWatches, type Watch } from "./device-watches.ts";
import { EntrustedClaims, type PublishRequest } from "./entrusted-claims.ts";
import { RecentHeaders } from "./recent-headers.ts";
import { claimOf } from "./requested-claim.ts";

const HEADERS_PER_MESSAGE = 30;
/** Devices whose claims are read from the store together: a store may do that by one query. */
const READ_TOGETHER = 1_000;
/** Requests of one device that may wait; it names its watches anew at each connection. */
const MAX_WAITING = 2_048;
/** Of `chain_published`, in characters; a node's words are ASCII. */
const MAX_REASON = 256;
/** Outcomes that are remembered, so that each is told once. */
const MAX_OUTCOMES = 4_096;

export interface ChainServiceOptions {
  readonly crypto: Crypto;
  readonly source: ChainSource;
  readonly publisher: Pick<ChainPublisher, "entrusted">;
  readonly store: Store;
  /** Why this device is not served; undefined: it is. */
  refusal(device: PublicKey): string | undefined;
  send(device: PublicKey, message: Message): boolean;
  /** Largest message that the device takes, 0 while it is away; a longer transaction cannot be told to it. */
  maxMessageBytes(device: PublicKey): number;
  /** Those that have channels here. */
  devices(): readonly PublicKey[];
  onProblem(text: string): void;
}

/** A device that is connected: its requests are answered one after the other, in order. */
interface Visitor {
  readonly device: PublicKey;
  /** Of all visits of this process: what it names is marked with it. */
  readonly visit: number;
  turn: Promise<void>;
  waiting: number;
  complained: boolean;
  headers: HeaderFeed | undefined;
}

interface HeaderFeed {
  /** The next header to send. */
  next: number;
  /** The last one that it asked for; it gets all from the tip on. */
  last: number;
  /** Counts reorganisations. */
  rewinds: number;
}

export class ChainService {
  private readonly visitors = new Map<string, Visitor>();
  private visits = 0;
  private readonly watches: DevicesWatches;
  private readonly claims: EntrustedClaims;
  private readonly outcomes = new Map<string, string>();
  private readonly recent = new RecentHeaders();
  /** As of the newest block. */
  private feerates: Promise<Feerates> | undefined;

  constructor(private readonly options: ChainServiceOptions) {
    const { source, store } = options;
    this.claims = new EntrustedClaims(store, (text) => options.onProblem(text));
    this.watches = new DevicesWatches({
      store,
      onWatch: ({ outpoint, script }) => {
        source.watchOutpoint(outpoint);
        if (script) source.watchScript(script);
      },
      known: () => options.devices(),
      onProblem: (text) => options.onProblem(text),
    });
  }

  /** Before blocks are followed: what devices had watched is looked for in those that they missed. */
  async load(serves?: (device: PublicKey) => boolean): Promise<void> {
    await this.watches.load(serves);
    await this.takeUp(this.watches.all());
  }

  /** Devices that another process served until now. */
  async takeOver(devices: readonly PublicKey[]): Promise<void> {
    await this.watches.takeOver(devices);
    await this.takeUp(devices.filter((device) => this.isWatching(device)));
  }

  /** What a device entrusted needs no more. */
  claimOver(device: PublicKey, channel: ChannelId, id: string): void {
    this.run(this.claims.over(device, channel, id));
  }

  /** It is served elsewhere. */
  drop(device: PublicKey): void {
    this.watches.drop(device);
    this.claims.drop(device);
    this.deviceGone(device);
  }

  isWatching(device: PublicKey): boolean {
    return this.watches.has(device);
  }

  /** True where the message was one of this service's. */
  receive(device: PublicKey, message: Message): boolean {
    switch (message.type) {
      case "chain_subscribe":
        this.inTurn(device, (visitor) => this.subscribe(visitor, message));
        return true;
      case "chain_watch":
        this.inTurn(device, (visitor) => this.watch(visitor, message));
        return true;
      case "chain_publish":
        this.run(this.publish(device, message));
        return true;
      default:
        return false;
    }
  }

  deviceGone(device: PublicKey): void {
    this.visitors.delete(toHex(device));
  }

  /** Headers go first: a device checks a proof against the header of its block. */
  blockConnected(block: BlockEvent): void {
    this.feerates = undefined;
    this.recent.connected(block);
    for (const visitor of this.visitors.values()) {
      if (visitor.headers) this.enqueue(visitor, () => this.sendHeaders(visitor));
    }
    for (const transaction of block.transactions) this.tell(transaction);
  }

  /** Of blocks that came while its devices were nobody's, or another process's. */
  replayed(transactions: readonly ConfirmedTransaction[]): void {
    for (const transaction of transactions) this.tell(transaction);
  }

  /** Devices learn of a reorganisation from the new branch's headers; its proofs are told again as they are mined. */
  blockDisconnected(height: number): void {
    this.recent.disconnected(height);
    for (const device of this.watches.forget(height)) this.run(this.watches.store(device));
    for (const { headers } of this.visitors.values()) {
      if (!headers) continue;
      headers.next = Math.min(headers.next, height);
      headers.rewinds++;
    }
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.onProblem(`chain service: ${cause instanceof Error ? cause.message : cause}`);
    });
  }

  private inTurn(device: PublicKey, work: (visitor: Visitor) => Promise<void>): void {
    const visitor = this.visitorOf(device);
    const refused = this.options.refusal(device);
    if (refused === undefined && visitor.waiting < MAX_WAITING) {
      this.enqueue(visitor, () => work(visitor));
    } else if (!visitor.complained) {
      visitor.complained = true;
      const name = toHex(device).slice(0, 16);
      this.options.onProblem(`device ${name} is not answered: ${refused ?? "it asks too much"}`);
    }
  }

  private visitorOf(device: PublicKey): Visitor {
    const known = this.visitors.get(toHex(device));
    if (known) return known;
    const visitor: Visitor = {
      device,
      visit: ++this.visits,
      turn: Promise.resolve(),
      waiting: 0,
      complained: false,
      headers: undefined,
    };
    this.visitors.set(toHex(device), visitor);
    return visitor;
  }

  private enqueue(visitor: Visitor, work: () => Promise<void>): void {
    visitor.waiting++;
    visitor.turn = visitor.turn.then(async () => {
      visitor.waiting--;
      if (this.visitors.get(toHex(visitor.device)) !== visitor) return; // it has gone
      try {
        await work();
      } catch (cause) {
        this.run(Promise.reject(cause));
      }
    });
  }

  private async subscribe(
    visitor: Visitor,
    { fromHeight }: MessageNamed<"chain_subscribe">,
  ): Promise<void> {
    const next = Math.max(1, fromHeight);
    visitor.headers = { next, last: next + HEADERS_PER_SUBSCRIPTION - 1, rewinds: 0 };
    await this.sendHeaders(visitor);
  }

  private async sendHeaders({ device, headers: feed }: Visitor): Promise<void> {
    const { source, send } = this.options;
    const { recent } = this;
    if (!feed) return;
    for (;;) {
      const { next, rewinds } = feed;
      const tipHeight = recent.tipHeight ?? (await source.tip()).height;
      const count = Math.min(HEADERS_PER_MESSAGE, Math.min(tipHeight, feed.last) - next + 1);
      if (count <= 0) return;
      const headers = recent.from(next, count) ?? (await source.headers(blockHeight(next), count));
      const feeratesPerKw = await this.currentFeerates();
      if (headers.length === 0) return;
      if (feed.rewinds !== rewinds) continue;
      const last = next + headers.length - 1;
      feed.next = last + 1;
      if (last >= tipHeight) feed.last = Number.POSITIVE_INFINITY;
      const packed = concat(...headers);
      const sent = { fromHeight: next, headers: packed, tipHeight, feeratesPerKw };
      if (!send(device, { type: "chain_headers", ...sent })) return;
    }
  }

  private currentFeerates(): Promise<Feerates> {
    const asked = this.feerates ?? this.askFeerates();
    this.feerates = asked;
    asked.catch(() => {
      this.feerates = undefined;
    });
    return asked;
  }

  private async askFeerates(): Promise<Feerates> {
    const { source } = this.options;
    const [now, soon, economy] = await Promise.all([
      source.feeratePerKw("now"),
      source.feeratePerKw("soon"),
      source.feeratePerKw("economy"),
    ]);
    return { now: Math.ceil(now), soon: Math.ceil(soon), economy: Math.ceil(economy) };
  }

  private async watch(visitor: Visitor, message: MessageNamed<"chain_watch">): Promise<void> {
    const { device, visit } = visitor;
    const outpoint = { txid: txid(message.txid.slice()), vout: message.vout };
    const watch: Watch = { outpoint, script: message.script?.slice(), depth: 0, found: [], visit };
    const isFirst = this.watches.of(device).length === 0;
    if (this.watches.add(device, watch, (other) => other.visit !== visit)) {
      await this.learnOrigin(watch);
      if (isFirst) await this.watches.storeDevices();
      await this.watches.store(device);
    }
    const kept = this.watches.get(device, outpoint);
    if (kept) kept.visit = visit;
    const isHere = this.visitors.get(toHex(device)) === visitor;
    if (!kept && isHere)
      this.options.onProblem(`device ${toHex(device).slice(0, 16)} watches too much`);
    for (const { txid: id, height } of kept?.found ?? []) {
      const transaction = await this.options.source.transaction(id, blockHeight(height));
      if (transaction) this.sendProof(device, transaction);
    }
  }

  /** What made it may have confirmed before it was watched. */
  private async learnOrigin(watch: Watch): Promise<void> {
    const created = await this.options.source.transaction(watch.outpoint.txid);
    if (!created || watch.found.some((one) => equal(one.txid, created.txid))) return;
    watch.found = [{ txid: created.txid, height: created.height }, ...watch.found];
  }

  /** Tells those who watch what this transaction creates or spends. */
  private tell(transaction: ConfirmedTransaction): void {
    const parsed = parseTransaction(transaction.raw);
    const id = transactionId(this.options.crypto, parsed);
    const devices = this.watches.found(parsed, { txid: id, height: transaction.height });
    for (const device of devices) {
      this.run(this.watches.store(device));
      const visitor = this.visitors.get(toHex(device)); // away: told when it watches again
      if (visitor) this.enqueue(visitor, async () => this.sendProof(device, transaction));
    }
  }

  private sendProof(device: PublicKey, transaction: ConfirmedTransaction): void {
    const { raw, height, index, branch } = transaction;
    const overhead = 64 + branch.length * 34;
    const most = this.options.maxMessageBytes(device);
    if (most === 0) return;
    if (raw.length + overhead > most) {
      this.options.onProblem(`a transaction of ${raw.length} bytes is too long for a device`);
      return;
    }
    this.options.send(device, { type: "chain_transaction", raw, height, index, branch });
  }

  /** Goes on when the device is gone; it is told of each new outcome of what it asks for. */
  private async publish(device: PublicKey, message: PublishRequest): Promise<void> {
    const { channel, id, raw } = message;
    const refused = this.options.refusal(device);
    const outcome =
      refused !== undefined
        ? ({ ok: false, reason: refused } as const)
        : await this.entrust(device, message);
    if (outcome.ok) await this.claims.keep(device, message);
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

  private async entrust(device: PublicKey, message: PublishRequest): Promise<BroadcastResult> {
    const { publisher, crypto } = this.options;
    const trusted = publisher.entrusted(device);
    if (message.purpose === "close") return trusted.publishClose(message.channel, message.raw);
    return trusted.publish(message.channel, claimOf(crypto, message));
  }

  /** What they entrusted before goes on, whether they come or not. */
  private async takeUp(devices: readonly PublicKey[]): Promise<void> {
    for (let at = 0; at < devices.length; at += READ_TOGETHER) {
      const some = devices.slice(at, at + READ_TOGETHER);
      const all = await Promise.all(some.map((device) => this.claims.load(device)));
      for (const [i, device] of some.entries()) {
        if (this.options.refusal(device) !== undefined) continue;
        for (const request of all[i] ?? []) this.run(this.begin(device, request));
      }
    }
  }

  private async begin(device: PublicKey, request: PublishRequest): Promise<void> {
    await this.entrust(device, request);
  }
}
