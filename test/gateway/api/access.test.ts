/** Who may call what: every operation of the table with every kind of macaroon that must not do. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OperationShape } from "../../../gateway/api/operation.ts";
import { SHAPES } from "../../../gateway/api/shapes/all.ts";
import { macaroonText } from "../../../gateway/auth/macaroon.ts";
import type { RunningApi } from "../../../gateway/run/api.ts";
import { farFromMidnight } from "../../support/patience.ts";
import { ApiLab } from "./api-lab.ts";

const NODE = `02${"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}`;
const OTHER = `03${"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"}`;
/** Of the format's second version: a byte each for version, field and length, then "picobolt". */
const LOCATION = /(?<=^020108).{16}/;
const shapes: readonly OperationShape[] = Object.values(SHAPES);
const paths = [
  ...shapes.map(({ name, method, path }) => ({ name, method, path: filled(path) })),
  { name: "getMetrics", method: "GET", path: "/metrics" },
  { name: "watchEvents", method: "GET", path: "/api/events" },
];

let lab: ApiLab;
beforeAll(async () => {
  await farFromMidnight(); // some amounts are a day's
  lab = await ApiLab.start();
});
afterAll(() => lab.stop());

function filled(path: string): string {
  return path
    .replace("{node_id}", NODE)
    .replace("{name}", "nothing")
    .replace(/\{\w+\}/, "ab".repeat(32));
}

function baked(name: string, ...caveats: string[]): string {
  return macaroonText((lab.service.api as RunningApi).authority.bake(name, caveats));
}

describe.each(paths)("$name", ({ method, path }) => {
  const ask = (macaroon: string | null) =>
    lab.call(method, path, { macaroon, key: "a key", ...(method === "POST" && { body: {} }) });

  test("without a macaroon, with one of another gateway, an expired and a revoked one: 401", async () => {
    const admin = lab.macaroon("admin");
    const altered = `${admin.slice(0, -6)}${admin.at(-6) === "A" ? "B" : "A"}${admin.slice(-5)}`;
    const revoked = baked("for-a-moment");
    await lab.call("DELETE", "/api/macaroons/for-a-moment");
    const refused = {
      "no-macaroon": null,
      "bad-macaroon": altered,
      expired: baked("late", "time-before 2020-01-01T00:00:00Z"),
      revoked,
    };
    for (const [problem, macaroon] of Object.entries(refused)) {
      const reply = await ask(macaroon);
      expect(reply.body.type).toBe(`urn:picobolt:problem:${problem}`);
      expect(reply.status).toBe(401);
      expect(reply.headers.get("www-authenticate")).toBe("Macaroon");
      expect(reply.headers.get("content-type")).toContain("application/problem+json");
    }
  });

  test("with one for something else, for another device or from elsewhere: 403", async () => {
    const refused = {
      "not-permitted": baked("other", "method = someOtherOperation"),
      "wrong-device": baked("device", `device = ${OTHER}`),
    };
    for (const [problem, macaroon] of Object.entries(refused)) {
      const reply = await ask(macaroon);
      expect(reply.body.type).toBe(`urn:picobolt:problem:${problem}`);
      expect(reply.status).toBe(403);
    }
    expect((await ask(baked("elsewhere", "ip = 10.9.8.7"))).status).toBe(403);
  });
});

test.each(shapes.map((shape) => [shape.name, shape] as const))(
  "%s is for its own group alone: by its name it may be called, and the read-only macaroon reads",
  async (name, { method, path, group, alsoFor = [] }) => {
    const ask = (macaroon: string) =>
      lab.call(method, filled(path), {
        macaroon,
        ...(method === "POST" && { body: { nonsense: true } }),
      });
    // Refused for what is asked, or done: let through in any case.
    const isLetIn = async (macaroon: string) => ![401, 403].includes((await ask(macaroon)).status);
    expect(await isLetIn(lab.macaroon("readonly"))).toBe([group, ...alsoFor].includes("read"));
    expect(await isLetIn(lab.macaroon("invoice"))).toBe([group, ...alsoFor].includes("invoice"));
    if (method === "GET")
      expect(await isLetIn(baked(`only-${name}`, `method = ${name}`))).toBe(true);
  },
);

test("over /rpc too: every method with every macaroon that must not do", async () => {
  const admin = lab.macaroon("admin");
  const revoked = baked("rpc-moment");
  await lab.call("DELETE", "/api/macaroons/rpc-moment");
  const refused: readonly (readonly [string, string | null])[] = [
    ["no-macaroon", null],
    ["bad-macaroon", `${admin.slice(0, -6)}${admin.at(-6) === "A" ? "B" : "A"}${admin.slice(-5)}`],
    ["expired", baked("rpc-late", "time-before 2020-01-01T00:00:00Z")],
    ["revoked", revoked],
    ["not-permitted", baked("rpc-other", "method = someOtherOperation")],
    ["wrong-device", baked("rpc-device", `device = ${OTHER}`)],
    ["wrong-address", baked("rpc-elsewhere", "ip = 10.9.8.7")],
  ];
  const calls = shapes.map(({ name }) => ({
    jsonrpc: "2.0",
    id: name,
    method: name,
    params: { idempotency_key: "a key", node_id: NODE },
  }));
  for (const [problem, macaroon] of refused) {
    for (let from = 0; from < calls.length; from += 32) {
      const body = calls.slice(from, from + 32);
      const reply = await lab.call("POST", "/rpc", { macaroon, body });
      const answers = reply.body as unknown as readonly { id: string; error?: { data: object } }[];
      for (const { id, error } of answers) {
        expect(error?.data, id).toMatchObject({ type: `urn:picobolt:problem:${problem}` });
      }
    }
  }
});

test("a macaroon with any one character altered, cut short or made longer lets nobody in", async () => {
  const admin = lab.macaroon("admin");
  const altered = [
    ...[...admin].map((letter, at) => {
      const other = letter === "A" ? "B" : "A";
      return `${admin.slice(0, at)}${other}${admin.slice(at + 1)}`;
    }),
    ...[1, 8, 40].map((cut) => admin.slice(0, -cut)),
    `${admin}AAAA`,
  ];
  // Its location is a hint, which nothing signs; the last letter of base64 has bits that say nothing.
  const signed = (text: string) => {
    const hex = Buffer.from(text, "base64url").toString("hex");
    return hex.replace(LOCATION, "");
  };
  const others = altered.filter((text) => signed(text) !== signed(admin));
  expect(others.length).toBeGreaterThan(altered.length * 0.8);
  for (const macaroon of others) {
    expect(await lab.call("GET", "/api/peers", { macaroon }), macaroon).toMatchObject({
      status: 401,
    });
  }
});

test("no call that moves money goes over a macaroon's amount of the day, whichever it is", async () => {
  const { address } = (await lab.call("POST", "/api/wallet/address")).body;
  const spent = async () => (await lab.call("GET", "/api/wallet/balance")).body.onchain_sat;
  const before = await spent();
  const macaroon = baked("a-satoshi", "amount-per-day <= 1000");
  const movers = shapes.filter(({ movesMoney }) => movesMoney);
  for (const { name, method, path, body } of movers) {
    const given: Record<string, unknown> = {};
    for (const property of Object.keys(body?.properties ?? {})) {
      if (property === "address") given.address = address;
      else if (/node_id/.test(property)) given[property] = NODE;
      else if (/^(amount|amount_sat|capacity|push)$/.test(property)) given[property] = 30_000;
    }
    const key = `over ${name}`;
    const reply = await lab.call(method, filled(path), { macaroon, key, body: given });
    expect(reply.status, name).toBeGreaterThanOrEqual(400);
    expect(reply.status, name).toBeLessThan(500);
    if (name === "withdraw") expect(reply.body.type).toBe("urn:picobolt:problem:over-limit");
  }
  expect(await spent()).toBe(before);
});

test("an amount per day holds for all payments together", async () => {
  const { address } = (await lab.call("POST", "/api/wallet/address")).body;
  const macaroon = baked("purse", "amount-per-day <= 60000000");
  const send = (amount_sat: number, key: string) =>
    lab.call("POST", "/api/wallet/withdraw", { macaroon, key, body: { address, amount_sat } });
  expect(await send(40_000, "first")).toMatchObject({ status: 200 });
  const over = await send(30_000, "second");
  expect(over).toMatchObject({ status: 403, body: { type: "urn:picobolt:problem:over-limit" } });
  expect(await send(20_000, "third")).toMatchObject({ status: 200 });
});

test("who moved money or rights is in the audit log, without macaroons", async () => {
  const lines = readFileSync(join(lab.folder, "audit.jsonl"), "utf8").trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const sent = entries.filter(({ what, outcome }) => what === "withdraw" && outcome === "done");
  expect(sent).toMatchObject([{ amountMsat: 40_000_000 }, { amountMsat: 20_000_000 }]);
  expect(entries).toContainEqual(expect.objectContaining({ outcome: "over-limit" }));
  expect(entries).toContainEqual(expect.objectContaining({ what: "revokeMacaroon" }));
  expect(lines.join()).not.toContain(lab.macaroon("admin").slice(0, 40));
});

test("health, readiness and the description need no macaroon; a flood is slowed down", async () => {
  await lab.untilReady();
  for (const path of ["/health", "/ready", "/docs", "/api/openapi.json"]) {
    expect(await lab.call("GET", path, { macaroon: null })).toMatchObject({ status: 200 });
  }
  const slow = await ApiLab.start({ settings: { "api.calls_per_second": "1" } });
  const ask = () => slow.call("GET", "/api/peers");
  for (let i = 0; i < 5; i++) expect((await ask()).status).toBe(200);
  const crowd = await Promise.all(Array.from({ length: 100 }, ask));
  const refused = crowd.find(({ status }) => status !== 200);
  expect(refused).toMatchObject({ status: 429 });
  expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
  await slow.stop();
});
