/** What a payer may spend: per day, and per day with one peer; what a clock says is believed only where it cannot buy anything. */
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";
import type { Clock } from "../board.ts";
import type { PriceStore } from "./price-list.ts";

export interface BudgetSettings {
  /** Millisatoshi; absent: without limit. */
  readonly dayMsat?: number | undefined;
  readonly peerDayMsat?: number | undefined;
}

export interface BudgetParts {
  readonly store: PriceStore;
  readonly clock?: Clock | undefined;
  height(): number;
}

/** A day begins with the first payment after the day before. */
interface Day {
  /** Wall clock in seconds, 0 where there was none; block height. */
  readonly startedAt: number;
  readonly startedHeight: number;
  readonly spentMsat: number;
  /** By node id in hexadecimal. */
  readonly byPeer: ReadonlyMap<string, number>;
}

const KEY = "app/budget";
const VERSION = 1;
const DAY_SECONDS = 86_400;
const DAY_BLOCKS = 144;
const MAX_PEERS = 32;

export class Budget {
  private day: Day | undefined;
  /** When the day began, by the clock that never goes back; undefined: in an earlier run. */
  private startedMs: number | undefined;
  private readonly runSince: number | undefined;
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly settings: BudgetSettings,
    private readonly parts: BudgetParts,
  ) {
    this.runSince = parts.clock?.nowMs();
  }

  static async load(settings: BudgetSettings, parts: BudgetParts): Promise<Budget> {
    const budget = new Budget(settings, parts);
    const stored = await parts.store.getValue(KEY);
    if (stored) budget.day = decode(stored);
    return budget;
  }

  /** Why so much cannot be spent with this peer now; undefined where it can. */
  refusal(peer: string, amountMsat: number): string | undefined {
    const day = this.current();
    const { dayMsat, peerDayMsat } = this.settings;
    const leftOfDay = (dayMsat ?? Number.POSITIVE_INFINITY) - day.spentMsat;
    if (amountMsat > leftOfDay) return `the day's budget has ${Math.max(0, leftOfDay)} msat left`;
    const leftOfPeer = (peerDayMsat ?? Number.POSITIVE_INFINITY) - (day.byPeer.get(peer) ?? 0);
    if (amountMsat > leftOfPeer) {
      return `the day's budget for this seller has ${Math.max(0, leftOfPeer)} msat left`;
    }
    const isFull = day.byPeer.size >= MAX_PEERS && !day.byPeer.has(peer);
    return isFull ? `more than ${MAX_PEERS} sellers were paid today` : undefined;
  }

  /** Durable before anything is paid. Throws where the budget does not allow it. */
  reserve(peer: string, amountMsat: number): Promise<void> {
    if (!this.isLimited) return Promise.resolve();
    return this.inTurn(async () => {
      const refusal = this.refusal(peer, amountMsat);
      if (refusal !== undefined) throw new Error(`nothing was paid: ${refusal}`);
      const day = this.current();
      if (day !== this.day) this.startedMs = this.parts.clock?.nowMs();
      await this.keep(changed(day, peer, amountMsat));
    });
  }

  /** It was certainly not paid. What a seller gives back stays spent until the day ends. */
  release(peer: string, amountMsat: number): Promise<void> {
    if (!this.isLimited || amountMsat <= 0) return Promise.resolve();
    return this.inTurn(async () => {
      if (this.day) await this.keep(changed(this.day, peer, -amountMsat));
    });
  }

  /** Spent in the day that lasts, in millisatoshi. */
  get spentMsat(): number {
    return this.current().spentMsat;
  }

  private get isLimited(): boolean {
    return this.settings.dayMsat !== undefined || this.settings.peerDayMsat !== undefined;
  }

  private current(): Day {
    if (this.day && !this.isOver(this.day)) return this.day;
    const startedAt = this.parts.clock?.nowSeconds() ?? 0;
    const startedHeight = this.parts.height();
    return { startedAt, startedHeight, spentMsat: 0, byPeer: new Map() };
  }

  /**
   * Of a day that began in this run the clock that never goes back decides: the wall clock may jump as it likes. After a
   * restart the wall clock does, where it has gone forward since; else blocks; else a whole day of this run.
   */
  private isOver({ startedAt, startedHeight }: Day): boolean {
    const { clock, height } = this.parts;
    const nowMs = clock?.nowMs();
    if (height() >= startedHeight + DAY_BLOCKS) return true;
    if (this.startedMs !== undefined) return (nowMs ?? 0) - this.startedMs >= DAY_SECONDS * 1_000;
    const now = clock?.nowSeconds();
    if (now !== undefined && startedAt > 0 && now >= startedAt + DAY_SECONDS) return true;
    return nowMs !== undefined && nowMs - (this.runSince ?? nowMs) >= DAY_SECONDS * 1_000;
  }

  private async keep(day: Day): Promise<void> {
    await this.parts.store.setValue(KEY, encode(day));
    this.day = day;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const outcome = this.turn.then(work);
    this.turn = outcome.catch(() => {});
    return outcome;
  }
}

function changed(day: Day, peer: string, amountMsat: number): Day {
  const byPeer = new Map(day.byPeer);
  byPeer.set(peer, Math.max(0, (byPeer.get(peer) ?? 0) + amountMsat));
  return { ...day, spentMsat: Math.max(0, day.spentMsat + amountMsat), byPeer };
}

function encode({ startedAt, startedHeight, spentMsat, byPeer }: Day): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  writer.u32(startedAt);
  writer.u32(startedHeight);
  writer.varint(spentMsat);
  for (const [peer, spent] of byPeer) {
    for (let at = 0; at < peer.length; at += 2) {
      writer.u8(Number.parseInt(peer.slice(at, at + 2), 16));
    }
    writer.varint(spent);
  }
  return writer.bytes();
}

function decode(bytes: Uint8Array): Day {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) throw new Error("the budget was stored by a newer firmware");
  const startedAt = reader.u32();
  const startedHeight = reader.u32();
  const spentMsat = reader.varint();
  const byPeer = new Map<string, number>();
  while (reader.remaining > 0) {
    const peer = [...reader.raw(33)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    byPeer.set(peer, reader.varint());
  }
  return { startedAt, startedHeight, spentMsat, byPeer };
}
