/** A key stands for one call, through crashes and restarts: on the store's own file, as a gateway has it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { SqliteAnswers } from "../../../gateway/store/sqlite-answers.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { idempotencyContract } from "./idempotency-contract.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-answers-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
idempotencyContract("in SQLite", async () => {
  const path = join(folder, `${files++}.sqlite`);
  return async () => {
    const store = openSqliteStore(path);
    return { answers: new SqliteAnswers(store), close: () => store.close() };
  };
});
