/** Whatever an open session brings to administration: any bytes, any shapes; the answer is a typed refusal, and nothing has changed. */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import {
  claimRequest,
  newOwner,
  type Owner,
  ProgramLab,
  payoutKey,
  until,
} from "../support/program-lab.ts";
import { RawOwner } from "../support/raw-owner.ts";

type Shape = ReadonlyMap<string, CborValue>;

const SEED = 20_261;
const map = (of: Record<string, CborValue>): Shape => new Map(Object.entries(of));
const key33 = new Uint8Array(33).fill(2);
const products = [map({ id: 1, name: "tea", priceMsat: 1_000 })];
const wifi = { ssid: "net", password: "geheimnis" };
const settings = map({
  name: "tea",
  payout: payoutKey(),
  gateway: key33,
  network: "regtest",
  policy: map({
    maxOfflineBlocks: 5,
    maxUnsyncedMsat: 1_000,
    minFundingSat: 5_000,
    maxChannels: 2,
    zeroConf: false,
  }),
  app: "vending",
  appConfig: map({ machine: "tea", products, motor: map({ pulseMs: 500, hasSensor: true }) }),
  wifi: map(wifi),
  buysFrom: map({ machine: "vend-7", nodeId: key33 }),
  mqtt: map({ host: "broker", port: 1_883, ca: new Uint8Array(9), user: "u", password: "p" }),
});

/** Names and types as each method wants them; what is changed in one place is wrong. */
const shapes: Readonly<Record<string, Shape>> = {
  info: map({}),
  identify: map({ seconds: 5 }),
  "settings.get": map({}),
  "settings.set": settings,
  "wifi.set": map(wifi),
  release: map({}),
  backup: map({}),
  restore: map({ settings }),
  logs: map({ after: 0 }),
  "clock.set": map({ seconds: 1_800_000_000 }),
  clear: map({ product: 1 }),
  reboot: map({}),
  channels: map({ from: 0 }),
  open: map({ amountSat: 20_000, pushMsat: 0, key: new Uint8Array(16), peer: key33 }),
  close: map({ id: new Uint8Array(32), force: true, feeratePerKw: 300 }),
  "priceList.get": map({ page: 0 }),
  "priceList.begin": map({}),
  "priceList.put": map({ page: 0, products: [[1, "tea", 1_000]] }),
  "priceList.commit": map({}),
  "update.begin": map({ manifest: new Uint8Array(90), signature: new Uint8Array(64) }),
  "update.chunk": map({ index: 0, next: new Uint8Array(32), bytes: new Uint8Array(80) }),
  "update.finish": map({}),
  "update.status": map({}),
  "update.abort": map({}),
};
const methods = Object.keys(shapes);

const anyValue: fc.Arbitrary<CborValue> = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.integer(),
    fc.constantFrom(-(2 ** 53) + 1, 2 ** 53 - 1, 2 ** 32, -1),
    fc.boolean(),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.uint8Array({ maxLength: 70 }),
    fc.array(tie("value"), { maxLength: 5 }),
    fc
      .array(fc.tuple(fc.oneof(fc.string({ maxLength: 9 }), fc.nat()), tie("value")), {
        maxLength: 4,
      })
      .map((entries) => new Map(entries)),
  ),
})).value;

const kindOf = (value: CborValue): string =>
  Array.isArray(value) ? "list" : value instanceof Map ? "map" : bytesOrType(value);
const bytesOrType = (value: CborValue) => (value instanceof Uint8Array ? "bytes" : typeof value);

/** Every place inside a shape, as names and indices to go by. */
function places(value: CborValue, path: readonly (string | number)[] = []): (typeof path)[] {
  const here = path.length > 0 ? [path] : [];
  const inside =
    value instanceof Map
      ? ([...value] as [string, CborValue][])
      : Array.isArray(value)
        ? ([...value.entries()] as [number, CborValue][])
        : [];
  return [...here, ...inside.flatMap(([name, one]) => places(one, [...path, name]))];
}

function replaced(value: CborValue, path: readonly (string | number)[], by: CborValue): CborValue {
  const [name, ...rest] = path;
  if (name === undefined) return kindOf(value) === kindOf(by) ? new Map([["?", by]]) : by;
  if (Array.isArray(value)) {
    return value.map((one, i) => (i === name ? replaced(one, rest, by) : one));
  }
  const entries = [...(value as Shape)].map(([at, one]) => [
    at,
    at === name ? replaced(one, rest, by) : one,
  ]);
  return new Map(entries as [string, CborValue][]);
}

/** A shape with a value of another type in one place, one name too many, or something that is no map at all. */
const wrongRequest = fc.constantFrom(...methods).chain((method) => {
  const shape = shapes[method] as Shape;
  const all = places(shape);
  const named = anyValue.map((value) => new Map([...shape, ["nobody asked", value]]));
  const noMap = anyValue.filter((value) => !(value instanceof Map));
  const changed = fc
    .tuple(fc.nat({ max: Math.max(0, all.length - 1) }), anyValue)
    .map(([at, by]) => replaced(shape, all[at] ?? [], by));
  const params =
    all.length > 0
      ? fc.oneof({ weight: 4, arbitrary: changed }, named, noMap)
      : fc.oneof(named, noMap);
  return params.map((value) => ({ method, value: value as CborValue }));
});

const codes = /^(params|app): ./;

let lab: ProgramLab;
let owner: Owner;
let raw: RawOwner;

const flashSteps = () => lab.board.chips.settings.steps + lab.board.chips.records.steps;

async function claimed(): Promise<void> {
  owner = newOwner();
  const client = await lab.owner(owner);
  const appConfig = { machine: "tea", products: [{ id: 1, name: "tea", priceMsat: 1_000 }] };
  await client.claim(claimRequest({ app: "vending", appConfig }));
  await until(() => lab.program.device !== undefined);
  client.close();
}

beforeEach(async () => {
  lab = await ProgramLab.start();
});
afterEach(() => {
  raw.close();
  lab.stop();
});

describe("an owner's session that sends", () => {
  beforeEach(async () => {
    await claimed();
    raw = await RawOwner.connect(lab.board.ends[0]!.link, owner, lab.program.nodeId);
    await raw.ask("info");
  });

  it("any bytes as parameters is refused in words, and nothing has changed", async () => {
    const before = flashSteps();
    // An empty map is what most methods want.
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).filter((one) => one[0] !== 0xa0);
    const anyRequest = fc.tuple(fc.constantFrom(...methods, "nope"), bytes);
    await fc.assert(
      fc.asyncProperty(anyRequest, async ([method, params]) => {
        expect(await raw.ask(method, params)).toMatch(/^(params|method): ./);
      }),
      { numRuns: 600, seed: SEED },
    );
    expect(flashSteps()).toBe(before);
    expect(raw.ends).toEqual([]);
    expect(lab.board.restarts).toBe(0);
  });

  it("a map of the wrong shape, to any method, is refused in words, and nothing has changed", async () => {
    const before = flashSteps();
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(wrongRequest, async ({ method, value }) => {
        const params = encodeCbor(value);
        if (params.length > 3_000) return;
        seen.add(method);
        expect(await raw.ask(method, params)).toMatch(codes);
      }),
      { numRuns: 1_500, seed: SEED },
    );
    expect([...seen].sort()).toEqual([...methods].sort());
    expect(flashSteps()).toBe(before);
    expect(raw.ends).toEqual([]);
    expect(lab.board.restarts).toBe(0);
  });

  it("a packet that is no message ends that session and no more: the next one goes on", async () => {
    const before = flashSteps();
    const content = fc.uint8Array({ minLength: 2, maxLength: 200 });
    for (const plaintext of fc.sample(content, { numRuns: 25, seed: SEED })) {
      const ends = raw.ends.length;
      raw.sendContent(plaintext);
      await raw.ask("info");
      // So many calls in a row are not answered: time passes.
      lab.board.aheadMs += 60_000;
      if (raw.ends.length > ends) await raw.isReady();
    }
    expect(raw.ends.length).toBeGreaterThan(0);
    expect(await raw.ask("info")).toBe("done");
    expect(flashSteps()).toBe(before);
  });
});

describe("a new device that is sent", () => {
  it("a claim of the wrong shape stays nobody's", async () => {
    owner = newOwner();
    raw = await RawOwner.connect(lab.board.ends[0]!.link, owner, lab.program.nodeId);
    const before = flashSteps();
    const claim = fc
      .tuple(fc.nat({ max: places(settings).length - 1 }), anyValue)
      .map(([at, by]) => replaced(settings, places(settings)[at] ?? [], by));
    await fc.assert(
      fc.asyncProperty(fc.oneof(claim, anyValue), async (value) => {
        expect(await raw.ask("claim", encodeCbor(value))).toMatch(/^(params|payout|app): ./);
      }),
      { numRuns: 400, seed: SEED },
    );
    expect(lab.program.isClaimed).toBe(false);
    expect(flashSteps()).toBe(before);
  });
});
