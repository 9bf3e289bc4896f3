/** A process among those of one database: its name, its epoch that fences its sessions, and the leases that it holds. */
import type { KeyIndexRange } from "../../../core/node/key-index.ts";
import { StoreError } from "../../../core/node/store-error.ts";
import { keyOfSubject, type Subject } from "../lease.ts";
import type { Row, Session, Statement } from "./session.ts";

export interface WorkerOptions {
  readonly name: string;
  /** It runs all channels, without leases, and no other may be there. */
  readonly isSole: boolean;
  /** Others take over when a process was not heard of for so long, by the database's clock. */
  readonly leaseMs: number;
}

const sql = (text: string): Statement => ({ name: "", text });
/** Of the 2^32 that a record can name. */
const KEYS_PER_WORKER = 2 ** 20;
const MAX_WORKERS = 4_096;
/** Of advisory locks: workers come one at a time. */
const REGISTRATION = 0x70626f6d;
/** Whoever runs alone is there as long as its session. */
const UNTIL =
  "CASE WHEN $3 THEN 'infinity' ELSE clock_timestamp() + $2 * interval '1 millisecond' END";

export class Worker {
  private readonly fences = new Map<
    string,
    { readonly subject: Subject; readonly fence: bigint }
  >();
  /** What we held and hold no more: it is not taken again by a mere commit. */
  private readonly gone = new Set<string>();
  /** Perhaps ours: our lease ran out unheard, or a first commit of it had an unknown end. */
  private readonly doubts = new Map<string, Subject>();
  /** By our own clock (`performance.now`), counted from before the lease was renewed. */
  private heldUntilMs = 0;
  number = 0;
  epoch = 0n;
  /** Set once and for all when another process took the place of this one. */
  expelled: StoreError | undefined;

  constructor(readonly options: WorkerOptions) {}

  get isSole(): boolean {
    return this.options.isSole;
  }

  get keyIndices(): KeyIndexRange {
    const from = (this.number - 1) * KEYS_PER_WORKER;
    return { from, below: Math.min(from + KEYS_PER_WORKER, 0xffff_ffff) };
  }

  renewed(beganAtMs: number): void {
    this.heldUntilMs = beganAtMs + this.options.leaseMs;
  }

  get remainingMs(): number {
    return this.heldUntilMs - performance.now();
  }

  held(): readonly Subject[] {
    return [...this.fences.values()].map(({ subject }) => subject);
  }

  isHeld(subject: Subject): boolean {
    if (this.isSole) return true;
    return this.fenceOf(subject) !== undefined && this.remainingMs > 0;
  }

  fenceOf(subject: Subject): bigint | undefined {
    return this.fences.get(keyOfSubject(subject))?.fence;
  }

  mayClaim(subject: Subject): boolean {
    return !this.gone.has(keyOfSubject(subject));
  }

  /** True where it was not held before. */
  hold(subject: Subject, fence: bigint): boolean {
    const key = keyOfSubject(subject);
    const before = this.fences.get(key);
    if (before && before.fence >= fence) return false;
    this.fences.set(key, { subject: new Uint8Array(subject), fence });
    this.gone.delete(key);
    this.doubts.delete(key);
    return before === undefined;
  }

  lose(subject: Subject): void {
    const key = keyOfSubject(subject);
    this.doubts.delete(key);
    if (this.fences.delete(key)) this.gone.add(key);
  }

  /** Not held until the database says that it is still ours. */
  doubt(subject: Subject): void {
    const key = keyOfSubject(subject);
    this.fences.delete(key);
    this.gone.add(key);
    this.doubts.set(key, subject);
  }

  doubtful(): readonly Subject[] {
    return [...this.doubts.values()];
  }

  /** Nothing of this process is written from now on. */
  expel(name: string): StoreError {
    const message =
      `Another process took the place of worker "${this.options.name}" in ${name}: its channels ` +
      "run there now. Start this one again, under a name of its own.";
    this.expelled ??= new StoreError("fenced", message);
    return this.expelled;
  }

  /** Enters the database under its name; what it held in an earlier life is its own again. */
  async register(session: Session): Promise<void> {
    const { name, isSole, leaseMs } = this.options;
    const beganAtMs = performance.now();
    await session.transaction(async () => {
      await session.query(sql(`SELECT pg_advisory_xact_lock(${REGISTRATION})`));
      const all = await session.query(sql(ALIVE));
      const rival = all.find((row) => row.lives && (row.name === name || isSole || row.is_sole));
      if (rival) throw inUse(session.name, name, rival);
      // Waits for whatever the earlier process of this name was still writing, and fences it.
      const known = await session.query(sql(LOCK_BY_NAME), [name]);
      const text = known.length > 0 ? RETURN_AS : ENTER_AS;
      const [row] = await session.query(sql(text), [name, leaseMs, isSole]);
      this.number = Number(row?.number);
      if (this.number > MAX_WORKERS) throw tooMany(session.name);
      this.epoch = BigInt(String(row?.epoch));
      await session.query(sql(EXPEL_OTHERS), [this.number, isSole]);
      this.fences.clear();
      const leases = await session.query(sql(OWN_LEASES), [this.number]);
      for (const { subject, fence } of leases) {
        this.hold(subject as Uint8Array, BigInt(String(fence)));
      }
    });
    this.renewed(beganAtMs);
  }

  /** The same process with a new session: what the old one was still writing is over when this returns. */
  async rejoin(session: Session): Promise<void> {
    const values = [this.number, String(this.epoch)];
    const [row] = await session.transaction(async () => {
      const found = await session.query(sql(LOCK_BY_NUMBER), values);
      return found.length === 0 ? [] : await session.query(sql(REJOIN), values);
    });
    if (!row) throw this.expel(session.name);
    this.epoch = BigInt(String(row.epoch));
  }

  /** In a transaction: fails where this process is no longer the worker of that name. */
  async checkEpoch(session: Session): Promise<void> {
    const found = await session.query(CHECK_EPOCH, [this.number, String(this.epoch)]);
    if (found.length === 0) throw this.expel(session.name);
  }
}

function tooMany(database: string): StoreError {
  const message =
    `${database} has seen ${MAX_WORKERS} names of workers, and each has its own channel keys: ` +
    "start this process under a name that was used before.";
  return new StoreError("locked", message);
}

function inUse(database: string, name: string, rival: Row): StoreError {
  const what = rival.is_sole ? "a gateway that runs alone" : `worker "${String(rival.name)}"`;
  const advice =
    rival.name === name && !rival.is_sole
      ? "give this process another name"
      : "stop it, or give each process a name (WORKER_NAME) to share the database";
  return new StoreError("locked", `${database} is in use by ${what}: ${advice}.`);
}

/** A session that ended shows that its process is gone, before the lease ran out. */
const ALIVE = `
  SELECT name, is_sole, NOT stopped AND alive_until > clock_timestamp() AND EXISTS (
    SELECT FROM pg_stat_activity WHERE pid = workers.session AND backend_start = session_start
  ) AS lives FROM workers`;
const LOCK_BY_NAME = "SELECT FROM workers WHERE name = $1 FOR UPDATE";
const LOCK_BY_NUMBER = "SELECT FROM workers WHERE number = $1 AND epoch = $2 FOR UPDATE";
const SESSION_START = "(SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
const ENTER_AS = `
  INSERT INTO workers (name, epoch, is_sole, stopped, alive_until, session, session_start)
  VALUES ($1, 1, $3, false, ${UNTIL}, pg_backend_pid(), ${SESSION_START})
  RETURNING number, epoch`;
const RETURN_AS = `
  UPDATE workers SET epoch = epoch + 1, is_sole = $3, stopped = false, alive_until = ${UNTIL},
    session = pg_backend_pid(), session_start = ${SESSION_START}
  WHERE name = $1 RETURNING number, epoch`;
const REJOIN = `
  UPDATE workers SET epoch = epoch + 1, session = pg_backend_pid(), session_start = ${SESSION_START}
  WHERE number = $1 AND epoch = $2 RETURNING epoch`;
const EXPEL_OTHERS = `
  UPDATE workers SET epoch = epoch + 1, stopped = true
  WHERE number <> $1 AND NOT stopped AND ($2 OR is_sole)`;
const OWN_LEASES = `
  UPDATE leases SET fence = nextval('fences') WHERE worker = $1 RETURNING subject, fence`;
const CHECK_EPOCH = {
  name: "check_epoch",
  text: "SELECT FROM workers WHERE number = $1 AND epoch = $2 FOR KEY SHARE",
};
