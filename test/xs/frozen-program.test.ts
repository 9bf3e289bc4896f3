/** The frozen-image rules for the whole program of a device: nothing that its modules hold is written after they were loaded. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { buildXsCryptoWorker } from "../../host-sim/xs/build.ts";
import { bundleProgramScripts, type ProgramScripts } from "../../host-sim/xs/bundle.ts";
import { freezeImage, reassignableModuleVariables } from "../../host-sim/xs/frozen-image.ts";

const bridges: XsBridge[] = [];
let scripts: ProgramScripts;
beforeAll(async () => {
  scripts = await bundleProgramScripts();
});
afterAll(async () => {
  await Promise.all(bridges.map((bridge) => bridge.close()));
});

/** The program with these statements added to the firmware's module level. */
async function frozen(statements = ""): Promise<{ xs: XsBridge; breaches: readonly string[] }> {
  const marker = "exports.moduleState = {";
  const firmware = scripts.firmware.replace(marker, `${statements}\n${marker} myChange,`);
  const changed = statements === "" ? scripts.firmware : firmware;
  const xs = await XsBridge.startScript(`${changed}\n${scripts.program}`, {
    executable: await buildXsCryptoWorker(),
  });
  bridges.push(xs);
  return { xs, breaches: await freezeImage(xs, changed) };
}

test("no module has a variable that could be assigned again", () => {
  expect(reassignableModuleVariables(scripts.firmware)).toEqual([]);
});

test("nothing in it resists", async () => {
  expect((await frozen()).breaches).toEqual([]);
});

test.each([
  ["a hidden cache", "const myMap = new Map(); const myChange = () => { myMap.set(1, 2); };"],
  ["a counter", "let myCount = 0; const myChange = () => { myCount++; };"],
])("%s would be found", async (_, statements) => {
  expect((await frozen(statements)).breaches).not.toEqual([]);
});

test("who writes to what a module holds, or to a built-in, throws", async () => {
  const { xs } = await frozen();
  const table = xs.worker.evaluate("'use strict'; picobolt.moduleState.RESET_REASONS[0] = 'rain'");
  await expect(table).rejects.toThrow(/TypeError/);
  const builtIn = xs.worker.evaluate("'use strict'; Array.prototype.map = undefined");
  await expect(builtIn).rejects.toThrow(/TypeError/);
});
