/** The command as an operator types it, against gateways that run: it finds the one of the data folder by itself. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picobolt } from "../../cli/run-picobolt.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "./api-lab.ts";

let alice: ApiLab;
let bob: ApiLab;

beforeAll(async () => {
  alice = await ApiLab.start({ settings: { "api.tls": "auto" } });
  bob = await ApiLab.start({ lab: alice.lab });
});
afterAll(async () => {
  await Promise.all([alice.stop(), bob.stop()]);
});

const run = (lab: ApiLab, ...words: string[]) =>
  picobolt([...words, "--gateway", lab.folder, "--json"]);

test("connects, opens, and pays an invoice; each answer is the API's own", async () => {
  const port = bob.service.peers?.port;
  const address = `${bob.service.nodeId}@127.0.0.1:${port}`;
  expect(await run(alice, "peer", "connect", address)).toMatchObject({
    code: 0,
    last: { connected: true },
  });
  const opened = await run(alice, "channel", "open", bob.service.nodeId, "400000", "--key", "one");
  expect(opened).toMatchObject({ code: 0, last: { capacity_sat: 400_000 } });
  await expect.poll(() => alice.lab.mempool(), PATIENT).toHaveLength(1);
  await alice.lab.mine(3);
  for (const side of [alice, bob]) {
    await expect
      .poll(async () => (await run(side, "channel", "list")).json, PATIENT)
      .toMatchObject([{ channels: [{ state: "normal" }] }]);
  }
  const made = await run(bob, "invoice", "create", "2500", "--memo", "tea");
  expect(made).toMatchObject({ code: 0, last: { amount_msat: 2_500_000, memo: "tea" } });
  const paid = await run(alice, "payment", "send", String(made.last.invoice));
  expect(paid).toMatchObject({ code: 0, last: { status: "succeeded" } });
  const [listed, awaited, channels] = await Promise.all([
    run(alice, "payment", "list", "--kind", "sent"),
    run(bob, "invoice", "wait", String(made.last.payment_hash)),
    run(alice, "channel", "list"),
  ]);
  expect(listed.last).toMatchObject({ totals: { count: 1, amount_msat: 2_500_000 } });
  expect(awaited.last).toMatchObject({ state: "paid" });
  const { channel_id } = opened.last;
  const list = ["payment", "list", "--gateway", alice.folder, "--csv"];
  const [table, before] = await Promise.all([
    picobolt([...list, "--from", "2020-01-01", "--party", String(channel_id)]),
    picobolt([...list, "--until", "2020-01-01"]),
  ]);
  expect(table.stdout.trim().split("\r\n")).toMatchObject([
    expect.stringContaining("sequence,kind,payment_hash"),
    expect.stringContaining(`,${made.last.payment_hash},succeeded,2500000,`),
  ]);
  expect(before.stdout.trim().split("\r\n")).toHaveLength(1);
  expect(channels.json).toMatchObject([{ channels: [{ state: "normal", channel_id }] }]);
});

test("a close that its peer has to take part in is told as one to come, while the peer is away", async () => {
  const { code } = await run(alice, "peer", "disconnect", bob.service.nodeId);
  expect(code).toBe(0);
  const asked = await picobolt(["channel", "close", "all", "--gateway", alice.folder]);
  expect(asked.stdout).toMatch(
    /^[0-9a-f]{64} is not closed yet: it is when its peer is back; --force/,
  );
  expect(asked.code).toBe(0);
});

test("says exactly why not: no gateway, a wrong word, a macaroon that may not", async () => {
  const macaroon = join(alice.folder, "readonly.macaroon");
  const [nobody, wrong, forbidden, nothing] = await Promise.all([
    picobolt(["node", "info", "--gateway", "/nowhere", "--json"]),
    run(alice, "wallet", "withdraw", "bcrt1qxyz", "some"),
    run(alice, "wallet", "address", "--macaroon", macaroon),
    run(alice, "rollout", "show"),
  ]);
  expect(nothing).toMatchObject({ code: 4, last: { error: "there are no roll-outs yet" } });
  expect(nobody).toMatchObject({ code: 3 });
  expect(nobody.stderr).toContain("no gateway runs on /nowhere");
  expect(wrong).toMatchObject({ code: 2 });
  expect(forbidden).toMatchObject({ code: 4 });
  expect(forbidden.stderr).toContain("does not permit newAddress");
});
