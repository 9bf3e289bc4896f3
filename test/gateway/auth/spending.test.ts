/** The amount that was sent today survives the gateway, and is counted for all limits or for none. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { VolatileSpending } from "../../../gateway/auth/spending.ts";
import { SqliteSpending } from "../../../gateway/auth/sqlite-spending.ts";
import { openDatabase } from "../../../gateway/store/schema.ts";
import { limit, msat, spendingContract, TODAY } from "./spending-contract.ts";

const [a, b] = [limit(1, 1000), limit(2, 500)];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-spending-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

spendingContract("in memory", () => new VolatileSpending());
spendingContract("in SQLite", () => new SqliteSpending(openDatabase(join(folder, "db"))));

test("what was spent is known after a restart; days that are over are forgotten", () => {
  const path = join(folder, "db");
  const first = openDatabase(path);
  new SqliteSpending(first).add(TODAY - 2, [a], msat(1000));
  new SqliteSpending(first).add(TODAY, [a], msat(1000));
  first.close();
  const second = openDatabase(path);
  expect(new SqliteSpending(second).add(TODAY, [a], msat(1))).toBe(false);
  new SqliteSpending(second).add(TODAY, [b], msat(1));
  expect(second.prepare("SELECT count(*) FROM spent").pluck().get()).toBe(2);
  second.close();
});

test("a database from before there were limits gets their table", () => {
  const path = join(folder, "db");
  const old = openDatabase(path);
  const first = ["channels", "archive", "credits", "debits", "settings"];
  const tables = old.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
  old.pragma("foreign_keys = OFF");
  const later = tables.filter((name) => !String(name).startsWith("sqlite_"));
  for (const name of later) if (!first.includes(name as string)) old.exec(`DROP TABLE ${name}`);
  old.pragma("user_version = 1");
  old.close();
  const migrated = openDatabase(path);
  expect(new SqliteSpending(migrated).add(TODAY, [a], msat(1))).toBe(true);
  migrated.close();
});
