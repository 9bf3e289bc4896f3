/** Messages in a packet: shorter than their arrays, never other than them (docs/PROTOCOL.md "Packets"). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCbor } from "../../core/messages/cbor.ts";
import { encodeMessage, messageOfItems } from "../../core/messages/codec.ts";
import { type Message, messageDefinitions } from "../../core/messages/message.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import {
  MAX_REMEMBERED_CHANNELS,
  MessageExpander,
  MessageShortener,
} from "../../core/messages/short-form.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { validFields } from "../support/message-values.ts";

const id = (n: number) => new Uint8Array(32).fill(n) as never;
const signature = new Uint8Array(64).fill(7) as never;
const signed = (channel: number): Message => ({
  type: "commitment_signed",
  channelId: id(channel),
  signature,
  htlcSignatures: [],
});
const push = (pushId: number, receiptsBelow = pushId): Message => ({
  type: "update_push",
  channelId: id(1),
  id: pushId,
  payments: new Uint8Array(24),
  receiptsBelow,
});

function tagOf(...items: readonly CborValue[]): string | undefined {
  const expander = new MessageExpander();
  try {
    for (const item of items) messageOfItems(expander.expand(item));
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.tag;
    throw error;
  }
}

/** Messages of any kind, on one of `channels` channels where they are of one. */
function anyMessages(channels: number): fc.Arbitrary<Message[]> {
  const one = fc.constantFrom(...messageDefinitions).chain(({ name, fields }) =>
    fc.tuple(validFields(fields), fc.nat(channels - 1)).map(([values, channel]) => {
      const channelId = "channelId" in fields ? { channelId: id(channel) } : {};
      return { type: name, ...values, ...channelId } as unknown as Message;
    }),
  );
  return fc.array(one, { maxLength: 60 });
}

describe("the short form", () => {
  it.each([1, 3, 40])("of any messages on %i channels says the same", (channels) => {
    fc.assert(
      fc.property(anyMessages(channels), (messages) => {
        const [shortener, expander] = [new MessageShortener(), new MessageExpander()];
        for (const message of messages) {
          const short = shortener.shorten(message);
          const size = encodeCbor(short).length;
          // A rare BOLT number takes a byte more.
          expect(size).toBeLessThanOrEqual(encodeMessage(message).length + 1);
          expect(messageOfItems(expander.expand(short))).toEqual(message);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("names a channel by nothing where it is the last one's, by its place, or by its id", () => {
    const shortener = new MessageShortener();
    const channels = [1, 1, 2, 1, 1, 2].map((n) => shortener.shorten(signed(n))[2]);
    expect(channels).toEqual([id(1), undefined, id(2), 0, undefined, 1]);
  });

  it("remembers 16 channels; the next takes the oldest's place", () => {
    const shortener = new MessageShortener();
    for (let n = 0; n <= MAX_REMEMBERED_CHANNELS; n++) shortener.shorten(signed(n));
    expect(shortener.shorten(signed(1))[2]).toBe(1);
    expect(shortener.shorten(signed(16))[2]).toBe(0);
    expect(shortener.shorten(signed(0))[2]).toEqual(id(0));
    expect(shortener.shorten(signed(1))[2]).toEqual(id(1));
  });

  it("leaves ids away that count on, and receiptsBelow that nothing is awaited below", () => {
    const shortener = new MessageShortener();
    const short = [push(5), push(6), push(8), push(9, 8)].map((one) => shortener.shorten(one));
    const payments = new Uint8Array(24);
    expect(short).toEqual([
      [-2, payments, 5, id(1)],
      [-2, payments],
      [-2, payments, 8],
      [-2, payments, null, null, 8],
    ]);
  });

  it("takes what could have been left away, and fields of a later version", () => {
    const expander = new MessageExpander();
    const long = [4, signature, id(1), [], "later", 7];
    expect(messageOfItems(expander.expand(long))).toEqual(signed(1));
    expect(messageOfItems(expander.expand([4, signature, 0, []]))).toEqual(signed(1));
    expect(messageOfItems(expander.expand([4, signature, null, null]))).toEqual(signed(1));
  });
});

describe("a hostile short form", () => {
  it.each<[string, string, CborValue[]]>([
    ["a place that is empty", "packet.channel", [[4, signature, 0]]],
    [
      "a place beyond the list",
      "packet.channel",
      [
        [4, signature, id(1)],
        [4, signature, 16],
      ],
    ],
    [
      "a negative place",
      "packet.channel",
      [
        [4, signature, id(1)],
        [4, signature, -1],
      ],
    ],
    ["no channel at all", "packet.channel", [[4, signature]]],
    ["an id of 31 bytes", "packet.channel", [[4, signature, new Uint8Array(31)]]],
    ["a text for a channel", "packet.channel", [[4, signature, "0"]]],
    [
      "an id that has a place",
      "packet.channel",
      [
        [4, signature, id(1)],
        [4, signature, id(1)],
      ],
    ],
    ["an id that nothing was counted for", "packet.id", [[-2, new Uint8Array(24), null, id(1)]]],
    ["an id that is none", "packet.id", [[-2, new Uint8Array(24), "1", id(1)]]],
    ["a secret without its point", "packet.revocation", [[5, new Uint8Array(32), id(1)]]],
    ["a number in its long form", "message-form", [[32_769]]],
    ["a number below all", "message-form", [[-32_769]]],
    ["a map", "message-form", [new Map([[0, 1]])]],
    ["an unknown even number", "unknown-even-message", [[-1]]],
  ])("with %s is a violation: %s", (_, tag, items) => expect(tagOf(...items)).toBe(tag));

  it("does not hold more than the list, however many ids it names", () => {
    const expander = new MessageExpander();
    for (let n = 0; n < 1000; n++) {
      const named = new Uint8Array(32);
      named.set([n >> 8, n]);
      expander.expand([4, signature, named]);
    }
    const { memory } = expander as unknown as { memory: { places: unknown[] } };
    expect(memory.places).toHaveLength(MAX_REMEMBERED_CHANNELS);
  });
});
