/** The ledger in PostgreSQL: as in SQLite, with rows of one turn in one statement, and seen by all processes. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresLedger } from "../../../gateway/store/postgres/postgres-ledger.ts";
import { openPostgresStore } from "../../../gateway/store/postgres/postgres-store.ts";
import { TestPostgres } from "../../../host-sim/postgres/postgres-server.ts";
import { ledgerContract, payment } from "./ledger-contract.ts";

let server: TestPostgres;
beforeAll(async () => {
  server = await TestPostgres.start();
});
afterAll(() => server?.close());

async function opened(url: string, worker?: string) {
  const store = await openPostgresStore(url, worker === undefined ? {} : { worker });
  return { store, ledger: new PostgresLedger(store) };
}

ledgerContract(
  "PostgreSQL",
  async () => {
    const url = await server.database();
    return { ...(await opened(url)), again: () => opened(url) };
  },
  5,
);

test("payments of one turn take one transaction, and a replaced one keeps its place", async () => {
  const url = await server.database();
  const { store, ledger } = await opened(url);
  const many = Array.from({ length: 300 }, (_, n) => payment(n, { status: "pending" }));
  await Promise.all(many.map((one) => ledger.put(one)));
  await Promise.all([ledger.put(payment(3)), ledger.put(payment(299, { status: "failed" }))]);
  const transactions = await server.query(url, "SELECT DISTINCT xmin FROM payments");
  expect(transactions).toHaveLength(2);
  const [last] = await ledger.list({ limit: 1 });
  expect(last).toMatchObject({ sequence: 300, status: "failed" });
  expect(await ledger.pending()).toHaveLength(298);
  await store.close();
});

test("two processes see each other's payments, and one hash is one payment", async () => {
  const url = await server.database();
  const [a, b] = [await opened(url, "a"), await opened(url, "b")];
  await a.ledger.put(payment(1, { status: "pending" }));
  await Promise.all([a.ledger.put(payment(1)), b.ledger.put(payment(1)), b.ledger.put(payment(2))]);
  expect((await a.ledger.list({})).map(({ status }) => status)).toEqual(["succeeded", "succeeded"]);
  expect(await b.ledger.totals({})).toEqual(await a.ledger.totals({}));
  await a.store.close();
  await b.store.close();
});
