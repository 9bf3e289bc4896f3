/** How a message is described once: its number, its name and its fields; codec, docs and field tests all read this. */
import {
  type ChannelId,
  channelId,
  MAX_COMMITMENT_NUMBER,
  MAX_SATOSHI,
  type MilliSatoshi,
  type PaymentHash,
  type Preimage,
  type PublicKey,
  paymentHash,
  preimage,
  publicKey,
  type Satoshi,
  type Signature,
  signature,
  type Txid,
  txid,
} from "../primitives/brands.ts";
import { demand } from "../primitives/errors.ts";
import { utf8Length } from "./utf8.ts";

/** The CBOR data model that picobolt uses (docs/PROTOCOL.md): integers that are safe in a double, no floats, no tags. */
export type CborValue =
  | number
  | boolean
  | null
  | string
  | Uint8Array
  | readonly CborValue[]
  | ReadonlyMap<number | string, CborValue>;

/** What a field's values look like; documents and tests are made from it. */
export type Shape =
  | { readonly kind: "uint"; readonly min: number; readonly max: number }
  | { readonly kind: "bytes"; readonly min: number; readonly max: number }
  | { readonly kind: "point" }
  | { readonly kind: "flag" }
  /** `max` in bytes of UTF-8. */
  | { readonly kind: "text"; readonly max: number }
  | { readonly kind: "list"; readonly of: Field<unknown>; readonly max: number }
  | { readonly kind: "group"; readonly name: string; readonly fields: Fields }
  | { readonly kind: "optional"; readonly of: Field<unknown> };

/** One field: `decode` throws ProtocolViolation, `encode` trusts its caller; `cddl` is its line in docs/PROTOCOL.md. */
export interface Field<T> {
  readonly cddl: string;
  readonly shape: Shape;
  decode(value: CborValue, where: string): T;
  encode(value: T): CborValue;
  /** Absent on the wire as null inside, or left away at the end. */
  readonly optional?: true;
}

// biome-ignore lint/suspicious/noExplicitAny: a field's type stays open where only its shape matters
export type Fields = Readonly<Record<string, Field<any>>>;

export interface MessageDefinition<Name extends string = string, F extends Fields = Fields> {
  /** The BOLT message number; even ones must be understood. */
  readonly number: number;
  readonly name: Name;
  readonly fields: F;
}

export type MessageOf<D> =
  D extends MessageDefinition<infer Name, infer F>
    ? { readonly type: Name } & { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never }
    : never;

export function message<const Name extends string, F extends Fields>(
  number: number,
  name: Name,
  fields: F,
): MessageDefinition<Name, F> {
  return { number, name, fields };
}

function uint<T extends number>(min: number, max: number, cddl: string): Field<T> {
  return {
    cddl,
    shape: { kind: "uint", min, max },
    decode(value, where) {
      demand(typeof value === "number", where, "must be an unsigned integer");
      const isIn = value >= min && value <= max;
      if (!isIn) demand(false, where, `must be ${min} to ${max}, is ${value}`);
      return value as T;
    },
    encode: (value) => value,
  };
}
export const byte = uint<number>(0, 0xff, "uint .size 1");
export const u16 = uint<number>(0, 0xffff, "uint .size 2");
export const u32 = uint<number>(0, 0xffff_ffff, "uint .size 4");
/** An unsigned integer that a double holds exactly. */
export const safeUint = uint<number>(0, Number.MAX_SAFE_INTEGER, "safe-uint");
export const u48 = uint<number>(0, MAX_COMMITMENT_NUMBER, "uint .size 6");
export const amountSat = uint<Satoshi>(0, MAX_SATOSHI, "sat");
export const amountMsat = uint<MilliSatoshi>(0, Number.MAX_SAFE_INTEGER, "msat");

function byteString<T extends Uint8Array>(
  min: number,
  max: number,
  cddl: string,
  brandOf: (bytes: Uint8Array) => T,
): Field<T> {
  return {
    cddl,
    shape: { kind: "bytes", min, max },
    decode(value, where) {
      demand(value instanceof Uint8Array, where, "must be a byte string");
      const { length } = value;
      const isIn = length >= min && length <= max;
      if (!isIn) demand(false, where, `must have ${min} to ${max} bytes, has ${length}`);
      return brandOf(value);
    },
    encode: (value) => value,
  };
}
const plain = (bytes: Uint8Array): Uint8Array => bytes;
/** A byte string of `min` to `max` bytes. */
export const bytes = (min: number, max: number): Field<Uint8Array> =>
  byteString(min, max, min === max ? `bstr .size ${min}` : `bstr .size (${min}..${max})`, plain);
export const bytes32 = bytes(32, 32);
export const channelIdField: Field<ChannelId> = byteString(32, 32, "channel-id", channelId);
export const txidField: Field<Txid> = byteString(32, 32, "txid", txid);
export const paymentHashField: Field<PaymentHash> = byteString(32, 32, "sha256", paymentHash);
export const preimageField: Field<Preimage> = byteString(32, 32, "preimage", preimage);
export const signatureField: Field<Signature> = byteString(64, 64, "signature", signature);

/** A compressed point; its prefix is checked here, that it lies on the curve where it is used. */
export const point: Field<PublicKey> = {
  cddl: "point",
  shape: { kind: "point" },
  decode(value, where) {
    demand(value instanceof Uint8Array && value.length === 33, where, "must have 33 bytes");
    demand(value[0] === 2 || value[0] === 3, where, "must be a compressed point");
    return publicKey(value);
  },
  encode: (value) => value,
};

/** A text of at most `max` bytes of UTF-8. */
export const text = (max: number): Field<string> => ({
  cddl: `tstr .size (0..${max})`,
  shape: { kind: "text", max },
  decode(value, where) {
    demand(typeof value === "string", where, "must be a text");
    const length = utf8Length(value);
    demand(length <= max, where, `must have at most ${max} bytes, has ${length}`);
    return value;
  },
  encode: (value) => value,
});

export const flag: Field<boolean> = {
  cddl: "bool",
  shape: { kind: "flag" },
  decode(value, where) {
    demand(typeof value === "boolean", where, "must be true or false");
    return value;
  },
  encode: (value) => value,
};

/** Filled at once: XS would make a longer array for each item. */
function listOf(length: number): CborValue[] {
  return new Array<CborValue>(length).fill(null);
}

export function list<T>(of: Field<T>, max: number): Field<readonly T[]> {
  return {
    cddl: `[0*${max} ${of.cddl}]`,
    shape: { kind: "list", of, max },
    decode(value, where) {
      demand(Array.isArray(value), where, "must be an array");
      const { length } = value;
      if (length > max) demand(false, where, `must have at most ${max} items, has ${length}`);
      return value.map((item: CborValue, i) => of.decode(item, `${where}[${i}]`));
    },
    encode(items) {
      const out = listOf(items.length);
      for (let i = 0; i < items.length; i++) out[i] = of.encode(items[i] as T);
      return out;
    },
  };
}

/** A fixed array of named fields inside a message. */
export function group<F extends Fields>(
  name: string,
  fields: F,
): Field<{ readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never }> {
  // By index, in the loops below: a device's interpreter pays for pairs that are taken apart.
  const keys = Object.keys(fields);
  const all = Object.values(fields);
  const count = keys.length;
  return {
    cddl: name,
    shape: { kind: "group", name, fields },
    decode(value, where) {
      demand(Array.isArray(value) && value.length === count, where, `must be ${name}`);
      const out: Record<string, unknown> = {};
      keys.forEach((key, i) => {
        out[key] = (all[i] as Field<unknown>).decode(value[i] as CborValue, `${where}.${key}`);
      });
      return out as never;
    },
    encode(item) {
      const out = listOf(count);
      for (let i = 0; i < count; i++) {
        out[i] = (all[i] as Field<unknown>).encode(item[keys[i] as keyof F]);
      }
      return out;
    },
  };
}

/** A field that may be absent: null between others, left away at the end. */
export function optional<T>(of: Field<T>): Field<T | undefined> {
  return {
    cddl: `${of.cddl} / null`,
    shape: { kind: "optional", of },
    optional: true,
    decode: (value, where) => (value === null ? undefined : of.decode(value, where)),
    encode: (value) => (value === undefined ? null : of.encode(value)),
  };
}
