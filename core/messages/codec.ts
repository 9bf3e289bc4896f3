/** Messages as CBOR arrays `[number, …fields]` (docs/PROTOCOL.md "Messages"; BOLT 1 "it's ok to be odd"). */
import { assert, demand } from "../primitives/errors.ts";
import { type CborLimits, decodeCbor, encodeCbor } from "./cbor.ts";
import { type Message, type MessageType, messageDefinitions } from "./message.ts";
import type { CborValue, Field } from "./schema.ts";

/** The largest message that a device takes, and the least that every node takes. */
export const DEVICE_MAX_MESSAGE_BYTES = 4096;
/** The largest message of all: BOLT 8 counts its bytes in 16 bits. */
export const HOST_MAX_MESSAGE_BYTES = 65535;

/** A message of an odd number that this version does not know: ignored. */
export interface UnknownMessage {
  readonly type: "unknown";
  readonly number: number;
}

/** Nesting of the deepest message: its array, a list in it, a group in that. */
const MAX_MESSAGE_DEPTH = 4;

interface Definition {
  readonly number: number;
  readonly name: MessageType;
  readonly fields: readonly DefinedField[];
}

interface DefinedField {
  readonly name: string;
  /** For people. */
  readonly where: string;
  readonly of: Field<unknown>;
}

const definitions: readonly Definition[] = messageDefinitions.map(({ number, name, fields }) => ({
  number,
  name,
  fields: Object.entries(fields).map(
    ([field, of]): DefinedField => ({ name: field, where: `${name}.${field}`, of }),
  ),
}));
const byName: ReadonlyMap<string, Definition> = new Map(definitions.map((d) => [d.name, d]));
const byNumber: ReadonlyMap<number, Definition> = new Map(definitions.map((d) => [d.number, d]));

/** Limits for decoding messages of at most `maxBytes`, as announced in `init`. */
export function messageLimits(maxBytes: number): CborLimits {
  return { maxBytes, maxDepth: MAX_MESSAGE_DEPTH, maxItems: 256 + (maxBytes >> 6), views: true };
}

export function encodeMessage(message: Message): Uint8Array {
  return encodeCbor(messageItems(message));
}

/** The array of a message, in the long form. */
export function messageItems(message: Message): CborValue[] {
  const definition = byName.get(message.type);
  assert(definition !== undefined, `no such message: ${message.type}`);
  const values = message as unknown as Readonly<Record<string, unknown>>;
  const items: CborValue[] = [definition.number];
  const { fields } = definition;
  let length = 1;
  for (let i = 0; i < fields.length; i++) {
    const { name, of } = fields[i] as DefinedField;
    items.push(of.encode(values[name]));
    if (values[name] !== undefined) length = items.length;
  }
  items.length = length;
  return items;
}

/**
 * Byte strings in the result are views of `bytes`, which must not change afterwards.
 * @throws ProtocolViolation: `cbor-…` for the encoding, `<message>.<field>` for a field, `unknown-even-message`,
 *   `message-form` where it is no array that begins with a message number.
 */
export function decodeMessage(bytes: Uint8Array, limits: CborLimits): Message | UnknownMessage {
  return messageOfItems(decodeCbor(bytes, limits));
}

/** As `decodeMessage`, of the array in the long form. */
export function messageOfItems(items: CborValue): Message | UnknownMessage {
  demand(Array.isArray(items), "message-form", "a message is an array");
  const number: CborValue | undefined = items[0];
  const isNumber = typeof number === "number" && number >= 0 && number <= 0xffff;
  demand(isNumber, "message-form", "a message begins with its number");
  const definition = byNumber.get(number);
  if (definition === undefined) {
    demand(number % 2 === 1, "unknown-even-message", `message ${number} is not known`);
    return { type: "unknown", number };
  }
  const message: Record<string, unknown> = { type: definition.name };
  const { fields } = definition;
  for (let i = 0; i < fields.length; i++) {
    const { name, where, of } = fields[i] as DefinedField;
    const item: CborValue | undefined = items[i + 1];
    demand(item !== undefined || of.optional, where, "is missing");
    message[name] = item === undefined ? undefined : of.decode(item, where);
  }
  return message as unknown as Message;
}
