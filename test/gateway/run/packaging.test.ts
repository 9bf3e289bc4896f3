/** What the systemd unit and the Dockerfile start is what the build makes, and the commands an operator needs stand beside it. */
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const BUILT = `.cache/packaging-${process.pid}`;
const run = promisify(execFile);
const read = (path: string) => readFileSync(`${ROOT}${path}`, "utf8");
const node = (program: string, ...words: string[]) =>
  run(process.execPath, [`${ROOT}${BUILT}/${program}`, ...words]);

let made: readonly string[];
beforeAll(async () => {
  const { stdout } = await run(process.execPath, [`${ROOT}scripts/build-gateway.mjs`, BUILT]);
  made = stdout.trim().split("\n");
});
afterAll(() => rmSync(`${ROOT}${BUILT}`, { recursive: true, force: true }));

test("every program that is named is built", () => {
  const texts = ["gateway/packaging/Dockerfile", "gateway/packaging/picobolt-gateway.service"];
  const named = [...texts, "docs/OPERATIONS.md"].flatMap((path) =>
    [...read(path).matchAll(/dist\/gateway\/([\w-]+\.mjs)/g)].map(([, name]) => `${BUILT}/${name}`),
  );
  expect(new Set(named)).toEqual(new Set(made));
});

test("the built programs run: the gateway's settings, and all commands", async () => {
  const settings = await node("picobolt-gateway.mjs", "--print-config");
  expect(settings.stdout).toContain("(BITCOIND_URL)");
  const help = await node("picobolt.mjs", "--help");
  for (const command of ["doctor", "macaroon", "seed", "restore-gateway"]) {
    expect(help.stdout).toContain(`\n  ${command} `);
  }
});

test("the host's node_modules do not lie over those of the container", () => {
  expect(read(".dockerignore").split("\n")).toContain("node_modules");
});
