/** Flashing a board over a pty whose far end is a chip's loader that really keeps what is written; and every way it goes wrong. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EspBoard, type EspBoardOptions } from "../../host-sim/esp-rom/board.ts";
import { type FirmwareOptions, firmwareFolder, RECORDS_OFFSET } from "./firmware-folder.ts";
import { picobolt, Running } from "./run-picobolt.ts";

let folder: string;
let board: EspBoard | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-flash-"));
});
afterEach(async () => {
  await board?.close();
  board = undefined;
  rmSync(folder, { recursive: true });
});

const port = () => join(folder, "tty");
const flashFile = () => join(folder, "flash.bin");
const image = (options: FirmwareOptions = {}) => firmwareFolder(join(folder, "image"), options);
const program = () => readFileSync(join(folder, "image/picobolt.bin"));
const onFlash = (at: number, length: number) => readFileSync(flashFile()).subarray(at, at + length);

async function plugIn(options: Partial<EspBoardOptions> = {}): Promise<EspBoard> {
  board = await EspBoard.plugIn({
    chip: "esp32",
    port: port(),
    flashFile: flashFile(),
    ...options,
  });
  return board;
}

function flashWords(path: string, ...more: string[]): string[] {
  return ["flash", "--board", "esp32", "--port", port(), "--image", path, "--json", ...more];
}

describe("a board is flashed", () => {
  test.each([
    ["esp32", "ESP32", 0x1000],
    ["esp32s3", "ESP32-S3", 0],
    ["esp32c3", "ESP32-C3", 0],
  ] as const)("%s: every byte is on its flash", async (chip, chipFamily, bootloader) => {
    await plugIn({ chip });
    const words = flashWords(image({ chipFamily }));
    words[2] = chip;
    const { code, last, stderr } = await picobolt(words);
    expect(stderr).toContain("100 %");
    expect(code).toBe(0);
    expect(last).toMatchObject({ ok: true, board: chip, baud: 921600, bytesSkipped: 0x2000 });
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
    const loader = readFileSync(join(folder, "image/bootloader.bin"));
    expect(onFlash(bootloader, loader.length).equals(loader)).toBe(true);
  });

  test("a second time nothing is written, a new program alone is", async () => {
    await plugIn();
    const first = await picobolt(flashWords(image()));
    const second = await picobolt(flashWords(image()));
    expect(first.last.bytesWritten).toBe(20_080 + 3072 + program().length);
    expect(second.last.bytesWritten).toBe(0);
    const third = await picobolt(flashWords(image({ seed: 7 })));
    expect(third.last).toMatchObject({ bytesSkipped: 20_080 + 3072 + 0x2000 });
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
  });

  test("a board that runs its other program after an update starts the one that is written", async () => {
    const { flash } = await plugIn();
    flash.program(0xd000, Uint8Array.of(2, 0, 0, 0)); // otadata: the second program
    expect((await picobolt(flashWords(image({ programBytes: 5000 })))).code).toBe(0);
    expect(onFlash(0xd000, 0x2000).every((byte) => byte === 0xff)).toBe(true);
  });

  test("one file goes where --address says", async () => {
    await plugIn();
    const file = join(image(), "picobolt.bin");
    const without = await picobolt(flashWords(file));
    expect(without.code).toBe(2);
    expect(without.stderr).toContain("--address");
    expect((await picobolt(flashWords(file, "--address", "0x10000"))).code).toBe(0);
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
  });

  test("the folder of a build without a manifest: its names and its partition table say what goes where", async () => {
    await plugIn();
    const path = image({ programBytes: 30_000 });
    const build = join(folder, "build");
    mkdirSync(build);
    const names = { bootloader: "bootloader", partitions: "partition-table", picobolt: "xs_esp32" };
    for (const [from, to] of Object.entries(names)) {
      copyFileSync(join(path, `${from}.bin`), join(build, `${to}.bin`));
    }
    writeFileSync(join(build, "ota_data_initial.bin"), new Uint8Array(0x2000).fill(0xff));
    expect((await picobolt(flashWords(build))).code).toBe(0);
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
  });

  test("on a computer that is busy for a second it is flashed at the fast rate all the same", async () => {
    await plugIn({ faults: { lateMs: 1_200 } });
    const { code, last } = await picobolt(flashWords(image()));
    expect(last).toMatchObject({ ok: true, baud: 921600 });
    expect(code).toBe(0);
  });

  test("a line that carries noise at the fast rate is used at the slow one", async () => {
    await plugIn({ faults: { maxBaud: 460_800 } });
    const { code, last, stderr } = await picobolt(flashWords(image()));
    // Noise is told from silence only where some of it looks like an answer.
    expect(stderr).toMatch(/does not carry 921600 baud|failed at 921600 baud/);
    expect(last).toMatchObject({ ok: true, baud: 115200 });
    expect(code).toBe(0);
  });
});

describe("nothing is written", () => {
  test("to another chip than the board's", async () => {
    await plugIn({ chip: "esp32c3" });
    const { code, stderr, last } = await picobolt(flashWords(image()));
    expect(stderr).toContain("is an ESP32-C3, the board esp32 has an ESP32; nothing was written");
    expect(code).toBe(4);
    expect(last.exitCode).toBe(4);
    expect(board?.flash.read(0, board.flash.size).every((byte) => byte === 0xff)).toBe(true);
  });

  test.each([
    ["cut short", (file: Buffer) => file.subarray(0, 100_000), "is cut short"],
    ["damaged", (file: Buffer) => file.fill(0x55, 5000, 5001), "is damaged"],
    ["no image", () => Buffer.from("<html>not found</html>"), "is no ESP image"],
    ["for another chip", (file: Buffer) => file.fill(9, 12, 13), "is for ESP32-S3, not for ESP32"],
  ])("of an image that is %s", async (_, change, sentence) => {
    const path = image();
    writeFileSync(join(path, "picobolt.bin"), change(program()));
    const { code, stderr } = await picobolt(flashWords(path)); // there is no board at all
    expect(stderr).toContain("picobolt.bin");
    expect(stderr).toContain(sentence);
    expect(code).toBe(4);
  });

  test("of a program that is too long for its partition", async () => {
    const { stderr, code } = await picobolt(flashWords(image({ programBytes: 0x180000 })));
    expect(stderr).toMatch(/picobolt.bin (runs into|has \d+ bytes, the partition "ota_0" has)/);
    expect(code).toBe(4);
  });

  test("over the records of a device in use, unless the word is typed", async () => {
    const { flash } = await plugIn();
    await picobolt(flashWords(image()));
    flash.program(RECORDS_OFFSET, Buffer.from("channels"));
    const again = await picobolt(flashWords(image({ seed: 5 })));
    expect(again.stderr).toContain('own data ("records") is kept');
    expect(Buffer.from(flash.read(RECORDS_OFFSET, 8)).toString()).toBe("channels");

    const moved = flashWords(image({ recordsOffset: 0x350000 }));
    const refused = await picobolt(moved);
    expect(refused.stderr).toContain('holds data in its partition "records" at 0x310000');
    expect(refused.code).toBe(4);
    const untyped = await picobolt([...moved, "--erase-all"], { input: "yes\n" });
    expect(untyped.stderr).toContain("the word was not typed; nothing was written");
    expect(Buffer.from(flash.read(RECORDS_OFFSET, 8)).toString()).toBe("channels");
    const typed = await picobolt([...moved, "--erase-all"], { input: "erase\n" });
    expect(typed.code).toBe(0);
    expect(flash.read(RECORDS_OFFSET, 8).every((byte) => byte === 0xff)).toBe(true);
  });
});

describe("what goes wrong on the way", () => {
  test("unplugged half way: it says so, and goes on there the next time", async () => {
    const { faults } = await plugIn({ faults: { unplugAfterBytes: 330_000 } });
    const path = image({ programBytes: 500_000 });
    const first = await picobolt(flashWords(path));
    expect(first.stderr).toContain("vanished after");
    expect(first.stderr).toContain("run the same command again, it goes on where it stopped");
    expect(first.code).toBe(1);
    expect(faults.unplugAfterBytes).toBeUndefined();
    await board?.replug();
    const second = await picobolt(flashWords(path));
    expect(second.code).toBe(0);
    expect(second.last.bytesSkipped).toBeGreaterThanOrEqual(20_080 + 3072 + 2 * 128 * 1024);
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
  });

  test("a byte that the flash keeps wrong is noticed, and written again", async () => {
    await plugIn({ faults: { corrupt: { address: 0x20000 } } });
    const { code } = await picobolt(flashWords(image()));
    expect(code).toBe(0);
    expect(onFlash(0x10000, program().length).equals(program())).toBe(true);
  });

  test("a flash that keeps it wrong again and again is told", async () => {
    await plugIn({ faults: { corrupt: { address: 0x20000, times: 9 } } });
    const { code, stderr } = await picobolt(flashWords(image()));
    expect(stderr).toContain("is not what was written of picobolt.bin (MD5 differs");
    expect(code).toBe(1);
  });

  test("no answer: it says what to hold down, and goes on as soon as that is done", async () => {
    const { faults } = await plugIn({ faults: { isSilent: true } });
    const running = new Running(flashWords(image()));
    await running.says("hold BOOT");
    faults.isSilent = false;
    expect((await running.done).code).toBe(0);
  });

  test("no answer at all, no port, Ctrl-C: one sentence and an exit code each", async () => {
    const none = await picobolt(flashWords(image()));
    expect(none.stderr).toContain(`${port()} is not there`);
    expect(none.code).toBe(3);
    await plugIn({ faults: { isSilent: true } });
    const silent = await picobolt(flashWords(image(), "--timeout", "1"));
    expect(silent.stderr).toContain(`no ESP chip answers on ${port()}; hold BOOT`);
    expect(silent.code).toBe(3);
    const running = new Running(flashWords(image()));
    await running.says("hold BOOT");
    running.process.kill("SIGINT");
    const stopped = await running.done;
    expect(stopped.code).toBe(130);
    expect(stopped.last).toEqual({ error: "stopped", exitCode: 130 });
  });
});
