/** A setting that would do nothing with PostgreSQL is refused by its name, and what is off without being asked for is told. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadConfig } from "../../../gateway/run/config.ts";
import { idleWarnings } from "../../../gateway/run/idle-settings.ts";
import { openServiceStore } from "../../../gateway/run/service-store.ts";
import type { SettingName } from "../../../gateway/run/settings.ts";

/** Nothing listens there: what is refused is refused before. */
const NOWHERE = "postgres://nobody@127.0.0.1:1/none";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-idle-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function configOf(given: Partial<Record<SettingName, string>>) {
  const words = { network: "regtest", data_dir: folder, database_url: NOWHERE, ...given };
  return loadConfig({ env: {}, words });
}

async function refusal(given: Partial<Record<SettingName, string>>): Promise<string> {
  const opened = openServiceStore({
    config: configOf(given),
    network: "regtest",
    usualPath: join(folder, "x.sqlite"),
    towerPath: join(folder, "tower.sqlite"),
    nodeId: new Uint8Array(33),
  });
  return await opened.then(
    () => "none",
    (cause: Error) => cause.message,
  );
}

test("with its usual settings it asks for the server", async () => {
  expect(await refusal({})).toMatch(/cannot be reached/);
  expect(await refusal({ "worker.name": "a" })).toMatch(/cannot be reached/);
});

test("snapshots are refused, each by its name", async () => {
  const told = await refusal({ "backup.stream_seconds": "5" });
  expect(told).toContain("backup.stream_seconds does nothing with PostgreSQL: the store is copied");
});

test("settlement is refused with several processes, and only there", async () => {
  const settlement = { "settlement.open_budget_sat": "7" } as const;
  expect(await refusal(settlement)).toMatch(/cannot be reached/);
  expect(await refusal({ ...settlement, "worker.name": "a" })).toContain(
    "settlement.open_budget_sat does nothing with PostgreSQL and worker.name: settlement",
  );
});

test("what is the fleet's is refused with several processes, and only there", async () => {
  const fleet = { "devices.silent_hours": "5" } as const;
  expect(await refusal(fleet)).toMatch(/cannot be reached/);
  expect(await refusal({ ...fleet, "worker.name": "a" })).toContain(
    "devices.silent_hours does nothing with PostgreSQL and worker.name: the fleet",
  );
});

test("that it is no watchtower is told, unless it was not to be one", () => {
  const several = { "worker.name": "a" } as const;
  const told = idleWarnings(configOf(several)).join();
  expect(told).toContain("tower.serve does nothing with worker.name");
  expect(idleWarnings(configOf({}))).toEqual([]);
  expect(idleWarnings(configOf({ ...several, "tower.serve": "false" }))).toEqual([]);
});
