/** `/api/backup` and `/api/tower`: what there is, a copy on demand, the backup itself; and who may ask. */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { unsealBackup } from "../../../gateway/backup/backup-file.ts";
import { openSeedFile } from "../../../gateway/secrets/seed-file.ts";
import { picobolt } from "../../cli/run-picobolt.ts";
import { ApiLab } from "./api-lab.ts";

let lab: ApiLab;
beforeAll(async () => {
  lab = await ApiLab.start({ settings: { "backup.stream_seconds": "3600" } });
});
afterAll(() => lab.stop());

test("what there is, a copy now, and the channels' backup, which opens under the seed", async () => {
  const made = await lab.call("POST", "/api/backup");
  expect(made).toMatchObject({ status: 200 });
  expect(existsSync(String(made.body.path))).toBe(true);
  const { body } = await lab.call("GET", "/api/backup", { macaroon: lab.macaroon("readonly") });
  expect(body).toMatchObject({
    channels: { count: 0, is_current: true },
    store: { path: made.body.path, bytes: made.body.bytes, stream: { is_whole: true } },
    peers: [],
    s3: null,
  });
  const { body: file } = await lab.call("GET", "/api/backup/channels");
  const { secret } = await openSeedFile(`${lab.folder}/seed`, { env: {} });
  const key = secret.derive(nobleCrypto(), "backup");
  const sealed = new Uint8Array(Buffer.from(String(file.base64), "base64"));
  expect(unsealBackup(key, sealed, "it")).toMatchObject({ kind: "channels", network: "sim" });
});

test("a read-only macaroon makes and takes none", async () => {
  const macaroon = lab.macaroon("readonly");
  for (const [method, path] of [
    ["POST", "/api/backup"],
    ["GET", "/api/backup/channels"],
  ] as const) {
    expect(await lab.call(method, path, { macaroon })).toMatchObject({ status: 403 });
  }
});

test("the tower: nobody watches for it, it watches for nobody yet; picobolt tower says the same", async () => {
  const { body } = await lab.call("GET", "/api/tower");
  expect(body).toMatchObject({ client: null, server: { clients: 0, slots: 0, penalties: 0 } });
  const told = await picobolt(["tower", "--gateway", lab.folder, "--json"]);
  expect(told, told.stderr).toMatchObject({ code: 0, last: body });
});
