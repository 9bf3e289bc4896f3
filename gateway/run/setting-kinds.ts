/** The kinds of settings: how each is read from TOML, from an environment variable or from a word, and what is said where it is not. */
import { isAbsolute, resolve } from "node:path";
import { fromHex } from "../../core/primitives/bytes.ts";

/** What was given makes no sense; the message says what would. */
export class SettingRefused extends Error {
  override readonly name = "SettingRefused";
}

export interface Kind<T> {
  /** For help and messages: "a port, 1 to 65535". */
  readonly what: string;
  /** From TOML a string, number, boolean or array; from the environment always a string. */
  read(given: unknown): T;
}

export interface PeerAddress {
  /** 33 bytes, hexadecimal. */
  readonly nodeId: string;
  readonly host: string;
  readonly port: number;
}

const MAX_PORT = 65_535;
const NODE_ID = /^0[23][0-9a-f]{64}$/;

function kind<T>(what: string, read: (given: unknown) => T | undefined): Kind<T> {
  return {
    what,
    read(given) {
      const value = read(given);
      if (value === undefined) throw new SettingRefused(`${shown(given)} is not ${what}`);
      return value;
    },
  };
}

/** Secrets are never in a kind that repeats what was given. */
function shown(given: unknown): string {
  const text = typeof given === "string" ? `'${given}'` : JSON.stringify(given);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

export function wholeNumber(least: number, most: number, unit: string): Kind<number> {
  return kind(`a whole number of ${unit}, ${least} to ${most}`, (given) => {
    const value = typeof given === "string" && /^-?\d+$/.test(given) ? Number(given) : given;
    const fits = Number.isSafeInteger(value) && (value as number) >= least;
    return fits && (value as number) <= most ? (value as number) : undefined;
  });
}

/** 0: any that is free. */
export const port: Kind<number> = kind("a port, 0 to 65535", (given) => {
  const value = typeof given === "string" && /^\d{1,5}$/.test(given) ? Number(given) : given;
  const fits = Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_PORT;
  return fits ? (value as number) : undefined;
});

export const flag: Kind<boolean> = kind("true or false", (given) => {
  if (typeof given === "boolean") return given;
  if (given === "true" || given === "1") return true;
  return given === "false" || given === "0" ? false : undefined;
});

export const text: Kind<string> = kind("a text without control characters", (given) =>
  typeof given === "string" && given.length > 0 && !/\p{Cc}/u.test(given) ? given : undefined,
);

/** Not repeated in messages. */
export const secret: Kind<string> = {
  what: "a text",
  read(given) {
    if (typeof given === "string" && given.length > 0) return given;
    throw new SettingRefused("what is given is not a text");
  },
};

/** Relative to where the program runs. */
export const path: Kind<string> = kind("a path", (given) => {
  if (typeof given !== "string" || given.length === 0 || given.includes("\0")) return undefined;
  return isAbsolute(given) ? given : resolve(given);
});

export function choice<const C extends string>(...choices: readonly C[]): Kind<C> {
  return kind(`one of ${choices.join(", ")}`, (given) =>
    choices.find((one) => one === String(given).toLowerCase()),
  );
}

/** May hold a password: what was given is not repeated. */
export function url(...protocols: readonly string[]): Kind<string> {
  const what = `a URL that begins with ${protocols.map((one) => `${one}//`).join(" or ")}`;
  return {
    what,
    read(given) {
      const parsed = typeof given === "string" && URL.canParse(given) ? new URL(given) : undefined;
      if (parsed && protocols.includes(parsed.protocol)) return given as string;
      throw new SettingRefused(`what is given is not ${what}`);
    },
  };
}

/** A bucket, or the beginning of keys. */
export const s3Name: Kind<string> = kind(
  "a name of letters, digits, dots, dashes, underscores and slashes",
  (given) =>
    typeof given === "string" && /^[A-Za-z0-9._-][A-Za-z0-9._/-]{0,127}$/.test(given)
      ? given.replace(/\/+$/, "")
      : undefined,
);

/** An array in TOML; in the environment separated by commas. */
export function list<T>(one: Kind<T>): Kind<readonly T[]> {
  return {
    what: `a list, each ${one.what}`,
    read(given) {
      const items = typeof given === "string" ? given.split(",").map((item) => item.trim()) : given;
      if (!Array.isArray(items)) {
        throw new SettingRefused(`${shown(given)} is not a list, each ${one.what}`);
      }
      return items.filter((item) => item !== "").map((item) => one.read(item));
    },
  };
}

/** Of 33 bytes. */
export const nodeId: Kind<string> = kind("a node id, 66 hexadecimal digits", (given) =>
  typeof given === "string" && NODE_ID.test(given) ? given : undefined,
);

export const peerAddress: Kind<PeerAddress> = kind(
  "<node id>@<host>:<port> with 66 hexadecimal digits",
  (given) => {
    if (typeof given !== "string") return undefined;
    const [nodeId, place, ...more] = given.split("@") as [string, string?, ...string[]];
    if (!NODE_ID.test(nodeId) || !place || more.length > 0) return undefined;
    fromHex(nodeId);
    const address = hostAndPort(place);
    return address && { nodeId, ...address };
  },
);

/** `host:port`, `1.2.3.4:9735` or `[::1]:9735`. */
export function hostAndPort(place: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(place);
  const number = Number(match?.[3]);
  if (!match || number < 1 || number > MAX_PORT) return undefined;
  return { host: (match[1] ?? match[2]) as string, port: number };
}
