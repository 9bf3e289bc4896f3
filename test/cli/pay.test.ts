/** Buying with the command at a machine on a pty: a channel is opened, goods come out once for each payment, whatever happens in between. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picobolt, Running } from "./run-picobolt.ts";
import { Shop } from "./shop.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await Shop.open();
});
afterAll(() => shop?.close());

const pay = (...words: string[]) =>
  picobolt(["pay", "--link", shop.link, "--json", ...words], { home: shop.home });

test("without --product the prices are shown, and a dry run pays nothing", async () => {
  const list = await pay();
  expect(list.json).toEqual([
    expect.objectContaining({ product: 1, name: "espresso", ready: true }),
    expect.objectContaining({ product: 2, name: "tea", priceMsat: 900_000 }),
    { machine: "coffee", nodeId: shop.machineId, ready: true },
  ]);
  expect(statSync(join(shop.home, "wallet/seed")).mode & 0o777).toBe(0o600);
  const dry = await pay("--product", "1", "--dry-run");
  expect(dry.last).toMatchObject({ dryRun: true, priceMsat: 1_500_000, hasChannel: false });
  expect(shop.apps("paid")).toHaveLength(0);
});

test("without a channel and a gateway it says what is missing", async () => {
  const { code, stderr } = await pay("--product", "1");
  expect(stderr).toContain("name your gateway with --gateway");
  expect(code).toBe(4);
});

test("the gateway funds a channel, confirmations are counted, and the goods come out", async () => {
  const running = new Running(
    ["pay", "--link", shop.link, "--product", "1", "--gateway", shop.gatewayLink, "--json"],
    { home: shop.home },
  );
  await running.says("0 of 3 confirmations");
  const second = await pay("--product", "1");
  expect(second.stderr).toContain("in use by another program");
  expect(second.code).toBe(1);
  await shop.funded();
  await shop.mine(1);
  await running.says("1 of 3 confirmations");
  await shop.mine(3);
  const { code, last } = await running.done;
  expect(last).toMatchObject({ delivered: true, product: 1, priceMsat: 1_500_000 });
  expect(code).toBe(0);
  await shop.delivered(1);
});

test("from then on no gateway is needed", async () => {
  const { code, last } = await pay("--product", "2");
  expect(last).toMatchObject({ delivered: true, product: 2 });
  expect(code).toBe(0);
  await shop.delivered(2);
});

test("killed in the middle of a purchase: the next run finishes it first, and nothing is paid twice", async () => {
  const release = shop.hold();
  const running = new Running(["pay", "--link", shop.link, "--product", "1"], { home: shop.home });
  await shop.until("the payment", () => shop.apps("paid").length === 3);
  shop.till.pulled = true; // the word of the delivery is lost
  running.process.kill("SIGKILL");
  await running.done;
  release();
  await shop.delivered(3);
  shop.till.pulled = false;
  const again = await pay("--product", "2");
  expect(again.stderr).toContain("1 purchase(s) of an earlier run are under way: these first");
  expect(again.stderr).toContain("an earlier purchase: delivered");
  expect(again.last).toMatchObject({ delivered: true, product: 2 });
  await shop.delivered(4);
  expect(shop.apps("paid")).toHaveLength(4);
});

test("what is not on sale, a machine that is not there, another node than named: nothing is paid", async () => {
  const unknown = await pay("--product", "9");
  expect(unknown.stderr).toContain("no product 9; it has 1 espresso, 2 tea");
  expect(unknown.code).toBe(4);
  const gone = await picobolt(["pay", "--link", "/dev/not-there", "--product", "1"], {
    home: shop.home,
  });
  expect(gone.stderr).toContain("/dev/not-there is not there; plug the device in");
  expect(gone.code).toBe(3);
});
