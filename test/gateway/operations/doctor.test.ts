/** `picobolt doctor` finds what is wrong with a gateway's folder, machine and places, says what to do, and leaves no trace. */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CheckReport, runCheck } from "../../../gateway/operations/check.ts";
import { type ChecksOptions, checksOf } from "../../../gateway/operations/checks.ts";
import type { SettingName } from "../../../gateway/run/settings.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { picobolt } from "../../cli/run-picobolt.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "../api/api-lab.ts";

const DAY_MS = 86_400_000;
const YEARS_MS = 3 * 365 * DAY_MS;
let base: string;

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "picobolt-doctor-"));
});
afterAll(() => rmSync(base, { recursive: true }));

const QUIET = { network: "sim", "api.port": "0", "p2p.port": "0", "mqtt.port": "0" };

async function examine(
  words: Readonly<Partial<Record<SettingName, string>>>,
  options: Partial<ChecksOptions> = {},
): Promise<Record<string, CheckReport>> {
  const sources = { words: { ...QUIET, ...words } };
  const reports: Record<string, CheckReport> = {};
  for (const check of checksOf({ sources, nowMs: Date.now, ...options })) {
    const report = await runCheck(check);
    reports[report.name] = report;
  }
  return reports;
}

const withStatus = (reports: Record<string, CheckReport>, status: string) =>
  Object.values(reports)
    .filter((one) => one.status === status)
    .map(({ name }) => name);

/** Names, modes and times; a gateway that is asked whether it is ready tries its own store, in the log. */
function traces(folder: string): unknown {
  return readdirSync(folder).map((name) => {
    const { mode, mtimeMs } = statSync(join(folder, name));
    return [name, mode, name.endsWith("-wal") ? 0 : mtimeMs];
  });
}

test("a gateway that runs: held, ready, and its plain seed is pointed at; nothing was touched", async () => {
  const lab = await ApiLab.start({ settings: { "api.tls": "auto" } });
  try {
    await expect.poll(() => lab.service.mqtt?.isConnected, PATIENT).toBe(true);
    // What it writes at its start is written.
    let before = traces(lab.folder);
    const isSettled = () => {
      const last = before;
      before = traces(lab.folder);
      return isDeepStrictEqual(before, last);
    };
    await expect.poll(isSettled, { ...PATIENT, interval: 500 }).toBe(true);
    const reports = await examine({ data_dir: lab.folder });
    expect(withStatus(reports, "failed")).toEqual([]);
    expect(withStatus(reports, "warning")).toEqual(["seed"]);
    expect(reports.seed?.advice).toContain("picobolt seed passphrase");
    expect(reports.store?.found).toContain(`process ${process.pid}`);
    expect(reports.ports?.found).toContain(`process ${process.pid}`);
    expect(reports.gateway?.found).toContain("is ready");
    expect(traces(lab.folder)).toEqual(before);
    const run = await picobolt(["doctor", "--data-dir", lab.folder, "--network", "sim", "--json"]);
    expect(run).toMatchObject({ code: 0, last: { failed: 0, warnings: 1 } });
  } finally {
    await lab.stop();
  }
});

test("before the first start all is well, and doctor makes no folder", async () => {
  const folder = join(base, "new", "gateway");
  const reports = await examine({ data_dir: folder });
  expect(withStatus(reports, "failed")).toEqual([]);
  expect(readdirSync(base)).not.toContain("new");
});

test("each thing that is broken is named, with what to do, and the exit code says so", async () => {
  const folder = join(base, "broken");
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, "seed"), "not a seed\n", { mode: 0o600 });
  writeFileSync(join(folder, "sim.sqlite"), "not a database, whatever it is called");
  writeFileSync(join(folder, "server.pem"), "no certificate");
  const taken = await listening();
  const { port } = taken.address() as { port: number };
  const words = {
    data_dir: folder,
    "api.port": String(port),
    "mqtt.url": `mqtt://user:hush@127.0.0.1:${await unused()}`,
  };
  try {
    const reports = await examine(words, {
      nodeVersion: "18.2.0",
      diskOf: () => ({ freeBytes: 499_000_000, totalBytes: 1e9 }),
      chooseCrypto: () => ({ name: "noble" }),
    });
    expect(withStatus(reports, "failed")).toEqual([
      "node.js",
      "seed",
      "store",
      "certificate",
      "broker",
      "ports",
    ]);
    expect(withStatus(reports, "warning")).toEqual(["crypto", "data dir", "disk"]);
    for (const { status, advice } of Object.values(reports)) {
      expect(advice !== undefined).toBe(status === "failed" || status === "warning");
    }
    expect(reports.ports?.found).toContain(`api.port 127.0.0.1:${port} is taken`);
    expect(reports["data dir"]?.advice).toContain(`chmod 700 ${folder}`);
    expect(JSON.stringify(reports)).not.toContain("hush");
    const run = await picobolt(["doctor", "--data-dir", folder, "--network", "sim"]);
    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/^✗ seed .*\n +→ /m);
    expect(run.stdout).toMatch(/^✓ disk/m);
    expect(run.stderr).toContain("checks failed");
  } finally {
    taken.close();
  }
});

test("a wrong configuration is the one thing told of, all its faults at once", async () => {
  const file = join(base, "wrong.toml");
  writeFileSync(file, 'prot = 1\nnetwork = "moon"\n');
  const sources = { file, words: {} };
  const reports = await Promise.all(checksOf({ sources, nowMs: Date.now }).map(runCheck));
  expect(reports[0]).toMatchObject({ name: "configuration", status: "failed" });
  expect(reports[0]?.found).toContain("prot");
  expect(reports[0]?.found).toContain("moon");
  expect(reports.slice(1).every(({ status }) => status === "ok")).toBe(true);
});

test("records: whole, damaged in one page, from a newer picobolt; read without side files", async () => {
  const folder = join(base, "records");
  mkdirSync(folder, { mode: 0o700 });
  const path = join(folder, "sim.sqlite");
  const store = openSqliteStore(path);
  for (let i = 0; i < 200; i++) await store.setValue(`key ${i}`, new Uint8Array(100).fill(i));
  await store.close();
  const store1 = (await examine({ data_dir: folder })).store;
  expect(store1).toMatchObject({ status: "ok" });
  expect(store1?.found).toContain("every page in order");
  expect(readdirSync(folder)).toEqual(["sim.sqlite"]);
  const whole = readFileSync(path);
  const damaged = Buffer.from(whole);
  damaged.fill(0xee, whole.length - 3_000, whole.length - 100);
  const root = whole.indexOf("key 100");
  damaged.fill(0xee, root - (root % 4_096), root - (root % 4_096) + 64);
  writeFileSync(path, damaged);
  expect((await examine({ data_dir: folder })).store).toMatchObject({ status: "failed" });
  const newer = Buffer.from(whole);
  newer.writeUInt32BE(999, 60);
  writeFileSync(path, newer);
  expect((await examine({ data_dir: folder })).store?.found).toContain(
    "newer picobolt (schema 999",
  );
});

test("a certificate is judged by the clock, and a seed that is gone is not made anew silently", async () => {
  const lab = await ApiLab.start({ settings: { "api.tls": "auto" } });
  await lab.stop({ keepsFolder: true });
  try {
    const soon = () => Date.now() + 380 * DAY_MS;
    const words = { data_dir: lab.folder };
    expect((await examine(words, { nowMs: soon })).certificate?.status).toBe("warning");
    const late = await examine(words, { nowMs: () => Date.now() + YEARS_MS });
    expect(late.certificate).toMatchObject({ status: "failed" });
    expect(late.certificate?.found).toContain("expired");
    rmSync(join(lab.folder, "seed"));
    const gone = (await examine(words)).seed;
    expect(gone).toMatchObject({ status: "failed" });
    expect(gone?.advice).toContain("picobolt seed restore");
  } finally {
    rmSync(lab.folder, { recursive: true });
  }
});

async function listening(): Promise<Server> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

async function unused(): Promise<number> {
  const server = await listening();
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}
