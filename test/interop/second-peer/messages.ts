/** Messages as CBOR arrays (docs/PROTOCOL.md "Messages"), by cbor-x; the fields are those of the CDDL on that page. */
import { Encoder } from "cbor-x";
import { type Bytes, concat, hex, same } from "./bytes.ts";
import { type Definition, type Field, type FieldType, readDefinitions } from "./cddl.ts";

export type Value = number | boolean | string | Bytes | readonly Value[] | null;

/** A message by the names of its fields; a field that is absent is `null`. */
export interface Message {
  readonly type: string;
  readonly [field: string]: Value;
}

const definitions = readDefinitions();
const byNumber = new Map(definitions.map((one) => [one.number, one]));
const byName = new Map(definitions.map((one) => [one.name, one]));
const cbor = new Encoder({ useRecords: false, tagUint8Array: false, mapsAsObjects: true });

export function encodeMessage(message: Message): Bytes {
  return encode(itemsOf(message));
}

/** The long form: its number and all its fields, but nulls at the end. */
export function itemsOf(message: Message): Value[] {
  const { number, fields } = definitionOf(message.type);
  const items: Value[] = [number, ...fields.map((field) => checked(message, field))];
  while (items.at(-1) === null) items.pop();
  return items;
}

/** The message's first field is the id of its channel. */
export function beginsWithChannel(number: number): boolean {
  return byNumber.get(number)?.fields[0]?.name === "channelId";
}

export function decodeMessage(bytes: Bytes): Message | undefined {
  const [values] = decodeSequence(bytes);
  if (!values) throw new Error("no message");
  return messageOf(values);
}

/** The arrays of a CBOR sequence. */
export function decodeSequence(bytes: Bytes): Value[][] {
  const arrays: Value[][] = [];
  cbor.decodeMultiple(Buffer.from(bytes), (items: unknown) => {
    if (!Array.isArray(items)) throw new Error(`no array: ${hex(bytes)}`);
    arrays.push(items.map(normal));
  });
  if (!same(concat(...arrays.map(encode)), bytes)) {
    throw new Error(`not deterministic: ${hex(bytes)}`);
  }
  return arrays;
}

/** Undefined for an unknown odd message; everything else that is not of the page's form throws. */
export function messageOf(values: readonly Value[]): Message | undefined {
  const [number, ...rest] = values;
  const definition = byNumber.get(number as number);
  if (!definition) {
    if (typeof number === "number" && number % 2 === 1) return undefined;
    throw new Error(`unknown even message ${number}`);
  }
  if (rest.length > definition.fields.length) throw new Error(`${definition.name} is too long`);
  if (values.at(-1) === null) throw new Error(`${definition.name} ends in null`);
  return named(definition, rest);
}

function named({ name, fields }: Definition, values: readonly Value[]): Message {
  const message: Record<string, Value> = {};
  fields.forEach((field, index) => {
    message[field.name] = values[index] ?? null;
    checked({ type: name, ...message }, field);
  });
  return { type: name, ...message };
}

function definitionOf(type: string): Definition {
  const definition = byName.get(type);
  if (!definition) throw new Error(`docs/PROTOCOL.md defines no ${type}`);
  return definition;
}

function checked(message: Message, field: Field): Value {
  const value = message[field.name] ?? null;
  if (value === null ? !field.optional : !fits(value, field.type)) {
    throw new Error(`${message.type}.${field.name} is not of its type: ${String(value)}`);
  }
  return value;
}

function fits(value: Value, type: FieldType): boolean {
  const within = (length: number, { min, max }: { min: number; max: number }) =>
    length >= min && length <= max;
  switch (type.kind) {
    case "uint":
      return Number.isSafeInteger(value) && Number(value) >= 0 && BigInt(Number(value)) <= type.max;
    case "bytes":
      return value instanceof Uint8Array && within(value.length, type);
    case "text":
      return typeof value === "string" && within(Buffer.byteLength(value), type);
    case "bool":
      return typeof value === "boolean";
    case "list":
      return (
        Array.isArray(value) &&
        within(value.length, type) &&
        value.every((item: Value) => fits(item, type.of))
      );
    case "group":
      return (
        Array.isArray(value) &&
        value.length === type.fields.length &&
        type.fields.every((field, index) => fits(value[index] as Value, field.type))
      );
  }
}

export function encode(value: Value): Bytes {
  return Uint8Array.from(cbor.encode(forCbor(value)));
}

/** cbor-x writes numbers above 32 bits as floats, and bigints as integers. */
function forCbor(value: Value): unknown {
  if (typeof value === "number" && value > 0xffffffff) return BigInt(value);
  if (value instanceof Uint8Array) return Buffer.from(value);
  return Array.isArray(value) ? value.map(forCbor) : value;
}

function normal(value: unknown): Value {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(normal);
  if (value === null || ["number", "boolean", "string"].includes(typeof value)) {
    return value as Value;
  }
  throw new Error(`a value outside the data model: ${String(value)}`);
}
