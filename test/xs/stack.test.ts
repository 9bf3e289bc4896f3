/** A device's engine has a stack of some hundred slots (DESIGN §5): the core's work must fit into it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { nativeCrypto } from "../../gateway/crypto/native.ts";
import { XsBridge, type XsBridgeOptions } from "../../host-sim/xs/bridge.ts";
import { bundleXsScripts } from "../../host-sim/xs/bundle.ts";
import { callCrypto } from "../../host-sim/xs/crypto-calls.ts";
import { scenarios } from "../../host-sim/xs/scenarios.ts";

const crypto = nativeCrypto() ?? nobleCrypto();
/** Of the worker, in its own source. */
const WORKER_SLOTS = 4096;
const DEVICE_SLOTS = 512;

let options: XsBridgeOptions;
let deepest: number;
let xs: XsBridge;
beforeAll(async () => {
  const serveCrypto = (method: Uint8Array | undefined, ...parameters: readonly Uint8Array[]) =>
    callCrypto(crypto, Buffer.from(method ?? []).toString(), parameters);
  options = { scripts: await bundleXsScripts(), host: { crypto: serveCrypto } };
  deepest = await deepestDescent();
  xs = await XsBridge.start(options);
});
afterAll(() => xs?.close());

test.each(Object.entries(scenarios))("%s fits into a device's stack", async (name, scenario) => {
  const frames = Math.ceil(deepest * (1 - DEVICE_SLOTS / WORKER_SLOTS));
  const { parts, meter } = await xs.call("scenario-in-depth", ascii(name), u32(frames));
  expect(parts.map(toHex)).toEqual(scenario(crypto).map(toHex));
  console.log(`XS compute of ${name} without its crypto: ${meter.compute}`);
});

test("a list spread into arguments does not", async () => {
  const spread = "Math.max(...new Array(600).fill(1))";
  const frames = Math.ceil(deepest * (1 - DEVICE_SLOTS / WORKER_SLOTS));
  const bridge = await XsBridge.start(options);
  const descent = `(function descend(n) { if (n === 0) return ${spread}; const r = descend(n - 1); return r; })`;
  await bridge.worker.evaluate(`${descent}(0)`);
  await expect(bridge.worker.evaluate(`${descent}(${frames})`)).rejects.toThrow(/stack overflow/);
  await bridge.close();
});

/** The most frames that the worker survives with nothing to do at their end. */
async function deepestDescent(): Promise<number> {
  let possible = 1;
  let impossible = WORKER_SLOTS;
  while (impossible - possible > 1) {
    const middle = Math.floor((possible + impossible) / 2);
    if (await survives(middle)) possible = middle;
    else impossible = middle;
  }
  return possible;
}

async function survives(frames: number): Promise<boolean> {
  const bridge = await XsBridge.start(options);
  try {
    await bridge.call("descend", u32(frames));
    return true;
  } catch (error) {
    expect(String(error)).toMatch(/stack overflow/);
    return false;
  } finally {
    await bridge.close();
  }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
