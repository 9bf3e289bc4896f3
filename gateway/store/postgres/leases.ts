/** The LeaseTable of processes on one PostgreSQL database: heartbeats by its clock, take-over, equal shares (gateway/store/lease.ts). */
import { StoreError } from "../../../core/node/store-error.ts";
import {
  keyOfSubject,
  type LeaseEvents,
  type LeaseTable,
  type Subject,
  type TakenLease,
  type WorkerState,
} from "../lease.ts";
import * as sql from "./lease-sql.ts";
import type { Row, Session } from "./session.ts";
import type { Worker } from "./worker.ts";

/** A lease is renewed so often while it runs. */
const BEATS_PER_LEASE = 5;
const MAX_TAKEN_AT_ONCE = 1_000;
/** What may be too much of a fair share, for each that moves costs its peer a session: what chance makes, where shares are not small. */
const TOLERATED_PART = 4;
const TOLERATED_ROOTS = 3;

interface Wanted {
  readonly subject: Subject;
  readonly isTaken: Promise<boolean>;
  resolve(isTaken: boolean): void;
  reject(cause: unknown): void;
}

export class PostgresLeases implements LeaseTable {
  private session: Session | undefined;
  private events: LeaseEvents | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private stopped = false;
  /** To be given away by whoever runs their channels. */
  private readonly asked = new Map<string, Subject>();
  /** Waited for: all that came by the time of a transaction are taken in it. */
  private readonly wanted = new Map<string, Wanted>();
  private isBeatDue = false;

  constructor(
    private readonly own: Worker,
    private readonly connect: () => Promise<Session>,
    /** Whatever is under way in the store may be of a lease that another process has now. */
    private readonly onRanOut: (reason: string) => void,
  ) {}

  get worker(): string {
    return this.own.options.name;
  }

  held(): readonly Subject[] {
    return this.own.held();
  }

  isHeld(subject: Subject): boolean {
    return this.own.isHeld(subject);
  }

  acquire(subject: Subject): Promise<boolean> {
    if (this.own.isSole || this.own.fenceOf(subject) !== undefined) return Promise.resolve(true);
    const key = keyOfSubject(subject);
    const known = this.wanted.get(key);
    if (known) return known.isTaken;
    let done: Pick<Wanted, "resolve" | "reject"> | undefined;
    const isTaken = new Promise<boolean>((resolve, reject) => {
      done = { resolve, reject };
    });
    if (this.wanted.size === 0) void this.acquireWanted();
    this.wanted.set(key, { subject, isTaken, ...(done as NonNullable<typeof done>) });
    return isTaken;
  }

  release(subjects: readonly Subject[]): Promise<void> {
    if (this.own.isSole || subjects.length === 0) return Promise.resolve();
    for (const subject of subjects) this.own.lose(subject);
    return this.turn(async (session) => {
      await session.transaction(async () => {
        await session.query(sql.RELEASE, [this.own.number, subjects]);
        await session.query(sql.FORGET, [subjects]);
        await session.query(sql.NOTIFY);
      });
      for (const subject of subjects) this.asked.delete(keyOfSubject(subject));
    });
  }

  holderOf(subject: Subject): Promise<string | undefined> {
    return this.turn(async (session) => {
      const [row] = await session.query(sql.HOLDER, [subject]);
      return row && String(row.name);
    });
  }

  workers(): Promise<readonly WorkerState[]> {
    return this.turn(async (session) =>
      (await session.query(sql.WORKERS)).map(({ name, alive, leases }) => ({
        name: String(name),
        isAlive: alive === true,
        leases: Number(leases),
      })),
    );
  }

  start(events: LeaseEvents): void {
    if (this.own.isSole) return;
    this.events = events;
    void this.beatAndGoOn();
  }

  beat(): Promise<void> {
    if (this.own.isSole) return Promise.resolve();
    return this.turn((session) => this.renew(session));
  }

  /** A commit was refused: another process has this subject. */
  fenced(subject: Subject): void {
    if (this.own.fenceOf(subject) === undefined) return;
    this.own.lose(subject);
    this.events?.lost([subject], "another process took it over");
  }

  /** Says farewell in a session that stores nothing any more. */
  async stop(farewell: Session): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.last;
    await this.session?.close();
    if (farewell.isLost || this.own.expelled) return;
    const who = [this.own.number, String(this.own.epoch)];
    await farewell
      .transaction(async () => {
        const known = await farewell.query(sql.STOP_WORKER, who);
        if (known.length === 0) return;
        await farewell.query(sql.RELEASE_ALL, [this.own.number]);
        await farewell.query(sql.NOTIFY);
      })
      .catch(() => {}); // then the lease runs out
  }

  /** However many words of free leases come while a turn is under way. */
  private beatSoon(): void {
    if (!this.events || this.stopped || this.isBeatDue) return;
    this.isBeatDue = true;
    const beat = this.turn((session) => {
      this.isBeatDue = false;
      return this.renew(session);
    });
    beat.catch(() => {
      this.isBeatDue = false;
    });
  }

  private async acquireWanted(): Promise<void> {
    let group: readonly (readonly [string, Wanted])[] = [];
    try {
      const rows = await this.turn(async (session) => {
        group = [...this.wanted].slice(0, MAX_TAKEN_AT_ONCE);
        const subjects = group.map(([, { subject }]) => subject);
        return await session.transaction(async () => {
          await this.own.checkEpoch(session);
          return await session.query(sql.ACQUIRE, [subjects, this.own.number]);
        });
      });
      this.taken(rows);
      const ours = new Set(rows.map(({ subject }) => keyOfSubject(subject as Uint8Array)));
      for (const [key, { resolve }] of group) resolve(ours.has(key));
    } catch (cause) {
      // Without a turn nobody was asked for.
      if (group.length === 0) group = [...this.wanted];
      for (const [, { reject }] of group) reject(cause);
    }
    for (const [key] of group) this.wanted.delete(key);
    if (this.wanted.size > 0) void this.acquireWanted();
  }

  private async beatAndGoOn(): Promise<void> {
    // The server may be away, or say nothing at all: the lease runs out, or it does not.
    await this.whileLeased(this.beat().catch(() => {}));
    if (this.stopped || this.own.expelled) return;
    if (this.own.remainingMs <= 0) this.ranOut();
    const pause = this.own.options.leaseMs / BEATS_PER_LEASE;
    const untilEnd = this.own.remainingMs > 0 ? this.own.remainingMs : pause;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.beatAndGoOn(), Math.min(pause, untilEnd));
  }

  /** Without a lease there is nothing but the database to wait for. */
  private async whileLeased(beat: Promise<void>): Promise<void> {
    let isOver = false;
    const over = beat.then(() => {
      isOver = true;
    });
    while (!isOver && this.own.remainingMs > 0) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = new Promise<void>((done) => {
        timer = setTimeout(done, Math.ceil(this.own.remainingMs));
      });
      await Promise.race([over, end]);
      clearTimeout(timer);
    }
    if (this.own.held().length === 0) await over;
  }

  private ranOut(): void {
    const reason = "the database was not reached before the lease ran out";
    const subjects = this.own.held();
    for (const subject of subjects) this.own.doubt(subject);
    this.session?.abandon(reason);
    this.onRanOut(reason);
    if (subjects.length > 0) this.events?.lost(subjects, reason);
  }

  private async renew(session: Session): Promise<void> {
    const beganAtMs = performance.now();
    const { epoch, number, options } = this.own;
    const taken: Row[] = [];
    const share = await session.transaction(async () => {
      taken.length = 0;
      const who = [number, String(epoch), options.leaseMs];
      if ((await session.query(sql.RENEW, who)).length === 0) return undefined;
      await expelDead(session, options.leaseMs);
      const [count] = await session.query(sql.COUNT, [number]);
      const free = Math.min(MAX_TAKEN_AT_ONCE, fair(count?.total, count) - Number(count?.mine));
      const doubtful = this.own.doubtful();
      if (doubtful.length > 0) {
        taken.push(...(await session.query(sql.RETAKE, [number, doubtful])));
      }
      if (free > 0) taken.push(...(await session.query(sql.TAKE, [number, free])));
      return {
        isMoreFree: taken.length >= MAX_TAKEN_AT_ONCE,
        spare: await this.spare(session, count),
      };
    });
    if (!share) {
      // The store's new session has a new epoch: no other process is in our place.
      if (epoch === this.own.epoch) this.expelled(session.name);
      return;
    }
    this.own.renewed(beganAtMs);
    this.taken(taken);
    if (share.isMoreFree) this.beatSoon();
    if (share.spare) this.askFor(share.spare);
    else this.asked.clear();
  }

  /** What others are to have; undefined where nobody has too little. */
  private async spare(
    session: Session,
    count: Row | undefined,
  ): Promise<readonly Row[] | undefined> {
    // While channels are being opened one process has more of them, and fewer tomorrow.
    const share = fair(count?.total, count);
    const working = Number(count?.mine_working) - fair(count?.working, count);
    const excess = Math.min(Number(count?.mine) - share, working);
    const chance = Math.min(share / TOLERATED_PART, TOLERATED_ROOTS * Math.sqrt(share));
    const tolerated = this.asked.size > 0 ? 0 : Math.floor(chance);
    if (excess <= tolerated) return excess <= 0 ? undefined : [];
    const most = excess - this.asked.size;
    if (most <= 0) return [];
    return await session.query(sql.SPARE, [this.own.number, most, [...this.asked.values()]]);
  }

  private expelled(database: string): void {
    const { message } = this.own.expel(database);
    const subjects = this.own.held();
    for (const subject of subjects) this.own.lose(subject);
    this.events?.lost(subjects, message);
  }

  private taken(rows: readonly Row[]): void {
    const leases: TakenLease[] = [];
    for (const { subject, fence, former } of rows) {
      const bytes = new Uint8Array(subject as Uint8Array);
      const isNew = this.own.hold(bytes, BigInt(String(fence)));
      if (isNew)
        leases.push({ subject: bytes, ...(typeof former === "string" && { from: former }) });
    }
    if (leases.length > 0) this.events?.taken(leases);
  }

  private askFor(rows: readonly Row[]): void {
    const subjects = rows.map(({ subject }) => new Uint8Array(subject as Uint8Array));
    for (const subject of subjects) this.asked.set(keyOfSubject(subject), subject);
    if (subjects.length > 0) this.events?.asked(subjects);
  }

  private turn<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const done = this.last.then(async () => {
      if (this.stopped) throw new StoreError("closed", "the leases were given back");
      if (this.own.expelled) throw this.own.expelled;
      return await work(await this.connected());
    });
    this.last = done.catch(() => {});
    return done;
  }

  private async connected(): Promise<Session> {
    if (this.session && !this.session.isLost) return this.session;
    const session = await this.connect();
    await session.listen(sql.CHANNEL, () => this.beatSoon());
    this.session = session;
    return session;
  }
}

/** Of what there is, for each process that lives. */
function fair(all: unknown, count: Row | undefined): number {
  return Math.ceil(Number(all) / Math.max(1, Number(count?.alive)));
}

/** After a restart of the server everybody has the time of a lease to come back. */
async function expelDead(session: Session, leaseMs: number): Promise<void> {
  const dead = await session.query(sql.FIND_DEAD, [leaseMs]);
  if (dead.length === 0) return;
  const numbers = dead.map(({ number }) => Number(number));
  await session.query(sql.EXPEL, [numbers]);
  await session.query(sql.FREE, [numbers]);
  await session.query(sql.NOTIFY); // for the share of each of those that live
}
