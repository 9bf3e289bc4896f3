/** The emulated NOR flash refuses what NOR refuses and loses power as NOR does (host-sim/flash). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  NorFlash,
  NorViolation,
  PAGE_BYTES,
  PowerCut,
  SECTOR_BYTES,
} from "../../host-sim/flash/nor-flash.ts";

const SIZE = 64 * 1024;

test("a program clears bits; setting one is refused and changes nothing; an erase sets them all", () => {
  const flash = new NorFlash({ size: SIZE });
  expect(flash.read(0, SIZE).every((byte) => byte === 0xff)).toBe(true);
  flash.program(10, Uint8Array.of(0b1111_0000));
  flash.program(10, Uint8Array.of(0b1010_0000));
  expect(() => flash.program(9, Uint8Array.of(0, 0b1010_0001))).toThrow(NorViolation);
  expect(flash.read(9, 3)).toEqual(Uint8Array.of(0xff, 0b1010_0000, 0xff));
  flash.erase(0);
  expect(flash.read(10, 1)).toEqual(Uint8Array.of(0xff));
  expect([...flash.eraseCounts.slice(0, 2)]).toEqual([1, 0]);
});

test("what lies outside is refused, and so is an odd size", () => {
  const flash = new NorFlash({ size: SIZE });
  expect(() => flash.program(SIZE - 1, Uint8Array.of(0, 0))).toThrow("outside");
  expect(() => flash.read(-1, 1)).toThrow("outside");
  expect(() => flash.erase(SIZE / SECTOR_BYTES)).toThrow("outside");
  expect(() => new NorFlash({ size: SIZE + 1 })).toThrow("64 KB");
  expect(() => new NorFlash({ size: 32 * 1024 })).toThrow("64 KB");
});

test("a page program or a sector erase is a step, and power fails inside the step that was named", () => {
  const data = new Uint8Array(PAGE_BYTES * 2).fill(0x0f);
  for (let seed = 0; seed < 50; seed++) {
    const flash = new NorFlash({ size: SIZE });
    flash.program(100, data);
    expect(flash.steps).toBe(3);
    flash.failAt(4, seed);
    expect(() => flash.program(SECTOR_BYTES, data)).toThrow(PowerCut);
    expect(() => flash.read(0, 1)).toThrow(PowerCut);
    const after = flash.image().subarray(SECTOR_BYTES, SECTOR_BYTES + data.length);
    expect(after.subarray(0, PAGE_BYTES)).toEqual(data.subarray(0, PAGE_BYTES));
    const torn = [...after.subarray(PAGE_BYTES)];
    const whole = torn.findIndex((byte) => byte !== 0x0f);
    if (whole >= 0) expect((torn[whole] as number) & 0x0f).toBe(0x0f); // one byte in progress
    expect(torn.slice(whole + 1).every((byte) => byte === 0xff) || whole < 0).toBe(true);
  }
});

test("a cut erase leaves everything between nothing and all, by seed", () => {
  const left = new Set<number>();
  for (let seed = 0; seed < 40; seed++) {
    const flash = new NorFlash({ size: SIZE });
    flash.program(0, new Uint8Array(SECTOR_BYTES));
    flash.failAt(flash.steps, seed);
    expect(() => flash.erase(0)).toThrow(PowerCut);
    left.add(
      flash
        .image()
        .subarray(0, SECTOR_BYTES)
        .filter((byte) => byte !== 0xff).length,
    );
  }
  expect(left).toContain(0);
  expect(left).toContain(SECTOR_BYTES);
  expect(left.size).toBeGreaterThan(10);
});

test("a file keeps the contents", () => {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-nor-"));
  const file = join(folder, "flash.bin");
  const first = new NorFlash({ size: SIZE, file });
  first.program(5000, Uint8Array.of(1, 2, 3));
  first.close();
  const second = new NorFlash({ size: SIZE, file });
  expect(second.read(5000, 4)).toEqual(Uint8Array.of(1, 2, 3, 0xff));
  second.close();
  expect(() => new NorFlash({ size: 2 * SIZE, file })).toThrow("were expected");
  rmSync(folder, { recursive: true });
});
