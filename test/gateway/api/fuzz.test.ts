/** The API is asked from its own OpenAPI document, over REST and /rpc, what it allows and what it does not: only documented answers come, and what is refused changed nothing. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Reply, Sent } from "./api-lab.ts";
import { ALWAYS, type Known, objectFor, valueFor } from "./arbitrary.ts";
import { type Described, FuzzWorld } from "./fuzz-world.ts";
import { HOSTILE_BODIES, HOSTILE_VALUES, HOSTILE_WORDS } from "./hostile.ts";
import { faultsIn } from "./json-schema.ts";

const RUNS = 8;
/** The same every time, unless another one is wanted. */
const seed = Number(process.env.FUZZ_SEED ?? 4);
const RPC_CALLS = 16;
/** An operation that waits for somebody who is not there is not waited for. */
const PATIENCE_MS = 5_000;

let world: FuzzWorld;
beforeAll(async () => {
  world = await FuzzWorld.start();
});
afterAll(() => world.stop());

interface Asked {
  readonly path: string;
  readonly sent: Sent;
}

/** A documented status, an answer as its schema says, and never the gateway's own fault. */
function demandDocumented(one: Described, { path, sent }: Asked, reply: Reply): void {
  const { status, body, headers } = reply;
  const told = `${one.method} ${path} ${JSON.stringify(sent.body)?.slice(0, 300)}: ${status} ${JSON.stringify(body).slice(0, 600)}`;
  expect(status === 503 ? "/ready" : status < 500, told).toBeTruthy();
  const schema = one.answers[String(status)];
  expect(Object.keys(one.answers), told).toContain(String(status));
  const isJson = headers.get("content-type")?.includes("json");
  if (schema && isJson) expect(faultsIn(schema, body, world.known.components), told).toEqual([]);
  if (status < 400 || one.path === "/ready") return;
  expect(headers.get("content-type"), told).toContain("application/problem+json");
  expect(body, told).toMatchObject({
    status,
    type: expect.stringMatching(/^urn:picobolt:problem:/),
  });
}

async function ask(one: Described, { path, sent }: Asked): Promise<Reply> {
  const reply = await world.lab.call(one.method, path, sent);
  demandDocumented(one, { path, sent }, reply);
  return reply;
}

/** The path with something in each place of it. */
function pathOf({ path, parameters }: Described, wordFor: (name: string) => string): string {
  return parameters
    .filter((one) => one.in === "path")
    .reduce((told, { name }) => told.replace(`{${name}}`, wordFor(name)), path);
}

const somewhere = (one: Described) => pathOf(one, () => "ab".repeat(32));
/** Money is moved only under a key: one of many, so that none is refused for its key. */
let keys = 0;
const key = () => `fuzz ${keys++}`;

test("broken, hostile and oversized bodies are the caller's fault, whatever they are sent to; nothing moved", async () => {
  const before = await world.holdings();
  for (const one of world.operations.filter(({ body, isOperation }) => body && isOperation)) {
    for (const { what, text, contentType, status } of HOSTILE_BODIES) {
      const headers = contentType === undefined ? {} : { "content-type": contentType };
      const reply = await ask(one, {
        path: somewhere(one),
        sent: { body: text, headers, key: key() },
      });
      expect(reply.status, `${one.name}: ${what}`).toBe(status);
    }
  }
  for (const { what, text, contentType } of HOSTILE_BODIES) {
    const headers = contentType === undefined ? {} : { "content-type": contentType };
    const reply = await world.lab.call("POST", "/rpc", { body: text, headers });
    expect(reply.status, what).toBeLessThan(500);
    const answers = [reply.body].flat();
    if (reply.status === 200) for (const one of answers) expect(one, what).toHaveProperty("error");
  }
  expect(await world.holdings()).toEqual(before);
});

test("hostile words in paths and queries, fields that are missing, more or of another kind: a problem, and nothing moved", async () => {
  const before = await world.holdings();
  for (const one of world.operations.filter(({ isOperation }) => isOperation)) {
    for (const word of HOSTILE_WORDS) {
      const query = one.parameters
        .filter((other) => other.in === "query")
        .map(({ name }) => `${name}=${word}`)
        .join("&");
      const path = `${pathOf(one, () => word)}?${query}&unknown=${word}`;
      const { status } = await ask(one, { path, sent: { key: key() } });
      expect(status, path).toBeGreaterThanOrEqual(400);
    }
    if (!one.body) continue;
    const [whole = {}] = fc.sample(objectFor(one.body, world.known), { numRuns: 1, seed: 7 });
    const names = Object.keys(one.body.properties ?? {});
    const broken = [
      ...names.flatMap((name, at) =>
        [0, 1, 2].map((i) => ({
          ...whole,
          [name]: HOSTILE_VALUES[(at * 3 + i * 7) % HOSTILE_VALUES.length],
        })),
      ),
      ...(one.body.required ?? []).map((name) => ({ ...whole, [name]: undefined })),
      ...HOSTILE_VALUES.slice(-6).map((value) => ({ ...whole, unknown_field: value })),
    ].filter((body) => faultsIn(one.body ?? {}, jsonOf(body), world.known.components).length > 0);
    for (const body of broken) {
      const { status } = await ask(one, { path: somewhere(one), sent: { body, key: key() } });
      expect(status, JSON.stringify(body)).toBe(400);
    }
  }
  expect(await world.holdings()).toEqual(before);
});

test("without the money for it, or without a key, what would move money is refused and moves none", async () => {
  const before = await world.holdings();
  const movers = world.operations.filter(({ movesMoney }) => movesMoney);
  expect(movers.length).toBeGreaterThan(3);
  for (const one of movers) {
    await fc.assert(
      fc.asyncProperty(requestFor(one), async ({ path, sent }) => {
        const keyless = await ask(one, { path, sent: { body: sent.body } });
        expect(keyless.status).toBeGreaterThanOrEqual(400);
        const body = { ...(sent.body as object) } as Record<string, unknown>;
        const amounts = Object.entries(body).filter(([name]) => /amount|capacity|sat/.test(name));
        for (const [name] of amounts) body[name] = 9_007_199_254_740;
        if (amounts.length === 0) return;
        const { status } = await ask(one, { path, sent: { body, key: key() } });
        expect(status, JSON.stringify(body)).toBeGreaterThanOrEqual(400);
      }),
      { numRuns: RUNS, seed },
    );
  }
  expect(await world.holdings()).toEqual(before);
});

/** What is there is needed by the others, and its end takes as long as its peer: other tests close and disconnect. */
function knownFor({ method }: Described): Known {
  return method === "DELETE" ? { ...world.known, words: [] } : world.known;
}

/** As the document allows: ids that exist and others, least and most. */
function requestFor(one: Described): fc.Arbitrary<Asked> {
  const { path, parameters, body, movesMoney } = one;
  const known = knownFor(one);
  const words = parameters
    .filter((one) => one.in !== "header")
    .map((other) =>
      fc.tuple(fc.constant(other), valueFor(other.schema, known, other.name), fc.boolean()),
    );
  const content = body ? objectFor(body, known) : fc.constant(undefined);
  return fc.tuple(fc.tuple(...words), content).map(([given, sentBody]) => {
    const query = new URLSearchParams();
    let filled = path;
    for (const [{ name, in: place, required }, value, isGiven] of given) {
      if (place === "path") {
        filled = filled.replace(`{${name}}`, encodeURIComponent(String(value)) || "-");
      } else if (required || isGiven || name in ALWAYS) query.append(name, String(value));
    }
    const sent = { ...(sentBody && { body: sentBody }), ...(movesMoney && { key: key() }) };
    return { path: `${filled}?${query}`, sent };
  });
}

test("every path, with what its schema allows: answers are as their schemas say", async () => {
  const done = new Set<string>();
  for (const one of world.operations) {
    if (one.path === "/rpc") continue;
    let isSlow = false;
    await fc.assert(
      fc.asyncProperty(requestFor(one), async (asked) => {
        if (isSlow) return;
        const calling = world.lab.call(one.method, asked.path, asked.sent);
        const reply = await Promise.race([calling, patience()]);
        isSlow = reply === undefined;
        if (!reply) return;
        demandDocumented(one, asked, reply);
        if (reply.status < 400) done.add(one.name);
      }),
      { numRuns: RUNS, seed },
    );
  }
  // Most are not only refused: the document is enough to use the API by.
  expect(done.size).toBeGreaterThan(world.operations.length / 2);
});

test("every method of JSON-RPC, in batches: a result as its schema says, or an error with its problem", async () => {
  const problem = world.known.components.Problem ?? {};
  for (const one of world.operations.filter(({ isOperation }) => isOperation)) {
    const named = one.parameters.filter((other) => other.in !== "header");
    const fields = Object.fromEntries(
      named.map(({ name, schema }) => [name, valueFor(schema, world.known, name)]),
    );
    const required = named
      .filter((other) => other.required || other.name in ALWAYS)
      .map(({ name }) => name);
    const params = fc
      .tuple(
        fc.record(fields, { requiredKeys: required as never[] }),
        one.body ? objectFor(one.body, world.known) : fc.constant({}),
        fc.oneof(
          { weight: 2, arbitrary: fc.constant({}) },
          hostileField([...Object.keys(fields), ...Object.keys(one.body?.properties ?? {})]),
        ),
      )
      .map((parts) => Object.assign({}, ...parts, one.movesMoney && { idempotency_key: key() }));
    const calls = fc
      .sample(params, { numRuns: RPC_CALLS, seed })
      .map((given, id) => ({ jsonrpc: "2.0", id, method: one.name, params: given }));
    const reply = await Promise.race([world.lab.call("POST", "/rpc", { body: calls }), patience()]);
    if (!reply) continue;
    expect(reply, one.name).toMatchObject({ status: 200, body: expect.any(Array) });
    const answers = reply.body as unknown as readonly RpcAnswer[];
    expect(answers.map(({ id }) => id)).toEqual(calls.map(({ id }) => id));
    for (const [at, { result, error }] of answers.entries()) {
      const told = `${one.name} ${JSON.stringify(calls[at]?.params).slice(0, 300)}: ${JSON.stringify(error ?? result).slice(0, 300)}`;
      if (error === undefined) {
        expect(faultsIn(one.answers["200"] ?? {}, result, world.known.components), told).toEqual(
          [],
        );
      } else {
        expect(error.code, told).not.toBe(-32_603);
        expect(faultsIn(problem, error.data, world.known.components), told).toEqual([]);
      }
    }
  }
});

const patience = () =>
  new Promise<undefined>((end) => setTimeout(() => end(undefined), PATIENCE_MS).unref());

interface RpcAnswer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly data?: unknown };
}

function hostileField(names: readonly string[]): fc.Arbitrary<object> {
  return fc
    .tuple(fc.constantFrom(...names, "unknown_field"), fc.constantFrom(...HOSTILE_VALUES))
    .map(([name, value]) => ({ [name]: value }));
}

function jsonOf(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

test("calls that are no calls of JSON-RPC are told so, each by itself", async () => {
  const calls = [
    1,
    null,
    [],
    {},
    { jsonrpc: "1.0" },
    { jsonrpc: "2.0", method: 1 },
    { jsonrpc: "2.0", method: "x", params: [] },
    { jsonrpc: "2.0", id: {}, method: "listPeers" },
    { jsonrpc: "2.0", id: 1, method: "__proto__" },
  ];
  const { status, body } = await world.lab.call("POST", "/rpc", { body: calls });
  expect(status).toBe(200);
  const codes = (body as unknown as readonly RpcAnswer[]).map(({ error }) => error?.code);
  expect(codes).toEqual([...Array<number>(8).fill(-32_600), -32_601]);
});
