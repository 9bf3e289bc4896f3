/** What a gateway does not use it does not load: an idle one stays small (docs/PERFORMANCE.md, issue 4: 120 MB). */
import { createRequire } from "node:module";
import { afterAll, expect, test } from "vitest";
import { ApiLab } from "../api/api-lab.ts";

const require = createRequire(import.meta.url);
let gateway: ApiLab | undefined;
afterAll(() => gateway?.stop());

function loaded(): readonly string[] {
  const names = Object.keys(require.cache).map((path) => {
    return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? "";
  });
  return [...new Set(names)];
}

test("on SQLite there is no PostgreSQL, no second schema compiler, and no table of all numbers", async () => {
  gateway = await ApiLab.start();
  expect((await gateway.call("GET", "/api/node/info")).status).toBe(200);
  expect(loaded()).toContain("fastify");
  expect(loaded()).toContain("mqtt");
  expect(loaded()).not.toContain("pg");
  expect(loaded()).not.toContain("ajv");
  // As mqtt.js finds it.
  const encoder = createRequire(require.resolve("mqtt"))("mqtt-packet") as {
    readonly writeToStream: { readonly cacheNumbers: boolean };
  };
  expect(encoder.writeToStream.cacheNumbers).toBe(false);
});
