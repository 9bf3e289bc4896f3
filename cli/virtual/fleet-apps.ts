/** What the machines of a virtual fleet sell, and how the buyer buys it: products from a vending machine, seconds from a meter. */
import { buy, meterOf, priceListOf } from "../wallet/purchase.ts";
import { whenReady } from "../wallet/readiness.ts";
import type { Shopping } from "./buyer.ts";
import type { FleetApp } from "./owner.ts";

export const FLEET_APPS = ["vending", "meter"] as const;
export type FleetAppName = (typeof FLEET_APPS)[number];

const PRODUCTS = [
  { id: 1, name: "espresso", priceMsat: 1_500_000 },
  { id: 2, name: "tea", priceMsat: 900_000 },
  { id: 3, name: "water", priceMsat: 600_000 },
  { id: 4, name: "chocolate", priceMsat: 1_200_000 },
];
/** A second try would hide what jams. */
const MOTOR = { pulseMs: 500, windowMs: 1_500, retries: 0 };
const SECOND_MSAT = 10_000;
const SECONDS = 2;
/** Fed more than will be used by who leaves early. */
const SECONDS_AHEAD = 8;

export function fleetApp(name: FleetAppName): FleetApp {
  if (name === "vending") {
    const settingsOf = (machine: string) => ({ machine, motor: MOTOR });
    return { name, products: PRODUCTS, settingsOf };
  }
  const settingsOf = (machine: string) => ({ machine, priceMsat: SECOND_MSAT });
  return { name, products: [], settingsOf };
}

/** `leaveEarlyEvery`: every so-manieth customer of a meter takes the rest back; 0: none. */
export function shoppingOf(name: FleetAppName, leaveEarlyEvery: number): Shopping {
  return name === "vending" ? buyProduct : feedMeter(leaveEarlyEvery);
}

/** In turn whatever is for sale. */
const buyProduct: Shopping = async ({ payer, machine, channel }, number, begun) => {
  await whenReady(payer, () => payer.app.priceList(machine));
  const list = await priceListOf(payer, machine);
  for (let i = 0; i < PRODUCTS.length; i++) {
    const { id } = PRODUCTS[(number + i) % PRODUCTS.length] as (typeof PRODUCTS)[number];
    const product = await payer.app.product(machine, id);
    if (!product?.ready) continue;
    const { priceMsat, name: what } = product;
    const paid = await channel(priceMsat);
    begun();
    const { delivered, note } = await buy(payer, paid, id, priceMsat);
    return { what, delivered, note, keptMsat: delivered ? priceMsat : 0 };
  }
  throw new Error(`nothing is for sale${list.note ? `: ${list.note}` : ""}`);
};

function feedMeter(leaveEarlyEvery: number): Shopping {
  return async ({ payer, machine, channel, out }, number, begun) => {
    await whenReady(payer, () => payer.app.meterQuote(machine));
    const { priceMsat } = await meterOf(payer, machine, out);
    const leavesEarly = leaveEarlyEvery > 0 && (number + 1) % leaveEarlyEvery === 0;
    const units = leavesEarly ? SECONDS_AHEAD : SECONDS;
    const maxMsat = units * priceMsat;
    const { channelId } = await channel(maxMsat);
    begun();
    let paidOnce = () => {};
    const isPaid = new Promise<void>((resolve) => {
      paidOnce = resolve;
    });
    const forget = payer.on((told) => {
      if (told.type === "channel" && told.event.type === "pushSettled") paidOnce();
    });
    const feed = await payer.app.feed(channelId, { maxMsat, units, pushUnits: units });
    if (leavesEarly) void isPaid.then(() => feed.stop());
    const { usedUnits, paidMsat, restMsat, note } = await feed.done.finally(forget);
    const what = `${usedUnits} of ${units} s`;
    const delivered = usedUnits === units;
    // A meter that did not say in time what is left gives it back all the same.
    const keptMsat = delivered || restMsat > 0 ? paidMsat - restMsat : usedUnits * priceMsat;
    return { what, delivered, note, keptMsat };
  };
}
