/** How often one may call: bursts, refill, and a table that callers cannot fill. */
import { beforeEach, describe, expect, test } from "vitest";
import { CallLimits, callerAt, RateLimiter } from "../../../gateway/auth/rate-limit.ts";

let now: number;
const nowMs = () => now;
beforeEach(() => {
  now = 1_000_000;
});

test("a burst, then so many a second; a refused call costs nothing", () => {
  const limiter = new RateLimiter({ perSecond: 2, burst: 3, nowMs });
  expect([1, 2, 3, 4, 5].map(() => limiter.take("a"))).toEqual([0, 0, 0, 500, 500]);
  now += 499;
  expect(limiter.take("a")).toBe(1);
  now += 1;
  expect(limiter.take("a")).toBe(0);
  expect(limiter.take("b")).toBe(0);
  now += 3_600_000;
  expect([1, 2, 3, 4].map(() => limiter.take("a"))).toEqual([0, 0, 0, 500]);
});

test("the table forgets who asked longest ago, and never grows beyond its size", () => {
  const limiter = new RateLimiter({ perSecond: 1, burst: 1, nowMs, maxCallers: 100 });
  limiter.take("eager");
  for (let count = 0; count < 10_000; count++) {
    limiter.take(`other ${count}`);
    if (count % 50 === 0) expect(limiter.take("eager")).toBe(1000);
  }
  expect(limiter.size).toBe(100);
});

describe("calls", () => {
  const limit = { perSecond: 1, burst: 20 };
  const made = () => new CallLimits({ perMacaroon: limit, perAddress: limit, nowMs });
  const tooMany = expect.objectContaining({ code: "too-many-requests", retryAfterMs: 1000 });

  test("are counted by address and by macaroon apart", () => {
    const limits = made();
    for (let count = 0; count < 20; count++) limits.admitAddress("10.0.0.1");
    expect(() => limits.admitAddress("::ffff:10.0.0.1")).toThrow(tooMany);
    expect(() => limits.admitAddress("10.0.0.2")).not.toThrow();
    for (let count = 0; count < 20; count++) limits.admitMacaroon("aa");
    expect(() => limits.admitMacaroon("aa")).toThrow(tooMany);
    expect(() => limits.admitMacaroon("bb")).not.toThrow();
  });

  test("with wrong macaroons cost ten times as much", () => {
    const limits = made();
    for (let count = 0; count < 2; count++) {
      limits.admitAddress("10.0.0.1");
      limits.punish("10.0.0.1");
    }
    expect(() => limits.admitAddress("10.0.0.1")).toThrow(tooMany);
  });
});

test.each([
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:DB8:0:0:ffff::1", "2001:db8:0:0::/64"],
  ["2001:db8:0:1::1", "2001:db8:0:1::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:1.2.3.4", "1.2.3.4"],
  [undefined, "local"],
])("%s is the caller %s", (address, caller) => {
  expect(callerAt(address)).toBe(caller);
});
