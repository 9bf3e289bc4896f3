/** Every message goes over the wire and back; every field of every message refuses what it must not hold. */
import { Encoder as OracleEncoder } from "cbor-x";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import {
  DEVICE_MAX_MESSAGE_BYTES,
  decodeMessage,
  encodeMessage,
  HOST_MAX_MESSAGE_BYTES,
  messageLimits,
} from "../../core/messages/codec.ts";
import { type Message, messageDefinitions } from "../../core/messages/message.ts";
import type { CborValue, Fields } from "../../core/messages/schema.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { badValues, sampleItem, validFields } from "../support/message-values.ts";

const host = messageLimits(HOST_MAX_MESSAGE_BYTES);
const device = messageLimits(DEVICE_MAX_MESSAGE_BYTES);
/** For faults that are larger than any message may be. */
const endless = { ...host, maxBytes: 1e7, maxItems: 1e6 };

function violation(bytes: Uint8Array, limits = host): ProtocolViolation | undefined {
  try {
    decodeMessage(bytes, limits);
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolViolation) return error;
    throw error;
  }
}
const tagOf = (items: CborValue, limits = host) => violation(encodeCbor(items), limits)?.tag;

interface Definition {
  readonly number: number;
  readonly name: string;
  readonly fields: Fields;
}
const definitions: readonly Definition[] = messageDefinitions;
const validItems = ({ number, fields }: Definition): readonly CborValue[] => [
  number,
  ...Object.values(fields).map((field) => sampleItem(field.shape)),
];
const oracle = new OracleEncoder({
  useRecords: false,
  mapsAsObjects: false,
  tagUint8Array: false,
});
const forOracle = (value: unknown): unknown => {
  if (typeof value === "number") return value > 0xffff_ffff ? BigInt(value) : value;
  return Array.isArray(value) ? value.map(forOracle) : value;
};

describe("the closed list of messages", () => {
  it("gives every message a number and a name of its own", () => {
    expect(new Set(definitions.map(({ number }) => number)).size).toBe(definitions.length);
    expect(new Set(definitions.map(({ name }) => name)).size).toBe(definitions.length);
  });
  it("has picobolt's own messages odd and in the custom range", () => {
    const own = definitions.filter(({ number }) => number >= 256);
    expect(own.length).toBeGreaterThan(0);
    for (const { number } of own) expect([number % 2, number >= 32768]).toEqual([1, true]);
  });
});

describe.each(definitions)("$name", (definition) => {
  const { number, name, fields } = definition;
  const required = Object.entries(fields).filter(([, field]) => !field.optional);

  it("comes back as it was sent, in the bytes that cbor-x writes", () => {
    fc.assert(
      fc.property(validFields(fields), (values) => {
        const message = { type: name, ...values } as unknown as Message;
        const bytes = encodeMessage(message);
        expect(decodeMessage(bytes, host)).toEqual(message);
        const items: unknown[] = [number];
        for (const [field, of] of Object.entries(fields)) items.push(of.encode(values[field]));
        while (items.at(-1) === null) items.pop();
        expect(toHex(bytes)).toBe(toHex(oracle.encode(forOracle(items))));
      }),
      { numRuns: 25 },
    );
  });

  it("ignores fields that a later version adds", () => {
    const items = validItems(definition);
    const plain = decodeMessage(encodeCbor(items), host);
    expect(decodeMessage(encodeCbor([...items, 7, "later", [1]]), host)).toEqual(plain);
  });

  it.each(Object.keys(fields))("refuses a bad %s, by name", (field) => {
    const at = 1 + Object.keys(fields).indexOf(field);
    const bad = badValues((fields[field] as Fields[string]).shape);
    const shape = (fields[field] as Fields[string]).shape;
    expect(bad.length).toBeGreaterThan(shape.kind === "optional" ? 4 : 5);
    for (const { what, item, within } of bad) {
      const items = validItems(definition).map((old, i) => (i === at ? item : old));
      const expected = `${name}.${field}${within}`;
      expect([what, tagOf(items, endless)]).toEqual([what, expected]);
    }
  });

  it.each(required.map(([field]) => field))("refuses a missing %s, by name", (field) => {
    const at = 1 + Object.keys(fields).indexOf(field);
    const error = violation(encodeCbor(validItems(definition).slice(0, at)));
    expect(error?.message).toBe(`${name}.${field}: is missing`);
  });

  it("refuses every truncation", () => {
    const bytes = encodeCbor(validItems(definition));
    for (let length = 0; length < bytes.length; length++) {
      expect(violation(bytes.subarray(0, length))?.tag).toBe("cbor-truncated");
    }
  });
});

describe("optional fields", () => {
  const channelReady = definitions.find(({ name }) => name === "channel_ready") as Definition;
  const closing = definitions.find(({ name }) => name === "closing_complete") as Definition;
  const signature = new Uint8Array(64).fill(7);
  const decoded = (items: CborValue) => decodeMessage(encodeCbor(items), host) as unknown;

  it("may be left away or null at the end", () => {
    const items = validItems(channelReady).slice(0, -1);
    expect(decoded(items)).toMatchObject({ shortChannelId: undefined });
    expect(decoded([...items, null])).toMatchObject({ shortChannelId: undefined });
    expect(decoded([...items, 5])).toMatchObject({ shortChannelId: 5 });
  });
  it("are null between others, and left away by the encoder at the end", () => {
    const message = {
      ...(decoded(validItems(closing)) as object),
      closerOutputOnly: undefined,
      closeeOutputOnly: signature,
      closerAndCloseeOutputs: undefined,
    } as unknown as Message;
    const bytes = encodeMessage(message);
    const expected = encodeCbor([...validItems(closing).slice(0, 6), null, signature]);
    expect(toHex(bytes)).toBe(toHex(expected));
    expect(decodeMessage(bytes, host)).toEqual(message);
  });
});

describe("unknown messages", () => {
  it("are ignored where the number is odd", () => {
    expect(decodeMessage(encodeCbor([40_001, "x", [1]]), host)).toEqual({
      type: "unknown",
      number: 40_001,
    });
  });
  it("are refused where the number is even", () => {
    expect(tagOf([40_000])).toBe("unknown-even-message");
  });
  it.each<[string, CborValue]>([
    ["no array", 18],
    ["a text", "ping"],
    ["an empty array", []],
    ["a name instead of a number", ["ping"]],
    ["a negative number", [-1]],
    ["a number above 65535", [65_537]],
    ["a map", new Map([[0, 18]])],
  ])("have no form at all: %s", (_, items) => expect(tagOf(items)).toBe("message-form"));
});

describe("sizes", () => {
  const push = (payments: number): Message => ({
    type: "update_push",
    channelId: new Uint8Array(32) as never,
    id: 0,
    payments: new Uint8Array(24 * payments),
    receiptsBelow: 0,
  });
  it("are bounded by what the receiver announced", () => {
    const bytes = encodeMessage(push(200));
    expect(bytes.length).toBeGreaterThan(DEVICE_MAX_MESSAGE_BYTES);
    expect(violation(bytes, device)?.tag).toBe("cbor-too-large");
    expect(violation(bytes, host)).toBeUndefined();
  });
  it("leave room for the largest push in 65535 bytes", () => {
    const bytes = encodeMessage(push(2700));
    expect(bytes.length).toBeLessThanOrEqual(HOST_MAX_MESSAGE_BYTES);
    expect(violation(bytes)).toBeUndefined();
  });
  it("leave room for a signature for each of 966 HTLCs, and for a full price list on a device", () => {
    const signatures = Array.from({ length: 966 }, () => new Uint8Array(64) as never);
    const commitment: Message = {
      type: "commitment_signed",
      channelId: new Uint8Array(32) as never,
      signature: new Uint8Array(64) as never,
      htlcSignatures: signatures,
    };
    const bytes = encodeMessage(commitment);
    expect(bytes.length).toBeLessThanOrEqual(HOST_MAX_MESSAGE_BYTES);
    expect(decodeMessage(bytes, host)).toEqual(commitment);
    const products = Array.from({ length: 32 }, (_, id) => ({
      id,
      name: "x".repeat(48),
      priceMsat: Number.MAX_SAFE_INTEGER as never,
      ready: true,
    }));
    const list: Message = {
      type: "price_list",
      machine: "m".repeat(64),
      ready: true,
      products,
      version: 1,
      page: 0,
      pages: 1,
      total: 32,
      note: undefined,
      request: undefined,
    };
    expect(decodeMessage(encodeMessage(list), device)).toEqual(list);
  });
  it("bound the number of items too: many small ones are refused before they are made", () => {
    const items = [40_001, Array<number>(4000).fill(0)];
    expect(tagOf(items, device)).toBe("cbor-too-many-items");
  });
  it("makes byte strings views of the packet, without copies", () => {
    const bytes = encodeMessage(push(100));
    const message = decodeMessage(bytes, host);
    if (message.type !== "update_push") throw new Error("not a push");
    expect(message.payments.buffer).toBe(bytes.buffer);
  });
});
