/** HTLCs that one process asks another to offer, in a channel that the other one runs: a row each, until the asker has settled it (docs/OPERATIONS.md "Several processes"). */
import { encodeFailure } from "../../core/payments/failure.ts";
import {
  blockHeight,
  type ChannelId,
  channelId,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
  paymentHash,
  preimage,
  publicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { AttemptOwner, Attempts, EntrustedAttempt, Entrusting } from "../payments/attempts.ts";
import type { FindNextHop } from "../payments/next-hop.ts";
import type { PostgresStore } from "../store/postgres/postgres-store.ts";
import type { Row, Session } from "../store/postgres/session.ts";
import * as sql from "./entrusted-sql.ts";

export interface EntrustedHtlcsOptions {
  readonly store: PostgresStore;
  /** Its channels are run here, and know what happened to them. */
  isServed(peer: PublicKey): boolean;
  onProblem(text: string): void;
}

interface Waiting {
  readonly owner: AttemptOwner;
  /** Not yet taken by then, it is withdrawn; undefined: it was offered, perhaps. */
  readonly untilMs: number | undefined;
  isWithdrawn: boolean;
}

/** What no word came of (NOTIFY needs a session) is looked for so often. */
const LOOK_EVERY_MS = 1_000;
const MAX_WAITING = 20_000;

export class EntrustedHtlcs implements Entrusting {
  /** Asked of others, by payment hash in hexadecimal. */
  private readonly waiting = new Map<string, Waiting>();
  /** Offered here for others. */
  private readonly doing = new Set<string>();
  private ears: Session | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private looking: Promise<void> | undefined;
  private isAskedAgain = false;
  private stopped = false;

  private attempts!: Attempts;
  private nextHop!: FindNextHop;

  constructor(private readonly options: EntrustedHtlcsOptions) {}

  serve(attempts: Attempts, nextHop: FindNextHop): void {
    this.attempts = attempts;
    this.nextHop = nextHop;
  }

  start(): void {
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.look();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.looking;
    await this.ears?.close();
  }

  isWaiting(hash: PaymentHash): boolean {
    return this.waiting.has(toHex(hash));
  }

  /** The caller has written down, durably, that it offers this HTLC; where nobody has such a channel it is refused. */
  begin(attempt: EntrustedAttempt, owner: AttemptOwner): void {
    const { paymentHash: hash, destination, amountMsat, cltvExpiry, onion, holdMs } = attempt;
    const key = toHex(hash);
    if (this.waiting.size >= MAX_WAITING) {
      owner.refused("too many payments are under way");
      return;
    }
    const untilMs = performance.now() + holdMs;
    this.waiting.set(key, { owner, untilMs, isWithdrawn: false });
    let isAsked = false;
    const asked = this.options.store.tables.join(async (session) => {
      const row = [hash, destination, amountMsat, cltvExpiry, onion];
      isAsked = (await session.query(sql.ASK, row)).length > 0;
      if (isAsked) await session.query(sql.NOTIFY);
    });
    const told = asked.then(() => {
      if (isAsked || !this.waiting.delete(key)) return;
      owner.refused("no process has a channel with the destination, or one has that payment");
    });
    this.run(told); // where it failed it may still become durable: it is withdrawn in time
  }

  /** One that was offered, or may have been, in a channel that is not run here. */
  async resume(id: ChannelId | undefined, hash: PaymentHash, owner: AttemptOwner): Promise<void> {
    this.waiting.set(toHex(hash), { owner, untilMs: undefined, isWithdrawn: false });
    if (id) await this.write(sql.HAND_OVER, [hash, id]);
    else if (!(await this.isKnown(hash))) {
      this.waiting.delete(toHex(hash));
      owner.refused("no process was asked to offer it");
    }
    this.look();
  }

  private async isKnown(hash: PaymentHash): Promise<boolean> {
    const rows = await this.options.store.tables.read((session) =>
      session.query(sql.KNOWN, [hash]),
    );
    return rows.length > 0;
  }

  /** Channels that come to this process; before their peers are heard, for a fulfilled HTLC is soon forgotten there. */
  async adopt(channels: readonly ChannelId[]): Promise<void> {
    await this.write(sql.HAND_ALL_OVER, [channels]);
    const rows = await this.options.store.tables.read((session) =>
      session.query(sql.IN_CHANNELS, [channels]),
    );
    for (const row of rows) {
      const hash = paymentHash(new Uint8Array(row.payment_hash as Uint8Array));
      if (!this.doing.has(toHex(hash))) this.takeUp(row, hash);
    }
  }

  /** The asker's side goes to another process. */
  forget(isGone: (owner: AttemptOwner) => boolean): void {
    for (const [key, { owner }] of this.waiting) if (isGone(owner)) this.waiting.delete(key);
  }

  /** An attempt of this process becomes one for whoever will run its channel, or for whoever will ask for it. */
  handOver(
    id: ChannelId,
    hash: PaymentHash,
    { asker, isDoneHere }: { readonly asker?: AttemptOwner; readonly isDoneHere: boolean },
  ): { readonly owner: AttemptOwner; readonly written: Promise<void> } {
    const key = toHex(hash);
    if (isDoneHere) this.doing.add(key);
    else this.doing.delete(key);
    if (asker) this.waiting.set(key, { owner: asker, untilMs: undefined, isWithdrawn: false });
    return { owner: this.owner(hash), written: this.write(sql.HAND_OVER, [hash, id]) };
  }

  isDoing(hash: PaymentHash): boolean {
    return this.doing.has(toHex(hash));
  }

  /** A channel woke, a lease came, a word was heard. */
  look(): void {
    if (this.stopped) return;
    if (this.looking) {
      this.isAskedAgain = true;
      return;
    }
    this.isAskedAgain = false;
    this.looking = this.lookOnce()
      .catch((cause: unknown) => this.problem(cause))
      .finally(() => {
        this.looking = undefined;
        if (this.isAskedAgain) this.look();
      });
  }

  private async lookOnce(): Promise<void> {
    await this.listen();
    await this.hearAnswers();
    await this.withdraw();
    await this.offer();
  }

  private async listen(): Promise<void> {
    if (this.ears && !this.ears.isLost) return;
    this.ears = await this.options.store.tables.connect("htlcs");
    await this.ears.listen(sql.CHANNEL, () => this.look());
  }

  private async hearAnswers(): Promise<void> {
    const hashes = [...this.waiting.keys()].map((key) => Buffer.from(key, "hex"));
    if (hashes.length === 0) return;
    const { tables } = this.options.store;
    for (const row of await tables.read((session) => session.query(sql.ANSWERS, [hashes]))) {
      const hash = new Uint8Array(row.payment_hash as Uint8Array);
      const one = this.waiting.get(toHex(hash));
      if (!one) continue;
      this.waiting.delete(toHex(hash));
      const answer = new Uint8Array((row.answer as Uint8Array | null) ?? []);
      switch (Number(row.state)) {
        case sql.FULFILLED:
          one.owner.fulfilled(preimage(answer));
          break;
        case sql.FAILED:
          one.owner.failed(answer);
          break;
        default:
          one.owner.refused("the other process did not offer it");
      }
      // After what the owner wrote of it, in the same order.
      this.run(this.write(sql.FORGET, [hash]));
    }
  }

  /** It is nobody's any more, or it was taken meanwhile: the next look tells. */
  private async withdraw(): Promise<void> {
    const nowMs = performance.now();
    for (const [key, one] of this.waiting) {
      if (one.isWithdrawn || one.untilMs === undefined || nowMs < one.untilMs) continue;
      await this.write(sql.WITHDRAW, [Buffer.from(key, "hex")]);
      one.isWithdrawn = true;
      this.isAskedAgain = true;
    }
  }

  /** What others ask of the channels that are run here. */
  private async offer(): Promise<void> {
    const { store, isServed } = this.options;
    const isHere = (row: Row) => isServed(publicKey(new Uint8Array(row.subject as Uint8Array)));
    const rows = await store.tables.read((session) =>
      session.query(sql.ASKED, [store.workerNumber]),
    );
    for (const row of rows) {
      const hash = paymentHash(new Uint8Array(row.payment_hash as Uint8Array));
      if (this.doing.has(toHex(hash)) || !isHere(row) || this.stopped) continue;
      if (Number(row.state) === sql.TAKEN) this.takeUp(row, hash);
      else await this.take(row, hash);
    }
  }

  /** The record of the channel knows whether it was offered, and what became of it. */
  private takeUp(row: Row, hash: PaymentHash): void {
    const { attempts } = this;
    if (attempts.isOffering(hash)) return;
    this.doing.add(toHex(hash));
    const id = channelId(new Uint8Array(row.channel_id as Uint8Array));
    attempts.resume(id, hash, this.owner(hash));
    attempts.checkOne(hash);
  }

  private async take(row: Row, hash: PaymentHash): Promise<void> {
    const { attempts, nextHop } = this;
    const destination = publicKey(new Uint8Array(row.subject as Uint8Array));
    const amountMsat = milliSatoshi(Number(row.amount_msat));
    const hop = nextHop(destination, amountMsat);
    if (hop.type === "asleep") return; // until it wakes, or the asker has waited long enough
    if (hop.type !== "open") {
      const code = hop.type === "no-room" ? "temporaryChannelFailure" : "unknownNextPeer";
      await this.write(sql.ANSWER, [hash, sql.FAILED, encodeFailure(code)]);
      return;
    }
    const key = toHex(hash);
    this.doing.add(key);
    let isTaken = false;
    try {
      // Rule `forward-written-first`: whoever runs that channel next asks its record.
      await this.options.store.tables.join(async (session) => {
        const { channelId: id } = hop;
        isTaken = (await session.query(sql.TAKE, [hash, id])).length > 0;
      });
    } finally {
      if (!isTaken) this.doing.delete(key);
    }
    if (!isTaken) return;
    if (attempts.isOffering(hash)) {
      this.answer(hash, sql.REFUSED);
      return;
    }
    attempts.begin(
      {
        channelId: hop.channelId,
        paymentHash: hash,
        amountMsat,
        cltvExpiry: blockHeight(Number(row.cltv_expiry)),
        onion: new Uint8Array(row.onion as Uint8Array),
      },
      this.owner(hash),
    );
  }

  private owner(hash: PaymentHash): AttemptOwner {
    return {
      // Rule `preimage-never-forgotten`: no later commit of the channel is durable without it.
      fulfilled: (known) => this.answer(hash, sql.FULFILLED, known),
      failed: (reason) => this.answer(hash, sql.FAILED, reason),
      refused: () => this.answer(hash, sql.REFUSED),
    };
  }

  private answer(hash: PaymentHash, state: number, answer: Uint8Array | null = null): void {
    this.doing.delete(toHex(hash));
    this.run(this.write(sql.ANSWER, [hash, state, answer]));
  }

  private async write(
    statement: sql.Named,
    values: Parameters<Session["query"]>[1],
  ): Promise<void> {
    await this.options.store.tables.join(async (session) => {
      await session.query(statement, values);
      await session.query(sql.NOTIFY);
    });
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => this.problem(cause));
  }

  private problem(cause: unknown): void {
    if (this.stopped) return;
    const text = cause instanceof Error ? cause.message : String(cause);
    this.options.onProblem(`payments between processes: ${text}`);
  }
}
