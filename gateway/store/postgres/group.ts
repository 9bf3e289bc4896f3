/** Commits that go into one transaction: fenced by their leases, then written table by table (core/ports/store.ts). */
import { PACKED_PAYMENT_BYTES, REFERENCE_BYTES } from "../../../core/node/reference-set.ts";
import { StoreError } from "../../../core/node/store-error.ts";
import type { CommitOutcome, NamedValue, StoreCommit } from "../../../core/ports/store.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { keyOfSubject, type Subject, WORKER_VALUES } from "../lease.ts";
import type { Session } from "./session.ts";
import type { Worker } from "./worker.ts";

export interface GroupedCommit {
  readonly change: StoreCommit;
  readonly record: Uint8Array;
  readonly subject: Subject;
}

export interface WrittenGroup {
  /** One for each commit; an error where its lease is not ours, and then nothing of it was written. */
  readonly outcomes: readonly (CommitOutcome | StoreError)[];
  /** Leases of peers that were new, to be held once the transaction is durable. */
  readonly claimed: readonly { readonly subject: Subject; readonly fence: bigint }[];
}

const NOTHING: WrittenGroup = { outcomes: [], claimed: [] };
const NO_DUPLICATES: CommitOutcome = { duplicateCredits: [] };

/** Inside a transaction whose epoch was checked. */
export async function writeGroup(
  session: Session,
  worker: Worker,
  /** In the order in which they were given. */
  all: readonly (GroupedCommit | NamedValue)[],
): Promise<WrittenGroup> {
  const group = all.flatMap((one) => ("key" in one ? [] : [one]));
  if (group.length === 0) {
    await writeValues(
      session,
      worker,
      all.flatMap((one) => ("key" in one ? [one] : [])),
    );
    return NOTHING;
  }
  const { held, claimed } = worker.isSole
    ? await allSubjects(session, group)
    : await leasedSubjects(session, worker, group);
  const allowed = group.filter(({ subject }) => held.has(keyOfSubject(subject)));
  await writeChannels(session, allowed);
  const values = all.flatMap((one) => {
    if ("key" in one) return [one];
    return held.has(keyOfSubject(one.subject)) ? (one.change.values ?? []) : [];
  });
  await writeValues(session, worker, values);
  await insertDebits(session, allowed);
  const credited = await insertCredits(session, allowed);
  const outcomes = group.map(({ change, subject }) => {
    if (!held.has(keyOfSubject(subject))) return fenced(session.name, change);
    return change.credits ? duplicatesOf(change.credits, credited) : NO_DUPLICATES;
  });
  return { outcomes, claimed };
}

function fenced(database: string, change: StoreCommit): StoreError {
  const message =
    `Channel ${toHex(change.channelId).slice(0, 16)} is run by another process of ${database}: ` +
    "nothing was stored, and it stops here.";
  return new StoreError("fenced", message);
}

interface Subjects {
  readonly held: ReadonlySet<string>;
  readonly claimed: WrittenGroup["claimed"];
}

/** Whoever comes later may lease them. */
async function allSubjects(session: Session, group: readonly GroupedCommit[]): Promise<Subjects> {
  const subjects = distinct(group);
  await session.query(ENTER_SUBJECTS, [[...subjects.values()]]);
  return { held: new Set(subjects.keys()), claimed: [] };
}

async function leasedSubjects(
  session: Session,
  worker: Worker,
  group: readonly GroupedCommit[],
): Promise<Subjects> {
  const all = [...distinct(group).values()];
  const known = all.filter((subject) => worker.fenceOf(subject) !== undefined);
  const fences = known.map((subject) => String(worker.fenceOf(subject)));
  const found = await session.query(CHECK_LEASES, [known, fences, worker.number]);
  const fresh = all.filter((one) => worker.fenceOf(one) === undefined && worker.mayClaim(one));
  const rows = fresh.length > 0 ? await session.query(CLAIM, [fresh, worker.number]) : [];
  const claimed = rows.map(({ subject, fence }) => ({
    subject: subject as Uint8Array,
    fence: BigInt(String(fence)),
  }));
  const held = [...found, ...claimed].map(({ subject }) => keyOfSubject(subject as Uint8Array));
  return { held: new Set(held), claimed };
}

/** In one order in all processes: two that wait for each other's rows would be undone. */
function distinct(group: readonly GroupedCommit[]): ReadonlyMap<string, Subject> {
  const byKey = new Map(group.map(({ subject }) => [keyOfSubject(subject), subject]));
  return new Map([...byKey].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of several commits of one channel the last one counts, and what was archived since it was last removed. */
async function writeChannels(session: Session, group: readonly GroupedCommit[]): Promise<void> {
  const last = new Map<string, GroupedCommit>();
  const removed = new Map<string, Uint8Array>();
  const archived = new Map<string, Uint8Array[]>();
  for (const one of group) {
    const { change } = one;
    const key = toHex(change.channelId);
    if (change.remove) {
      removed.set(key, change.channelId);
      archived.delete(key);
    }
    last.set(key, one);
    if (change.remove || !change.archive?.length) continue;
    archived.set(key, [...(archived.get(key) ?? []), ...change.archive]);
  }
  if (removed.size > 0) await session.query(REMOVE_CHANNELS, [[...removed.values()]]);
  const put = [...last.values()].filter(({ change }) => !change.remove);
  if (put.length > 0) {
    const ids = put.map(({ change }) => change.channelId);
    await session.query(PUT_CHANNELS, [
      ids,
      put.map(({ subject }) => subject),
      put.map(({ record }) => record),
    ]);
  }
  const entries = put.flatMap(({ change }) =>
    (archived.get(toHex(change.channelId)) ?? []).map(
      (entry) => [change.channelId, entry] as const,
    ),
  );
  if (entries.length === 0) return;
  await session.query(PUT_ARCHIVE, [entries.map(([id]) => id), entries.map(([, entry]) => entry)]);
}

/** The last one of each name counts. */
async function writeValues(
  session: Session,
  worker: Worker,
  all: readonly NamedValue[],
): Promise<void> {
  const values = [...new Map(all.map((value) => [value.key, value])).values()];
  if (values.length === 0) return;
  const owners = values.map(({ key }) => ownerOf(worker, key));
  const keys = values.map(({ key }) => key);
  await session.query(PUT_VALUES, [owners, keys, values.map(({ bytes }) => bytes)]);
}

/** Of a named value: this process, or 0 for all of them. */
export function ownerOf(worker: Worker, key: string): number {
  return WORKER_VALUES.includes(key) ? worker.number : 0;
}

async function insertDebits(session: Session, group: readonly GroupedCommit[]): Promise<void> {
  const packed = group.flatMap(({ change }) => (change.debits ? [change.debits] : []));
  if (packed.length > 0) await session.query(PUT_DEBITS, columnsOf(packed));
}

/** The references that were new, each to be found once. */
async function insertCredits(
  session: Session,
  group: readonly GroupedCommit[],
): Promise<Set<string>> {
  const packed = group.flatMap(({ change }) => (change.credits ? [change.credits] : []));
  if (packed.length === 0) return new Set();
  const rows = await session.query(PUT_CREDITS, columnsOf(packed));
  return new Set(rows.map(({ reference }) => toHex(reference as Uint8Array)));
}

/** What comes first takes the reference out of `credited`. */
function duplicatesOf(credits: Uint8Array, credited: Set<string>): CommitOutcome {
  const duplicates: number[] = [];
  referencesOf(credits).forEach((reference, index) => {
    if (!credited.delete(toHex(reference))) duplicates.push(index);
  });
  return { duplicateCredits: duplicates };
}

export function referencesOf(payments: Uint8Array): readonly Uint8Array[] {
  return Array.from({ length: payments.length / PACKED_PAYMENT_BYTES }, (_, i) => {
    const at = i * PACKED_PAYMENT_BYTES;
    return payments.subarray(at, at + REFERENCE_BYTES);
  });
}

function columnsOf(packed: readonly Uint8Array[]): [Uint8Array[], Uint8Array[]] {
  const references = packed.flatMap(referencesOf);
  const amounts = packed.flatMap((payments) =>
    referencesOf(payments).map((_, i) =>
      payments.subarray(i * PACKED_PAYMENT_BYTES + REFERENCE_BYTES, (i + 1) * PACKED_PAYMENT_BYTES),
    ),
  );
  return [references, amounts];
}

const insertPacked = (table: "credits" | "debits") => `
  INSERT INTO ${table} SELECT * FROM unnest($1::bytea[], $2::bytea[]) AS p (reference, amount)
  ORDER BY reference ON CONFLICT DO NOTHING`;
const PUT_DEBITS = { name: "put_debits", text: insertPacked("debits") };
const PUT_CREDITS = {
  name: "put_credits",
  text: `${insertPacked("credits")} RETURNING reference`,
};
const ENTER_SUBJECTS = {
  name: "enter_subjects",
  text: `INSERT INTO leases (subject, fence)
    SELECT subject, 0 FROM unnest($1::bytea[]) AS s (subject) ON CONFLICT DO NOTHING`,
};
const CHECK_LEASES = {
  name: "check_leases",
  text: `SELECT leases.subject FROM leases
    JOIN unnest($1::bytea[], $2::bigint[]) AS ours (subject, fence)
    ON leases.subject = ours.subject AND leases.fence = ours.fence
    WHERE worker = $3 ORDER BY leases.subject FOR SHARE OF leases`,
};
/** A peer without channels is nobody's, whoever met it first; one with channels is taken with `acquire` alone. */
const CLAIM = {
  name: "claim",
  text: `INSERT INTO leases AS l (subject, worker, fence)
    SELECT subject, $2, nextval('fences') FROM unnest($1::bytea[]) AS s (subject)
    ON CONFLICT (subject) DO UPDATE SET worker = $2, fence = nextval('fences'), former = NULL
    WHERE NOT EXISTS (SELECT FROM channels c WHERE c.subject = l.subject)
      AND (l.worker IS NULL OR l.worker = $2)
    RETURNING subject, fence`,
};
const REMOVE_CHANNELS = {
  name: "remove_channels",
  text: "DELETE FROM channels WHERE channel_id = ANY ($1::bytea[])",
};
const PUT_CHANNELS = {
  name: "put_channels",
  text: `INSERT INTO channels SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[])
    ON CONFLICT (channel_id) DO UPDATE SET record = excluded.record`,
};
const PUT_ARCHIVE = {
  name: "put_archive",
  text: `INSERT INTO archive (channel_id, entry)
    SELECT id, entry FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS a (id, entry, place)
    ORDER BY place`,
};
/** In one order in all processes. */
const PUT_VALUES = {
  name: "put_values",
  text: `INSERT INTO settings SELECT * FROM unnest($1::int[], $2::text[], $3::bytea[])
    ORDER BY 1, 2 ON CONFLICT (worker, name) DO UPDATE SET value = excluded.value`,
};
