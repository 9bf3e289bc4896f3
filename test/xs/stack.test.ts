/** A device's engine has a stack of some hundred slots (DESIGN §5): the core's work must fit into it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { nativeCrypto } from "../../gateway/crypto/native.ts";
import { XsBridge, type XsBridgeOptions } from "../../host-sim/xs/bridge.ts";
import { bundleXsScripts } from "../../host-sim/xs/bundle.ts";
import { callCrypto } from "../../host-sim/xs/crypto-calls.ts";
import { DEVICE_SLOTS, framesThatLeave, u32 } from "../../host-sim/xs/narrow-stack.ts";
import { scenarios } from "../../host-sim/xs/scenarios.ts";

const crypto = nativeCrypto() ?? nobleCrypto();

let options: XsBridgeOptions;
let frames: number;
let xs: XsBridge;
beforeAll(async () => {
  const serveCrypto = (method: Uint8Array | undefined, ...parameters: readonly Uint8Array[]) =>
    callCrypto(crypto, Buffer.from(method ?? []).toString(), parameters);
  options = { scripts: await bundleXsScripts(), host: { crypto: serveCrypto } };
  frames = await framesThatLeave(DEVICE_SLOTS, options);
  xs = await XsBridge.start(options);
});
afterAll(() => xs?.close());

test.each(Object.entries(scenarios))("%s fits into a device's stack", async (name, scenario) => {
  const { parts, meter } = await xs.call("scenario-in-depth", ascii(name), u32(frames));
  expect(parts.map(toHex)).toEqual(scenario(crypto).map(toHex));
  console.log(`XS compute of ${name} without its crypto: ${meter.compute}`);
});

test("a list spread into arguments does not", async () => {
  const spread = "Math.max(...new Array(600).fill(1))";
  const bridge = await XsBridge.start(options);
  const descent = `(function descend(n) { if (n === 0) return ${spread}; const r = descend(n - 1); return r; })`;
  await bridge.worker.evaluate(`${descent}(0)`);
  await expect(bridge.worker.evaluate(`${descent}(${frames})`)).rejects.toThrow(/stack overflow/);
  await bridge.close();
});
