/** A gateway on a real Bitcoin node is stopped and started: keys, macaroons and audit log are what they were. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startRegtestLab } from "../../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../../host-sim/chain/lab.ts";
import { ApiLab } from "./api-lab.ts";

const WALLET = "operator";
let chain: ChainLab;
let folder: string;

beforeAll(async () => {
  chain = await startRegtestLab();
  await chain.wallet(WALLET);
  folder = mkdtempSync(join(tmpdir(), "picobolt-restart-"));
});
afterAll(async () => {
  await chain.close();
  rmSync(folder, { recursive: true });
});

function start(): Promise<ApiLab> {
  const { rpcPort, cookieFile } = chain.connection as NonNullable<ChainLab["connection"]>;
  const settings = {
    network: "regtest",
    "bitcoind.url": `http://127.0.0.1:${rpcPort}`,
    "bitcoind.cookie_file": cookieFile,
    "bitcoind.wallet": WALLET,
  } as const;
  return ApiLab.start({ folder, settings });
}

test("the same key sends the same transaction, before and after a restart, and no second one", async () => {
  const first = await start();
  const { address } = (await first.call("POST", "/api/wallet/address")).body;
  const sent = { key: "rent", body: { address, amount_sat: 80_000, feerate_sat_per_vb: 3 } };
  const before = await first.call("POST", "/api/wallet/withdraw", sent);
  expect(before, JSON.stringify(before.body)).toMatchObject({ status: 200 });
  const macaroon = first.macaroon("admin");
  await first.stop({ keepsFolder: true });

  const second = await start();
  expect(second.macaroon("admin")).toBe(macaroon);
  expect((await second.call("POST", "/api/wallet/withdraw", sent)).body).toEqual(before.body);
  expect(await chain.mempool()).toHaveLength(1);
  const other = { ...sent, body: { ...sent.body, amount_sat: 80_001 } };
  expect(await second.call("POST", "/api/wallet/withdraw", other)).toMatchObject({ status: 409 });
  await chain.mine(1);
  expect((await second.call("POST", "/api/wallet/withdraw", sent)).body).toEqual(before.body);
  expect(await chain.mempool()).toHaveLength(0);
  await second.stop({ keepsFolder: true });

  const lines = readFileSync(join(folder, "audit.jsonl"), "utf8").trim().split("\n");
  const numbers = lines.map((line) => (JSON.parse(line) as { number: number }).number);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
});

test("all that the wallet holds is sent, and the fee is taken from it", async () => {
  const lab = await start();
  const { address } = (await lab.call("POST", "/api/wallet/address")).body;
  const all = { key: "all of it", body: { address, all: true, feerate_sat_per_vb: 2 } };
  const reply = await lab.call("POST", "/api/wallet/withdraw", all);
  expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: 200 });
  const { onchain_sat } = (await lab.call("GET", "/api/wallet/balance")).body;
  expect(Number(onchain_sat)).toBeGreaterThanOrEqual(Number(reply.body.amount_sat));
  expect(Number(onchain_sat) - Number(reply.body.amount_sat)).toBeLessThan(1_000);
  await lab.stop({ keepsFolder: true });
});
