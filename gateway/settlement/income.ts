/**
 * What each channel's peer got and gave by day: off chain by pushes and HTLCs, on chain by the channel's end. The
 * balance in the channel's own record is the truth, events only say how much of a change went each way: what a crash
 * kept from being booked is found at the next look, and sums agree with the channels whatever happens.
 */
import type { Channel } from "../../core/channel/draft.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { sumPayments } from "../../core/payments/push.ts";
import type { ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";

/** Of one channel; ids hexadecimal. */
export interface IncomeChannel {
  readonly channelId: string;
  readonly nodeId: string;
  /** It keeps a routing table: no device. */
  readonly isGateway: boolean;
  /** The peer's when the channel was seen first. */
  readonly openedMsat: number;
  /** The peer's now; 0 once it is on chain. */
  readonly balanceMsat: number;
  readonly isClosed: boolean;
}

/** To be added to a channel's day. */
export interface IncomeEntry {
  readonly channelId: string;
  /** Since 1970, UTC. */
  readonly day: number;
  readonly receivedMsat: number;
  readonly paidMsat: number;
  readonly onChainSat: number;
}

export interface IncomeDay {
  readonly day: number;
  readonly nodeId: string;
  readonly isGateway: boolean;
  readonly receivedMsat: number;
  readonly paidMsat: number;
  readonly onChainSat: number;
}

type Awaitable<T> = T | Promise<T>;

export interface IncomeRows {
  channels(): Awaitable<readonly IncomeChannel[]>;
  /** Both in one transaction. */
  book(channel: IncomeChannel, entry: IncomeEntry | undefined): Promise<void>;
  /** Days from `from` up to and without `until`, in order of day and node. */
  days(from: number, until: number): Awaitable<readonly IncomeDay[]>;
}

interface LiveNode {
  channels(): readonly { readonly id: ChannelId; readonly channel: Channel }[];
  record(id: ChannelId): ChannelRecord | undefined;
}

export interface IncomeBookOptions {
  readonly rows: IncomeRows;
  readonly node: () => LiveNode;
  isGateway(nodeId: PublicKey): boolean;
  nowSeconds(): number;
  onAlarm(text: string): void;
}

interface Told {
  receivedMsat: number;
  paidMsat: number;
}

export const DAY_SECONDS = 86_400;
/** Payments of so long share one write. */
const WRITE_EVERY_MS = 1_000;

export class IncomeBook {
  private readonly known = new Map<string, IncomeChannel>();
  /** Since the last write, by channel. */
  private readonly told = new Map<string, Told & { readonly id: ChannelId }>();
  private writtenMs = 0;
  private writing: Promise<unknown> = Promise.resolve();

  private constructor(private readonly options: IncomeBookOptions) {}

  static async open(options: IncomeBookOptions): Promise<IncomeBook> {
    const book = new IncomeBook(options);
    for (const one of await options.rows.channels()) book.known.set(one.channelId, one);
    return book;
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    switch (event.type) {
      case "created":
        this.told.set(toHex(event.channelId), {
          id: event.channelId,
          receivedMsat: 0,
          paidMsat: 0,
        });
        return;
      case "pushSettled":
        this.note(id).receivedMsat += sumPayments(event.payments);
        return;
      case "pushReceived":
        this.note(id).paidMsat += sumPayments(event.payments);
        return;
      case "htlcSettled":
        if (event.fulfilled) this.note(id).paidMsat += event.amountMsat;
        return;
      case "htlcFulfilled":
        this.note(id); // its balance follows when the HTLC has left both commitments
        return;
      case "closed":
        this.close(id, event);
        return;
      default:
        return;
    }
  }

  tick(nowMs: number): void {
    if (this.told.size === 0 || nowMs - this.writtenMs < WRITE_EVERY_MS) return;
    this.writtenMs = nowMs;
    for (const { id } of [...this.told.values()]) this.bookNow(id);
  }

  /** Every channel as its record is: at the start, at each block, and before anybody reads. */
  async bookAll(): Promise<void> {
    for (const { id, channel } of this.options.node().channels()) {
      if (channel.kind === "live") this.bookNow(id);
    }
    await this.writing;
  }

  async days(from: number, until: number): Promise<readonly IncomeDay[]> {
    await this.bookAll();
    return this.options.rows.days(from, until);
  }

  channels(): readonly IncomeChannel[] {
    return [...this.known.values()];
  }

  today(): number {
    return Math.floor(this.options.nowSeconds() / DAY_SECONDS);
  }

  private note(id: ChannelId): Told {
    const key = toHex(id);
    const told = this.told.get(key) ?? { id, receivedMsat: 0, paidMsat: 0 };
    this.told.set(key, told);
    return told;
  }

  private bookNow(id: ChannelId): void {
    const record = this.options.node().record(id);
    if (!record) return;
    const key = toHex(id);
    const told = this.told.get(key);
    this.told.delete(key);
    const balanceMsat = balanceOf(record);
    const before = this.known.get(key);
    if (!before) {
      const { remoteNodeId } = record;
      const received = told?.receivedMsat ?? 0;
      const paid = told?.paidMsat ?? 0;
      const openedMsat = Math.max(0, balanceMsat - received + paid);
      const isGateway = this.options.isGateway(remoteNodeId);
      const nodeId = toHex(remoteNodeId);
      const fresh = { channelId: key, nodeId, isGateway, openedMsat, isClosed: false };
      this.write({ ...fresh, balanceMsat: openedMsat }, balanceMsat, told, 0);
      return;
    }
    if (before.isClosed) return;
    const isGateway = before.isGateway || this.options.isGateway(record.remoteNodeId);
    const isSame = before.balanceMsat === balanceMsat && isGateway === before.isGateway;
    if (isSame && !told?.receivedMsat && !told?.paidMsat) return;
    this.write({ ...before, isGateway }, balanceMsat, told, 0);
  }

  /** What went to it on chain leaves its balance; fees, roundings and penalties are paid by it. */
  private close(id: ChannelId, { outputs }: Extract<ChannelEvent, { type: "closed" }>): void {
    this.bookNow(id);
    const before = this.known.get(toHex(id));
    if (!before || before.isClosed) return;
    const theirs = outputs.filter(({ status }) => status === "theirs");
    const onChainSat = theirs.reduce((sum, { amount }) => sum + amount, 0);
    const told = { receivedMsat: 0, paidMsat: 0 };
    this.write({ ...before, isClosed: true }, onChainSat * 1_000, told, onChainSat);
  }

  private write(
    before: IncomeChannel,
    balanceMsat: number,
    told: Told | undefined,
    onChainSat: number,
  ): void {
    const { receivedMsat: got = 0, paidMsat: gave = 0 } = told ?? {};
    const rest = balanceMsat - before.balanceMsat - (got - gave);
    const receivedMsat = got + Math.max(0, rest);
    const paidMsat = gave + Math.max(0, -rest);
    const { channelId } = before;
    const channel = { ...before, balanceMsat: balanceMsat - onChainSat * 1_000 };
    this.known.set(channelId, channel);
    const isEntry = receivedMsat > 0 || paidMsat > 0 || onChainSat > 0;
    const entry = { channelId, day: this.today(), receivedMsat, paidMsat, onChainSat };
    const written = this.options.rows.book(channel, isEntry ? entry : undefined);
    // Rows that could not be written come with the store's next transaction, or are found at the next start.
    this.writing = Promise.all([this.writing, written]).catch((cause: unknown) =>
      this.options.onAlarm(`income: ${cause instanceof Error ? cause.message : cause}`),
    );
  }
}

/** The peer's, with what it offers and nobody has taken yet. */
export function balanceOf({ base }: Pick<ChannelRecord, "base">): number {
  const offered = base.htlcs.filter((htlc) => !htlc.offeredByLocal);
  return offered.reduce((sum, { amountMsat }) => sum + amountMsat, base.toRemoteMsat as number);
}
