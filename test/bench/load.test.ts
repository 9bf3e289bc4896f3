/** `npm run load` stays true: a small fleet on the real program, its broker and its node, pays, and nothing is lost or doubled. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DEVICES = 30;

test("a small load: every payment arrives once, and both sides of every channel agree", {
  timeout: 240_000,
}, async () => {
  const words = ["--import", "tsx", "host-sim/load/main.ts", "--json", "--part", "one"];
  const sizes = ["--devices", String(DEVICES), "--rate", "20", "--minutes", "0.1"];
  const { stdout } = await promisify(execFile)(process.execPath, [...words, ...sizes], {
    cwd: ROOT,
  }).catch((cause: { stdout: string }) => {
    // What the audit found says more than that the command failed.
    if (!cause.stdout) throw cause;
    return cause;
  });
  const told = JSON.parse(stdout) as Record<string, number>;
  expect(told).toMatchObject({
    devices: DEVICES,
    lost: 0,
    doubled: 0,
    disagreeing_channels: 0,
    problems: [],
  });
  expect(told.payments).toBeGreaterThan(20);
  // Of records whose every payment is settled; a megabyte says that something is kept for good.
  expect(told.bytes_per_stored_channel).toBeLessThanOrEqual(1_024);
  expect(told.bytes_per_idle_device).toBeLessThan(1_000_000);
});
