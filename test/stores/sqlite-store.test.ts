/** The SQLite store keeps what it said it keeps, and says clearly why it cannot (gateway/store). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import Database from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Store } from "../../core/ports/store.ts";
import { SCHEMA_VERSION } from "../../gateway/store/schema.ts";
import { storeErrorOf } from "../../gateway/store/sqlite-errors.ts";
import {
  openSqliteStore,
  type SqliteStore,
  type SqliteStoreOptions,
} from "../../gateway/store/sqlite-store.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { changeOf, packed, referenceOf, versionOf } from "../support/store-changes.ts";
import { refusal, storeContract } from "./store-contract.ts";

let folder: string;
let path: string;
const open: Store[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-sqlite-"));
  path = join(folder, "node.db");
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  rmSync(folder, { recursive: true });
});

function opened(options?: SqliteStoreOptions): Store {
  const store = openSqliteStore(path, options);
  open.push(store);
  return store;
}

describe.each([
  { mode: "grouped commits", grouped: true },
  { mode: "one transaction per commit", grouped: false },
])("$mode", ({ mode, grouped }) => {
  storeContract(`SQLite with ${mode}`, {
    open: () => opened({ grouped }),
    reopen: () => opened({ grouped }),
  });

  test("a full disk is a StoreError, keeps the last commit, and passes when there is space", async () => {
    const store = opened({ grouped, maxBytes: 280_000 });
    let version = 1;
    const code = await refusal(async () => {
      for (; version < 1000; version++) await store.commit(changeOf(version, version));
    });
    expect(code).toBe("full");
    expect(version).toBeGreaterThan(100);
    expect(await store.load()).toHaveLength(version - 1);
    await store.commit(changeOf(1, 1, { remove: true }));
    await store.commit(changeOf(2, 5000));
    expect(versionOf((await store.load())[0]?.record as Uint8Array)).toBe(5000);
  });
});

test("grouped commits that do not fit are refused together, and none is half done", async () => {
  const store = opened({ maxBytes: 280_000 });
  const results = await Promise.allSettled(
    Array.from({ length: 400 }, (_, i) => store.commit(changeOf(i, 1))),
  );
  expect(results.every((result) => result.status === "rejected")).toBe(true);
  expect(await store.load()).toEqual([]);
  await store.commit(changeOf(1, 1));
  expect(await store.load()).toHaveLength(1);
});

test("a read waits for the disk where what is pending is of its part, and for nothing else", async () => {
  const store = opened() as SqliteStore;
  const stored = store.tables.db.prepare("SELECT count(*) FROM channels").pluck();
  const first = store.commit(changeOf(1, 1));
  expect(store.isDebited(referenceOf(1))).toBe(false);
  expect(store.tables.read(() => stored.get(), "answers")).toBe(0);
  expect(store.tables.read(() => stored.get())).toBe(1);
  const second = store.commit(changeOf(2, 1, { debits: packed(7) }));
  expect(store.isCredited(referenceOf(7))).toBe(false);
  expect(stored.get()).toBe(1);
  expect(store.isDebited(referenceOf(7))).toBe(true);
  expect(stored.get()).toBe(2);
  await Promise.all([first, second]);
});

test("a killed process leaves every commit that it reported", async () => {
  const script = join(import.meta.dirname, "sqlite-writer.ts");
  const writer = spawn(process.execPath, [RUNNER, script, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let reported = 0;
  for await (const line of createInterface({ input: writer.stdout })) {
    reported = Number(line);
    if (reported === 200) writer.kill("SIGKILL");
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
  const store = opened();
  const stored = versionOf((await store.load())[0]?.record as Uint8Array);
  expect(stored).toBeGreaterThanOrEqual(reported);
  expect(await store.isCredited(referenceOf(stored))).toBe(true);
  expect(await store.isCredited(referenceOf(stored + 1))).toBe(false);
});

test("a second process, or a second store in this one, is refused while the first is open", async () => {
  const store = opened();
  await store.commit(changeOf(1, 1));
  expect(await refusal(() => openSqliteStore(path))).toBe("locked");
  const script = join(import.meta.dirname, "sqlite-writer.ts");
  const second = spawn(process.execPath, [RUNNER, script, path]);
  const messages: string[] = [];
  second.stderr.on("data", (text) => messages.push(String(text)));
  const [code] = await once(second, "close");
  expect(code).not.toBe(0);
  expect(messages.join("")).toContain("in use by another process");
  await store.close();
  expect(await opened().load()).toHaveLength(1);
});

test("a file of a newer version, of another program, or of garbage is refused and left alone", async () => {
  await opened().close();
  const newer = new Database(path);
  newer.pragma("user_version = 99");
  newer.close();
  expect(await refusal(() => openSqliteStore(path))).toBe("newer-format");
  expect(() => openSqliteStore(path)).toThrow("schema 99");

  path = join(folder, "other.db");
  const other = new Database(path);
  other.exec("CREATE TABLE songs (title TEXT)");
  other.close();
  expect(await refusal(() => openSqliteStore(path))).toBe("foreign");

  path = join(folder, "garbage.db");
  writeFileSync(path, "this is not a database, whatever its name says, ".repeat(100));
  expect(await refusal(() => openSqliteStore(path))).toBe("corrupt");
  path = join(folder, "missing", "node.db");
  expect(await refusal(() => openSqliteStore(path))).toBe("io");
});

test("the file is readable by its owner alone", () => {
  opened();
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test.each([
  ["SQLITE_FULL", "full"],
  ["SQLITE_READONLY", "read-only"],
  ["SQLITE_READONLY_DBMOVED", "read-only"],
  ["SQLITE_BUSY_SNAPSHOT", "locked"],
  ["SQLITE_CORRUPT_INDEX", "corrupt"],
  ["SQLITE_IOERR_FSYNC", "io"],
  ["SQLITE_TOOBIG", "too-large"],
  ["anything else", "io"],
])("%s is told as %s, with the file's name", (code, kind) => {
  const error = storeErrorOf(Object.assign(new Error("raw"), { code }), "/data/node.db");
  expect(error.code).toBe(kind);
  expect(error.message).toContain("/data/node.db");
});

test("the file is in WAL mode, of the newest schema and whole", async () => {
  await opened().close();
  const raw = new Database(path);
  expect(raw.pragma("journal_mode", { simple: true })).toBe("wal");
  expect(raw.pragma("user_version", { simple: true })).toBe(SCHEMA_VERSION);
  expect(raw.pragma("integrity_check", { simple: true })).toBe("ok");
  raw.close();
});
