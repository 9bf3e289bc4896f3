/** Two customers at once at one machine, by cable and by radio: each has what it paid for, one motor turns at a time, a third one waits. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { ProgramShop } from "../support/program-shop.ts";

let shop: ProgramShop;
beforeEach(async () => {
  shop = await ProgramShop.open();
});
afterEach(() => shop.close());

it("both buy in the same moment, and again; the third one at the radio is told to wait", async () => {
  const anna = await shop.buyer("anna");
  const ben = await shop.buyer("ben");
  shop.plugIn(anna);
  shop.approach("ben", ben);
  const annas = await shop.openChannel(anna);
  const bens = await shop.openChannel(ben);
  const before = { anna: shop.balance(annas), ben: shop.balance(bens) };
  const third = shop.approach("carla");
  for (let round = 0; round < 2; round++) {
    const both = Promise.all([anna.payer.buy(annas, 1), ben.payer.buy(bens, 2)]);
    expect(await shop.during(both)).toMatchObject([
      { delivered: true, note: "tea" },
      { delivered: true, note: "soup" },
    ]);
  }
  expect([...shop.fallen].sort()).toEqual(["motor1", "motor1", "motor2", "motor2"]);
  expect(shop.mostMotors).toBe(1);
  expect(shop.balance(annas) - before.anna).toBe(2 * 900_000);
  expect(shop.balance(bens) - before.ben).toBe(2 * 700_000);
  await shop.until(() => third.some(({ type }) => type === "busy"));
  expect(shop.alarms).toEqual([]);
});
