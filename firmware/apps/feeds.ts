/** The meters that a payer feeds, and those that it fed when its power failed: they are told to stop. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import { METER_STATES } from "../../core/messages/service.ts";
import { unpackPayments } from "../../core/payments/push.ts";
import { type ChannelId, type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AppHost } from "./app.ts";
import type { Budget } from "./budget.ts";
import { Feed, type FeedOptions } from "./feed.ts";
import { SESSION_BYTES } from "./meter-session.ts";

type Quote = MessageNamed<"meter_quote">;

/** Fed at a time. */
const MAX_FEEDS = 4;
const KEY = "app/feeds";
const ENTRY_BYTES = 33 + SESSION_BYTES;

interface Begun {
  readonly peer: PublicKey;
  readonly session: Uint8Array;
}

export class Feeds {
  private readonly quotes = new Map<string, Quote>();
  private readonly feeds: Feed[] = [];
  /** Of an earlier run: their meters may still wait for money. */
  private orphans: readonly Begun[] = [];

  private constructor(
    private readonly host: AppHost,
    private readonly budget: Budget,
  ) {}

  static async load(host: AppHost, budget: Budget): Promise<Feeds> {
    const feeds = new Feeds(host, budget);
    const stored = (await host.store.getValue(KEY)) ?? new Uint8Array(0);
    const orphans: Begun[] = [];
    for (let at = 0; at + ENTRY_BYTES <= stored.length; at += ENTRY_BYTES) {
      const peer = publicKey(stored.slice(at, at + 33));
      orphans.push({ peer, session: stored.slice(at + 33, at + ENTRY_BYTES) });
    }
    feeds.orphans = orphans;
    return feeds;
  }

  quote(peer: PublicKey): Quote | undefined {
    return this.quotes.get(toHex(peer));
  }

  async begin(channelId: ChannelId, options: FeedOptions): Promise<Feed> {
    const refuse = (why: string) => new Error(`${why}: nothing was paid`);
    const peer = this.host.node.record(channelId)?.remoteNodeId;
    const quote = peer && this.quote(peer);
    if (!peer || !quote) throw refuse("no meter is at the other end");
    if (!quote.ready) throw refuse(quote.note ?? "the meter is not ready");
    if (quote.priceMsat === 0) throw refuse("the meter names no price");
    const { maxUnitMsat, maxMsat } = options;
    if (quote.priceMsat > Math.min(maxMsat, maxUnitMsat ?? maxMsat)) {
      throw refuse(`a unit costs ${quote.priceMsat} msat`);
    }
    const isFed = this.feeds.some((feed) => equal(feed.peer, peer));
    if (isFed) throw refuse("this meter is being fed already");
    if (this.feeds.length >= MAX_FEEDS) throw refuse(`${MAX_FEEDS} meters are being fed already`);
    const { host, budget } = this;
    const ended = (one: Feed) => this.ended(one);
    const feed = new Feed({ host, budget, channelId, peer, quote, ended }, options);
    this.feeds.push(feed);
    await this.keep();
    feed.begin();
    return feed;
  }

  /** True where one was being fed. */
  stopOf(peer: PublicKey): boolean {
    const feed = this.feeds.find((one) => equal(one.peer, peer));
    feed?.stop();
    return feed !== undefined;
  }

  stopAll(note: string): void {
    for (const feed of this.feeds) feed.stop(note);
  }

  onPeer(peer: PublicKey, connected: boolean): void {
    if (!connected) this.quotes.delete(toHex(peer));
    for (const feed of this.feeds) {
      if (!equal(feed.peer, peer)) continue;
      if (connected) feed.begin();
      else feed.disconnected();
    }
    if (!connected) return;
    for (const { session, peer: seller } of this.orphans) {
      if (!equal(seller, peer)) continue;
      this.host.node.sendService(peer, { type: "meter_stop", session });
    }
  }

  onMessage(peer: PublicKey, message: Quote | MessageNamed<"meter_state">): void {
    if (message.type === "meter_quote") {
      this.quotes.set(toHex(peer), { ...message });
      return;
    }
    if (this.feeds.some((feed) => feed.onState(peer, message))) return;
    if (message.state !== METER_STATES.ended) return;
    const session = message.session.slice();
    const isThis = (one: Begun) => equal(one.peer, peer) && equal(one.session, session);
    if (!this.orphans.some(isThis)) return;
    this.orphans = this.orphans.filter((one) => !isThis(one));
    this.run(this.keep());
  }

  onChannelEvent(id: ChannelId, event: ChannelEvent): void {
    if (event.type === "pushCommitted") {
      for (const { reference, amountMsat } of unpackPayments(event.payments)) {
        for (const feed of this.feeds) feed.committed(reference, amountMsat);
      }
    }
    if (event.type === "rejected" && event.command.type === "push") {
      for (const { reference } of unpackPayments(event.command.payments)) {
        for (const feed of [...this.feeds]) feed.rejected(reference, event.reason);
      }
    }
    if (event.type === "closed" || event.type === "forgotten") {
      for (const feed of [...this.feeds]) {
        if (equal(feed.channelId, id)) feed.abandon("the channel has closed");
      }
    }
  }

  private ended(feed: Feed): void {
    const at = this.feeds.indexOf(feed);
    if (at >= 0) this.feeds.splice(at, 1);
    this.run(this.keep());
  }

  private async keep(): Promise<void> {
    const open = [...this.orphans, ...this.feeds];
    const bytes = new Uint8Array(open.length * ENTRY_BYTES);
    open.forEach(({ peer, session }, i) => {
      bytes.set(peer, i * ENTRY_BYTES);
      bytes.set(session, i * ENTRY_BYTES + 33);
    });
    await this.host.store.setValue(KEY, bytes);
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.host.tell({ type: "failed", reason });
    });
  }
}
