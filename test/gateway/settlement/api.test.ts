/** Settlement as an operator sees it: what waits, what a run would do, doing it, and what was earned; by API and by command. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { secretKey } from "../../../core/primitives/brands.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import { addressOf } from "../../../gateway/api/address.ts";
import { picobolt } from "../../cli/run-picobolt.ts";
import { crypto } from "../../support/node-pair.ts";
import { farFromMidnight, PATIENT } from "../../support/patience.ts";
import { ApiLab } from "../api/api-lab.ts";

const cold = p2wpkh(crypto, crypto.publicKeyOf(secretKey(new Uint8Array(32).fill(7))));
const descriptor = `addr(${addressOf(cold, "sim")})`;
let alice: ApiLab;
let bob: ApiLab;

beforeAll(async () => {
  alice = await ApiLab.start({
    settings: {
      "settlement.automatic": "",
      "settlement.sweep_descriptor": descriptor,
      "settlement.reserve_sat": "900000000",
    },
  });
  bob = await ApiLab.start({ lab: alice.lab });
});
afterAll(async () => {
  await Promise.all([alice?.stop(), bob?.stop()]);
});

const run = (...words: string[]) => picobolt([...words, "--gateway", alice.folder]);

test("shows what a run would do, does it once for one key, and shows that it was done", async () => {
  const [dry, dryJson] = await Promise.all([
    run("settle", "--dry-run"),
    run("settle", "--dry-run", "--json"),
  ]);
  expect(dry.stdout).toContain("nothing waits for the chain");
  expect(dry.stdout).toMatch(
    /sweep +\d+ +\d+ +the operator's descriptor +100000000 sat have gathered/,
  );
  expect(dryJson.last).toMatchObject({ automatic: [], queue: [], actions: [{ kind: "sweep" }] });
  expect(await alice.lab.mempool()).toEqual([]);

  const done = await run("settle", "--only", "sweep", "--key", "tuesday", "--json");
  expect(done.last).toMatchObject({ done: [{ kind: "sweep", waits_for: null }] });
  expect((await run("settle", "--only", "sweep", "--key", "tuesday", "--json")).last).toEqual(
    done.last,
  );
  expect(await alice.lab.mempool()).toHaveLength(1);
  expect((await run("settle")).stdout).toContain("there was nothing to do");
  await alice.lab.mine(1);
  const [{ amount_sat }] = done.last.done as [{ amount_sat: number }];
  expect(await alice.lab.sumOfScripts([cold])).toBe(amount_sat);
  await expect
    .poll(async () => (await alice.call("GET", "/api/settlement")).body.recent, PATIENT)
    .toMatchObject([{ kind: "sweep", state: "succeeded", amount_sat }]);
});

test("tells what was received and paid, as a table, as CSV, and as the channels have it", async () => {
  const port = bob.service.peers?.port;
  const node_id = bob.service.nodeId;
  await alice.call("POST", "/api/peers", { body: { node_id, host: "127.0.0.1", port } });
  const order = { peer_node_id: node_id, capacity: 400_000 };
  const opened = await alice.call("POST", "/api/channels", { body: order, key: "open" });
  const id = String(opened.body.channel_id);
  await expect.poll(() => alice.lab.mempool(), PATIENT).toHaveLength(1);
  await alice.lab.mine(3);
  for (const side of [alice, bob]) {
    const state = async () => (await side.call("GET", `/api/channels/${id}`)).body.state;
    await expect.poll(state, PATIENT).toBe("normal");
  }
  await farFromMidnight();
  for (const amount of [2_000, 500]) {
    const sent = { body: { amount }, key: `pay ${amount}` };
    const paid = await alice.call("POST", `/api/channels/${id}/payments`, sent);
    expect(paid.body.state).toBe("succeeded");
  }
  const table = await run("income", "--gateways");
  expect(table.stdout).toMatch(/2500 +0 +0/);
  expect(table.stdout).toContain("in all: received 2500 sat, paid 0 sat, on chain 0 sat");
  const csv = await run("income", "--gateways", "--csv");
  const today = new Date().toISOString().slice(0, 10);
  expect(csv.stdout.trim().split(/\r?\n/)).toEqual([
    "day,node_id,received_msat,paid_msat,net_msat,on_chain_sat",
    `${today},${bob.service.nodeId},2500000,0,2500000,0`,
  ]);
  const json = await alice.call("GET", "/api/settlement/income?gateways=true");
  expect(json.body).toMatchObject({
    totals: { received_msat: 2_500_000 },
    channels: [{ channel_id: id, opened_msat: 0, balance_msat: 2_500_000 }],
  });
  const devices = await alice.call("GET", "/api/settlement/income");
  expect(devices.body).toMatchObject({ days: [], channels: [] });
});

test("refuses at the start a descriptor that nobody could spend from, and says why", async () => {
  const start = (given: string) =>
    ApiLab.start({ settings: { "settlement.sweep_descriptor": given } });
  await expect(start(`${descriptor}#qqqqqqqq`)).rejects.toThrow("does not match its checksum");
  await expect(start("addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)")).rejects.toThrow(
    "settlement.sweep_descriptor: the descriptor's address: it is of another network",
  );
  await expect(start("wpkh(tprv8ZgxMBicQKsPd/0/*)")).rejects.toThrow("holds a private key");
  await expect(start("combo(02aa)")).rejects.toThrow("is of the kind combo");
});
