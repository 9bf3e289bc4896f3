/** The record stream: a snapshot and what followed it give the store as it was at the last part, whatever was cut off, damaged or mixed up. */
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBackup } from "../../../gateway/backup/backup-file.ts";
import { applyStream, isStream, RecordStream } from "../../../gateway/backup/record-stream.ts";
import { takeSnapshot } from "../../../gateway/backup/snapshot.ts";
import { openDatabase } from "../../../gateway/store/schema.ts";

const key = new Uint8Array(32).fill(7);
let folder: string;
let db: Database.Database;
let stream: RecordStream;
const problems: string[] = [];
const at = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-stream-"));
  problems.length = 0;
  db = openDatabase(at("live.sqlite"));
  db.pragma("synchronous = OFF");
  stream = new RecordStream({
    db,
    key,
    about: () => ({ network: "regtest", createdAtSeconds: 1 }),
    path: at("store.stream"),
    onProblem: (text) => problems.push(text),
  });
});
afterEach(() => {
  db.close();
  rmSync(folder, { recursive: true });
});

function put(name: string, bytes: number, fill: number): void {
  const value = Buffer.alloc(bytes, fill);
  db.prepare("INSERT OR REPLACE INTO settings VALUES (?, ?)").run(name, value);
}

async function snapshot(): Promise<void> {
  stream.begin();
  const copied = () => stream.copied();
  const about = { network: "regtest" };
  const partPath = at("part");
  await takeSnapshot({ db, key, about, partPath, path: at("store.backup"), copied });
  stream.replaced();
}

function contentOf(one: Database.Database): string {
  return JSON.stringify(one.prepare("SELECT name, hex(value) FROM settings ORDER BY name").all());
}

/** What a restore gives. */
async function restored(from = at("store.stream")) {
  const database = at("again.sqlite");
  const opened = await openBackup(key, at("store.backup"));
  rmSync(database, { force: true });
  for await (const piece of opened.pieces()) appendFileSync(database, piece);
  await opened.close();
  if (!opened.stream) throw new Error("a stream continues the snapshot");
  const applied = await applyStream(key, { database, stream: from, start: opened.stream });
  const again = openDatabase(database);
  const check = again.pragma("integrity_check", { simple: true });
  const content = contentOf(again);
  again.close();
  return { ...applied, check, content };
}

test("each part brings it further, over checkpoints, a growing and a shrinking database, and a snapshot during writes", async () => {
  for (let n = 0; n < 300; n++) put(`first ${n}`, 3_000, n);
  const taking = snapshot();
  for (let n = 0; n < 50; n++) {
    put(`meanwhile ${n}`, 2_000, n);
    await new Promise((wake) => setImmediate(wake));
  }
  await taking;
  expect(readFileSync(at("store.stream")).includes("meanwhile")).toBe(false);
  expect(await isStream(at("store.stream"))).toBe(true);
  for (let round = 0; round < 3; round++) {
    // More than the log may hold: it is folded in and begins anew.
    for (let n = 0; n < 400; n++) put(`round ${round} ${n}`, 4_000, n);
    if (round === 2) db.prepare("DELETE FROM settings WHERE name LIKE 'round 0%'").run();
    stream.flush();
    const after = contentOf(db);
    put("not yet", 10, 1);
    expect(await restored()).toMatchObject({ check: "ok", content: after });
    db.prepare("DELETE FROM settings WHERE name = 'not yet'").run();
  }
  expect(problems).toEqual([]);
});

test("what was rolled back is in no part", async () => {
  await snapshot();
  put("kept", 100, 1);
  try {
    db.transaction(() => {
      for (let n = 0; n < 500; n++) put(`undone ${n}`, 4_000, n);
      throw new Error("no");
    })();
  } catch {}
  put("kept too", 100, 2);
  stream.flush();
  const { content, check } = await restored();
  expect({ content, check }).toEqual({ content: contentOf(db), check: "ok" });
  expect(content).not.toContain("undone");
});

test("cut off, damaged, of another snapshot, with a gap: as far as it is whole, and it is said", async () => {
  await snapshot();
  const states = [contentOf(db)];
  const ends = [0];
  for (let n = 1; n <= 3; n++) {
    put(`part ${n}`, 5_000, n);
    stream.flush();
    states.push(contentOf(db));
    ends.push(readFileSync(at("store.stream")).length);
  }
  const whole = readFileSync(at("store.stream"));
  const given = async (bytes: Uint8Array) => {
    writeFileSync(at("other.stream"), bytes);
    const { content, note = "" } = await restored(at("other.stream"));
    return { state: states.indexOf(content), note };
  };
  expect(await given(whole)).toEqual({ state: 3, note: "" });
  // Power failed while the last part was written.
  expect(await given(whole.subarray(0, -9))).toEqual({ state: 2, note: "" });
  const damaged = Buffer.from(whole);
  damaged[(ends[1] as number) + 200] = (damaged[(ends[1] as number) + 200] as number) ^ 1;
  expect(await given(damaged)).toMatchObject({
    state: 1,
    note: expect.stringContaining("part 1 cannot be used"),
  });
  const gap = Buffer.concat([whole.subarray(0, ends[1]), whole.subarray(ends[2])]);
  expect(await given(gap)).toMatchObject({
    state: 1,
    note: expect.stringContaining("part 1 is missing"),
  });

  copyFileSync(at("store.stream"), at("old.stream"));
  put("newer", 10, 1);
  await snapshot();
  const newest = contentOf(db);
  const old = await restored(at("old.stream"));
  expect(old).toMatchObject({ parts: 0, content: newest, check: "ok" });
  expect(old.note).toContain("another snapshot");
});
