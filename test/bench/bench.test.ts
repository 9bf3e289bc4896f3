/** `npm run bench -- --json` prints one object and nothing else, with the keys that other programs read; times are not judged. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { projectFolder } from "../architecture/sources.ts";

const positive = expect.toSatisfy((value) => typeof value === "number" && value > 0);

function bench(...words: readonly string[]) {
  const parameters = ["--import", "tsx", "test/bench/main.ts", "--quick", ...words];
  return promisify(execFile)(process.execPath, parameters, { cwd: projectFolder });
}

test("--json: one object on stdout, every figure positive; the tables beside it", async () => {
  const { stdout, stderr } = await bench("--json");
  expect(stdout.trim().split("\n")).toHaveLength(1);
  const perBatch = { "1": positive, "10": positive, "1000": positive };
  expect(JSON.parse(stdout)).toMatchObject({
    push: { memory: perBatch, durable: perBatch, floor_ratio: positive },
    htlc: { memory: positive, durable: positive, floor_ratio: positive },
    wire: { push_bytes: positive, htlc_bytes: positive },
    record_bytes: positive,
    flash_bytes_per_payment: positive,
    xs: { push_compute: positive },
    peer: { ldk_sequential: positive, ldk_concurrent: positive },
    ble: { result: "passed", mtu: 247, round_trips: positive, round_trips_budget: 3 },
    crypto: expect.stringMatching(/^(libsecp256k1|noble)$/),
  });
  expect(stderr).toMatch(/crypto by (libsecp256k1|noble)/);
  expect(stderr).toContain("BOLT 8 encryption");
  expect(stderr).toMatch(/push, one payment +[\d,]+ +[\d,]+ +[\d,]+ +\d\.\d\dx/);
  expect(stderr).toMatch(
    /a push over BLE at MTU 247[^\n]*\n +round trips[^\n]* [1-3] \(budget 3\)\n/,
  );
});

test("says what it takes, and refuses a part that there is not", async () => {
  expect((await bench("--help")).stdout).toMatch(/mcu, rates, peer, memory, links, ble,\s+sale/);
  await expect(bench("--only", "speed")).rejects.toMatchObject({
    stderr: expect.stringContaining('There is no part "speed" of the bench'),
  });
});
