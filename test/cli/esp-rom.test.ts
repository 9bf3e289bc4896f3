/** The emulated chip behaves as a chip where it matters: flash that was not erased, damaged packets, programs that are not whole. */
import { expect, test } from "vitest";
import { startableApp } from "../../host-sim/esp-rom/boot.ts";
import { CHIPS } from "../../host-sim/esp-rom/chips.ts";
import { RomLoader } from "../../host-sim/esp-rom/rom-loader.ts";
import { SlipReader, slipPacket } from "../../host-sim/esp-rom/slip.ts";
import { SpiFlash } from "../../host-sim/esp-rom/spi-flash.ts";
import { espImage } from "./firmware-folder.ts";

const FLASH_DATA = 0x03;
const FLASH_BEGIN = 0x02;
const SECURITY_INFO = 0x14;

function chipWithFlash() {
  const flash = new SpiFlash(undefined);
  const answers: Uint8Array[] = [];
  const reader = new SlipReader((packet) => answers.push(packet));
  const loader = new RomLoader(
    CHIPS.esp32,
    flash,
    {},
    {
      send: (bytes) => reader.receive(bytes),
      onUnplugged: () => {},
      onReboot: () => {},
    },
  );
  const ask = (op: number, data: Uint8Array, checksum = 0) => {
    answers.length = 0;
    const header = Uint8Array.of(0, op, data.length, data.length >> 8, checksum, 0, 0, 0);
    loader.receive(slipPacket(Uint8Array.from([...header, ...data])));
    return answers;
  };
  return { flash, ask };
}

function words(...values: number[]): Uint8Array {
  const out = new Uint8Array(4 * values.length);
  values.forEach((value, index) => {
    new DataView(out.buffer).setUint32(4 * index, value, true);
  });
  return out;
}

test("flash that was not erased keeps its cleared bits", () => {
  const flash = new SpiFlash(undefined);
  flash.program(0x100, Uint8Array.of(0xf0));
  flash.program(0x100, Uint8Array.of(0x3c));
  expect(flash.read(0x100, 1)).toEqual(Uint8Array.of(0x30));
  expect(flash.erase(0x100, 1)).toBe(true);
  expect(flash.read(0xfff, 1)).toEqual(Uint8Array.of(0xff));
  expect(flash.erase(flash.size, 1)).toBe(false);
});

test("a block with a wrong checksum is refused and not written; the right one is", () => {
  const { flash, ask } = chipWithFlash();
  ask(FLASH_BEGIN, words(4, 1, 4, 0x2000));
  const block = Uint8Array.from([...words(4, 0, 0, 0), 0xc0, 0xdb, 1, 2]);
  expect(ask(FLASH_DATA, block, 0)[0]?.slice(8)).toEqual(Uint8Array.of(1, 7, 0, 0));
  expect(flash.read(0x2000, 4)).toEqual(Uint8Array.of(255, 255, 255, 255));
  const checksum = 0xef ^ 0xc0 ^ 0xdb ^ 1 ^ 2;
  expect(ask(FLASH_DATA, block, checksum)[0]?.slice(8)).toEqual(Uint8Array.of(0, 0, 0, 0));
  expect(flash.read(0x2000, 4)).toEqual(Uint8Array.of(0xc0, 0xdb, 1, 2));
});

test("an ESP32's ROM does not know the security question, and says so eight times", () => {
  const answers = chipWithFlash().ask(SECURITY_INFO, new Uint8Array(0));
  expect(answers).toHaveLength(8);
  expect(answers[0]?.slice(8, 10)).toEqual(Uint8Array.of(1, 5));
});

test("it starts nothing but a whole program for itself", () => {
  const flash = new SpiFlash(undefined);
  expect(startableApp(CHIPS.esp32c3, flash).problem).toBe("invalid header: 0xffffffff");
  flash.program(0, espImage(5, new Uint8Array(100)));
  expect(startableApp(CHIPS.esp32c3, flash).problem).toContain("partition table");
  const entry = new Uint8Array(32);
  entry.set([0xaa, 0x50, 0, 0x10, 0, 0, 1, 0]);
  flash.program(0x8000, entry);
  expect(startableApp(CHIPS.esp32c3, flash).problem).toContain("no valid magic byte");
  flash.program(0x10000, espImage(5, new Uint8Array(100)));
  expect(startableApp(CHIPS.esp32c3, flash).app).toEqual({ offset: 0x10000 });
  flash.corrupt(0x10030);
  expect(startableApp(CHIPS.esp32c3, flash).problem).toContain("Checksum failed");
});
