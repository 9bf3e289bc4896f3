/** `picobolt macaroon`: bake, narrow off line, inspect, revoke; a gateway on the same folder believes it. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MacaroonAuthority } from "../../gateway/auth/authority.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { openSeedFile } from "../../gateway/secrets/seed-file.ts";
import { picobolt } from "./run-picobolt.ts";

const DEVICE = `02${"ab".repeat(32)}`;
let folder: string;
let place: string[];
let authority: MacaroonAuthority;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-macaroon-"));
  const keyFile = join(folder, "key");
  place = ["--data-dir", folder, "--key-file", keyFile];
  await picobolt(["seed", "new", ...place]);
  const { secret } = await openSeedFile(join(folder, "seed"), { env: {}, keyFile });
  const key = secret.derive(chooseCrypto(), "macaroon root keys");
  authority = new MacaroonAuthority({ folder, secret: key, nowMs: Date.now });
});
afterAll(() => rmSync(folder, { recursive: true }));

test("baked with the seed, narrowed without it, shown, listed and revoked", async () => {
  const file = join(folder, "shop.macaroon");
  const options = ["--permit", "read, invoice", "--expires", "30d", "--out", file];
  const baked = await picobolt(["macaroon", "bake", "shop", ...options, ...place]);
  expect(baked).toMatchObject({ code: 0, stderr: "" });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const grant = authority.verify(readFileSync(file, "utf8"));
  expect(grant.mayCall({ name: "createInvoice", group: "invoice" })).toBe(true);
  expect(grant.mayCall({ name: "payInvoice", group: "pay" })).toBe(false);

  const narrower = await picobolt(["macaroon", "attenuate", "--in", file, "--device", DEVICE]);
  const words = narrower.stdout.trim();
  expect(authority.verify(words).devices).toEqual([DEVICE]);

  const shown = await picobolt(["macaroon", "inspect", "--data-dir", folder, "--json"], {
    input: words,
  });
  expect(shown.last).toMatchObject({
    macaroon_id: grant.macaroonId,
    caveats: [
      "method = read,invoice",
      expect.stringMatching(/^time-before 2/),
      `device = ${DEVICE}`,
    ],
    root_key: { name: "shop" },
  });

  const revoked = await picobolt(["macaroon", "revoke", "shop", "--data-dir", folder]);
  expect(revoked.code).toBe(0);
  expect(() => authority.verify(words)).toThrow(/was revoked/);
  const list = await picobolt(["macaroon", "list", "--data-dir", folder]);
  expect(list.stdout).toMatch(/^[0-9a-f]{16} {2}shop, REVOKED /);
});

test.each([
  [["bake"], 2, "needs a name"],
  [["bake", "x", "--expires", "soon"], 2, 'the caveat "time-before soon" is not known'],
  [["attenuate"], 4, "is neither base64 nor hexadecimal"],
  [["revoke", "nobody"], 4, 'no root key "nobody"'],
  [["burn"], 2, 'not "burn"'],
])("macaroon %j is refused with code %i and one sentence", async (words, code, sentence) => {
  const ran = await picobolt(["macaroon", ...words, ...place], { input: "?" });
  expect(ran.stderr).toContain(sentence);
  expect(ran).toMatchObject({ code, stdout: "" });
});
