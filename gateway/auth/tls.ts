/**
 * What the gateway's TLS servers show: certificates of the gateway's own authority, made when they are missing and
 * renewed in time, or an operator's own files. The authority's key comes from the node's secret and is stored
 * nowhere; `ca.pem` is what clients trust, and stays the same.
 */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { replacePrivate } from "../secrets/private-file.ts";
import { keyFromSecret, makeCertificate, newServerKey } from "./certificates.ts";

export interface TlsOptions {
  /** For ca.pem, server.pem and server.key; used where no files are given. */
  readonly folder: string;
  /** DNS names and addresses besides localhost's. */
  readonly names: readonly string[];
  /** 32 bytes: NodeSecret.derive("certificate authority"). */
  readonly caSecret: Uint8Array;
  readonly nowMs: () => number;
  /** An operator's own, in PEM: the chain, the server's certificate first, and its key. */
  readonly given?: { readonly certificate: string; readonly key: string };
}

export interface TlsMaterial {
  /** PEM, as tls.createServer takes them. */
  readonly key: string;
  readonly cert: string;
  /** Of the server's certificate: "AB:CD:…", SHA-256. */
  readonly fingerprint: string;
  readonly expiresAtMs: number;
  readonly authority: { readonly path: string; readonly fingerprint: string } | undefined;
  /** Made now. */
  readonly isNew: boolean;
}

export type TlsErrorCode =
  | "missing"
  | "damaged"
  | "mismatch"
  | "expired"
  | "open-to-others"
  | "bad-name";

export class TlsError extends Error {
  override readonly name = "TlsError";
  constructor(
    readonly code: TlsErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const LOCAL_NAMES: readonly string[] = ["localhost", "127.0.0.1", "::1"];
const DAY_MS = 86_400_000;
/** Browsers take no longer ones. */
const SERVER_DAYS = 397;
const SERVER_RENEWAL_DAYS = 30;
const CA_DAYS = 3650;
const CA_RENEWAL_DAYS = SERVER_DAYS + SERVER_RENEWAL_DAYS;
/** Clients' clocks may be behind. */
const EARLIER_MS = DAY_MS;
const MAX_NAMES = 64;
const CHECK_MS = DAY_MS / 2;

/** Again whenever time has passed: what is due is renewed. @throws TlsError; SecretError "io". */
export function loadTls(options: TlsOptions): TlsMaterial {
  if (options.given) return givenTls(options.given, options.nowMs());
  const names = [...new Set([...LOCAL_NAMES, ...options.names])];
  checkNames(names);
  const key = keyFromSecret(options.caSecret);
  const ca = authorityIn(options, key);
  return storedServer(options, ca, names) ?? newServer(options, { certificate: ca, key, names });
}

/** Looks twice a day whether the certificate is due, or the operator's files are new. */
export class TlsRenewal {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly options: TlsOptions,
    private current: TlsMaterial,
    /** Such as `server.setSecureContext`. */
    private readonly onRenewed: (material: TlsMaterial) => void,
    /** What is in use stays in use. */
    private readonly onFailed: (error: unknown) => void,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.check(), CHECK_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  check(): void {
    try {
      const material = loadTls(this.options);
      if (material.fingerprint === this.current.fingerprint) return;
      this.current = material;
      this.onRenewed(material);
    } catch (error) {
      this.onFailed(error);
    }
  }
}

function authorityIn({ folder, nowMs }: TlsOptions, key: KeyObject): X509Certificate {
  const path = join(folder, "ca.pem");
  const now = nowMs();
  const stored = certificateIn(path);
  const isOurs = stored?.checkPrivateKey(key) && stored.ca;
  if (stored && isOurs && expiryOf(stored) - now > CA_RENEWAL_DAYS * DAY_MS) return stored;
  const publicKey = createPublicKey(key);
  const name = authorityName(publicKey);
  const certificate = makeCertificate({
    subject: name,
    publicKey,
    issuer: { name, key },
    fromMs: now - EARLIER_MS,
    untilMs: now + CA_DAYS * DAY_MS,
  });
  replacePrivate(path, Buffer.from(certificate));
  return new X509Certificate(certificate);
}

/** Undefined where it is missing, damaged, for other names, of another authority, or soon over. */
function storedServer(
  { folder, nowMs }: TlsOptions,
  ca: X509Certificate,
  names: readonly string[],
): TlsMaterial | undefined {
  const stored = certificateIn(join(folder, "server.pem"));
  const path = join(folder, "server.key");
  if (!stored || !existsSync(path)) return undefined;
  const key = readFileSync(path, "utf8");
  const stands =
    fits(stored, key) &&
    stored.checkIssued(ca) &&
    stored.verify(ca.publicKey) &&
    sameNames(stored, names) &&
    expiryOf(stored) - nowMs() > SERVER_RENEWAL_DAYS * DAY_MS;
  return stands ? ownMaterial(folder, { key, certificate: stored, ca, isNew: false }) : undefined;
}

interface Authority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly names: readonly string[];
}

function newServer({ folder, nowMs }: TlsOptions, authority: Authority): TlsMaterial {
  const serverKey = newServerKey();
  const now = nowMs();
  const text = makeCertificate({
    subject: "picobolt gateway",
    publicKey: createPublicKey(serverKey),
    issuer: { name: authorityName(createPublicKey(authority.key)), key: authority.key },
    fromMs: now - EARLIER_MS,
    untilMs: now + SERVER_DAYS * DAY_MS,
    names: authority.names,
  });
  const key = serverKey.export({ type: "pkcs8", format: "pem" }) as string;
  replacePrivate(join(folder, "server.key"), Buffer.from(key));
  replacePrivate(join(folder, "server.pem"), Buffer.from(text));
  const certificate = new X509Certificate(text);
  return ownMaterial(folder, { key, certificate, ca: authority.certificate, isNew: true });
}

interface OwnMaterial {
  readonly key: string;
  readonly certificate: X509Certificate;
  readonly ca: X509Certificate;
  readonly isNew: boolean;
}

function ownMaterial(folder: string, { key, certificate, ca, isNew }: OwnMaterial): TlsMaterial {
  return {
    key,
    cert: `${certificate}${ca}`,
    fingerprint: certificate.fingerprint256,
    expiresAtMs: expiryOf(certificate),
    authority: { path: join(folder, "ca.pem"), fingerprint: ca.fingerprint256 },
    isNew,
  };
}

function givenTls(given: { certificate: string; key: string }, nowMs: number): TlsMaterial {
  const cert = textOf(given.certificate);
  const key = textOf(given.key);
  if (process.platform !== "win32" && statSync(given.key).mode & 0o007) {
    const message = `${given.key} can be read by everybody: chmod 640 ${given.key}, and replace it if somebody may have.`;
    throw new TlsError("open-to-others", message);
  }
  const certificate = parsed(cert, given.certificate);
  if (!fits(certificate, key)) {
    const message = `${given.key} is not the key of ${given.certificate}, whose first certificate must be the server's.`;
    throw new TlsError("mismatch", message);
  }
  const expiresAtMs = expiryOf(certificate);
  if (expiresAtMs <= nowMs) {
    const message = `${given.certificate} expired on ${certificate.validTo}: renew it.`;
    throw new TlsError("expired", message);
  }
  const fingerprint = certificate.fingerprint256;
  return { key, cert, fingerprint, expiresAtMs, authority: undefined, isNew: false };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const message = `${path} cannot be read (${(cause as NodeJS.ErrnoException).code}): check the TLS settings.`;
    throw new TlsError("missing", message, { cause });
  }
}

function parsed(text: string, path: string): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new TlsError("damaged", `${path} holds no certificate in PEM.`, { cause });
  }
}

function certificateIn(path: string): X509Certificate | undefined {
  try {
    return new X509Certificate(readFileSync(path));
  } catch {
    return undefined; // missing or damaged: made anew
  }
}

function fits(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** Each name is in it, and no other. */
function sameNames(certificate: X509Certificate, names: readonly string[]): boolean {
  const has = (name: string) =>
    isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name, { wildcards: false });
  const count = certificate.subjectAltName?.split(", ").length;
  return count === names.length && names.every((name) => has(name) !== undefined);
}

function checkNames(names: readonly string[]): void {
  const isName = (name: string) =>
    isIP(name) !== 0 || /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.|$))+$/i.test(name);
  const wrong = names.find((name) => !isName(name));
  if (wrong !== undefined || names.length > MAX_NAMES) {
    const message = `"${wrong}" is no DNS name or address for the certificate (at most ${MAX_NAMES} of them).`;
    throw new TlsError("bad-name", message);
  }
}

/** Two gateways' authorities must not be taken for each other. */
function authorityName(key: KeyObject): string {
  const digits = key.export({ type: "spki", format: "der" }).toString("hex").slice(-8);
  return `picobolt gateway CA ${digits}`;
}

function expiryOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}
