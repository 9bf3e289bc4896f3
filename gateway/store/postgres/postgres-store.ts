/** The Store of gateways that share a PostgreSQL database: grouped durable commits, each fenced by the lease of its channel (issue 4). */
import type { KeyIndexRange } from "../../../core/node/key-index.ts";
import { PACKED_PAYMENT_BYTES } from "../../../core/node/reference-set.ts";
import { StoreError } from "../../../core/node/store-error.ts";
import type {
  CommitOutcome,
  NamedValue,
  StoreCommit,
  StoredChannel,
} from "../../../core/ports/store.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { assert } from "../../../core/primitives/errors.ts";
import { type LeasedStore, type LeaseTable, type Subject, subjectOf } from "../lease.ts";
import { type GroupedCommit, ownerOf, referencesOf, writeGroup } from "./group.ts";
import { PostgresLeases } from "./leases.ts";
import { migrate } from "./schema.ts";
import { databaseName, Session } from "./session.ts";
import { readChannels } from "./stored-channels.ts";
import { ValueReads } from "./value-reads.ts";
import { Worker } from "./worker.ts";

export interface PostgresStoreOptions {
  /** The name of this process among several on one database; without one it is the only process. */
  readonly worker?: string;
  /** Others take over when this process was not heard of for so long (default 10 s). */
  readonly leaseMs?: number;
}

/** One transaction takes at most this many commits. */
export const MAX_GROUPED_COMMITS = 1000;
const LEASE_MS = 10_000;
const RECONNECT_EVERY_MS = 250;

/** Other tables of the same database, written in the store's own transactions. */
export interface PostgresTables {
  /**
   * Rows that go into the next transaction. No commit that is given later becomes durable without them: where writing
   * fails, the promise says so, and they stand at the head of the transaction after it. Work may run more than once.
   */
  join(work: (session: Session) => Promise<void>): Promise<void>;
  /** Sees all that was given before. */
  read<T>(work: (session: Session) => Promise<T>): Promise<T>;
  /** A further session of this process, for words of others (NOTIFY). */
  connect(purpose: string): Promise<Session>;
}

export interface PostgresStore extends LeasedStore {
  readonly tables: PostgresTables;
  /** Of this process, in all tables. */
  readonly workerNumber: number;
  /** The only process there is: nothing is leased. */
  readonly isSole: boolean;
  /** This process ends: where its leases ran out it stores nothing more, and waits for no server that is away. */
  giveUp(reason: string): void;
}

type JoinedWork = (session: Session) => Promise<void>;

interface Pending {
  readonly work: GroupedCommit | NamedValue | JoinedWork;
  resolve(outcome: CommitOutcome): void;
  reject(error: unknown): void;
}

/** Opens the database; throws a StoreError where it cannot be reached, is in use, newer, or another program's. */
export async function openPostgresStore(
  url: string,
  options: PostgresStoreOptions = {},
): Promise<PostgresStore> {
  const { worker: name = "sole", leaseMs = LEASE_MS } = options;
  const worker = new Worker({ name, isSole: options.worker === undefined, leaseMs });
  const connect = (purpose: string) => Session.open(url, `picobolt ${name} ${purpose}`);
  const session = await connect("store");
  try {
    await migrate(session);
    await worker.register(session);
    return new DatabaseStore(databaseName(url), worker, session, connect);
  } catch (error) {
    await session.close();
    throw error;
  }
}

class DatabaseStore implements PostgresStore {
  readonly tables: PostgresTables;
  readonly leases: LeaseTable;
  private readonly table: PostgresLeases;
  private pending: Pending[] = [];
  /** One will write whatever is pending by then. */
  private isTurnDue = false;
  /** Counts what was given, and what of it was written, or refused. */
  private given = 0;
  private done = 0;
  private readonly reads: ValueReads;
  /** Of channels, by their ids in hexadecimal. */
  private readonly subjects = new Map<string, Subject>();
  /** Rows whose transaction failed: in the next one they come first. */
  private owed: JoinedWork[] = [];
  private last: Promise<unknown> = Promise.resolve();
  private reconnectedAtMs = Number.NEGATIVE_INFINITY;
  private unreachable: unknown;
  private shut: StoreError | undefined;

  constructor(
    readonly name: string,
    private readonly worker: Worker,
    private session: Session,
    private readonly connect: (purpose: string) => Promise<Session>,
  ) {
    this.table = new PostgresLeases(
      worker,
      () => connect("leases"),
      (reason) => this.session.abandon(reason),
    );
    this.leases = this.table;
    this.reads = new ValueReads(
      (work) => this.turn(work),
      (work) => this.readNow(work),
    );
    this.tables = {
      join: async (work) => {
        await this.give(work);
      },
      read: (work) => this.after(work),
      connect,
    };
  }

  get workerNumber(): number {
    return this.worker.number;
  }

  get isSole(): boolean {
    return this.worker.isSole;
  }

  get keyIndices(): KeyIndexRange {
    return this.worker.keyIndices;
  }

  load(): Promise<readonly StoredChannel[]> {
    return this.after((session) =>
      this.worker.isSole
        ? this.channelsOf(session, undefined)
        : this.channelsOf(session, this.worker.held()),
    );
  }

  loadOf(subjects: readonly Subject[]): Promise<readonly StoredChannel[]> {
    return this.after((session) =>
      this.channelsOf(
        session,
        subjects.filter((subject) => this.worker.isHeld(subject)),
      ),
    );
  }

  async commit(change: StoreCommit): Promise<CommitOutcome> {
    checkPacked(change.credits);
    checkPacked(change.debits);
    if (this.shut) throw this.shut;
    const record = change.remove ? new Uint8Array(0) : change.record();
    return await this.give({ change, record, subject: this.subjectOf(change) });
  }

  isDebited(reference: Uint8Array): Promise<boolean> {
    return this.after(
      async (session) => (await session.query(IS_DEBITED, [[reference]])).length > 0,
    );
  }

  isAnyDebited(payments: Uint8Array): Promise<boolean> {
    checkPacked(payments);
    const references = referencesOf(payments);
    return this.after(
      async (session) => (await session.query(IS_DEBITED, [references])).length > 0,
    );
  }

  isCredited(reference: Uint8Array): Promise<boolean> {
    return this.after(
      async (session) => (await session.query(IS_CREDITED, [reference])).length > 0,
    );
  }

  getValue(key: string): Promise<Uint8Array | undefined> {
    return this.reads.get(ownerOf(this.worker, key), key);
  }

  valueOf(worker: string, key: string): Promise<Uint8Array | undefined> {
    return this.after(async (session) => {
      return bytesOf((await session.query(GET_VALUE_OF, [worker, key]))[0]?.value);
    });
  }

  /** In a group like everything else: a process that was expelled changes no value. */
  async setValue(key: string, value: Uint8Array): Promise<void> {
    await this.give({ key, bytes: new Uint8Array(value) });
  }

  giveUp(reason: string): void {
    if (this.worker.remainingMs > 0) return;
    this.worker.expelled ??= new StoreError("fenced", `${this.name} is given up: ${reason}.`);
  }

  /** What was given is written; leases are free for others at once. */
  async close(): Promise<void> {
    if (this.shut?.code === "closed") return;
    do await this.after(async () => {}).catch(() => {});
    while (this.pending.length > 0 && !this.worker.expelled);
    this.shut = new StoreError("closed", `${this.name} is closed.`);
    await this.table.stop(this.session);
    await this.session.close();
  }

  /** The same for the life of a channel, also where its last commit no longer shows a record. */
  private subjectOf(change: StoreCommit): Subject {
    const key = toHex(change.channelId);
    const subject = this.subjects.get(key) ?? subjectOf(change);
    if (change.remove) this.subjects.delete(key);
    else this.subjects.set(key, subject);
    return subject;
  }

  private async channelsOf(
    session: Session,
    subjects: readonly Subject[] | undefined,
  ): Promise<readonly StoredChannel[]> {
    const found = await readChannels(session, subjects);
    for (const { channel, subject } of found) {
      this.subjects.set(toHex(channel.channelId), subject);
    }
    return found.map(({ channel }) => channel);
  }

  private give(work: Pending["work"]): Promise<CommitOutcome> {
    if (this.shut) throw this.shut;
    return new Promise((resolve, reject) => {
      this.pending.push({ work, resolve, reject });
      this.given++;
      // While one group is being written the next one gathers.
      if (this.isTurnDue) return;
      this.isTurnDue = true;
      setImmediate(() => {
        const turn = this.turn(() => {
          this.isTurnDue = false;
          return this.writePending();
        });
        turn.catch((cause: unknown) => {
          for (const one of this.pending.splice(0)) one.reject(cause);
        });
      });
    });
  }

  /** After all that was given before. */
  private after<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { given } = this;
    return this.turn(() => this.readNow(work, given));
  }

  /** In a turn. Those that wait for one group together share it: one each would be small groups, and many. */
  private async readNow<T>(work: (session: Session) => Promise<T>, given = this.given): Promise<T> {
    if (this.done < given) await this.writePending();
    return work(await this.connected());
  }

  private turn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(() => {
      if (this.shut) throw this.shut;
      return work();
    });
    this.last = done.catch(() => {});
    return done;
  }

  /** What is given meanwhile has a turn of its own: whoever waits to read would wait for as long as others write. */
  private async writePending(): Promise<void> {
    let left = this.pending.length;
    while (left > 0) {
      const group = this.pending.splice(0, Math.min(left, MAX_GROUPED_COMMITS));
      left -= group.length;
      this.done += group.length;
      try {
        await this.write(group);
      } catch (error) {
        this.owed = [...this.owed, ...joined(group)];
        for (const { work, reject } of group) {
          if ("subject" in work) this.doubtNew(work.subject);
          reject(error);
        }
      }
    }
  }

  /** Its first commit may have taken the lease. */
  private doubtNew(subject: Subject): void {
    if (this.worker.fenceOf(subject) === undefined) this.worker.doubt(subject);
  }

  private async write(group: readonly Pending[]): Promise<void> {
    const session = await this.connected();
    const changes = group.flatMap(({ work }) => (typeof work === "function" ? [] : [work]));
    const works = [...this.owed, ...joined(group)];
    const { outcomes, claimed } = await session.transaction(async () => {
      await this.worker.checkEpoch(session);
      for (const work of works) await work(session);
      return await writeGroup(session, this.worker, changes);
    });
    this.owed = [];
    for (const { subject, fence } of claimed) this.worker.hold(subject, fence);
    let next = 0;
    for (const { work, resolve, reject } of group) {
      const outcome = "subject" in work ? outcomes[next++] : NOTHING;
      if (outcome instanceof StoreError) {
        if ("subject" in work) this.table.fenced(work.subject);
        reject(outcome);
      } else resolve(outcome ?? NOTHING);
    }
  }

  /** A new session where the old one was lost, and then whatever that one left behind is decided before anything is read. */
  private async connected(): Promise<Session> {
    if (this.worker.expelled) throw this.worker.expelled;
    if (!this.session.isLost) return this.session;
    const nowMs = performance.now();
    if (nowMs < this.reconnectedAtMs + RECONNECT_EVERY_MS) throw this.unreachable;
    this.reconnectedAtMs = nowMs;
    let session: Session | undefined;
    try {
      session = await this.connect("store");
      await this.worker.rejoin(session);
      this.session = session;
      this.reconnectedAtMs = Number.NEGATIVE_INFINITY;
      return session;
    } catch (error) {
      await session?.close();
      this.reconnectedAtMs = performance.now();
      this.unreachable = error;
      throw error;
    }
  }
}

const NOTHING: CommitOutcome = { duplicateCredits: [] };

function joined(group: readonly Pending[]): JoinedWork[] {
  return group.flatMap(({ work }) => (typeof work === "function" ? [work] : []));
}

function bytesOf(value: unknown): Uint8Array | undefined {
  return value instanceof Uint8Array ? new Uint8Array(value) : undefined;
}

function checkPacked(payments: Uint8Array | undefined): void {
  assert(
    !payments || payments.length % PACKED_PAYMENT_BYTES === 0,
    "packed payments have 24 bytes each",
  );
}

const IS_DEBITED = {
  name: "is_debited",
  text: "SELECT FROM debits WHERE reference = ANY ($1::bytea[]) LIMIT 1",
};
const IS_CREDITED = { name: "is_credited", text: "SELECT FROM credits WHERE reference = $1" };
const GET_VALUE_OF = {
  name: "get_value_of",
  text: `SELECT value FROM settings JOIN workers ON number = worker
    WHERE workers.name = $1 AND settings.name = $2`,
};
