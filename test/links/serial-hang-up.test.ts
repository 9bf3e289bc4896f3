/** A cable that is pulled in the middle of what a device says: noticed every time, and not by reading nothing for ever. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSerialPort } from "../../gateway/links/serial-port.ts";
import { SerialLink } from "../../host-sim/links/serial-link.ts";
import { PATIENT } from "../support/patience.ts";

const PULLS = 40;
const LINE = "a device that talks without end\n".repeat(10);

let folder: string;
let socat: ChildProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-hang-up-"));
});
afterEach(() => {
  socat?.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

test(`${PULLS} cables pulled while the device talks`, async () => {
  for (let i = 0; i < PULLS; i++) await pulled(join(folder, `tty${i}`), i % 20);
});

test("a link whose words waited when the cable was pulled opens its port once when it is back", async () => {
  const path = join(folder, "tty");
  const device = createServer((socket) => socket.on("error", () => {}).pause());
  device.listen(`${path}.sock`);
  await once(device, "listening");
  await plugged(path);
  const link = await SerialLink.open(path);
  // Nobody reads at the other end: it fills, and a write waits.
  for (let i = 0; i < 200; i++) link.send(new Uint8Array(4_096));
  socat?.kill("SIGKILL");
  await expect.poll(() => link.isOpen, PATIENT).toBe(false);
  rmSync(path, { force: true });
  await plugged(path);
  await expect.poll(() => link.isOpen, PATIENT).toBe(true);
  await pause(1_000);
  expect(openFiles(realpathSync(path))).toBe(1);
  link.close();
  device.close();
});

async function plugged(path: string): Promise<void> {
  socat = spawn("socat", [`pty,raw,echo=0,link=${path}`, `unix-connect:${path}.sock`]);
  await expect.poll(() => existsSync(path), PATIENT).toBe(true);
}

/** Of this process. */
function openFiles(path: string): number {
  const folder = "/proc/self/fd";
  return readdirSync(folder).filter((name) => {
    try {
      return readlinkSync(join(folder, name)) === path;
    } catch {
      return false;
    }
  }).length;
}

async function pulled(path: string, afterMs: number): Promise<void> {
  const device = createServer((socket) => {
    const talk = setInterval(() => socket.write(LINE), 0);
    socket.on("close", () => clearInterval(talk));
    socket.on("error", () => {});
    socket.resume();
  });
  device.listen(`${path}.sock`);
  await once(device, "listening");
  await plugged(path);
  const port = await openSerialPort({ path, baudRate: 115_200 });
  let isClosed = false;
  port.on("data", () => {});
  port.on("error", () => {});
  port.on("close", () => {
    isClosed = true;
  });
  await pause(afterMs);
  socat?.kill("SIGKILL");
  await expect.poll(() => isClosed, { ...PATIENT, timeout: 10_000 }).toBe(true);
  expect(port.isOpen).toBe(false);
  device.close();
}
