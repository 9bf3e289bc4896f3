/** The gateway's configuration: one TOML file, environment variables before it, words of the command line before both. */
import { readFileSync } from "node:fs";
import { parse, TomlError } from "smol-toml";
import { SettingRefused } from "./setting-kinds.ts";
import {
  type Config,
  MAINNET_WORDS,
  SETTINGS,
  type Setting,
  type SettingName,
} from "./settings.ts";

/** One sentence for each thing that is wrong, with the name under which it was given. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

export interface ConfigSources {
  /** Path of a TOML file. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** By the setting's name, as texts. */
  readonly words?: Readonly<Partial<Record<SettingName, string>>>;
}

interface Given {
  readonly value: unknown;
  /** "PORT", "api.port in /etc/picobolt.toml" … */
  readonly where: string;
}

const NAMES = Object.keys(SETTINGS) as readonly SettingName[];

/** Throws a ConfigError with everything that is wrong at once. */
export function loadConfig(sources: ConfigSources): Config {
  const problems: string[] = [];
  const given = collect(sources, problems);
  const values = NAMES.map((name) => [name, settingOf(name, given.get(name), problems)]);
  if (problems.length > 0) throw new ConfigError(problems);
  const config = Object.fromEntries(values) as Config;
  const conflicts = conflictsOf(config);
  if (conflicts.length > 0) throw new ConfigError(conflicts);
  return config;
}

/** A file with every setting as it is when nobody says, each with what it is for. */
export function exampleToml(): string {
  const lines = ["# picobolt gateway: every setting, as it is without this file.", ""];
  let table = "";
  for (const name of [...NAMES].sort(topFirst)) {
    const { about, env, kind, usual } = SETTINGS[name] as Setting<unknown> & { usual?: unknown };
    const last = name.slice(name.lastIndexOf(".") + 1);
    const inTable = name.slice(0, -last.length - 1);
    if (inTable !== "" && inTable !== table) {
      table = inTable;
      lines.push(`[${table}]`);
    }
    lines.push(`# ${about}${env ? ` (${env})` : ""}: ${kind.what}`);
    lines.push(`# ${last} = ${usual === undefined ? '"…"' : JSON.stringify(usual)}`, "");
  }
  return lines.join("\n");
}

function topFirst(a: SettingName, b: SettingName): number {
  return Number(a.includes(".")) - Number(b.includes("."));
}

function collect({ file, env = {}, words = {} }: ConfigSources, problems: string[]) {
  const given = new Map<SettingName, Given>();
  if (file !== undefined) {
    for (const [name, value] of flatten(tableOf(file))) {
      if (isSetting(name)) given.set(name, { value, where: `${name} in ${file}` });
      else problems.push(`${file}: there is no setting ${name}${nearest(name)}`);
    }
  }
  for (const name of NAMES) {
    const variable = (SETTINGS[name] as Setting<unknown>).env;
    const value = variable === undefined ? undefined : env[variable];
    if (variable !== undefined && value !== undefined && value !== "") {
      given.set(name, { value, where: variable });
    }
    if (words[name] !== undefined) given.set(name, { value: words[name], where: name });
  }
  return given;
}

function settingOf(name: SettingName, given: Given | undefined, problems: string[]): unknown {
  const { kind, ...more } = SETTINGS[name] as Setting<unknown> & { readonly usual?: unknown };
  if (!given) return more.usual;
  try {
    return kind.read(given.value);
  } catch (cause) {
    if (!(cause instanceof SettingRefused)) throw cause;
    problems.push(`${given.where}: ${cause.message}`);
    return undefined;
  }
}

function conflictsOf(config: Config): string[] {
  const problems: string[] = [];
  if (config.network === "mainnet" && config.mainnet_acknowledged !== MAINNET_WORDS) {
    problems.push(
      `network is mainnet, where mistakes cost money: say mainnet_acknowledged = "${MAINNET_WORDS}" ` +
        "(MAINNET_ACKNOWLEDGED) to go on, or choose signet or regtest",
    );
  }
  if (config.network === "sim" && config["bitcoind.url"] !== undefined) {
    problems.push("network is sim, which has no bitcoind: leave bitcoind.url (BITCOIND_URL) away");
  }
  if (config["api.tls"] === "off" && !isLoopback(config["api.host"])) {
    problems.push(`api.tls is off, and api.host ${config["api.host"]} is not loopback alone`);
  }
  if ((config["api.certificate"] === undefined) !== (config["api.key"] === undefined)) {
    problems.push("api.certificate and api.key go together: one of them is missing");
  }
  if (config["backup.s3.endpoint"] !== undefined) {
    if (config["backup.s3.bucket"] === undefined) {
      problems.push("backup.s3.endpoint is given, and backup.s3.bucket is missing");
    }
    const hasSecret =
      config["backup.s3.secret_access_key"] ?? config["backup.s3.secret_access_key_file"];
    if (config["backup.s3.access_key_id"] === undefined || hasSecret === undefined) {
      problems.push(
        "backup.s3.endpoint is given, and its key is missing: backup.s3.access_key_id (AWS_ACCESS_KEY_ID) " +
          "and backup.s3.secret_access_key_file (or AWS_SECRET_ACCESS_KEY)",
      );
    }
  }
  if (config["policy.min_htlc_msat"] > config["policy.max_htlc_msat"]) {
    problems.push("policy.min_htlc_msat is above policy.max_htlc_msat: nothing could be forwarded");
  }
  return problems;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\./.test(host);
}

function tableOf(file: string): Record<string, unknown> {
  let toml: string;
  try {
    toml = readFileSync(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ConfigError([`${file} cannot be read (${code ?? cause})`]);
  }
  try {
    return parse(toml);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const sentence = cause.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "");
    throw new ConfigError([`${file}:${cause.line}:${cause.column}: ${sentence}`]);
  }
}

function* flatten(table: Record<string, unknown>, prefix = ""): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(table)) {
    const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isTable) yield* flatten(value as Record<string, unknown>, `${prefix}${key}.`);
    else yield [`${prefix}${key}`, value];
  }
}

function isSetting(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

function nearest(name: string): string {
  const ranked = NAMES.map((one) => [distance(one, name), one] as const).sort(
    (a, b) => a[0] - b[0],
  );
  const [best] = ranked;
  return best && best[0] <= Math.max(2, name.length / 3) ? `; is ${best[1]} meant?` : "";
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
