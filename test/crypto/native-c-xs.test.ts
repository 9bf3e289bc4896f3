/** The device's C crypto inside the real XS engine: its host functions answer as noble does, and refuse what would harm them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { buildXsCryptoWorker } from "../../host-sim/xs/build.ts";
import { noble } from "../support/crypto-providers.ts";
import { cryptoCases } from "./native-c/cases.ts";

let bridge: XsBridge | undefined;

beforeAll(async () => {
  bridge = await XsBridge.start({ executable: await buildXsCryptoWorker() });
});
afterAll(() => bridge?.close());

async function outcome(method: string, parameters: readonly Uint8Array[]): Promise<string> {
  try {
    const { parts } = await (bridge as XsBridge).call(
      "native-crypto",
      ascii(method),
      ...parameters,
    );
    return parts[0] === undefined ? "undefined" : toHex(parts[0]);
  } catch (error) {
    return `throws ${/AssertionError/.exec((error as Error).message)?.[0]}`;
  }
}

/** Runs a script in XS; what it is worth, as text. */
async function inXs(expression: string): Promise<string> {
  const script = `{
    const native = picoboltNative;
    const bytes = (length, fill = 1) => new Uint8Array(length).fill(fill);
    let said;
    try { said = String(${expression}); } catch (error) { said = String(error); }
    Uint8Array.from(said, (character) => character.charCodeAt(0)).buffer;
  }`;
  return Buffer.from((await (bridge as XsBridge).worker.evaluate(script)).bytes).toString();
}

test("every method comes to the same outcome as noble", async () => {
  const wrong: string[] = [];
  const cases = cryptoCases(7, 40);
  for (const { method, parameters, expected } of cases) {
    const said = await outcome(method, parameters);
    if (said !== expected) wrong.push(`${method}: ${said}, not ${expected}`);
  }
  expect(wrong).toEqual([]);
  expect(cases.length).toBeGreaterThan(2_000);
});

test("the self-test of a start passes, and each draw of entropy differs", async () => {
  expect((await (bridge as XsBridge).call("native-self-test")).parts).toEqual([]);
  const draw = "((out) => (native.entropy(out), out))(bytes(32))";
  expect(await inXs(draw)).not.toBe(await inXs(draw));
});

test("views into a larger buffer are read where they begin and written nowhere else", async () => {
  const said = await inXs(`(() => {
    const memory = bytes(200, 9);
    const data = memory.subarray(3, 3 + 61);
    const out = memory.subarray(101, 133);
    native.sha256(data, out);
    const whole = bytes(32);
    native.sha256(data.slice(), whole);
    const untouched = memory.every((byte, i) => (i >= 101 && i < 133) || byte === 9);
    return [whole.join() === out.join(), untouched];
  })()`);
  expect(said).toBe("true,true");
});

test.each([
  ["native.sign(bytes(31), bytes(32), bytes(64))", "RangeError: hash must have 32 bytes, has 31"],
  [
    "native.sign(bytes(32), bytes(33), bytes(64))",
    "RangeError: secret key must have 32 bytes, has 33",
  ],
  ["native.sign(bytes(32), bytes(32), bytes(63))", "RangeError: result must have 64 bytes, has 63"],
  ["native.sha256(bytes(3), bytes(33))", "RangeError: result must have 32 bytes, has 33"],
  [
    "native.verify(bytes(64), bytes(32), bytes(65))",
    "RangeError: public key must have 33 bytes, has 65",
  ],
  [
    "native.encrypt(bytes(32), bytes(12), bytes(0), bytes(5), bytes(20))",
    "RangeError: result must have 21 bytes, has 20",
  ],
  [
    "native.encrypt(bytes(32), bytes(8), bytes(0), bytes(5), bytes(21))",
    "RangeError: nonce must have 12 bytes, has 8",
  ],
  [
    "native.decrypt(bytes(32), bytes(12), bytes(0), bytes(15), bytes(0))",
    "RangeError: ciphertext is shorter than its tag",
  ],
  ["native.isPublicKey(bytes(0))", "false"],
  ["native.isSecretKey(bytes(31))", "false"],
])("%s: %s", async (call, said) => {
  expect((await inXs(call)).replace(/@xs_picobolt_\w+: /, "")).toBe(said);
});

test.each([
  "native.sha256()",
  "native.sha256(bytes(1))",
  "native.sha256('text', bytes(32))",
  "native.sha256(undefined, bytes(32))",
  "native.sha256(new Uint16Array(4), bytes(32))",
  "native.sha256({ length: 3, 0: 1 }, bytes(32))",
  "native.entropy(12)",
])("%s throws, and the engine lives on", async (call) => {
  expect(await inXs(call)).toMatch(/Error: /);
  expect(await inXs("native.isSecretKey(bytes(32))")).toBe("true");
});

test("garbage collected in between harms nothing: buffers move, results do not", async () => {
  const said = await inXs(`(() => {
    let kept = bytes(32), ballast = [];
    for (let i = 0; i < 3000; i++) {
      const out = new Uint8Array(32);
      native.sha256(kept, out);
      kept = out;
      ballast.push(new Uint8Array(64 + (i % 50)));
      if (ballast.length > 40) ballast = ballast.slice(30);
    }
    return kept;
  })()`);
  let expected: Uint8Array = new Uint8Array(32).fill(1);
  for (let i = 0; i < 3000; i++) expected = noble.sha256(expected);
  expect(said).toBe(expected.join());
});
