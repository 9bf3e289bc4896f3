/** What an owner sends, read with limits: every name that is wrong, missing or unknown is said in words (docs/ADMIN.md). */
import type { CborValue } from "../../core/messages/schema.ts";
import { utf8Length } from "../../core/messages/utf8.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { fromHex, isHex } from "../../core/primitives/bytes.ts";

/** An answer that is no result: a code for programs, a sentence for people. */
export class AdminError extends Error {
  override readonly name = "AdminError";
  constructor(
    readonly code: string,
    text: string,
  ) {
    super(text);
  }
}

export type CborMap = ReadonlyMap<number | string, CborValue>;

/** A map of parameters; each is read by its name, and `end` refuses those that nobody read. */
export class Params {
  private readonly known = new Set<string>();

  constructor(
    private readonly entries: CborMap,
    /** Before each name in errors: "policy." */
    private readonly where = "",
  ) {}

  has(name: string): boolean {
    this.known.add(name);
    return this.entries.get(name) !== undefined && this.entries.get(name) !== null;
  }

  integer(name: string, range: { readonly min: number; readonly max: number }): number {
    const { min, max } = range;
    const value = this.get(name);
    if (typeof value !== "number" || value < min || value > max) {
      throw this.wrong(name, `must be a whole number from ${min} to ${max}`);
    }
    return value;
  }

  text(name: string, range: { readonly min: number; readonly max: number }): string {
    const { min, max } = range;
    const value = this.get(name);
    const length = typeof value === "string" ? utf8Length(value) : -1;
    if (length < min || length > max) {
      throw this.wrong(name, `must be a text of ${min} to ${max} bytes`);
    }
    return value as string;
  }

  flag(name: string): boolean {
    const value = this.get(name);
    if (typeof value !== "boolean") throw this.wrong(name, "must be true or false");
    return value;
  }

  /** Bytes, or as many in hexadecimal; a copy. */
  bytes(name: string, range: { readonly min: number; readonly max: number }): Uint8Array {
    const value = this.get(name);
    const isDigits = typeof value === "string" && isHex(value);
    const found =
      value instanceof Uint8Array ? value.slice() : isDigits ? fromHex(value) : undefined;
    if (!found || found.length < range.min || found.length > range.max) {
      const much = range.min === range.max ? `${range.min}` : `${range.min} to ${range.max}`;
      throw this.wrong(name, `must have ${much} bytes`);
    }
    return found;
  }

  nodeId(name: string, crypto: Pick<Crypto, "isPublicKey">): PublicKey {
    const key = this.bytes(name, { min: 33, max: 33 });
    if (!crypto.isPublicKey(key)) throw this.wrong(name, "must be a node id: a point on the curve");
    return publicKey(key);
  }

  map(name: string): CborMap {
    const value = this.get(name);
    if (!(value instanceof Map)) throw this.wrong(name, "must be a map");
    return value;
  }

  list(name: string, most: number): readonly CborValue[] {
    const value = this.get(name);
    if (!Array.isArray(value) || value.length > most) {
      throw this.wrong(name, `must be a list of at most ${most}`);
    }
    return value as readonly CborValue[];
  }

  /** Any value as it is; undefined where it is absent. */
  value(name: string): CborValue | undefined {
    return this.get(name) ?? undefined;
  }

  end(): void {
    for (const name of this.entries.keys()) {
      if (typeof name === "string" && this.known.has(name)) continue;
      const shown = String(name).slice(0, 24);
      const names = [...this.known].join(", ") || "none";
      throw new AdminError("params", `"${this.where}${shown}" is not known here; known: ${names}`);
    }
  }

  wrong(name: string, must: string): AdminError {
    return new AdminError("params", `${this.where}${name} ${must}`);
  }

  private get(name: string): CborValue | undefined {
    this.known.add(name);
    return this.entries.get(name);
  }
}
