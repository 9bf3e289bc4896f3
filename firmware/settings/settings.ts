/** What an owner decides about a device: checked name by name, and kept as one CBOR map (docs/ADMIN.md "Settings"). */
import { encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { AdminError, type CborMap, Params } from "../admin/params.ts";
import type { Image } from "../board.ts";
import { MAX_PAYOUT_BYTES, type Payout, payoutOf } from "./payout.ts";

export interface WifiSettings {
  readonly ssid: string;
  readonly password: string;
}

export interface MqttSettings {
  readonly host: string;
  readonly port: number;
  /** The certificate that the broker's must chain to; absent: no TLS. */
  readonly ca?: Uint8Array | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

/** The machine that a payer walks up to over BLE. */
export interface BuysFromSettings {
  /** Its name in the air. */
  readonly machine: string;
  /** Absent: whoever has the name is asked who it is. */
  readonly nodeId?: PublicKey | undefined;
}

export type Policy = Readonly<Record<PolicyNumber, number>> & {
  /** The gateway's channels are used before their funding confirms. */
  readonly zeroConf: boolean;
};

/** Of a device that has an owner. */
export interface Settings {
  readonly owner: PublicKey;
  readonly name: string;
  /** As the owner wrote it; `payout` is what follows from it. */
  readonly payoutText: string;
  readonly payout: Payout;
  readonly gateway: PublicKey;
  /** The node that watches over this device's channels. */
  readonly tower?: PublicKey | undefined;
  readonly network: Image["network"];
  readonly policy: Policy;
  /** Empty: the device sells and buys nothing. */
  readonly app: string;
  readonly appConfig: CborMap;
  readonly wifi?: WifiSettings | undefined;
  readonly mqtt?: MqttSettings | undefined;
  readonly buysFrom?: BuysFromSettings | undefined;
}

export interface SettingsContext {
  readonly crypto: Crypto;
  readonly network: Image["network"];
}

interface PolicyRange {
  readonly min: number;
  readonly max: number;
  readonly otherwise: number;
}

const policyRanges = {
  /** Below the 1,008 blocks in which a revoked commitment must be answered (rule `offline-budget`). */
  maxOfflineBlocks: { min: 1, max: 1_000, otherwise: 432 },
  maxUnsyncedMsat: { min: 0, max: 100_000_000_000, otherwise: 100_000_000 },
  minFundingSat: { min: 1_000, max: 16_777_215, otherwise: 10_000 },
  maxFundingSat: { min: 1_000, max: 16_777_215, otherwise: 16_777_215 },
  maxChannels: { min: 1, max: 8, otherwise: 4 },
  minimumDepth: { min: 1, max: 144, otherwise: 3 },
} as const satisfies Record<string, PolicyRange>;

export type PolicyNumber = keyof typeof policyRanges;

export const MAX_NAME_BYTES = 32;
/** All of them, encoded: a backup has them beside its channels in one answer. */
export const MAX_SETTINGS_BYTES = 2_816;
const MAX_APP_BYTES = 24;
const MAX_CERTIFICATE_BYTES = 1_400;
const VERSION = 1;
const NO_CONFIG: CborMap = new Map();
const policyNames = Object.keys(policyRanges) as readonly PolicyNumber[];

/** From a claim, or from flash; throws an AdminError. */
export function settingsOf(context: SettingsContext, owner: PublicKey, map: CborMap): Settings {
  const params = new Params(map);
  const network = params.text("network", { min: 1, max: 16 });
  if (network !== context.network) {
    throw params.wrong("network", `must be ${context.network}: the device's image is made for it`);
  }
  const payoutText = params.text("payout", { min: 1, max: MAX_PAYOUT_BYTES });
  const settings: Settings = {
    owner,
    name: params.text("name", { min: 1, max: MAX_NAME_BYTES }),
    payoutText,
    payout: payoutOf(context.crypto, payoutText, context.network),
    gateway: params.nodeId("gateway", context.crypto),
    tower: params.has("tower") ? params.nodeId("tower", context.crypto) : undefined,
    network: context.network,
    policy: policyOf(params.has("policy") ? params.map("policy") : NO_CONFIG),
    app: params.has("app") ? params.text("app", { min: 0, max: MAX_APP_BYTES }) : "",
    appConfig: params.has("appConfig") ? params.map("appConfig") : NO_CONFIG,
    wifi: params.has("wifi") ? wifiOf(params.map("wifi")) : undefined,
    mqtt: params.has("mqtt") ? mqttOf(params.map("mqtt")) : undefined,
    buysFrom: params.has("buysFrom") ? buysFromOf(context, params.map("buysFrom")) : undefined,
  };
  params.end();
  if (settings.tower && equal(settings.tower, settings.gateway)) {
    throw params.wrong("tower", "must not be the gateway: it is the gateway that a tower watches");
  }
  const { length } = encodeSettings(settings);
  if (length > MAX_SETTINGS_BYTES) {
    const text = `the settings have ${length} bytes, ${MAX_SETTINGS_BYTES} are allowed`;
    throw new AdminError("too-large", text);
  }
  return settings;
}

/** Settings with some of them replaced; a name whose value is null goes back to what it is without one. */
export function changed(context: SettingsContext, settings: Settings, changes: CborMap): Settings {
  const map = new Map(mapOf(settings));
  for (const [name, value] of changes) {
    if (value === null) map.delete(name);
    else if (name === "policy" && value instanceof Map) {
      map.set(name, new Map([...(map.get(name) as CborMap), ...value]));
    } else map.set(name, value);
  }
  return settingsOf(context, settings.owner, map);
}

/** As `settingsOf` takes them. */
export function mapOf(settings: Settings): CborMap {
  const { name, payoutText, gateway, tower, network, policy, app, appConfig } = settings;
  const { wifi, mqtt, buysFrom } = settings;
  const map = new Map<string, CborValue>([
    ["name", name],
    ["payout", payoutText],
    ["gateway", gateway],
    ["network", network],
    ["policy", new Map<string, CborValue>(Object.entries(policy))],
    ["app", app],
    ["appConfig", appConfig],
  ]);
  if (tower) map.set("tower", tower);
  if (wifi) map.set("wifi", present(wifi));
  if (mqtt) map.set("mqtt", present(mqtt));
  if (buysFrom) map.set("buysFrom", present(buysFrom));
  return map;
}

/** For its owner to see: passwords are left out. */
export function shownMap(settings: Settings): CborMap {
  const map = new Map(mapOf(settings));
  const { wifi, mqtt } = settings;
  if (wifi) map.set("wifi", present({ ssid: wifi.ssid }));
  if (mqtt) map.set("mqtt", present({ ...mqtt, password: undefined }));
  return map;
}

export function encodeSettings(settings: Settings): Uint8Array {
  return encodeCbor([VERSION, settings.owner, mapOf(settings)]);
}

/** Of what was stored; throws an AdminError, also for what a newer firmware stored. */
export function decodeSettings(context: SettingsContext, stored: CborValue): Settings {
  const [version, owner, map] = Array.isArray(stored) ? (stored as CborValue[]) : [];
  const isKnown = version === VERSION && owner instanceof Uint8Array && map instanceof Map;
  if (!isKnown || !context.crypto.isPublicKey(owner)) {
    throw new AdminError("format", "the settings were stored by another firmware");
  }
  return settingsOf(context, owner as PublicKey, map);
}

function policyOf(map: CborMap): Policy {
  const params = new Params(map, "policy.");
  const numbers = policyNames.map((name) => {
    const { otherwise, ...range } = policyRanges[name];
    return [name, params.has(name) ? params.integer(name, range) : otherwise] as const;
  });
  const zeroConf = params.has("zeroConf") && params.flag("zeroConf");
  params.end();
  const policy: Policy = {
    ...(Object.fromEntries(numbers) as Record<PolicyNumber, number>),
    zeroConf,
  };
  if (policy.minFundingSat > policy.maxFundingSat) {
    throw params.wrong("minFundingSat", "must not be above maxFundingSat");
  }
  return policy;
}

function wifiOf(map: CborMap): WifiSettings {
  const params = new Params(map, "wifi.");
  const wifi = {
    ssid: params.text("ssid", { min: 1, max: 32 }),
    // None for an open network; WPA takes 8 to 63 characters, or 64 of hexadecimal.
    password: params.has("password") ? params.text("password", { min: 0, max: 64 }) : "",
  };
  params.end();
  return wifi;
}

function mqttOf(map: CborMap): MqttSettings {
  const params = new Params(map, "mqtt.");
  const text = (name: string) =>
    params.has(name) ? params.text(name, { min: 1, max: 64 }) : undefined;
  const certificate = { min: 1, max: MAX_CERTIFICATE_BYTES };
  const mqtt = {
    host: params.text("host", { min: 1, max: 128 }),
    port: params.integer("port", { min: 1, max: 65_535 }),
    ca: params.has("ca") ? params.bytes("ca", certificate) : undefined,
    user: text("user"),
    password: text("password"),
  };
  params.end();
  return mqtt;
}

function buysFromOf({ crypto }: SettingsContext, map: CborMap): BuysFromSettings {
  const params = new Params(map, "buysFrom.");
  const buysFrom = {
    machine: params.text("machine", { min: 1, max: MAX_NAME_BYTES }),
    nodeId: params.has("nodeId") ? params.nodeId("nodeId", crypto) : undefined,
  };
  params.end();
  return buysFrom;
}

function present(record: object): CborMap {
  const entries = Object.entries(record) as [string, CborValue | undefined][];
  return new Map(entries.filter((entry): entry is [string, CborValue] => entry[1] !== undefined));
}
