/** The device as an image for a bare microcontroller (rv32imc, 320 KB of RAM, in QEMU): what its owner and its customers may rely on. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { crc32 } from "../../core/primitives/crc32.ts";
import { encodeFrame, FrameDecoder } from "../../core/transport/framing.ts";
import { buildMcu, type McuImage } from "../../host-sim/mcu/build.ts";
import { CALL, DONE } from "../../host-sim/mcu/crypto-service.ts";
import { Mcu } from "../../host-sim/mcu/emulator.ts";
import { prove } from "../../host-sim/mcu/proof.ts";
import { cryptoStraps } from "../../host-sim/mcu/straps.ts";
import { decodeParts, encodeParts } from "../../host-sim/xs/parts.ts";
import { type Case, cryptoCases } from "../crypto/native-c/cases.ts";

const CASES_OF_A_METHOD = 16;

let image: McuImage;

beforeAll(async () => {
  image = await buildMcu();
}, 300_000);

test("is paid, gives back, loses power and memory in the middle of payments, and loses nothing", async () => {
  const said: string[] = [];
  const proof = await prove(image, {
    powerCuts: 5,
    claimCuts: 3,
    heapFailures: 2,
    onProgress: (line) => void said.push(line),
  });
  expect(proof.lostSat).toBe(0);
  expect(proof.powerCuts).toBe(5);
  // Two lives for each cut; at least one of the failed allocations was one that it could not do without.
  expect(proof.restarts).toBeGreaterThan(10);
  const told = (what: RegExp) => said.filter((line) => what.test(line)).length;
  expect(told(/^power cut \d of 5( at a step of the flash)?: /)).toBe(5);
  expect(told(/^power cut \d of 3 during a claim.*(wholly its owner's|and then claimed)$/)).toBe(3);
  // A payment's work was measured, and is no more than a device can do while its customer waits.
  expect(proof.pushInstructions).toBeGreaterThan(1e6);
  expect(proof.ramBytes).toBeLessThan(320 * 1024);
  expect(proof.engineStackSlots).toBeLessThan(1024);
}, 240_000);

describe("its crypto", () => {
  let folder: string;
  let mcu: Mcu | undefined;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "picobolt-mcu-crypto-"));
  });
  afterAll(async () => {
    await mcu?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("answers as noble does, byte for byte, and its CRC-32 as core's", async () => {
    mcu = await Mcu.start(image, folder, { settings: cryptoStraps() });
    const link = await mcu.openUart();
    let answered: (frame: Uint8Array) => void = () => {};
    const decoder = new FrameDecoder(8192, (frame) => answered(frame.slice()));
    link.onBytes = (bytes) => decoder.push(bytes);
    const call = (method: string, parameters: readonly Uint8Array[]) =>
      new Promise<string>((resolve) => {
        answered = (frame) => {
          const [part] = decodeParts(frame.slice(1));
          const result = part === undefined ? "undefined" : toHex(part);
          resolve(frame[0] === DONE ? result : "throws");
        };
        const parts = encodeParts([ascii(method), ...parameters]);
        link.send(encodeFrame([Uint8Array.of(CALL), parts]));
      });
    const cases = someOfEach(cryptoCases(20, 12));
    expect(new Set(cases.map(({ method }) => method)).size).toBe(17);
    const wrong: string[] = [];
    for (const { method, parameters, expected } of cases) {
      const is = await call(method, parameters);
      const must = expected.startsWith("throws") ? "throws" : expected;
      if (is !== must) wrong.push(`${method} ${parameters.map(toHex)}: ${is}, not ${must}`);
    }
    expect(wrong).toEqual([]);
    // What its flash is checked with is not core's own code there.
    for (const length of [0, 1, 7, 64, 501]) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 151) ^ (i >> 3));
      for (const previous of [0, 1, 0x8000_0000, 0xffff_ffff, crc32(bytes)]) {
        const is = await call("crc32", [word(previous), bytes]);
        expect(is).toBe(toHex(word(crc32(bytes, previous))));
      }
    }
  });
});

function word(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** The machine takes some ten a second: of each method's cases those that lie far apart. */
function someOfEach(all: readonly Case[]): readonly Case[] {
  const fitting = all.filter(({ parameters }) => parameters.every(({ length }) => length < 600));
  return [...new Set(fitting.map(({ method }) => method))].flatMap((method) => {
    const cases = fitting.filter((one) => one.method === method);
    const step = Math.max(1, Math.floor(cases.length / CASES_OF_A_METHOD));
    return cases.filter((_, i) => i % step === 0).slice(0, CASES_OF_A_METHOD);
  });
}
