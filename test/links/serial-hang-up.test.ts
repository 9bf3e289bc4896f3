/** A cable that is pulled in the middle of what a device says: noticed every time, and not by reading nothing for ever. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSerialPort } from "../../gateway/links/serial-port.ts";
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

async function pulled(path: string, afterMs: number): Promise<void> {
  const device = createServer((socket) => {
    const talk = setInterval(() => socket.write(LINE), 0);
    socket.on("close", () => clearInterval(talk));
    socket.on("error", () => {});
    socket.resume();
  });
  device.listen(`${path}.sock`);
  await once(device, "listening");
  socat = spawn("socat", [`pty,raw,echo=0,link=${path}`, `unix-connect:${path}.sock`]);
  await expect.poll(() => existsSync(path), PATIENT).toBe(true);
  const port = await openSerialPort({ path, baudRate: 115_200 });
  let isClosed = false;
  port.on("data", () => {});
  port.on("error", () => {});
  port.on("close", () => {
    isClosed = true;
  });
  await pause(afterMs);
  socat.kill("SIGKILL");
  await expect.poll(() => isClosed, { ...PATIENT, timeout: 10_000 }).toBe(true);
  expect(port.isOpen).toBe(false);
  device.close();
}
