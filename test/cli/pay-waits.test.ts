/** A customer comes to a machine that was just switched on: while it reads the chain it is waited for, and for nothing else, and not for ever. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { whenChainIsRead } from "../../cli/wallet/readiness.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { BareMachine } from "./bare-machine.ts";

const WAITING = "the machine has not seen the Bitcoin chain yet: waiting for it";

let folder: string;
let till: Cable;
let uplink: Cable;
let machine: BareMachine;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-waits-"));
  till = await Cable.lay(folder, "till", "pty");
  uplink = await Cable.lay(folder, "uplink", "socket");
  machine = await BareMachine.start({
    device: ["--serial", till.ends[0], "--serial", uplink.ends[1]],
  });
  const claimed = await machine.command(...machine.claimWords("coffee"), "--link", till.ends[1]);
  expect(claimed.last).toMatchObject({ ok: true });
});
afterAll(async () => {
  await machine?.close();
  await Promise.all([till?.close(), uplink?.close()]);
  if (folder) rmSync(folder, { recursive: true });
});

const pay = (...words: string[]) => machine.running("pay", "--link", till.ends[1], ...words);

test("without its gateway: the wait ends, and it says why nothing was sold", async () => {
  const { code, stderr } = await pay("--product", "1").done;
  expect(stderr).toContain(WAITING);
  expect(stderr).toMatch(/cannot deliver now: .*has not seen the Bitcoin chain.*nothing was paid/);
  expect(code).toBe(4);
});

test("prices, and products that it has not, need no chain", async () => {
  const prices = await pay().done;
  expect(prices.last).toMatchObject({ ready: false });
  const unknown = await pay("--product", "9").done;
  expect(unknown.stderr).toContain("no product 9");
  expect(prices.stderr + unknown.stderr).not.toContain(WAITING);
});

test("whoever is not ready for another reason is not waited for", async () => {
  const until = () => Promise.reject(new Error("it waited"));
  const payer = { until };
  const jammed = { ready: false, note: "several products did not come out" };
  expect(await whenChainIsRead(payer, () => jammed, { note: () => {} })).toBe(jammed);
});

test("its gateway comes meanwhile: the customer gets what was wanted", async () => {
  const gateway = await machine.gatewayCable("payer");
  const buying = pay("--product", "1", "--gateway", `${gateway}=${machine.gatewayId}`);
  await buying.says(WAITING);
  await machine.joinGateway(uplink.ends[0]);
  await machine.funded();
  await machine.mine(4);
  const { code, last } = await buying.done;
  expect(last).toMatchObject({ delivered: true, priceMsat: 1_500_000 });
  expect(code).toBe(0);
});
