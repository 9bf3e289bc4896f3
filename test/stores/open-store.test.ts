/** DATABASE_URL leads to the store that it names, or says what is wrong with it, and never tells a password. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStore, parseDatabaseUrl } from "../../gateway/store/open-store.ts";
import { POSTGRES_PASSWORD, TestPostgres } from "../../host-sim/postgres/postgres-server.ts";
import { changeOf } from "../support/store-changes.ts";

let folder: string;
let server: TestPostgres;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-open-store-"));
  server = await TestPostgres.start();
});
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true });
});

test.each([
  ["/data/node.db", "/data/node.db"],
  ["node.db", "node.db"],
  ["file:node.db", "node.db"],
  ["file:./a%20b.db", "./a b.db"],
  ["file:///data/node.db", "/data/node.db"],
])("%s is a file of SQLite", (text, path) => {
  expect(parseDatabaseUrl(text)).toEqual({ kind: "sqlite", path });
});

test.each([
  ["", "empty"],
  ["file:", "no file"],
  ["file:node.db?mode=ro", "no options"],
  ["file://elsewhere/node.db", "this machine"],
  ["mysql://root:s3cret@db/x", '"mysql:"'],
  ["MongoDB+srv://root:s3cret@db/x", '"mongodb+srv:"'],
])("%j is refused and why is said", (text, why) => {
  expect(() => parseDatabaseUrl(text)).toThrow(why);
  expect(() => parseDatabaseUrl(text)).not.toThrow("s3cret");
});

test("both kinds open, and a file is for one process alone", async () => {
  const file = await openStore(`file:${join(folder, "node.db")}`);
  await file.store.commit(changeOf(1, 1));
  expect(file.leases.isHeld(new Uint8Array(33))).toBe(true);
  await file.store.close();
  await expect(openStore(join(folder, "node.db"), { worker: "one" })).rejects.toThrow(
    "one process",
  );
  const shared = await openStore(await server.database(), { worker: "one" });
  expect(shared.leases.worker).toBe("one");
  await shared.store.commit(changeOf(1, 1));
  await shared.store.close();
});

describe("a PostgreSQL that cannot be opened is told without the password", () => {
  const secret = "hunter2-hunter2";
  const everything = (error: unknown): string => {
    const { message, stack, cause } = error as Error;
    return `${message} ${stack} ${cause === undefined ? "" : JSON.stringify(cause)} ${String(cause)}`;
  };
  const failure = async (text: string): Promise<string> => {
    const error = await openStore(text).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ name: "StoreError", code: "io" });
    expect(everything(error)).not.toContain(secret);
    expect(everything(error)).not.toContain(encodeURIComponent(POSTGRES_PASSWORD));
    expect(everything(error)).not.toContain(POSTGRES_PASSWORD);
    return (error as Error).message;
  };

  test("wrong password, no such database, nobody there, not a URL", async () => {
    const good = server.url("postgres");
    const wrong = good.replace(encodeURIComponent(POSTGRES_PASSWORD), secret);
    expect(await failure(wrong)).toContain("password authentication failed");
    expect(await failure(server.url("nowhere"))).toContain('"nowhere" does not exist');
    const closed = await failure(`postgres://picobolt:${secret}@127.0.0.1:1/x`);
    expect(closed).toContain("cannot be reached");
    expect(closed).toContain("postgres://picobolt@127.0.0.1:1/x");
    expect(await failure(`postgres://picobolt:${secret}@bad host:99999/x`)).toContain(
      "cannot be read",
    );
  });
});
