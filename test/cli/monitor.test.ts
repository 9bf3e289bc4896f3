/** Watching a device's serial port: text and frames told apart, a cable that is pulled, an orderly end; and ports that do not open. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeFrame } from "../../core/transport/framing.ts";
import { Kind } from "../../core/transport/packets.ts";
import { EspBoard } from "../../host-sim/esp-rom/board.ts";
import { PATIENT } from "../support/patience.ts";
import { firmwareFolder } from "./firmware-folder.ts";
import { picobolt, Running } from "./run-picobolt.ts";

let folder: string;
let board: EspBoard | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-monitor-"));
});
afterEach(async () => {
  await board?.close();
  board = undefined;
  rmSync(folder, { recursive: true });
});

/** A board whose program writes these bytes, and after them what its standard input brings. */
async function boardThatSays(bytes: Uint8Array): Promise<string> {
  const port = join(folder, "tty");
  const script = `
    const socket = require("node:net").connect(process.argv[1]);
    socket.write(Buffer.from("${Buffer.from(bytes).toString("hex")}", "hex"));
    process.stdin.pipe(socket);
    socket.on("close", () => process.exit());`;
  let program: ChildProcessWithoutNullStreams | undefined;
  board = await EspBoard.plugIn({
    chip: "esp32c3",
    port,
    startProgram: (socket) => {
      program = spawn(process.execPath, ["-e", script, socket]);
      return program;
    },
  });
  const image = firmwareFolder(join(folder, "image"), {
    chipFamily: "ESP32-C3",
    programBytes: 5000,
  });
  const words = ["flash", "--board", "esp32c3", "--port", port, "--image", image];
  expect((await picobolt(words)).code).toBe(0);
  // Flashed, it runs and has spoken to nobody: whoever opens the port next hears what it says after that.
  await expect.poll(() => program, PATIENT).toBeDefined();
  await passed(port, (marker) => program?.stdin.write(marker));
  return port;
}

/** What was said before is off the line: a marker said after it has come out of the port. */
async function passed(port: string, say: (marker: Buffer) => void): Promise<void> {
  const marker = randomBytes(16);
  const { O_RDONLY, O_NOCTTY, O_NONBLOCK } = constants;
  const line = openSync(port, O_RDONLY | O_NOCTTY | O_NONBLOCK);
  let heard = Buffer.alloc(0);
  say(marker);
  const isHeard = () => {
    heard = Buffer.concat([heard, waiting(line)]);
    return heard.includes(marker);
  };
  await expect.poll(isHeard, PATIENT).toBe(true);
  closeSync(line);
}

function waiting(line: number): Buffer {
  const bytes = Buffer.alloc(4096);
  try {
    return bytes.subarray(0, readSync(line, bytes));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EAGAIN") return Buffer.alloc(0);
    throw cause;
  }
}

test("flash, then monitor: the chip's own words, the program's lines, its frames, and noise", async () => {
  const frame = encodeFrame([Uint8Array.of(Kind.actOne, 1, 2, 3)]);
  const port = await boardThatSays(
    Buffer.concat([
      Buffer.from("ready: 2 products é\r\n"),
      frame,
      Buffer.from("sold 1 espresso\n"),
      Uint8Array.of(0, 0x83, 0x91, 0xff, 0),
      Buffer.from("no line end"),
    ]),
  );
  const running = new Running(["monitor", "--port", port, "--json"]);
  await running.says("at 115200 baud");
  await board?.reset();
  await running.says("no line end");
  running.process.kill("SIGINT");
  const { json, code } = await running.done;
  expect(code).toBe(130);
  expect(json).toEqual([
    { line: "ESP-ROM:esp32c3-api1-20210207" },
    { line: "Build:Feb  7 2021" },
    { line: "rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)" },
    { line: "ready: 2 products é" },
    { frame: "handshake, act one", bytes: 4 },
    { line: "sold 1 espresso" },
    { noise: 3 },
    { line: "no line end" },
    { error: "stopped", exitCode: 130 },
  ]);
});

test("the cable is pulled and put back: it waits, and goes on", async () => {
  const port = await boardThatSays(Buffer.from("hello\n"));
  const running = new Running(["monitor", "--port", port]);
  await running.says("at 115200 baud");
  await board?.unplug();
  await running.says("vanished: waiting for it");
  await board?.replug();
  await running.says("is back");
  await board?.reset();
  await running.says("hello");
  running.process.kill("SIGTERM");
  expect((await running.done).code).toBe(130);
});

test("a port that is in use, that may not be opened, that is none: devices says which, and what to do", async () => {
  const port = await boardThatSays(Buffer.from("hello\n"));
  const user = new Running(["monitor", "--port", port]);
  await user.says("at 115200 baud");
  const plain = join(folder, "file");
  writeFileSync(plain, "");
  const { json, code } = await picobolt(["devices", "--json", "--port", port, plain, "/dev/nope"]);
  user.process.kill();
  await user.done;
  const [busy, file, missing, result] = json;
  expect(busy?.problem).toContain("is in use by another program; close it");
  expect(file?.problem).toContain("is no serial port");
  expect(missing?.problem).toContain("is not there; plug the device in");
  expect(result).toEqual({ found: 3, answering: 0 });
  expect(code).toBe(0);
  if (process.getuid?.() === 0) return; // root may open everything
  chmodSync(plain, 0);
  const forbidden = await picobolt(["devices", "--port", plain]);
  expect(forbidden.stdout).toContain("sudo usermod -aG dialout $USER");
});
