/** What a macaroon permits, from the first start to its revocation. */
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { milliSatoshi, type PublicKey } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { attenuated, MacaroonAuthority } from "../../../gateway/auth/authority.ts";
import { macaroonFrom, macaroonText, withCaveat } from "../../../gateway/auth/macaroon.ts";
import type { Operation } from "../../../gateway/auth/operations.ts";

const secret = new Uint8Array(32).fill(9);
const DEVICE = `02${"ab".repeat(32)}`;
const OTHER = `03${"cd".repeat(32)}`;
const NOON = Date.parse("2027-03-01T12:00:00Z");
const getInfo: Operation = { name: "getInfo", group: "read" };
const createInvoice: Operation = { name: "createInvoice", group: "invoice" };
const payInvoice: Operation = { name: "payInvoice", group: "pay" };
const on = (device: string): Operation => ({
  ...createInvoice,
  device: fromHex(device) as PublicKey,
});
const failsWith = (code: string) => expect.objectContaining({ name: "AuthError", code });

let folder: string;
let now: number;
let authority: MacaroonAuthority;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-auth-"));
  now = NOON;
  authority = started();
});
afterEach(() => rmSync(folder, { recursive: true }));

const started = (key = secret) => new MacaroonAuthority({ folder, secret: key, nowMs: () => now });
const grantOf = (caveats: readonly string[], address?: string) =>
  authority.verify(macaroonText(authority.bake("test", caveats)), address);

describe("the first start", () => {
  test("writes three macaroons of mode 600 and says where; the second start writes none", () => {
    const paths = authority.writeFirst();
    expect(paths).toEqual(
      ["admin", "readonly", "invoice"].map((name) => join(folder, `${name}.macaroon`)),
    );
    for (const path of paths) expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = paths.map((path) => readFileSync(path, "utf8"));
    rmSync(paths[0] as string);
    expect(started().writeFirst()).toEqual([]);
    const permits = before.map((words) =>
      [getInfo, createInvoice, payInvoice].map((operation) =>
        started().verify(words).mayCall(operation),
      ),
    );
    expect(permits).toEqual([
      [true, true, true],
      [true, false, false],
      [false, true, false],
    ]);
  });

  test("goes on after a crash between two of them", () => {
    authority.writeFirst();
    const list = join(folder, "macaroon-keys.jsonl");
    const [admin] = readFileSync(list, "utf8").split("\n");
    writeFileSync(list, `${admin}\n`);
    expect(started().writeFirst()).toEqual([
      join(folder, "readonly.macaroon"),
      join(folder, "invoice.macaroon"),
    ]);
  });
});

describe("caveats narrow, and several must all hold", () => {
  test("method: operations and groups", () => {
    const grant = grantOf(["method = read,payInvoice", "method = payInvoice,createInvoice"]);
    expect(grant.mayCall(payInvoice)).toBe(true);
    expect(grant.mayCall(getInfo)).toBe(false);
    expect(() => grant.demand(createInvoice)).toThrow(failsWith("not-permitted"));
  });

  test("device: only calls about it", () => {
    const grant = grantOf([`device = ${DEVICE}`]);
    expect(grant.mayCall(on(DEVICE))).toBe(true);
    expect(() => grant.demand(on(OTHER))).toThrow(failsWith("wrong-device"));
    expect(() => grant.demand(createInvoice)).toThrow(failsWith("wrong-device"));
    expect(grant.devices).toEqual([DEVICE]);
    expect(grantOf([`device = ${DEVICE}`, `device = ${OTHER}`]).devices).toEqual([]);
  });

  test("time-before: also for a connection that stays open", () => {
    const words = macaroonText(authority.bake("test", ["time-before 2027-03-01T14:00:00+01:00"]));
    const grant = grantOf(["time-before 2027-03-01T12:00:01Z"]);
    expect(() => authority.verify(words)).not.toThrow();
    now += 1000;
    expect(() => grant.demand(getInfo)).toThrow(failsWith("expired"));
    now = Date.parse("2027-03-01T13:00:00Z");
    expect(() => authority.verify(words)).toThrow(failsWith("expired"));
  });

  test("ip: addresses and networks, and no local socket", () => {
    const ip = "ip = 10.1.0.0/16,192.168.1.7,2001:db8::/32";
    for (const address of ["10.1.255.3", "192.168.1.7", "2001:db8:5::1", "::ffff:10.1.2.3"]) {
      expect(grantOf([ip], address).mayCall(getInfo), address).toBe(true);
    }
    for (const address of ["10.2.0.1", "192.168.1.8", "2001:db9::1", "::1", undefined]) {
      expect(() => grantOf([ip], address), address).toThrow(failsWith("wrong-address"));
    }
  });
});

describe("an amount per day", () => {
  const pays = async (words: string, amount: number) =>
    authority.verify(words).spend(milliSatoshi(amount));

  test("counts all payments of a day of UTC, and begins anew the next", async () => {
    const words = macaroonText(authority.bake("test", ["amount-per-day <= 1000"]));
    await pays(words, 600);
    await pays(words, 400);
    await expect(pays(words, 1)).rejects.toThrow(failsWith("over-limit"));
    now = Date.parse("2027-03-02T00:00:00Z");
    await pays(words, 1000);
  });

  test("what failed is given back, once", async () => {
    const words = macaroonText(authority.bake("test", ["amount-per-day <= 1000"]));
    await pays(words, 600);
    const failed = await pays(words, 400);
    await failed.giveBack();
    await failed.giveBack();
    await pays(words, 400);
    await expect(pays(words, 1)).rejects.toThrow(failsWith("over-limit"));
  });

  test("holds for all that is attenuated from it together; a child's own is its own", async () => {
    const parent = authority.bake("test", ["amount-per-day <= 1000"]);
    const children = [100, 5000].map((limit) =>
      macaroonText(attenuated(parent, [`amount-per-day <= ${limit}`])),
    );
    const [small, large] = children as [string, string];
    await pays(macaroonText(parent), 300);
    await pays(small, 100);
    await expect(pays(small, 1)).rejects.toThrow(failsWith("over-limit"));
    await pays(large, 600);
    await expect(pays(large, 1)).rejects.toThrow(failsWith("over-limit"));
  });
});

describe("what is refused", () => {
  test.each([
    "method=read",
    "method = ",
    "method = read, pay",
    "colour = red",
    "device = 02abcd",
    "time-before tomorrow",
    "time-before 2027-02-30T00:00:00Z",
    "time-before 2027-02-01",
    "amount-per-day <= -1",
    "amount-per-day <= 1e9",
    "amount-per-day <= 99999999999999999",
    "ip = 10.0.0.0/33",
    "ip = example.com",
    `method = ${"a,".repeat(32)}a`,
  ])("the caveat %j, both when it is made and when it comes", (caveat) => {
    expect(() => authority.bake("test", [caveat])).toThrow(failsWith("unknown-caveat"));
    const forged = attenuatedUnchecked(macaroonText(authority.bake("other")), caveat);
    expect(() => authority.verify(forged)).toThrow(failsWith("unknown-caveat"));
  });

  test("no macaroon, one of another gateway, and one whose caveat was cut off", () => {
    expect(() => authority.verify(undefined)).toThrow(failsWith("no-macaroon"));
    const words = macaroonText(authority.bake("test", ["method = read"]));
    expect(() => started(new Uint8Array(32)).verify(words)).toThrow(failsWith("bad-macaroon"));
    const cut = macaroonText({ ...macaroonFrom(words), caveats: [] });
    expect(() => authority.verify(cut)).toThrow(failsWith("bad-macaroon"));
  });

  test("every macaroon, where the list of root keys is lost or damaged", () => {
    const words = macaroonText(authority.bake("test"));
    const list = join(folder, "macaroon-keys.jsonl");
    const kept = readFileSync(list);
    rmSync(list);
    expect(() => authority.verify(words)).toThrow(failsWith("bad-macaroon"));
    writeFileSync(list, Buffer.concat([Buffer.from("x"), kept]));
    expect(() => started()).toThrow(/damaged in line 1/);
  });
});

describe("revoking", () => {
  test("voids all of one name and none of another, at once, across processes and for ever", () => {
    const [a, b] = ["kiosk", "shop"].map((name) => macaroonText(authority.bake(name))) as [
      string,
      string,
    ];
    const open = authority.verify(a);
    started().revoke("kiosk");
    expect(() => open.demand(getInfo)).toThrow(failsWith("revoked"));
    expect(() => authority.verify(a)).toThrow(failsWith("revoked"));
    expect(authority.verify(b).rootKeyName).toBe("shop");
    const again = macaroonText(authority.bake("kiosk"));
    expect(() => authority.verify(a)).toThrow(failsWith("revoked"));
    expect(authority.verify(again).rootKeyName).toBe("kiosk");
    expect(authority.rootKeys.list().map(({ name, revokedAt }) => [name, revokedAt])).toEqual([
      ["kiosk", "2027-03-01T12:00:00.000Z"],
      ["shop", undefined],
      ["kiosk", undefined],
    ]);
  });

  test("an unknown name is an error, and a line torn by a power cut is none", () => {
    expect(() => authority.revoke("kiosk")).toThrow(/no root key "kiosk"/);
    authority.bake("kiosk");
    appendFileSync(join(folder, "macaroon-keys.jsonl"), '{"type":"rev');
    started().revoke("kiosk");
    expect(started().rootKeys.list()).toMatchObject([
      { name: "kiosk", revokedAt: expect.any(String) },
    ]);
  });
});

function attenuatedUnchecked(words: string, caveat: string): string {
  return macaroonText(withCaveat(macaroonFrom(words), caveat));
}
