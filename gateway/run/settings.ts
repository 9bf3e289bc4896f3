/** Every setting of the gateway: its name in the file, its variable, its kind, what it is when nobody says, and what it is for. */
import { homedir } from "node:os";
import { join } from "node:path";
import { descriptor } from "../settlement/descriptors.ts";
import { ACTION_KINDS } from "../settlement/journal.ts";
import {
  choice,
  flag,
  type Kind,
  list,
  nodeId,
  path,
  peerAddress,
  port,
  s3Name,
  secret,
  text,
  url,
  wholeNumber,
} from "./setting-kinds.ts";

export interface Setting<T> {
  readonly kind: Kind<T>;
  readonly env?: string;
  readonly about: string;
}

interface WithDefault<T> extends Setting<T> {
  readonly usual: T;
}

function setting<T>(kind: Kind<T>, usual: T, about: string, env?: string): WithDefault<T> {
  return { kind, usual, about, ...(env !== undefined && { env }) };
}

function optional<T>(kind: Kind<T>, about: string, env?: string): Setting<T> {
  return { kind, about, ...(env !== undefined && { env }) };
}

export const NETWORKS = ["mainnet", "testnet4", "signet", "regtest", "sim"] as const;
export type GatewayNetwork = (typeof NETWORKS)[number];

/** What must stand in `mainnet_acknowledged`. */
export const MAINNET_WORDS = "real money";
const MAX_MSAT = Number.MAX_SAFE_INTEGER;
const DAY_SECONDS = 86_400;

function usualDataDir(): string {
  const base = process.env.XDG_DATA_HOME || join(homedir(), ".local", "share");
  return join(base, "picobolt", "gateway");
}

const sat = wholeNumber(0, 1_000_000_000_000, "satoshis");
const satPerVb = wholeNumber(1, 10_000, "satoshis per virtual byte");

export const SETTINGS = {
  network: optional(
    choice(...NETWORKS),
    "the Bitcoin network; without it regtest where a bitcoind is found, else a simulated chain",
    "NETWORK",
  ),
  mainnet_acknowledged: optional(
    text,
    `'${MAINNET_WORDS}': mainnet is wanted, and its risks are known`,
    "MAINNET_ACKNOWLEDGED",
  ),
  data_dir: setting(
    path,
    usualDataDir(),
    "keys, records and macaroons; its owner's alone",
    "DATA_DIR",
  ),
  name: setting(text, "gateway", "told to devices and peers that ask", "NODE_NAME"),
  log_level: setting(
    choice("trace", "debug", "info", "warn", "error", "fatal", "silent"),
    "info",
    "of the structured log on standard error",
    "LOG_LEVEL",
  ),
  database_url: optional(
    secret,
    "a path or file: for SQLite, postgres:// for PostgreSQL; without it SQLite in data_dir",
    "DATABASE_URL",
  ),
  "worker.name": optional(
    text,
    "this process's name among several that share one PostgreSQL database; without it it is the only one",
    "WORKER_NAME",
  ),
  "worker.lease_seconds": setting(
    wholeNumber(1, 600, "seconds"),
    10,
    "a process that is not heard of for so long has its devices and channels taken over by the others",
  ),
  "worker.api_url": optional(
    url("http:", "https:"),
    "where the other processes reach this one's API; without it as api.host and api.port say",
  ),
  "secrets.passphrase_file": optional(path, "file with the passphrase of the seed"),
  "secrets.key_file": optional(path, "file with a key that unlocks the seed without a passphrase"),
  "api.host": setting(text, "127.0.0.1", "where the API listens", "HOST"),
  "api.port": setting(port, 9737, "of the API; 0 for any that is free", "PORT"),
  "api.tls": setting(
    choice("auto", "off"),
    "auto",
    "auto: a certificate of its own, or the given one; off: plain HTTP, on loopback only",
  ),
  "api.certificate": optional(path, "PEM of the API's certificate"),
  "api.key": optional(path, "PEM of its key"),
  "api.names": setting(list(text), [], "more host names in the API's own certificate"),
  "api.calls_per_second": setting(
    wholeNumber(1, 1_000_000, "calls"),
    100,
    "of one macaroon in the long run, and five times as many at once; an address may have twice that",
  ),
  "p2p.host": setting(text, "127.0.0.1", "where peers are listened for"),
  "p2p.port": setting(port, 9735, "for peers over TCP; 0 for any that is free", "P2P_PORT"),
  "p2p.bootstrap_peers": setting(
    list(peerAddress),
    [],
    "called at every start and whenever they are away",
    "BOOTSTRAP_PEERS",
  ),
  "discovery.lan": setting(flag, true, "tell and hear who else is on this network, by mDNS"),
  "discovery.interface": optional(
    text,
    "this machine's address on that network; without it the system's usual one, or loopback where p2p.host is",
  ),
  "bitcoind.url": optional(
    url("http:"),
    "http://user:password@host:port of the node's RPC; user and password may come from the cookie",
    "BITCOIND_URL",
  ),
  "bitcoind.cookie_file": optional(path, "the node's .cookie, where the URL has no password"),
  "bitcoind.wallet": setting(text, "picobolt", "the node's wallet with the gateway's coins"),
  "mqtt.url": optional(
    url("mqtt:", "mqtts:"),
    "the broker of the devices; without it one inside this program, on loopback",
    "MQTT_URL",
  ),
  "mqtt.url_file": optional(path, "holds mqtt.url, as picobolt broker-config writes it"),
  "mqtt.ca_file": optional(path, "PEM of the authority that signed the broker's certificate"),
  "mqtt.version": setting(
    choice("3.1.1", "5"),
    "3.1.1",
    "of MQTT that is spoken to that broker; the one inside speaks 3.1.1 alone",
  ),
  "mqtt.config_folder": optional(
    path,
    "that picobolt broker-config wrote: devices are given their passwords there when they are claimed, and lose them when they are revoked",
  ),
  "mqtt.pid_file": optional(
    path,
    "holds the broker's process id, which is sent SIGHUP when passwords have changed",
  ),
  "mqtt.port": setting(port, 1883, "of the broker inside; 0 for any that is free"),
  "links.serial": setting(list(path), [], "serial ports with a device at the other end"),
  "devices.serve": setting(
    choice("all", "none"),
    "all",
    "whose channels are watched and whose claims are published",
  ),
  "devices.max_channel_sat": setting(
    wholeNumber(0, 1_000_000_000, "satoshis"),
    0,
    "a device may ask for a channel of so much from the gateway's coins; 0: none may",
  ),
  "devices.ask_seconds": setting(
    wholeNumber(1, DAY_SECONDS, "seconds"),
    300,
    "a device of the fleet that is there is asked how it stands, and what it sold, so often",
  ),
  "devices.silent_hours": setting(
    wholeNumber(1, 8_760, "hours"),
    24,
    "a device of the fleet that was not heard of for so long is offline, and an alarm; until then it sleeps",
  ),
  "tower.serve": setting(flag, true, "be a watchtower for devices and peers"),
  "tower.node_id": optional(nodeId, "the peer that watches for this gateway when it is away"),
  "alerts.no_block_minutes": setting(
    wholeNumber(10, 10_080, "minutes"),
    90,
    "an alarm when no block came for so long; not on regtest, nor on a simulated chain",
  ),
  "alerts.second_tip_url": optional(
    url("http:", "https:"),
    "who else knows the newest block, so that a fork is noticed: http://user:password@host:port of another node's RPC, or an Esplora API (https://…/api)",
  ),
  "alerts.outbound_percent": setting(
    wholeNumber(0, 100, "percent of the capacity"),
    5,
    "an alarm when less of a channel is on our side: its peer can hardly be paid; 0: none",
  ),
  "alerts.inbound_percent": setting(
    wholeNumber(0, 100, "percent of the capacity"),
    0,
    "an alarm when less of a channel is on the peer's side; 0: none, for channels we opened begin so",
  ),
  "alerts.wallet_coins": setting(
    wholeNumber(0, 100, "coins"),
    2,
    "an alarm when channels are there and fewer confirmed coins are ready in the wallet; 0: none",
  ),
  "alerts.device_percent": setting(
    wholeNumber(0, 100, "percent of its channels"),
    5,
    "an alarm when a device of the fleet can be paid less (one that buys: can pay less); 0: none",
  ),
  "alerts.flash_payments": setting(
    wholeNumber(0, 1_000_000_000, "payments"),
    10_000,
    "an alarm when a device's flash is good for fewer; 0: none",
  ),
  "policy.stale_tip_minutes": setting(
    wholeNumber(0, 10_080, "minutes"),
    180,
    "with a newest block older than that, or a Bitcoin node silent for so long, no HTLC is begun, forwarded or taken: its deadline would be misjudged; 0: never",
  ),
  "policy.fee_base_msat": setting(
    wholeNumber(0, MAX_MSAT, "millisatoshis"),
    1_000,
    "for each payment that is forwarded",
  ),
  "policy.fee_proportional_millionths": setting(
    wholeNumber(0, 1_000_000, "millionths"),
    100,
    "of the amount that is forwarded",
  ),
  "policy.cltv_delta": setting(
    wholeNumber(18, 2_016, "blocks"),
    80,
    "between the expiry that is offered to us and the one that we offer",
  ),
  "policy.min_htlc_msat": setting(
    wholeNumber(1, MAX_MSAT, "millisatoshis"),
    1_000,
    "the least that is forwarded",
  ),
  "policy.max_htlc_msat": setting(
    wholeNumber(1, MAX_MSAT, "millisatoshis"),
    1_000_000_000,
    "the most that is forwarded in one HTLC",
  ),
  "policy.hold_seconds": setting(
    wholeNumber(0, DAY_SECONDS, "seconds"),
    60,
    "an HTLC for a sleeping device waits so long before it is failed back",
  ),
  "settlement.automatic": setting(
    list(choice(...ACTION_KINDS)),
    ["sweep"],
    "done at each block without being asked: sweep, open, rebalance",
  ),
  "settlement.sweep_descriptor": optional(
    descriptor,
    "where the wallet's coins go that are to spare; without it they stay",
  ),
  "settlement.reserve_sat": setting(
    sat,
    500_000,
    "stays in the wallet, whatever is swept and opened: claims of closing channels are paid with it",
  ),
  "settlement.reserve_coins": setting(
    wholeNumber(0, 1_000, "coins"),
    10,
    "the smallest so many are never swept: each claim takes one of its own",
  ),
  "settlement.sweep_min_sat": setting(sat, 100_000, "less is not swept"),
  "settlement.sweep_max_sat_per_vb": setting(satPerVb, 10, "above it a sweep waits, …"),
  "settlement.sweep_urgent_sat": setting(sat, 10_000_000, "… unless so much is to spare"),
  "settlement.open_low_sat": setting(
    sat,
    50_000,
    "a device that can receive less gets a channel, …",
  ),
  "settlement.open_target_sat": setting(sat, 500_000, "… by which it can receive so much, …"),
  "settlement.open_min_sat": setting(sat, 100_000, "… of this size at least, …"),
  "settlement.open_max_sat": setting(sat, 2_000_000, "… and at most"),
  "settlement.open_devices": setting(
    list(nodeId),
    [],
    "devices that get one besides those that the fleet owns",
  ),
  "settlement.open_budget_day_sat": setting(sat, 0, "for such channels, in a day (UTC); 0: none"),
  "settlement.open_budget_sat": setting(sat, 0, "for all of them, ever; 0: none"),
  "settlement.open_at_once": setting(wholeNumber(1, 64, "channels"), 2, "opened at a time"),
  "settlement.open_max_sat_per_vb": setting(satPerVb, 20, "above it none is opened"),
  "settlement.rebalance_above_percent": setting(
    wholeNumber(51, 99, "percent of the capacity"),
    80,
    "of a gateway's channel: with more of ours it is full, with more of the peer's it is empty",
  ),
  "settlement.rebalance_min_sat": setting(
    sat,
    10_000,
    "less is not moved from the one to the other",
  ),
  "settlement.rebalance_max_sat": setting(sat, 1_000_000, "moved at a time"),
  "settlement.rebalance_max_fee_millionths": setting(
    wholeNumber(0, 1_000_000, "millionths"),
    1_000,
    "of the amount that is moved: no more is paid for it",
  ),
  "settlement.rebalance_budget_day_sat": setting(sat, 1_000, "for such fees, in a day (UTC)"),
  "backup.file": optional(
    path,
    "a second place for channels.backup, on another disk; it is encrypted under the seed",
  ),
  "backup.snapshot_file": optional(path, "the encrypted copy of the store, if not in data_dir"),
  "backup.snapshot_every_hours": setting(
    wholeNumber(0, 8_760, "hours"),
    0,
    "the store is copied that often while it runs; 0: on demand alone",
  ),
  "backup.stream_seconds": setting(
    wholeNumber(0, 3_600, "seconds"),
    0,
    "what changed in the store since its snapshot is added to store.stream beside it that often; 0: never",
  ),
  "backup.s3.endpoint": optional(
    url("https:", "http:"),
    "an S3-compatible store that gets every backup as well; all of it is encrypted under the seed",
  ),
  "backup.s3.bucket": optional(s3Name, "the bucket there; it must exist"),
  "backup.s3.prefix": optional(s3Name, "what keys begin with; without it the node id"),
  "backup.s3.region": setting(text, "us-east-1", "of the bucket"),
  "backup.s3.access_key_id": optional(
    text,
    "of a key that may put, get, list and delete there",
    "AWS_ACCESS_KEY_ID",
  ),
  "backup.s3.secret_access_key": optional(secret, "its secret", "AWS_SECRET_ACCESS_KEY"),
  "backup.s3.secret_access_key_file": optional(path, "holds it, and is its owner's alone"),
  "backup.s3.keep": setting(
    wholeNumber(1, 1_000, "snapshots"),
    3,
    "older ones are deleted there, with the streams that continued them",
  ),
  metrics: setting(flag, true, "Prometheus metrics at /metrics of the API"),
} as const;

export type Settings = typeof SETTINGS;
export type SettingName = keyof Settings;
export type Config = {
  readonly [N in SettingName]: Settings[N] extends WithDefault<infer T>
    ? T
    : Settings[N] extends Setting<infer T>
      ? T | undefined
      : never;
};
