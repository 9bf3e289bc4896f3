/** The drills of docs/OPERATIONS.md "Restoring a gateway", with the very commands: the disk is lost, and there are words and one backup. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { picobolt } from "../../cli/run-picobolt.ts";
import type { ApiLab } from "../api/api-lab.ts";
import { BackupLab, record, until } from "./backup-lab.ts";
import { S3Lab } from "./s3-lab.ts";

let lab: BackupLab;
let s3: S3Lab;
beforeAll(async () => {
  lab = await BackupLab.start();
  s3 = await S3Lab.start(join(lab.root, "objects"));
});
afterAll(async () => {
  await s3.stop();
  await lab.stop();
});

/** The lines of the document, as words. */
function commands(): readonly (readonly string[])[] {
  const path = new URL("../../../docs/OPERATIONS.md", import.meta.url);
  const [, section = ""] = readFileSync(path, "utf8").split("## Restoring a gateway");
  const lines = section.split("\n## ")[0]?.match(/^ {4}picobolt .*$/gm) ?? [];
  return lines.map((line) => line.replace(/ #.*/, "").trim().split(/ +/).slice(1));
}

/** The document's names are this lab's places. */
function placed(words: readonly string[], stick: string, folder: string): readonly string[] {
  const { nodeId, host, port } = lab.bobsAddress;
  return words.map((word) => {
    if (word === "./new") return folder;
    if (word === "mainnet") return "regtest";
    if (word.startsWith("<node_id")) return `${nodeId}@${host}:${port}`;
    return /\.(backup|stream|toml)$/.test(word) ? join(stick, word) : word;
  });
}

/** A gateway with a channel, its words and what is left after its disk has gone. */
async function lost(name: string) {
  const stick = join(lab.root, `${name} stick`);
  mkdirSync(stick);
  const s3Settings = s3.settings(name.replaceAll(" ", "-"));
  const settings = {
    ...s3Settings,
    "backup.file": join(stick, "channels.backup"),
    "backup.snapshot_file": join(stick, "store.backup"),
    "backup.stream_seconds": "1",
  };
  const alice = await lab.started("alice", name, settings);
  const folder = join(lab.root, name);
  const id = await lab.opened(alice);
  await lab.pay(alice, id, 50_000_000);
  const now = await picobolt(["backup", "--gateway", folder, "--now", "--json"]);
  expect(now, now.stderr).toMatchObject({ code: 0 });
  await lab.pay(alice, id, 20_000_000);
  await until(async () => isAllCurrent((await alice.call("GET", "/api/backup")).body));
  const told = await picobolt(["backup", "--gateway", folder]);
  expect(told.stdout).toContain("channels  1, written");
  const shown = await picobolt(["seed", "words", "--data-dir", folder, "--json"]);
  await alice.stop({ keepsFolder: true });
  rmSync(folder, { recursive: true });
  const toml = Object.entries(s3Settings).map(([key, value]) => {
    return `${key.slice("backup.s3.".length)} = ${JSON.stringify(value)}`;
  });
  writeFileSync(join(stick, "gateway.toml"), `[backup.s3]\n${toml.join("\n")}\n`, { mode: 0o600 });
  return { id, stick, words: (shown.last.words as string[]).join(" ") };
}

function isAllCurrent(told: unknown): boolean {
  const { channels, store, peers, s3: bucket } = told as Told;
  return [channels, store.stream, ...peers, bucket].every(({ is_current }) => is_current);
}

interface Told {
  readonly channels: { readonly is_current: boolean };
  readonly store: { readonly stream: { readonly is_current: boolean } };
  readonly peers: readonly { readonly is_current: boolean }[];
  readonly s3: { readonly is_current: boolean };
}

async function drilled(way: number): Promise<{ again: ApiLab; id: string }> {
  const name = `way ${way}`;
  const { id, stick, words } = await lost(name);
  const lines = commands();
  expect(lines).toHaveLength(6);
  const folder = join(lab.root, `${name} again`);
  const [words_ = [], restore = []] = [lines[0], lines[way]];
  const options = { input: `${words}\n` };
  const back = await picobolt([...placed(words_, stick, folder), "--plain"], options);
  expect(back, back.stderr).toMatchObject({ code: 0 });
  const done = await picobolt([...placed(restore, stick, folder), "--json"]);
  expect(done, done.stderr).toMatchObject({ code: 0 });
  const again = await lab.started("alice", `${name} again`);
  expect(again.service.backups?.channels.channels).toHaveLength(1);
  return { again, id };
}

test("copy of the store and its stream: the channel goes on with the newest balance", async () => {
  const { again, id } = await drilled(1);
  expect(record(again, id)).toMatchObject({ suspect: true, base: { toLocalMsat: 330_000_000 } });
  lab.dial(again);
  await until(() => record(again, id)?.suspect === undefined);
  await lab.pay(again, id, 1_000_000);
  await again.stop();
});

test.each([
  ["the channels' backup alone", 2],
  ["words and a peer alone", 4],
])("%s: the peer closes, and pays what was ours in the end", async (_, way) => {
  const { again, id } = await drilled(way);
  expect(record(again, id)?.phase).toBe("outdated");
  lab.dial(again);
  await lab.paidOut(again, id, 330_000);
  await again.stop();
});

test("the bucket alone: as the copy and its stream", async () => {
  const { again, id } = await drilled(3);
  expect(record(again, id)).toMatchObject({ suspect: true, base: { toLocalMsat: 330_000_000 } });
  lab.dial(again);
  await until(() => record(again, id)?.suspect === undefined);
  await again.stop();
});
