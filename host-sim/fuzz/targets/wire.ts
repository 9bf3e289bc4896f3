/** What arrives on a link: frames, packets, messages, identity cards, statements of gateways. */

import { decodePlain, encodePlain } from "../../../core/messages/admin-values.ts";
import { decodeCbor, encodeCbor } from "../../../core/messages/cbor.ts";
import { decodeMessage, encodeMessage, messageLimits } from "../../../core/messages/codec.ts";
import { type Message, messageDefinitions } from "../../../core/messages/message.ts";
import { decodeStatement } from "../../../core/messages/routing-statement.ts";
import type { CborValue, Shape } from "../../../core/messages/schema.ts";
import { MessageExpander, MessageShortener } from "../../../core/messages/short-form.ts";
import { decodeTlvStream, encodeBigSize } from "../../../core/messages/wire.ts";
import { ascii, concatAll, equal } from "../../../core/primitives/bytes.ts";
import { encodeFrame, FrameDecoder } from "../../../core/transport/framing.ts";
import { decodeCard, encodeCard } from "../../../core/transport/identity.ts";
import { parseDeviceTopic } from "../../../core/transport/mqtt-topics.ts";
import { MAX_PACKET_MESSAGES, PacketReader } from "../../../core/transport/packet.ts";
import { type FuzzTarget, promise } from "../target.ts";

const MAX_MESSAGE = 4096;
const CBOR = { maxBytes: 4096, maxDepth: 8, maxItems: 512 };

const cbor: FuzzTarget = {
  name: "cbor",
  maxBytes: 1024,
  seeds: () => [
    encodeCbor([0, -1, 23, 24, 65_536, 2 ** 40, true, false, null, "ä", new Uint8Array(30)]),
    encodeCbor(
      new Map<string | number, CborValue>([
        [1, [[]]],
        ["a", new Map()],
      ]),
    ),
  ],
  run(input) {
    const value = decodeCbor(input, CBOR);
    promise(equal(encodeCbor(value), input), "what decodes has one encoding, and this is it");
  },
};

const message: FuzzTarget = {
  name: "message",
  maxBytes: MAX_MESSAGE,
  seeds: () => eachMessage().map(encodeCbor),
  run(input) {
    const decoded = decodeMessage(input, messageLimits(MAX_MESSAGE));
    if (decoded.type === "unknown") return;
    const again = decodeMessage(encodeMessage(decoded), messageLimits(MAX_MESSAGE));
    promise(equal(encodeMessage(again as Message), encodeMessage(decoded)), "messages round-trip");
  },
};

/** All that an authentic peer may put into one packet, in the short form. */
const packet: FuzzTarget = {
  name: "packet",
  maxBytes: MAX_MESSAGE,
  seeds: () => {
    const shortener = new MessageShortener();
    const limits = messageLimits(MAX_MESSAGE);
    const messages = eachMessage().map((items) => decodeMessage(encodeCbor(items), limits));
    const shorts = messages.flatMap((one) =>
      one.type === "unknown" ? [] : [encodeCbor(shortener.shorten(one))],
    );
    const channel = shorts.filter((bytes) => bytes.length > 30);
    return [...shorts, concatAll(channel.slice(0, 12))];
  },
  run(input) {
    const reader = new PacketReader(input, messageLimits(MAX_MESSAGE), new MessageExpander());
    let count = 0;
    while (reader.next() !== undefined) count++;
    promise(count >= 1 && count <= MAX_PACKET_MESSAGES, "a packet holds some messages, not many");
  },
};

const framing: FuzzTarget = {
  name: "framing",
  maxBytes: 2048,
  seeds: () => [
    concatAll([encodeFrame([ascii("hello")]), encodeFrame([new Uint8Array(300).fill(1)])]),
    concatAll([Uint8Array.of(0), encodeFrame([new Uint8Array(20)]), Uint8Array.of(7, 0)]),
  ],
  run(input) {
    const whole: Uint8Array[] = [];
    new FrameDecoder(512, (frame) => whole.push(frame.slice())).push(input);
    const pieces: Uint8Array[] = [];
    const decoder = new FrameDecoder(512, (frame) => pieces.push(frame.slice()));
    const step = 1 + ((input[0] ?? 0) % 7);
    for (let at = 0; at < input.length; at += step) decoder.push(input.subarray(at, at + step));
    promise(equal(concatAll(whole), concatAll(pieces)), "how a stream is cut changes nothing");
    promise(
      whole.every(({ length }) => length <= 512),
      "no frame is larger than was allowed",
    );
    // A stream is found again: whatever came before, a delimiter and a frame later all is well.
    const after = new FrameDecoder(512, () => {});
    after.push(input);
    const { frames } = after.counters;
    after.push(concatAll([Uint8Array.of(0), encodeFrame([ascii("found")])]));
    promise(after.counters.frames > frames, "a frame after a delimiter is read");
  },
};

const tlv: FuzzTarget = {
  name: "tlv",
  maxBytes: 512,
  seeds: () => [concatAll([encodeBigSize(1n), encodeBigSize(2n), Uint8Array.of(1, 2)])],
  run(input) {
    const known = new Map([1n, 2n, 254n, 70_000n].map((type) => [type, (v: Uint8Array) => v]));
    decodeTlvStream(input, known);
  },
};

const card: FuzzTarget = {
  name: "card",
  maxBytes: 256,
  seeds: () => [
    encodeCard({
      protocolVersion: 2,
      nodeId: new Uint8Array(33).fill(2) as never,
      name: "Büro",
      model: "vending",
      firmwareVersion: "1.0.0",
      claimed: true,
    }),
  ],
  run: (input) => void encodeCard(decodeCard(input)),
};

const statement: FuzzTarget = {
  name: "routing-statement",
  maxBytes: 1024,
  seeds: () => [encodeCbor([1, []]), encodeCbor([0, [new Uint8Array(32), 1]])],
  run: (input) => void decodeStatement(input),
};

const admin: FuzzTarget = {
  name: "admin-values",
  maxBytes: 1024,
  seeds: () => [encodePlain({ id: 1, method: "info", params: { a: [1, "x", true, null] } })],
  run(input) {
    const value = decodePlain(input);
    promise(equal(encodePlain(decodePlain(encodePlain(value))), encodePlain(value)), "round trip");
  },
};

const topic: FuzzTarget = {
  name: "mqtt-topic",
  maxBytes: 256,
  seeds: () => [
    ascii("picobolt/0123456789abcdef/fedcba9876543210/up"),
    ascii("picobolt/a/b/state"),
  ],
  run: (input) => void parseDeviceTopic("0123456789abcdef", String.fromCharCode(...input)),
};

/** One of each message, with every optional field and with none. */
function eachMessage(): CborValue[][] {
  return messageDefinitions.flatMap(({ number, fields }) => {
    const all = Object.values(fields).map(({ shape }) => sample(shape));
    const last = Object.values(fields).findLastIndex((one) => !one.optional);
    const needed = all.slice(0, last + 1);
    return [
      [number, ...all],
      [number, ...needed],
    ];
  });
}

function sample(shape: Shape): CborValue {
  switch (shape.kind) {
    case "uint":
      return shape.min;
    case "bytes":
      return new Uint8Array(Math.max(shape.min, Math.min(shape.max, 40))).fill(5);
    case "point":
      return new Uint8Array(33).fill(2);
    case "flag":
      return true;
    case "text":
      return "x";
    case "list":
      return [sample(shape.of.shape)];
    case "group":
      return Object.values(shape.fields).map((field) => sample(field.shape));
    case "optional":
      return sample(shape.of.shape);
  }
}

export const wireTargets: readonly FuzzTarget[] = [
  cbor,
  message,
  packet,
  framing,
  tlv,
  card,
  statement,
  admin,
  topic,
];
