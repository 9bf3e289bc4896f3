/** `picobolt restore-gateway`: words first, then the backups; what is missing is said. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { sealBackup } from "../../../gateway/backup/backup-file.ts";
import { encodeChannels } from "../../../gateway/backup/channel-backup.ts";
import { NodeSecret } from "../../../gateway/secrets/node-secret.ts";
import { createSeedFile } from "../../../gateway/secrets/seed-file.ts";
import { picobolt } from "../../cli/run-picobolt.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-restore-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a folder without a seed is told what comes first; then the store is there, and its owner's alone", async () => {
  const file = join(folder, "channels.backup");
  const place = join(folder, "new");
  const secret = NodeSecret.random();
  const key = secret.derive(nobleCrypto(), "backup");
  const about = { network: "regtest", createdAtSeconds: 1_800_000_000 };
  writeFileSync(file, sealBackup(key, "channels", about, encodeChannels([])));
  const words = ["restore-gateway", "--data-dir", place, "--from", file];
  const refused = await picobolt(words);
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain(`picobolt seed restore --data-dir ${place}`);

  await createSeedFile(join(place, "seed"), secret, { type: "plain" });
  const { code, last } = await picobolt([...words, "--json"]);
  const path = join(place, "regtest.sqlite");
  expect({ code, last }).toMatchObject({ code: 0, last: { path, suspects: 0, outdated: 0 } });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});
