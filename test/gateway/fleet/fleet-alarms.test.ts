/** What of a device is an alarm, told once and taken back, from what a real device's `info` says. */
import { expect, test } from "vitest";
import type { PlainObject } from "../../../core/messages/admin-values.ts";
import { stateOf, statusOf } from "../../../gateway/fleet/device-status.ts";
import { FleetAlarms } from "../../../gateway/fleet/fleet-alarms.ts";
import type { FleetDevice } from "../../../gateway/fleet/fleet-types.ts";
import { type Alarm, AlarmBoard } from "../../../gateway/operations/alarm-board.ts";

const HOUR = 3_600;
const limits = { silentSeconds: 24 * HOUR, liquidityPercent: 5, flashPayments: 10_000 };
const NOW = 1_000_000;
const WELL = {
  claimed: true,
  app: { name: "vending", ready: true, faults: [], owedMsat: 0, owedPayments: 0 },
  channels: { count: 2, localMsat: 500_000, remoteMsat: 500_000 },
  flash: { paymentsLeft: 1_000_000 },
} satisfies PlainObject;

function deviceOf(info: PlainObject, more: Partial<FleetDevice> = {}): FleetDevice {
  const status = statusOf(info, NOW);
  return { nodeId: "02ab", name: "coffee", groups: [], addedAt: 0, lastSeen: NOW, status, ...more };
}

function told() {
  const raised: Alarm[] = [];
  const cleared: Alarm[] = [];
  const board = new AlarmBoard({
    now: () => new Date(0),
    onRaised: (alarm) => raised.push(alarm),
    onCleared: (alarm) => cleared.push(alarm),
    onNotice: () => {},
  });
  return { alarms: new FleetAlarms(limits, board), board, raised, cleared };
}

const faults = [{ product: 3, what: "the motor does not turn" }];
const cases: readonly (readonly [string, PlainObject, RegExp])[] = [
  ["device-fault", { ...WELL, app: { ...WELL.app, faults } }, /product 3: the motor does not turn/],
  [
    "device-refunds",
    { ...WELL, app: { ...WELL.app, owedMsat: 900_000, owedPayments: 2 } },
    /owes 900000 msat to 2 payments/,
  ],
  ["device-declines", { ...WELL, offline: { declineReason: "offline for too long" } }, /too long/],
  [
    "device-liquidity",
    { ...WELL, channels: { count: 1, localMsat: 990_000, remoteMsat: 10_000 } },
    /can be paid no more than 1 %/,
  ],
  ["device-flash", { ...WELL, flash: { paymentsLeft: 9_000 } }, /flash for 9000 payments/],
];

test.each(cases)("%s is raised once, and cleared when it is over", (name, info, text) => {
  const { alarms, board, raised, cleared } = told();
  alarms.look(deviceOf(WELL), NOW, true);
  expect(raised).toEqual([]);
  alarms.look(deviceOf(info), NOW, true);
  alarms.look(deviceOf(info), NOW + 1, true);
  expect(raised).toMatchObject([{ name, nodeId: "02ab", text: expect.stringMatching(text) }]);
  expect(alarms.of("02ab")).toHaveLength(1);
  alarms.look(deviceOf(WELL), NOW + 2, true);
  expect(cleared).toMatchObject([{ name }]);
  expect(board.current).toEqual([]);
});

test("a payer is low where it can pay little, and a shop where it can be paid little", () => {
  const channels = { count: 1, localMsat: 10_000, remoteMsat: 990_000 };
  const { alarms, raised } = told();
  alarms.look(deviceOf({ ...WELL, channels }), NOW, true);
  expect(raised).toEqual([]);
  alarms.look(deviceOf({ ...WELL, channels, app: { ...WELL.app, name: "payer" } }), NOW, true);
  expect(raised).toMatchObject([{ name: "device-liquidity", text: /can pay no more than 1 %/ }]);
});

test("a sleeper is no alarm until it is silent for longer than stated; a revoked device never is", () => {
  const { alarms, raised, cleared } = told();
  const device = deviceOf(WELL);
  const sight = { isConnected: false, presence: "offline" as const, ...limits };
  const sleeping = NOW + 24 * HOUR;
  alarms.look(device, sleeping, false);
  expect(raised).toEqual([]);
  expect(stateOf(device, { ...sight, now: sleeping })).toBe("asleep");
  alarms.look(device, sleeping + 1, false);
  expect(raised).toMatchObject([{ name: "device-silent", text: /24 hours/ }]);
  expect(stateOf(device, { ...sight, now: sleeping + 1 })).toBe("offline");
  expect(stateOf(device, { ...sight, presence: "online", now: sleeping + 1 })).toBe("asleep");
  alarms.look({ ...device, revokedAt: NOW }, sleeping + 2, false);
  expect(cleared).toHaveLength(1);
});

test("what a device says wrongly is no harm", () => {
  const wild = { app: 7, flash: null, channels: { count: -1, localMsat: "x" }, version: [1] };
  expect(statusOf(wild as unknown as PlainObject, NOW)).toMatchObject({
    firmware: "",
    app: "",
    isReady: false,
    localMsat: 0,
    channels: 0,
  });
});
