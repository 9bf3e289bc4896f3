/** Parameters and results of administration as plain values (docs/ADMIN.md): objects for CBOR maps with text keys. */
import { ProtocolViolation } from "../primitives/errors.ts";
import { MAX_ADMIN_BYTES } from "./admin.ts";
import { type CborLimits, decodeCbor, encodeCbor } from "./cbor.ts";
import type { CborValue } from "./schema.ts";

export type PlainValue =
  | number
  | boolean
  | null
  | string
  | Uint8Array
  | readonly PlainValue[]
  | PlainObject;

/** Members that are undefined are left away. */
export interface PlainObject {
  readonly [name: string]: PlainValue | undefined;
}

export const ADMIN_LIMITS: CborLimits = { maxBytes: MAX_ADMIN_BYTES, maxDepth: 8, maxItems: 1024 };

export function encodePlain(value: PlainValue): Uint8Array {
  return encodeCbor(cborOf(value));
}

/** @throws ProtocolViolation where it is not what `encodePlain` makes. */
export function decodePlain(bytes: Uint8Array): PlainValue {
  return plainOf(decodeCbor(bytes, ADMIN_LIMITS));
}

export function cborOf(value: PlainValue): CborValue {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: PlainValue) => cborOf(item));
  const entries = new Map<string, CborValue>();
  for (const [name, item] of Object.entries(value as PlainObject)) {
    if (item !== undefined) entries.set(name, cborOf(item));
  }
  return entries;
}

export function plainOf(value: CborValue): PlainValue {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: CborValue) => plainOf(item));
  // Without a prototype, no name from outside is special.
  const object = Object.create(null) as Record<string, PlainValue>;
  for (const [name, item] of value as ReadonlyMap<number | string, CborValue>) {
    if (typeof name !== "string") throw new ProtocolViolation("admin-names", "names are texts");
    object[name] = plainOf(item);
  }
  return object;
}
