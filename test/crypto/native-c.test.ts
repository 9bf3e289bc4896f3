/** The device's crypto in C answers as noble does, byte for byte, on 64 and 32 bits and under sanitizers. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hkdf } from "../../core/transport/hkdf.ts";
import { nativeCrypto, nativeEntropy } from "../../firmware/crypto/native.ts";
import { selfTest } from "../../firmware/crypto/self-test.ts";
import { callCrypto } from "../../host-sim/xs/crypto-calls.ts";
import { noble } from "../support/crypto-providers.ts";
import { cryptoCases, outcomeOf } from "./native-c/cases.ts";
import { CProcess, compileCalls, functionsOf } from "./native-c/process.ts";

const cases = cryptoCases(20_261_121, 300);

describe.each([
  { name: "on 64 bits", options: ["-O2"] },
  { name: "on 32 bits, as small as on the device", options: ["-m32", "-Os"] },
  {
    name: "under the address and undefined-behaviour sanitizers",
    options: ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
  },
])("$name", ({ options }) => {
  let process: CProcess;
  beforeAll(() => {
    process = new CProcess(compileCalls(options));
  });
  afterAll(() => process.close());

  test("it comes to the same outcome as noble on every case", () => {
    const crypto = nativeCrypto(functionsOf(process));
    const wrong = cases.filter(
      ({ method, parameters, expected }) =>
        outcomeOf(() => callCrypto(crypto, method, parameters)) !== expected,
    );
    expect(wrong.map(({ method, expected }) => `${method}: not ${expected}`)).toEqual([]);
    expect(cases.length).toBeGreaterThan(5_000);
  });

  test("blinding changes no result", () => {
    const some = cases.filter(({ method }) => /^(sign|publicKeyOf|ecdh)$/.test(method));
    for (const fill of [0, 1, 0xff]) {
      process.call("blind", new Uint8Array(32).fill(fill));
      const crypto = nativeCrypto(functionsOf(process));
      for (const { method, parameters, expected } of some.slice(-60)) {
        expect(outcomeOf(() => callCrypto(crypto, method, parameters))).toBe(expected);
      }
    }
  });

  test("its HKDF is the one of BOLT 8", () => {
    for (const length of [0, 32, 33]) {
      const salt = new Uint8Array(32).fill(length);
      const material = new Uint8Array(length).fill(7);
      const { result } = process.call("hkdf", salt, material);
      const [first, second] = hkdf(noble, salt, material);
      expect([result.slice(0, 32), result.slice(32)]).toEqual([first, second]);
    }
  });

  test("a failed call leaves zeroes behind, and a forged message nothing at all", () => {
    const zero = new Uint8Array(32);
    const failed = [
      process.call("publicKeyOf", zero),
      process.call("sign", zero, zero),
      process.call("ecdh", zero, noble.publicKeyOf(zero.map(() => 1) as never)),
      process.call(
        "secretKeyTweakAdd",
        zero,
        zero.map(() => 1),
      ),
      process.call("publicKeyTweakMultiply", new Uint8Array(33), zero),
    ];
    for (const { done, result } of failed) {
      expect(done).toBe(false);
      expect(result.every((byte) => byte === 0)).toBe(true);
    }
    const forged = process.call("decrypt", zero, zero.slice(0, 12), zero, zero);
    expect(forged.done).toBe(false);
    expect(forged.result.every((byte) => byte === 0xee)).toBe(true); // as calls.c had filled it
  });

  test("it passes the self-test of a start", () => {
    const native = functionsOf(process);
    const entropy = {
      random: (length: number) => nativeEntropy(native).random(64).slice(0, length),
    };
    expect(selfTest(nativeCrypto(native), entropy)).toBeUndefined();
  });
});
