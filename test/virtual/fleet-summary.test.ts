/** The books of a virtual fleet: they agree, or the summary says at which machine they do not. */
import { expect, test } from "vitest";
import {
  fleetResult,
  fleetTable,
  type MachineBooks,
  problemsOf,
} from "../../host-sim/virtual/fleet-summary.ts";

const tea: MachineBooks = {
  ...{ name: "tea", purchases: 3, delivered: 2, refunded: 1, fallen: 2 },
  ...{ paidMsat: 2_700_000, refundedMsat: 900_000, earnedMsat: 1_800_000 },
};
const meter: MachineBooks = {
  ...{ name: "meter", purchases: 1, delivered: 1, refunded: 0 },
  ...{ paidMsat: 1500, refundedMsat: 0, earnedMsat: 1500 },
};

test("a fleet whose sums agree ends well", () => {
  expect(problemsOf([tea, meter])).toEqual([]);
  expect(fleetResult([tea, meter], 7)).toEqual({
    ...{ result: "ok", devices: 2, purchases: 4, delivered: 3, refunded: 1 },
    ...{ unaccounted_msat: 0, seconds: 7 },
  });
});

test("the table shows each machine and the sums", () => {
  expect(fleetTable([tea, meter]).split("\n")).toEqual([
    "machine  purchases  delivered  refunded        paid     back      earned  fell",
    "tea              3          2         1    2700 sat  900 sat    1800 sat     2",
    "meter            1          1         0     1.5 sat    0 sat     1.5 sat     -",
    "all              4          3         1  2701.5 sat  900 sat  1801.5 sat     2",
  ]);
});

test("money that one machine lacks is not made good by another's surplus", () => {
  const poor = { ...tea, earnedMsat: tea.earnedMsat - 500 };
  const rich = { ...meter, earnedMsat: meter.earnedMsat + 500 };
  expect(problemsOf([poor, rich])).toEqual([
    "tea: 500 msat unaccounted",
    "meter: -500 msat unaccounted",
  ]);
  expect(fleetResult([poor, rich], 1)).toMatchObject({ result: "failed", unaccounted_msat: 1000 });
});

test("a purchase without an end, or a product that fell unpaid, is a failure", () => {
  expect(problemsOf([{ ...tea, purchases: 4 }])).toEqual(["tea: 1 purchase(s) without an end"]);
  expect(problemsOf([{ ...tea, fallen: 3 }])).toEqual(["tea: 2 delivered, but 3 fell"]);
  expect(fleetResult([{ ...tea, fallen: 3 }], 1).result).toBe("failed");
});

test("a refund that did not come back, and a purchase that was never made, are failures", () => {
  expect(problemsOf([{ ...tea, owedMsat: 900_000 }])).toEqual([
    "tea: 900000 msat of refunds did not come back",
  ]);
  expect(problemsOf([{ ...tea, wanted: 4 }])).toEqual(["tea: 3 of 4 purchases made"]);
});
