/** The ledger: a model in memory and the tables on disk agree whatever is done; rows are small, durable, and in order with channels. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SqliteLedger } from "../../../gateway/store/sqlite-ledger.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { channel, ledgerContract, payment } from "./ledger-contract.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-ledger-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

let files = 0;
ledgerContract("SQLite", async () => {
  const path = join(folder, `${++files}.db`);
  const open = () => {
    const store = openSqliteStore(path);
    return { store, ledger: new SqliteLedger(store) };
  };
  return { ...open(), again: async () => open() };
});

describe("the ledger in SQLite", () => {
  it("takes at most 200 bytes for a payment", async () => {
    const path = join(folder, "size.db");
    const store = openSqliteStore(path);
    const ledger = new SqliteLedger(store);
    const many = 20_000;
    const size = () => {
      store.tables.db.pragma("wal_checkpoint(TRUNCATE)");
      return statSync(path).size;
    };
    const empty = size();
    for (let i = 0; i < many; i += 1_000) {
      const group = Array.from({ length: 1_000 }, (_, n) => payment(i + n));
      const begun = group.map(({ preimage: _, resolvedAt: __, ...one }) => one);
      await Promise.all(begun.map((one) => ledger.put({ ...one, status: "pending" })));
      await Promise.all(group.map((one) => ledger.put(one)));
    }
    expect(Math.round((size() - empty) / many)).toBeLessThanOrEqual(200);
    store.close();
  });

  it("is durable no later than a channel's commit that comes after, also when the disk was full", async () => {
    const path = join(folder, "order.db");
    const store = openSqliteStore(path);
    const ledger = new SqliteLedger(store);
    const id = channel(9);
    const record = (fill: number) => ({
      channelId: id,
      record: () => new Uint8Array(50).fill(fill),
      live: undefined,
    });
    await store.commit(record(1));
    const { db } = store.tables;
    const pages = db.pragma("page_count", { simple: true }) as number;
    db.pragma(`max_page_count = ${pages}`); // the disk is full
    const large = payment(1, { retry: new Uint8Array(100_000) });
    await expect(ledger.put(large)).rejects.toThrow(/No space/);
    await expect(store.commit(record(2))).rejects.toThrow(/No space/);
    db.pragma("max_page_count = 1000000");
    await store.commit(record(3));
    store.close();

    const again = openSqliteStore(path);
    expect((again.load() as readonly { record: Uint8Array }[])[0]?.record[0]).toBe(3);
    expect(new SqliteLedger(again).get("forwarded", large.paymentHash)).toEqual(large);
    again.close();
  });
});
