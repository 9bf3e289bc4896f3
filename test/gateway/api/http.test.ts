/** The API as HTTP, JSON-RPC and OpenAPI have it: what is sent wrong is told exactly, and the description is valid. */
import { validate } from "@readme/openapi-parser";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "./api-lab.ts";

let lab: ApiLab;
beforeAll(async () => {
  lab = await ApiLab.start();
});
afterAll(() => lab.stop());

describe("what is sent wrong", () => {
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    lab.call("POST", "/api/channels", { body, key: "k", headers });

  test("a body that is no JSON, none, too large, or of another type", async () => {
    expect((await post("{")).body).toMatchObject({
      status: 400,
      detail: expect.stringContaining("not JSON"),
    });
    expect(await post("")).toMatchObject({ status: 400 });
    expect(await post({ a: "x".repeat(70_000) })).toMatchObject({ status: 413 });
    expect(await post("a=1", { "content-type": "text/plain" })).toMatchObject({ status: 415 });
  });

  test("each field by its JSON pointer", async () => {
    const { body } = await post({ peer_node_id: "02zz", capacity: 0.5, psuh: 1 });
    const pointers = (body.errors as unknown as { pointer: string }[]).map((one) => one.pointer);
    expect(pointers.sort()).toEqual(["/capacity", "/peer_node_id", "/psuh"]);
    const query = await lab.call("GET", "/api/payments?limit=no&stauts=failed");
    expect(query.body).toMatchObject({ status: 400 });
    expect(JSON.stringify(query.body.errors)).toMatch(/\/limit.*\/stauts|\/stauts.*\/limit/);
  });

  test("a word that is none of those there are: a filter that finds nothing looks like no payments", async () => {
    const query = await lab.call("GET", "/api/payments?status=suceeded");
    expect(query.body).toMatchObject({
      status: 400,
      detail: "/status: Expected one of pending, succeeded, failed",
      errors: [{ pointer: "/status" }],
    });
    const body = { devices: ["02".padEnd(66, "7")], action: "explode" };
    const action = await lab.call("POST", "/api/device-actions", { body });
    expect(action.body.detail).toMatch(/\/action: Expected one of .*reboot/);
  });

  test("text with half a character, wherever it stands", async () => {
    const claim = { payout: "x", app: "vending", app_settings: { "a/b": ["tea \ud800"] } };
    const body = { node_id: "02".padEnd(66, "7"), name: "\udfff", groups: [], claim };
    const { body: told } = await lab.call("POST", "/api/devices", { body });
    const detail = expect.stringContaining("half a character");
    expect(told).toMatchObject({ status: 400, detail });
    expect(told.errors).toHaveLength(2);
    for (const pointer of ["/claim/app_settings/a~1b/0", "/name"]) {
      expect(told.errors).toContainEqual({ pointer, detail });
    }
  });

  test("what is wanted, in words besides its pattern", async () => {
    const { body } = await post({ peer_node_id: "02zz", capacity: 50_000 });
    expect(body.detail).toContain("Public key of a node");
  });

  test("a path or a method that is not there", async () => {
    expect(await lab.call("GET", "/api/nothing")).toMatchObject({ status: 404 });
    const reply = await lab.call("PUT", "/api/channels");
    expect(reply).toMatchObject({ status: 405 });
    expect(reply.headers.get("allow")).toBe("GET, POST");
  });
});

describe("JSON-RPC 2.0", () => {
  const rpc = async (body: unknown, macaroon?: string | null) =>
    (await lab.call("POST", "/rpc", { body, ...(macaroon !== undefined && { macaroon }) }))
      .body as unknown as { error?: object; result?: object }[] & { error?: object; id?: unknown };
  const call = (method: string, params?: object, id: unknown = 1) => ({
    jsonrpc: "2.0",
    id,
    method,
    ...(params && { params }),
  });

  test("gives what REST gives", async () => {
    const { body } = await lab.call("GET", "/api/node/info");
    expect(await rpc(call("getNodeInfo"))).toEqual({ jsonrpc: "2.0", id: 1, result: body });
  });

  test("a batch, in order; notifications get no answer", async () => {
    const batch = [call("listPeers", {}, "a"), { jsonrpc: "2.0", method: "listPeers" }, 7];
    expect(await rpc(batch)).toMatchObject([
      { id: "a", result: { peers: [] } },
      { id: null, error: { code: -32600 } },
    ]);
    const quiet = await lab.call("POST", "/rpc", {
      body: [{ jsonrpc: "2.0", method: "listPeers" }],
    });
    expect(quiet.status).toBe(204);
    expect(await rpc([])).toMatchObject({ error: { code: -32600 } });
    expect(await rpc(new Array(33).fill(call("listPeers")))).toMatchObject({
      error: { code: -32600 },
    });
  });

  test("errors have the codes of the standard, and the problem as data", async () => {
    expect(await rpc("{")).toMatchObject({ id: null, error: { code: -32700 } });
    expect(await rpc(call("noSuchThing"))).toMatchObject({ error: { code: -32601 } });
    expect(await rpc(call("getChannel", { channel_id: 1 }))).toMatchObject({
      error: { code: -32602, data: { errors: [{ pointer: "/channel_id" }] } },
    });
    const missing = call("withdraw", { address: "bcrt1qqqqqqqq", all: true });
    expect(await rpc(missing)).toMatchObject({ error: { code: -32000, data: { status: 428 } } });
    expect(await rpc(call("listPeers"), null)).toMatchObject({
      error: { code: -32000, data: { type: "urn:picobolt:problem:no-macaroon" } },
    });
    expect(await rpc(call("toString"))).toMatchObject({ error: { code: -32601 } });
  });
});

describe("the API's own description", () => {
  test("is valid OpenAPI 3.1", async () => {
    const { body } = await lab.call("GET", "/api/openapi.json", { macaroon: null });
    expect(body.openapi).toBe("3.1.0");
    const result = await validate(structuredClone(body) as never);
    expect(result).toMatchObject({ valid: true });
  });

  test("is a page without scripts or anything from elsewhere", async () => {
    const { body, headers } = await lab.call("GET", "/docs", { macaroon: null });
    const page = body.text as unknown as string;
    expect(page).toContain("/api/channels/{channel_id}/payments");
    expect(page).not.toMatch(/<script|src=|https?:\/\//);
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  });
});

test("readiness says why not, metrics count, and both need no luck", async () => {
  await lab.untilReady();
  await lab.service.broker?.close();
  await expect
    .poll(async () => (await lab.call("GET", "/ready")).body.reasons, PATIENT)
    .toEqual(["the broker of the devices is not connected"]);
  const metrics = (await lab.call("GET", "/metrics")).body.text as unknown as string;
  expect(metrics).toMatch(/^picobolt_block_height \d+$/m);
  expect(metrics).toMatch(
    /^picobolt_api_call_seconds_count\{operation="getNodeInfo",status="200"\}/m,
  );
  expect(metrics).toMatch(/^process_resident_memory_bytes \d+$/m);
});
