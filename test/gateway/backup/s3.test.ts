/** Backups in a bucket: signed, looked at after upload, brought there again and again, pruned, and enough to come back from. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { S3Copies } from "../../../gateway/backup/s3-copies.ts";
import { S3Layout } from "../../../gateway/backup/s3-layout.ts";
import { S3Store } from "../../../gateway/backup/s3-store.ts";
import { alarms, BackupLab, followed, isBackedUp, record, until } from "./backup-lab.ts";
import { S3_KEY, S3Lab } from "./s3-lab.ts";

let folder: string;
let s3: S3Lab;
let lab: BackupLab;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-s3-"));
  s3 = await S3Lab.start(join(folder, "objects"));
  lab = await BackupLab.start();
});
afterAll(async () => {
  await lab.stop();
  await s3.stop();
  rmSync(folder, { recursive: true });
});

function inFolder(name: string, fill: number, bytes = 100): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.alloc(bytes, fill));
  return path;
}

async function downloaded(layout: S3Layout, name: string) {
  const place = join(folder, name);
  mkdirSync(place);
  return layout.download(place);
}

test("a wrong key is refused by the server, and told without the secret", async () => {
  const wrong = s3.store({ ...S3_KEY, secretAccessKey: "not the secret" });
  const refused = await wrong.put("x", new Uint8Array(3)).catch((cause: Error) => cause.message);
  expect(refused).toContain("403 SignatureDoesNotMatch");
  expect(refused).not.toContain("not the secret");
  expect(await s3.store().get("x")).toBeUndefined();
});

test("a store that keeps something else than it was sent is found out", async () => {
  const liar = createServer((request, response) => {
    request.resume();
    response.end(request.method === "GET" ? "something else" : undefined);
  });
  await new Promise<void>((done) => liar.listen(0, "127.0.0.1", done));
  const endpoint = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`;
  const store = new S3Store({ endpoint, bucket: "b", region: "us-east-1", ...S3_KEY });
  await expect(store.put("x", new Uint8Array(3))).rejects.toThrow("does not give it back");
  liar.closeAllConnections();
  liar.close();
});

test("snapshots: only a whole one counts, the newest are kept, a damaged one is refused", async () => {
  const layout = new S3Layout(s3.store(), "layout", 1_000);
  await expect(downloaded(layout, "none")).rejects.toThrow("there is no backup");
  const generation = (n: number) => new Uint8Array(16).fill(9 - n);
  // Two in a second, and a clock that was turned back: the newest is the one that came last.
  const seconds = [0, 1_000, 2_000, 2_000, 1_500];
  for (let n = 1; n <= 4; n++) {
    const path = inFolder("store", n, 1_700);
    await layout.putSnapshot({
      path,
      createdAtSeconds: seconds[n] ?? 0,
      generation: generation(n),
    });
    for (let part = 0; part < 2; part++) {
      await layout.putPart(generation(n), part, new Uint8Array(5).fill(n));
    }
  }
  expect(await layout.retain(2)).toBe(2 * (3 + 2));
  await s3.store().put("layout/store/0000009999-half/0000000000", new Uint8Array(9));
  const [path = "", stream = ""] = await downloaded(layout, "whole");
  expect(readFileSync(path).equals(Buffer.alloc(1_700, 4))).toBe(true);
  expect(readFileSync(stream).toString("hex")).toBe("000000050404040404".repeat(2));
  for (const key of (await s3.store().list("layout/store/")).filter((key) => /0{9}1$/.test(key))) {
    await s3.store().put(key, new Uint8Array(7));
  }
  await expect(downloaded(layout, "bad")).rejects.toThrow("piece 1 of the snapshot is damaged");
});

test("a store that is away: nothing is lost, the alarm comes once, and its end is told", async () => {
  const told: string[] = [];
  const put: string[] = [];
  let isAway = true;
  const refuse = async (what: string) => {
    if (isAway) throw new Error("nobody answers");
    put.push(what);
  };
  const copies = new S3Copies({
    layout: {
      name: "s3",
      putChannels: (sealed) => refuse(`channels ${sealed[0]}`),
      putPart: (_, number) => refuse(`part ${number}`),
      putSnapshot: ({ path }) => refuse(path),
      retain: async () => 0,
    },
    keep: 2,
    retryMs: 1,
    alarmMs: 20,
    onProblem: (text) => told.push(text),
  });
  copies.putChannels(Uint8Array.of(1));
  copies.putSnapshot({ path: "snapshot", createdAtSeconds: 1 });
  for (let n = 0; n < 3; n++) copies.putPart(new Uint8Array(16), n, new Uint8Array(1));
  await until(() => told.length > 0);
  expect(copies.state).toMatchObject({ isCurrent: false, failure: "nobody answers" });
  copies.putChannels(Uint8Array.of(2));
  isAway = false;
  await until(() => copies.state.isCurrent);
  expect(put).toEqual(["channels 2", "part 0", "part 1", "part 2", "snapshot"]);
  expect(told).toEqual([expect.stringContaining("has not taken"), "s3 takes backups again"]);
  await copies.stop();
});

interface Told {
  readonly store: { readonly stream: { readonly is_current: boolean } };
  readonly s3: { readonly is_current: boolean };
}

test("a lost disk: the newest record comes back from the bucket, and the channel goes on once the peer was heard", async () => {
  const settings = { ...s3.settings("alice"), "backup.stream_seconds": "1" };
  const alice = await lab.started("alice", "one", settings);
  const id = await lab.opened(alice);
  await lab.pay(alice, id, 30_000_000);
  await until(async () => {
    const { store, s3: bucket } = (await alice.call("GET", "/api/backup")).body as unknown as Told;
    return store.stream.is_current && bucket.is_current;
  });
  await alice.stop({ keepsFolder: true });
  const secret = await lab.seedOnly("one", "one again");

  mkdirSync(join(lab.root, "got"));
  const files = await new S3Layout(s3.store(), "alice").download(join(lab.root, "got"));
  expect(files).toHaveLength(3);
  const counts = await lab.restored("one again", { secret, files });
  expect(counts).toMatchObject({ suspects: 1, outdated: 0, unreadable: [] });
  const again = await lab.started("alice", "one again", settings);
  expect(record(again, id)).toMatchObject({ suspect: true, base: { toLocalMsat: 370_000_000 } });
  lab.dial(again);
  await until(() => record(again, id)?.suspect === undefined);
  expect(record(again, id)?.phase).toBe("normal");
  await lab.pay(again, id, 1_000_000);
  await again.stop();
});

test("a store that was lost, started as it is: the bucket keeps what it has", async () => {
  const settings = s3.settings("held");
  const alice = await lab.started("alice", "two", settings);
  await lab.opened(alice);
  await until(() => isBackedUp(alice) && alice.service.backups?.s3?.state.isCurrent === true);
  await alice.stop({ keepsFolder: true });
  const before = await s3.store().get("held/channels.backup");
  await lab.seedOnly("two", "two again");
  const empty = await lab.started("alice", "two again", settings);
  const events = followed(empty);
  await until(() => empty.service.backups?.s3?.state.failure !== undefined);
  expect(`${alarms(events)}${empty.service.backups?.s3?.state.failure}`).toContain("--from s3");
  await empty.stop();
  const after = await s3.store().get("held/channels.backup");
  expect(Buffer.from(after ?? []).equals(Buffer.from(before ?? []))).toBe(true);
});
