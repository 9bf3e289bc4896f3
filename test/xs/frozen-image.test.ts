/** The frozen-image rules of DESIGN §5: with all module state read-only, as in a device's flash, the core works as before. */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { encodeMessage } from "../../core/messages/codec.ts";
import { channelId } from "../../core/primitives/brands.ts";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { bundleCoreModule, bundleXsScripts, type XsScripts } from "../../host-sim/xs/bundle.ts";
import {
  freezeImage,
  reassignableModuleVariables,
  writableLines,
} from "../../host-sim/xs/frozen-image.ts";
import { scenarios } from "../../host-sim/xs/scenarios.ts";

const messages = [
  encodeMessage({ type: "ping", pongBytes: 3, ignored: new Uint8Array(4) }),
  encodeMessage({
    type: "warning",
    channelId: channelId(new Uint8Array(32)),
    data: "low on coffee",
  }),
];
const bridges: XsBridge[] = [];
let scripts: XsScripts;
beforeAll(async () => {
  scripts = await bundleXsScripts();
});
afterEach(async () => {
  await Promise.all(bridges.splice(0).map((bridge) => bridge.close()));
});

async function start(core: string): Promise<XsBridge> {
  const bridge = await XsBridge.start({ scripts: { ...scripts, core } });
  bridges.push(bridge);
  return bridge;
}

/** A bit of everything the core does without a peer; the answers in hex. */
async function work(xs: XsBridge): Promise<readonly string[]> {
  const hash = new Uint8Array(32).fill(1);
  const calls: readonly (readonly [string, ...Uint8Array[]])[] = [
    ["crypto", ascii("publicKeyOf"), hash],
    ["crypto", ascii("sign"), hash, hash],
    ...Object.keys(scenarios).map((name) => ["scenario", ascii(name)] as const),
    ...messages.map((message) => ["message", message] as const),
  ];
  const answers: string[] = [];
  for (const [name, ...parameters] of calls) {
    answers.push((await xs.call(name, ...parameters)).parts.map(toHex).join(" "));
  }
  return answers;
}

test("the core does the same work after its module state was frozen", async () => {
  const xs = await start(scripts.core);
  const before = await work(xs);
  expect(await freezeImage(xs, scripts.core)).toEqual([]);
  const writable = await writableLines(xs);
  expect(await work(xs)).toEqual(before);
  expect(await writableLines(xs), "something at module level has grown").toEqual(writable);
});

test("no module of the core has a variable that could be assigned again", async () => {
  expect(reassignableModuleVariables(scripts.core)).toEqual([]);
  expect(reassignableModuleVariables((await bundleCoreModule()).code)).toEqual([]);
});

describe("the check finds", () => {
  /** A core with one more module, whose function `touch` is what the frozen image must not survive. */
  async function spoiled(source: string): Promise<{ xs: XsBridge; core: string }> {
    const core = `var picobolt = (function () { "use strict"; ${source}
      return { modules: picobolt.modules, moduleState: { touch, ...picobolt.moduleState } }; })();`;
    const xs = await start(`${scripts.core}\n${core}`);
    return { xs, core };
  }

  test.each([
    ["a counter", "let n = 0; const touch = () => n++;", /Environment.*\.n$/],
    [
      "a hidden buffer",
      "const b = new Uint8Array(4); const touch = () => (b[0] = 1);",
      /ArrayBufferData/,
    ],
    ["a hidden cache", "const m = new Map(); const touch = () => m.set(1, 1);", /MapData/],
    ["a regular expression", "const touch = { pattern: /a/g };", /is a RegExp/],
  ])("%s", async (_name, source, expected) => {
    const { xs, core } = await spoiled(source);
    expect((await freezeImage(xs, core)).join("\n")).toMatch(expected);
  });

  test("a write to a frozen table", async () => {
    const { xs, core } = await spoiled(
      "const table = new Uint8Array(4); const touch = () => { table[0] = 1; }; touch.table = table;",
    );
    expect(await freezeImage(xs, core)).toEqual([]);
    await expect(xs.worker.evaluate("picobolt.moduleState.touch()")).rejects.toThrow(/read-only/);
  });

  test("let and var at module level", () => {
    const code = "let a = 1, { b } = {}; var c; const d = 1; function f() { let e; } export { a };";
    expect(reassignableModuleVariables(code)).toEqual(["a", "b", "c"]);
  });
});
