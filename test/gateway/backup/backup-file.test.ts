/** What a backup's file withstands: damage wherever it is, another seed, a newer format; a store that is written while it is copied; a store that was lost. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { encodeRecord } from "../../../core/channel/codec.ts";
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { MAX_STORED_BYTES } from "../../../core/messages/storage.ts";
import { channelId } from "../../../core/primitives/brands.ts";
import { concat } from "../../../core/primitives/bytes.ts";
import { contentOf, openBackup, sealBackup } from "../../../gateway/backup/backup-file.ts";
import {
  decodeChannels,
  encodeChannel,
  encodeChannels,
} from "../../../gateway/backup/channel-backup.ts";
import { ChannelKeeper } from "../../../gateway/backup/channel-keeper.ts";
import { restoreGateway } from "../../../gateway/backup/restore.ts";
import { CHUNK_BYTES, HEADER_BYTES } from "../../../gateway/backup/sealed-chunks.ts";
import { takeSnapshot } from "../../../gateway/backup/snapshot.ts";
import { NodeSecret } from "../../../gateway/secrets/node-secret.ts";
import { openSqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { open, pushes } from "../../support/commands.ts";
import { Pair } from "../../support/node-pair.ts";

const crypto = nobleCrypto();
const secret = NodeSecret.fromSeed(new Uint8Array(32).fill(7));
const key = secret.derive(crypto, "backup");
const about = { network: "regtest", createdAtSeconds: 1_800_000_000 };
const content = new Uint8Array(2 * CHUNK_BYTES + 100).map((_, at) => at % 251);
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-backup-"));
  path = join(folder, "one.backup");
});
afterEach(() => rmSync(folder, { recursive: true }));

async function read(withKey = key): Promise<Uint8Array> {
  const backup = await openBackup(withKey, path);
  try {
    expect(backup).toMatchObject(about);
    return await contentOf(backup, 1 << 20);
  } finally {
    await backup.close();
  }
}

test("a channel with half a megabyte of payments under way has room in what a peer keeps", async () => {
  const { pair, id } = await open();
  pair.a.node.command(id, ...pushes(20, 1000)); // signed, and not answered
  const record = pair.a.node.record(id) as ChannelRecord;
  expect(encodeRecord(record).length).toBeGreaterThan(MAX_STORED_BYTES);
  const entry = encodeChannel({ record });
  expect(entry.length).toBeLessThan(2_000);
  const { signer } = pair.a;
  const bytes = encodeChannels([entry]);
  const [again] = decodeChannels(bytes, (keyIndex) => signer.channel(keyIndex).basepoints);
  expect(again?.record).toMatchObject({ phase: "outdated", channelId: id });
});

const failsWith = (code: string) => expect.objectContaining({ name: "BackupError", code });

test("what was sealed opens, whole; empty too", async () => {
  for (const bytes of [content, content.subarray(0, CHUNK_BYTES), new Uint8Array(0)]) {
    writeFileSync(path, sealBackup(key, "channels", about, bytes));
    expect(await read()).toEqual(bytes);
  }
});

test("a byte that changed, a piece that is missing, doubled or moved, and an end cut off are damage", async () => {
  const sealed = sealBackup(key, "channels", about, content);
  const second = HEADER_BYTES + 4 + new DataView(sealed.buffer).getUint32(HEADER_BYTES);
  const third = second + 4 + CHUNK_BYTES + 16;
  const last = third + 4 + CHUNK_BYTES + 16;
  const cases = [
    sealed.subarray(0, last),
    sealed.subarray(0, third),
    sealed.subarray(0, -1),
    sealed.subarray(0, HEADER_BYTES),
    concat(sealed, sealed.subarray(last)),
    concat(sealed, Uint8Array.of(0)),
    concat(sealed.subarray(0, second), sealed.subarray(third)),
    concat(
      sealed.subarray(0, second),
      sealed.subarray(third, last),
      sealed.subarray(second, third),
      sealed.subarray(last),
    ),
    ...[0, 9, 20, HEADER_BYTES, HEADER_BYTES + 5, second, second + 1_000, last + 10].map((at) =>
      sealed.map((byte, i) => (i === at ? byte ^ 1 : byte)),
    ),
  ];
  for (const bytes of cases) {
    writeFileSync(path, bytes);
    await expect(read()).rejects.toThrow(failsWith("damaged"));
  }
});

test("another seed, a newer format, nothing there: each is said", async () => {
  const sealed = sealBackup(key, "channels", about, content);
  await expect(read()).rejects.toThrow(failsWith("missing"));
  writeFileSync(path, sealed);
  await expect(read(new Uint8Array(32).fill(1))).rejects.toThrow(failsWith("wrong-seed"));
  writeFileSync(
    path,
    sealed.map((byte, at) => (at === 8 ? 2 : byte)),
  );
  await expect(read()).rejects.toThrow(failsWith("newer-format"));
});

test("a store is copied while it is written; a restore over a store is refused, and a bad one leaves nothing", async () => {
  const store = openSqliteStore(join(folder, "regtest.sqlite"));
  const idOf = (n: number) => channelId(new Uint8Array(32).fill(n >> 8, 0, 16).fill(n & 255, 16));
  const record = new Uint8Array(3_000);
  const put = async (n: number) =>
    store.commit({ channelId: idOf(n), record: () => record, live: undefined });
  for (let n = 0; n < 2_000; n++) void put(n);
  await put(2_000);
  const partPath = join(folder, "part");
  const taking = takeSnapshot({
    db: store.tables.db,
    key,
    about: { network: "regtest" },
    partPath,
    path,
  });
  for (let n = 2_001; n < 2_050; n++) await put(n);
  await taking;
  expect(existsSync(partPath)).toBe(false);
  expect(statSync(path).mode & 0o777).toBe(0o600);

  const at = join(folder, "again.sqlite");
  const restore = (place: string) =>
    restoreGateway({ crypto, secret, files: [path], storePath: () => place });
  await expect(restore(join(folder, "regtest.sqlite"))).rejects.toThrow(failsWith("exists"));
  store.close();
  const { unreadable } = await restore(at);
  expect(unreadable.length).toBeGreaterThanOrEqual(2_001);
  const again = openSqliteStore(at);
  expect(again.tables.db.pragma("integrity_check", { simple: true })).toBe("ok");
  expect(again.load()).toHaveLength(unreadable.length);
  again.close();

  appendFileSync(path, "x");
  const before = readdirSync(folder);
  await expect(restore(join(folder, "bad.sqlite"))).rejects.toThrow(failsWith("damaged"));
  expect(readdirSync(folder)).toEqual(before);
});

test("the backup of channels that the store has lost is put aside, not written over; with the store it is replaced", async () => {
  const pair = await Pair.make({});
  const id = await pair.open({ pushMsat: 100_000_000 });
  const found = pair.a.node.record(id);
  if (!found) throw new Error("the channel is open");
  const problems: string[] = [];
  const start = (records: readonly (typeof found)[]) =>
    ChannelKeeper.start({
      key,
      network: "regtest",
      origin: new Uint8Array(16),
      paths: [path],
      records: () => records,
      basepointsOf: (keyIndex) => pair.a.signer.channel(keyIndex).basepoints,
      addressOf: () => undefined,
      onProblem: (text) => problems.push(text),
    });
  for (const keeper of [await start([found]), await start([found])]) keeper.stop();
  expect([readdirSync(folder), problems]).toEqual([["one.backup"], []]);
  const kept = readFileSync(path);
  (await start([])).stop();
  expect(problems).toEqual([
    expect.stringMatching(/has 1 channels that the store lacks: it was kept as/),
  ]);
  expect(readFileSync(`${path}.1`)).toEqual(kept);
  writeFileSync(path, "another program's");
  (await start([found])).stop();
  expect(problems.slice(1)).toEqual([
    expect.stringMatching(/is no backup of a gateway/),
    expect.stringMatching(/cannot be read: it was kept as .*\.2/),
  ]);
});
