/** The gateway's own authority: certificates that OpenSSL and clients accept, made once and renewed in time. */
import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { keyFromSecret, makeCertificate } from "../../../gateway/auth/certificates.ts";
import {
  loadTls,
  type TlsMaterial,
  type TlsOptions,
  TlsRenewal,
} from "../../../gateway/auth/tls.ts";

const DAY_MS = 86_400_000;
const caSecret = new Uint8Array(32).fill(5);
const failsWith = (code: string) => expect.objectContaining({ name: "TlsError", code });

let folder: string;
let now: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-tls-"));
  now = Date.now();
});
afterEach(() => rmSync(folder, { recursive: true }));

const options = (more: Partial<TlsOptions> = {}): TlsOptions => ({
  folder,
  names: ["gateway.lan", "192.168.1.9", "fd00::1:2"],
  caSecret,
  nowMs: () => now,
  ...more,
});
const caOf = () => readFileSync(join(folder, "ca.pem"), "utf8");

describe("made at the first start", () => {
  test("OpenSSL's strictest check accepts the chain, for each name and address", () => {
    const { cert } = loadTls(options());
    writeFileSync(join(folder, "chain"), cert);
    const check = (...words: string[]) =>
      execFileSync(
        "openssl",
        [
          "verify",
          "-x509_strict",
          "-purpose",
          "sslserver",
          "-CAfile",
          join(folder, "ca.pem"),
          ...words,
          join(folder, "chain"),
        ],
        { stdio: "pipe" },
      ).toString();
    for (const name of ["localhost", "gateway.lan"])
      expect(check("-verify_hostname", name)).toContain("OK");
    for (const address of ["127.0.0.1", "::1", "192.168.1.9", "fd00::1:2"]) {
      expect(check("-verify_ip", address)).toContain("OK");
    }
    expect(() => check("-verify_hostname", "bank.example")).toThrow();
  });

  test("a client that trusts ca.pem talks to the server; one that does not refuses", async () => {
    const { key, cert } = loadTls(options());
    const server = createServer({ key, cert }, (_, response) => response.end("hello"));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    try {
      expect(await get(port, caOf())).toBe("hello");
      await expect(get(port, undefined)).rejects.toThrow(/certificate/);
    } finally {
      server.close();
    }
  });

  test("keys are their owner's alone, and the authority's is nowhere", () => {
    const { fingerprint, authority } = loadTls(options());
    expect(statSync(join(folder, "server.key")).mode & 0o777).toBe(0o600);
    expect(fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(authority).toEqual({
      path: join(folder, "ca.pem"),
      fingerprint: new X509Certificate(caOf()).fingerprint256,
    });
    const server = createPrivateKey(readFileSync(join(folder, "server.key")));
    expect(server.equals(keyFromSecret(caSecret))).toBe(false);
  });
});

describe("later starts", () => {
  test("take what is there, and renew it 30 days before its end under the same authority", () => {
    const first = loadTls(options());
    expect(first.isNew).toBe(true);
    now += 366 * DAY_MS;
    expect(loadTls(options())).toEqual({ ...first, isNew: false });
    now += 2 * DAY_MS;
    const second = loadTls(options());
    expect(second.isNew).toBe(true);
    expect(second.authority).toEqual(first.authority);
    expect(second.expiresAtMs - now).toBeGreaterThan(396 * DAY_MS);
  });

  test("a client with the old ca.pem trusts what a renewed authority signs", () => {
    loadTls(options());
    const old = new X509Certificate(caOf());
    now += 3400 * DAY_MS;
    const server = new X509Certificate(loadTls(options()).cert);
    expect(new X509Certificate(caOf()).fingerprint256).not.toBe(old.fingerprint256);
    expect(server.checkIssued(old) && server.verify(old.publicKey)).toBe(true);
  });

  test.each([
    ["other names", () => options({ names: ["other.lan"] })],
    ["another seed", () => options({ caSecret: new Uint8Array(32).fill(6) })],
    ["a damaged certificate", () => spoiled("server.pem")],
    ["a damaged key", () => spoiled("server.key")],
    ["a key of another certificate", () => otherKey()],
  ])("%s: a new certificate", (_, changed) => {
    const first = loadTls(options());
    const second = loadTls(changed());
    expect(second.isNew).toBe(true);
    expect(second.fingerprint).not.toBe(first.fingerprint);
    expect(new X509Certificate(second.cert).verify(new X509Certificate(caOf()).publicKey)).toBe(
      true,
    );
  });
});

test("a running server gets the new certificate; a failure leaves it the one it has", () => {
  const failures: unknown[] = [];
  const renewed: TlsMaterial[] = [];
  const first = loadTls(options());
  const renewal = new TlsRenewal(
    options(),
    first,
    (material) => renewed.push(material),
    (error) => failures.push(error),
  );
  renewal.check();
  expect(renewed).toEqual([]);
  now += 380 * DAY_MS;
  rmSync(join(folder, "server.pem"));
  mkdirSync(join(folder, "server.pem"));
  renewal.check();
  expect(failures).toEqual([expect.objectContaining({ name: "SecretError", code: "io" })]);
  rmSync(join(folder, "server.pem"), { recursive: true });
  renewal.check();
  expect(renewed).toHaveLength(1);
});

describe("given files", () => {
  const given = () => ({ certificate: join(folder, "mine.pem"), key: join(folder, "mine.key") });
  beforeEach(() => {
    const own = mkdtempSync(join(folder, "own-"));
    const { cert, key } = loadTls(options({ folder: own }));
    writeFileSync(given().certificate, cert);
    writeFileSync(given().key, key, { mode: 0o640 });
  });

  test("are used as they are, and nothing is made", () => {
    const material = loadTls(options({ given: given() }));
    expect(material).toMatchObject({ authority: undefined, isNew: false });
    expect(() => caOf()).toThrow();
  });

  test("that are wrong are errors that say which", () => {
    const load = (more: object = {}) => loadTls(options({ given: { ...given(), ...more } }));
    expect(() => load({ key: "/nowhere" })).toThrow(failsWith("missing"));
    expect(() => load({ certificate: given().key })).toThrow(failsWith("damaged"));
    chmodSync(given().key, 0o644);
    expect(() => load()).toThrow(failsWith("open-to-others"));
    chmodSync(given().key, 0o600);
    writeFileSync(given().key, keyFromSecret(caSecret).export({ type: "pkcs8", format: "pem" }));
    expect(() => load()).toThrow(failsWith("mismatch"));
  });

  test("that are over are an error", () => {
    now += 400 * DAY_MS;
    expect(() => loadTls(options({ given: given() }))).toThrow(failsWith("expired"));
  });
});

test("names that cannot stand in a certificate are refused", () => {
  expect(() => loadTls(options({ names: ["a b"] }))).toThrow(failsWith("bad-name"));
});

test("years from 2050 on are written in four digits", () => {
  const key = keyFromSecret(caSecret);
  const [fromMs, untilMs] = [Date.UTC(2049, 11, 31), Date.UTC(2050, 0, 1)];
  const issuer = { name: "x", key };
  const order = { subject: "x", publicKey: createPublicKey(key), issuer, fromMs, untilMs };
  const made = new X509Certificate(makeCertificate(order));
  expect([Date.parse(made.validFrom), Date.parse(made.validTo)]).toEqual([fromMs, untilMs]);
});

function spoiled(name: string): TlsOptions {
  writeFileSync(join(folder, name), "nothing");
  return options();
}

function otherKey(): TlsOptions {
  const other = keyFromSecret(new Uint8Array(32));
  writeFileSync(join(folder, "server.key"), other.export({ type: "pkcs8", format: "pem" }));
  return options();
}

function get(port: number, ca: string | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port, ...(ca && { ca }), agent: false },
      (response) => {
        let body = "";
        response.on("data", (bytes: Buffer) => {
          body += bytes.toString();
        });
        response.on("end", () => resolve(body));
      },
    );
    asked.on("error", reject);
    asked.end();
  });
}
