/** Whoever follows the events is never kept in memory without bound. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { MAX_FOLLOWERS, type Outlet, Streams } from "../../../gateway/api/streams.ts";
import type { Grant } from "../../../gateway/auth/grant.ts";
import { EventHub } from "../../../gateway/run/event-hub.ts";

let events: EventHub;
let streams: Streams;
beforeEach(() => {
  events = new EventHub();
  streams = new Streams(events);
});
afterEach(() => streams.close());

const grantOf = (macaroonId: string) =>
  ({
    macaroonId,
    demand: () => {},
    mayCall: () => true,
    staleness: () => undefined,
  }) as never as Grant;

function outletOf(waitingBytes = 0) {
  const said: string[] = [];
  const outlet: Outlet = {
    send: ({ id, event }) => said.push(`${event.type} ${id.split("-")[1]}`),
    beat: () => said.push("beat"),
    waitingBytes: () => waitingBytes,
    end: (reason) => said.push(`end: ${reason}`),
    cut: () => said.push("cut"),
  };
  return { outlet, said };
}

test("a slow reader is cut off, and others go on", () => {
  const slow = outletOf(2 << 20);
  const fast = outletOf();
  streams.follow(grantOf("a"), slow.outlet, undefined);
  streams.follow(grantOf("b"), fast.outlet, undefined);
  events.emit({ type: "block", height: 1 });
  events.emit({ type: "block", height: 2 });
  expect(slow.said).toEqual(["cut"]);
  expect(fast.said).toEqual(["block 1", "block 2"]);
  expect(streams.count).toBe(1);
});

test("who was away for longer than events are kept is told that some are missing", () => {
  for (let height = 0; height < 1_500; height++) events.emit({ type: "block", height });
  const first = outletOf();
  const run = (() => {
    let id = "";
    streams.follow(
      grantOf("a"),
      { ...first.outlet, send: (one) => (id = one.id.split("-")[0] as string) },
      "x",
    );
    return id;
  })();
  const late = outletOf();
  streams.follow(grantOf("b"), late.outlet, `${run}-10`);
  expect(late.said.slice(0, 2)).toEqual(["missed 10", "block 501"]);
  const recent = outletOf();
  streams.follow(grantOf("c"), recent.outlet, `${run}-1498`);
  expect(recent.said).toEqual(["block 1499", "block 1500"]);
});

test("so many may follow at a time, and fewer of one macaroon", () => {
  const admitted = (macaroonId: string) => {
    streams.admit(grantOf(macaroonId));
    streams.follow(grantOf(macaroonId), outletOf().outlet, undefined);
  };
  for (let i = 0; i < 32; i++) admitted("greedy");
  expect(() => admitted("greedy")).toThrow(/too many/);
  for (let i = 32; i < MAX_FOLLOWERS; i++) admitted(`one ${i}`);
  expect(() => admitted("another")).toThrow(/too many/);
});
