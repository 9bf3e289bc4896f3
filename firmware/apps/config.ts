/** An app's settings as its owner gave them (CBOR or JSON): read with limits, refused in words that say what to change. */
import { utf8Length } from "../../core/messages/utf8.ts";
import { fromHex, isHex } from "../../core/primitives/bytes.ts";

/** What is wrong with a setting, and what it may be. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

interface Range {
  readonly min: number;
  readonly max: number;
  /** Where the owner says nothing; without it the setting is needed. */
  readonly otherwise?: number;
}

const MAX_LIST = 64;
const MAX_TEXT_BYTES = 64;

/** One map of settings. Each is read once; `end` refuses what nobody read: a misspelt setting is no setting. */
export class Config {
  private readonly entries: ReadonlyMap<string, unknown>;
  private readonly known = new Set<string>();

  /** `value` is a map, an object, or nothing; `where` names it in errors. */
  constructor(
    value: unknown,
    private readonly where: string,
  ) {
    this.entries = entriesOf(value, where);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  integer(name: string, { min, max, otherwise }: Range): number {
    const value = this.get(name) ?? otherwise;
    const isFair =
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
    if (!isFair) this.refuse(name, `must be a whole number from ${min} to ${max}`, value);
    return value as number;
  }

  text(name: string, otherwise?: string): string {
    const value = this.get(name) ?? otherwise;
    const isFair = typeof value === "string" && utf8Length(value) <= MAX_TEXT_BYTES;
    if (!isFair) this.refuse(name, `must be a text of at most ${MAX_TEXT_BYTES} bytes`, value);
    return value as string;
  }

  choice<const T extends string>(name: string, choices: readonly T[], otherwise?: T): T {
    const value = this.get(name) ?? otherwise;
    const found = choices.find((choice) => choice === value);
    if (found === undefined) return this.refuse(name, `must be ${choices.join(" or ")}`, value);
    return found;
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.get(name) ?? otherwise;
    if (typeof value !== "boolean") this.refuse(name, "must be true or false", value);
    return value as boolean;
  }

  /** Bytes, or their hexadecimal digits. */
  bytes(name: string, length: number): Uint8Array {
    const value = this.get(name);
    const isDigits = typeof value === "string" && isHex(value);
    const bytes = isDigits ? fromHex(value as string) : value;
    if (!(bytes instanceof Uint8Array) || bytes.length !== length) {
      return this.refuse(name, `must be ${length} bytes (${2 * length} hexadecimal digits)`, value);
    }
    return bytes;
  }

  /** A map inside; undefined where there is none. */
  part(name: string): Config | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : new Config(value, `${this.where}.${name}`);
  }

  /** For settings that all have a value where the owner says nothing. */
  emptyPart(name: string): Config {
    return new Config(undefined, `${this.where}.${name}`);
  }

  list(name: string): readonly Config[] {
    const value = this.get(name) ?? [];
    const isFair = Array.isArray(value) && value.length <= MAX_LIST;
    if (!isFair) return this.refuse(name, `must be a list of at most ${MAX_LIST}`, value);
    return (value as unknown[]).map((one, i) => new Config(one, `${this.where}.${name}[${i}]`));
  }

  end(): void {
    for (const name of this.entries.keys()) {
      if (this.known.has(name)) continue;
      const names = [...this.known].join(", ");
      throw new ConfigError(`${this.where} has no setting "${name}"; it knows ${names}`);
    }
  }

  /** Also for rules between settings. */
  refuse(name: string, rule: string, value?: unknown): never {
    const shown = typeof value === "number" || typeof value === "boolean" ? `, is ${value}` : "";
    const missing = value === undefined && !this.entries.has(name) ? " (it is missing)" : shown;
    throw new ConfigError(`${this.where}.${name} ${rule}${missing}`);
  }

  private get(name: string): unknown {
    this.known.add(name);
    const value = this.entries.get(name);
    return value === null ? undefined : value;
  }
}

function entriesOf(value: unknown, where: string): ReadonlyMap<string, unknown> {
  if (value === undefined || value === null) return new Map();
  if (value instanceof Map) return value as ReadonlyMap<string, unknown>;
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array) {
    throw new ConfigError(`${where} must be a map of settings`);
  }
  return new Map(Object.entries(value));
}
