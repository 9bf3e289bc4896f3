/** With a chain whose newest block is too old nothing begins that has a deadline: HTLCs fail at once and cleanly, pushes go on, /ready says why. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { FuzzWorld } from "../api/fuzz-world.ts";

const WHY = "block 812345 is 181 minutes old, and none came since: no HTLC is begun until one does";
let world: FuzzWorld;
beforeAll(async () => {
  world = await FuzzWorld.start();
});
afterAll(() => world.stop());

test("no HTLC is taken or begun, each with a clear failure; what is pushed within the balance arrives", async () => {
  const { lab, peer } = world;
  const push = { amount: 100_000 };
  const { body } = await lab.call("GET", "/api/channels");
  const [channel] = body.channels as unknown as readonly { channel_id: string }[];
  const pushes = `/api/channels/${channel?.channel_id}/payments`;
  expect((await lab.call("POST", pushes, { body: push, key: "before" })).body.state).toBe(
    "succeeded",
  );
  const ours = (await lab.call("POST", "/api/invoices", { body: { amount: 700 } })).body.invoice;
  const theirs = (await peer.call("POST", "/api/invoices", { body: { amount: 700 } })).body.invoice;
  const pay = (from: typeof lab, invoice: unknown, key: string, more = {}) =>
    from.call("POST", "/api/payments", { body: { invoice, ...more }, key });
  const stale = vi.spyOn(lab.service.chain.health, "staleness").mockReturnValue(WHY);

  const ready = await lab.call("GET", "/ready", { macaroon: null });
  expect(ready).toMatchObject({ status: 503, body: { ready: false, reasons: [WHY] } });
  const begun = await pay(lab, theirs, "begun");
  expect(begun).toMatchObject({ status: 503, body: { type: "urn:picobolt:problem:unavailable" } });
  expect(begun.body.detail).toBe(`Nothing was paid: ${WHY}.`);
  const taken = await pay(peer, ours, "taken", { timeout_seconds: 2 });
  expect(taken.body.status).toBe("failed");
  const pushed = await lab.call("POST", pushes, { body: push, key: "pushed" });
  expect(pushed.body.state).toBe("succeeded");

  stale.mockRestore();
  expect(await lab.call("GET", "/ready", { macaroon: null })).toMatchObject({ status: 200 });
  expect((await pay(lab, theirs, "again")).body.status).toBe("succeeded");
  expect((await pay(peer, ours, "again")).body.status).toBe("succeeded");
});
