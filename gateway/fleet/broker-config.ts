/** What mosquitto needs to serve one gateway and its devices: TLS, a password for each name, and who may speak where. */
import { pbkdf2Sync, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { loadTls } from "../auth/tls.ts";
import { readPrivate, replacePrivate } from "../secrets/private-file.ts";

export interface BrokerOrder {
  /** Everything is written here, for its owner alone. */
  readonly folder: string;
  /** The gateway's name in topics (core/transport/mqtt-topics.ts, `topicName`). */
  readonly gateway: string;
  /** Devices to add, by their names in topics; those that are there stay as they are. */
  readonly add: readonly string[];
  /** Devices that are let in no longer. */
  readonly revoke: readonly string[];
  /** Under which the broker is called; the first one goes into the devices' settings. */
  readonly names: readonly string[];
  readonly port: number;
  /** 32 bytes: NodeSecret.derive("certificate authority"). */
  readonly caSecret: Uint8Array;
  readonly nowMs: () => number;
}

export interface BrokerConfig {
  /** For `mosquitto -c`. */
  readonly config: string;
  /** Holds the gateway's `mqtt.url`, with its password: not for the eyes of others. */
  readonly gatewayUrlFile: string;
  readonly caFile: string;
  /** Name of a device → its settings for `picobolt settings set mqtt=@…`. */
  readonly devices: ReadonlyMap<string, string>;
  /** Of those asked for. */
  readonly added: readonly string[];
  readonly revoked: readonly string[];
}

interface Credential {
  readonly user: string;
  readonly password: string;
}

const REGISTER = "credentials.json";
const MAX_REGISTER_BYTES = 32 * 1024 * 1024;
const MAX_URL_BYTES = 4_096;
const PASSWORD_BYTES = 18;
/** Of mosquitto's "$7$" lines; passwords are random, so that iterations add nothing. */
const ITERATIONS = 101;
const SALT_BYTES = 12;
const HASH_BYTES = 64;
/** Frames that wait for a device that reads slowly; a session starts anew beyond. */
const MAX_QUEUED = 1_000;

/** Writes all files; said again it changes nothing but what is asked for. */
export function writeBrokerConfig(order: BrokerOrder): BrokerConfig {
  const { folder, gateway } = order;
  mkdirSync(join(folder, "devices"), { recursive: true, mode: 0o700 });
  const known = registerIn(folder);
  const users = new Map(known.map((one) => [one.user, one]));
  const revoked = order.revoke.filter((name) => name !== gateway && users.delete(name));
  const added = order.add.filter((name) => !users.has(name));
  for (const name of [gateway, ...added]) if (!users.has(name)) users.set(name, credential(name));
  const all = [...users.values()];
  const tls = loadTls({
    folder,
    names: order.names,
    caSecret: order.caSecret,
    nowMs: order.nowMs,
  });
  // The register first: what the broker takes must be known here.
  write(folder, REGISTER, `${JSON.stringify(all, null, 2)}\n`);
  write(folder, "passwords", passwordLines(folder, all));
  write(folder, "acl", accessList(gateway));
  write(folder, "mosquitto.conf", mosquittoConf(order));
  for (const name of revoked) rmSync(deviceFile(folder, name), { force: true });
  const caFile = tls.authority?.path ?? join(folder, "ca.pem");
  const devices = new Map<string, string>();
  for (const one of all) {
    if (one.user === gateway) continue;
    write(folder, join("devices", `${one.user}.json`), deviceSettings(order, one, caFile));
    devices.set(one.user, deviceFile(folder, one.user));
  }
  const { password } = users.get(gateway) as Credential;
  const gatewayUrl = `mqtts://${gateway}:${password}@${order.names[0]}:${order.port}`;
  write(folder, "gateway.url", `${gatewayUrl}\n`);
  const config = join(folder, "mosquitto.conf");
  return { config, gatewayUrlFile: join(folder, "gateway.url"), caFile, devices, added, revoked };
}

export interface UserChange {
  readonly folder: string;
  readonly gateway: string;
  readonly add: readonly string[];
  readonly revoke: readonly string[];
}

/** Devices in and out of what `writeBrokerConfig` wrote, which stays as it is otherwise; with the settings of those to add. */
export function changeBrokerUsers({ folder, gateway, add, revoke }: UserChange): {
  readonly isChanged: boolean;
  readonly settings: ReadonlyMap<string, { readonly [name: string]: string | number }>;
} {
  const known = registerIn(folder);
  if (!known.some(({ user }) => user === gateway)) {
    throw new Error(`${folder} is not of this gateway: write it with picobolt broker-config`);
  }
  const users = new Map(known.map((one) => [one.user, one]));
  const revoked = revoke.filter((name) => name !== gateway && users.delete(name));
  const added = add.filter((name) => !users.has(name));
  for (const name of added) users.set(name, credential(name));
  const isChanged = revoked.length + added.length > 0;
  if (isChanged) {
    const all = [...users.values()];
    write(folder, REGISTER, `${JSON.stringify(all, null, 2)}\n`);
    write(folder, "passwords", passwordLines(folder, all));
    for (const name of revoked) rmSync(deviceFile(folder, name), { force: true });
  }
  const gatewayUrl = readPrivate(join(folder, "gateway.url"), MAX_URL_BYTES);
  const url = new URL(Buffer.from(gatewayUrl).toString("utf8").trim());
  const caFile = join(folder, "ca.pem");
  const order = { names: [url.hostname], port: Number(url.port) };
  const ca = readFileSync(caFile).toString("hex");
  const settings = add.map((name) => {
    const one = users.get(name) as Credential;
    if (added.includes(name)) {
      write(folder, join("devices", `${name}.json`), deviceSettings(order, one, caFile));
    }
    const { hostname: host } = url;
    return [name, { host, port: order.port, ca, user: name, password: one.password }] as const;
  });
  return { isChanged, settings: new Map(settings) };
}

/** What a broker's access list lets each name do: the gateway serves all of its devices, and a device is itself alone. */
export function accessList(gateway: string): string {
  const base = `picobolt/v1/${gateway}`;
  return [
    `user ${gateway}`,
    `topic read ${base}/+/up`,
    `topic read ${base}/+/state`,
    `topic write ${base}/+/down`,
    "",
    `pattern write ${base}/%u/up`,
    `pattern write ${base}/%u/state`,
    `pattern read ${base}/%u/down`,
    "",
  ].join("\n");
}

function deviceFile(folder: string, name: string): string {
  return join(folder, "devices", `${name}.json`);
}

function registerIn(folder: string): readonly Credential[] {
  const path = join(folder, REGISTER);
  if (!existsSync(path)) return [];
  const text = Buffer.from(readPrivate(path, MAX_REGISTER_BYTES)).toString("utf8");
  try {
    const list = JSON.parse(text) as readonly Credential[];
    if (Array.isArray(list) && list.every(isCredential)) return list;
  } catch {
    // Said below.
  }
  throw new Error(
    `${path} is damaged: restore it from a copy, or remove it, and every device needs a new password`,
  );
}

function isCredential(one: unknown): one is Credential {
  const { user, password } = (one ?? {}) as Partial<Credential>;
  return typeof user === "string" && /^[0-9A-Za-z_.-]+$/.test(user) && typeof password === "string";
}

function credential(user: string): Credential {
  return { user, password: randomBytes(PASSWORD_BYTES).toString("base64url") };
}

/** Lines that are there are kept: their salt is as good as another. */
function passwordLines(folder: string, all: readonly Credential[]): string {
  const path = join(folder, "passwords");
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
  const kept = new Map(lines.map((line) => [line.split(":")[0], line]));
  return all.map((one) => `${kept.get(one.user) ?? passwordLine(one)}\n`).join("");
}

/** As mosquitto_passwd writes it: PBKDF2 with SHA-512. */
function passwordLine({ user, password }: Credential): string {
  const salt = randomBytes(SALT_BYTES);
  const hash = pbkdf2Sync(password, salt, ITERATIONS, HASH_BYTES, "sha512");
  return `${user}:$7$${ITERATIONS}$${salt.toString("base64")}$${hash.toString("base64")}`;
}

function mosquittoConf({ folder, port }: BrokerOrder): string {
  const at = (name: string) => join(folder, name);
  return [
    "# Written by picobolt broker-config, and written again by it: settings of your own belong in another file.",
    `listener ${port}`,
    `certfile ${at("server.pem")}`,
    `keyfile ${at("server.key")}`,
    "tls_version tlsv1.2",
    "allow_anonymous false",
    `password_file ${at("passwords")}`,
    `acl_file ${at("acl")}`,
    "# Sessions pick up by themselves what a broker forgets: nothing of them is kept on its disk.",
    "persistence false",
    `max_queued_messages ${MAX_QUEUED}`,
    "max_keepalive 300",
    "",
  ].join("\n");
}

function deviceSettings(
  { names, port }: Pick<BrokerOrder, "names" | "port">,
  { user, password }: Credential,
  caFile: string,
): string {
  const settings = { host: names[0], port, ca: { $file: caFile }, user, password };
  return `${JSON.stringify(settings, null, 2)}\n`;
}

function write(folder: string, name: string, text: string): void {
  const path = join(folder, name);
  // The same again would only change the file's time, and have a broker read it anew.
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  replacePrivate(path, Buffer.from(text));
}
