/**
 * How messages stand in a packet: shorter than their arrays, by what both ends of a session remember of the messages
 * that went before in the same direction (docs/PROTOCOL.md "Packets").
 */
import { equal } from "../primitives/bytes.ts";
import { assert, demand } from "../primitives/errors.ts";
import { messageItems } from "./codec.ts";
import { type Message, messageDefinitions } from "./message.ts";
import type { CborValue } from "./schema.ts";
import { commitmentSigned, pushReceipt, revokeAndAck, updatePush } from "./update.ts";

/** Channel ids that one direction remembers; the next one takes the place of the oldest. */
export const MAX_REMEMBERED_CHANNELS = 16;
/** Where picobolt's own numbers begin (BOLT 1: custom messages). */
const OWN_NUMBERS = 0x8000;
/** Flipped in the BOLTs' numbers, so that those of updates (128 to 151) take one byte. */
const UPDATE_BIT = 0x80;
const SECRET_BYTES = 32;
const REVOCATION_BYTES = SECRET_BYTES + 33;

interface Place {
  readonly id: Uint8Array;
  /** What `id` is where it is left away: one above the last; -1 before the first. */
  nextPush: number;
  nextReceipt: number;
}

/** Messages whose first field is `channelId`. */
const withChannel: ReadonlySet<number> = new Set(
  messageDefinitions
    .filter(({ fields }) => Object.keys(fields)[0] === "channelId")
    .map(({ number }) => number),
);

/** One direction of one session. The writer's and the reader's are alike after each message. */
class Memory {
  private places: readonly Place[] = [];
  private oldest = 0;
  private last: Place | undefined;
  /** The session's other direction, which speaks of the same channels: an id that it has is kept once. */
  twin: Memory | undefined;

  /** The channel of the message before. */
  get lastPlace(): Place {
    demand(this.last !== undefined, "packet.channel", "no channel was named before");
    return this.last;
  }

  /** What stands for a channel: nothing where it is the last one's, its place, or its id. */
  write(id: Uint8Array): { readonly place: Place; readonly written: CborValue } {
    const { last, places } = this;
    if (last && equal(last.id, id)) return { place: last, written: null };
    const index = places.findIndex((place) => equal(place.id, id));
    if (index < 0) return { place: this.add(id), written: id };
    this.last = places[index] as Place;
    return { place: this.last, written: index };
  }

  read(written: CborValue | undefined): Place {
    if (written === undefined || written === null) return this.lastPlace;
    if (typeof written === "number") {
      const place = this.places[written];
      demand(place !== undefined, "packet.channel", `no channel has place ${written}`);
      this.last = place;
      return place;
    }
    const isId = written instanceof Uint8Array && written.length === 32;
    demand(isId, "packet.channel", "must be an id or a place");
    const index = this.places.findIndex((place) => equal(place.id, written));
    demand(index < 0, "packet.channel", "has a place and is named again");
    return this.add(written);
  }

  private add(id: Uint8Array): Place {
    const known = this.twin?.places.find((one) => equal(one.id, id));
    const place: Place = { id: known?.id ?? new Uint8Array(id), nextPush: -1, nextReceipt: -1 };
    if (this.places.length < MAX_REMEMBERED_CHANNELS) {
      // Most sessions have one channel: the list takes no more room than for what it holds.
      this.places = this.places.concat(place);
    } else {
      this.places = this.places.map((one, i) => (i === this.oldest ? place : one));
      this.oldest = (this.oldest + 1) % MAX_REMEMBERED_CHANNELS;
    }
    this.last = place;
    return place;
  }
}

/** Shortens the messages of one direction, in the order in which they leave. */
export class MessageShortener {
  readonly memory = new Memory();

  shorten(message: Message): CborValue[] {
    const items = messageItems(message);
    const number = items[0] as number;
    if (!withChannel.has(number)) {
      items[0] = shortNumber(number);
      return items;
    }
    const { place, written } = this.memory.write(items[1] as Uint8Array);
    const short = shortened(number, items, place, written);
    while (short.length > 1 && short[short.length - 1] === null) short.length--;
    return short;
  }
}

function shortened(
  number: number,
  items: CborValue[],
  place: Place,
  channel: CborValue,
): CborValue[] {
  const type = shortNumber(number);
  const first = items[2] ?? null;
  const second = items[3] ?? null;
  const third = items[4] ?? null;
  switch (number) {
    case commitmentSigned.number: {
      const none = Array.isArray(second) && second.length === 0;
      return [type, first, channel, none ? null : second];
    }
    case revokeAndAck.number: {
      const both = new Uint8Array(REVOCATION_BYTES);
      both.set(first as Uint8Array);
      both.set(second as Uint8Array, SECRET_BYTES);
      return [type, both, channel];
    }
    case updatePush.number: {
      const id = first === place.nextPush ? null : first;
      place.nextPush = (first as number) + 1;
      return [type, second, id, channel, third === first ? null : third];
    }
    case pushReceipt.number: {
      const id = first === place.nextReceipt ? null : first;
      place.nextReceipt = (first as number) + 1;
      return [type, second, id, channel];
    }
    default:
      items[0] = type;
      items[1] = channel;
      return items;
  }
}

/** The way back: from what stands in a packet to the array of `decodeMessage`. */
export class MessageExpander {
  private readonly memory = new Memory();

  /** `other`: the same session's other direction. */
  constructor(other?: MessageShortener) {
    if (!other) return;
    this.memory.twin = other.memory;
    other.memory.twin = this.memory;
  }

  /** @throws ProtocolViolation `packet.…` or `message-form` */
  expand(short: CborValue): CborValue {
    demand(Array.isArray(short), "message-form", "a message is an array");
    const items: CborValue[] = short as CborValue[];
    const number = longNumber(items[0]);
    if (!withChannel.has(number)) {
      items[0] = number;
      return items;
    }
    return this.expanded(number, items);
  }

  private expanded(number: number, items: CborValue[]): CborValue[] {
    const { memory } = this;
    const first = items[1] ?? null;
    const second = items[2];
    const third = items[3];
    const fourth = items[4];
    switch (number) {
      case commitmentSigned.number: {
        const { id } = memory.read(second);
        return [number, id, first, third ?? []];
      }
      case revokeAndAck.number: {
        const whole = first instanceof Uint8Array && first.length === REVOCATION_BYTES;
        demand(whole, "packet.revocation", `must have ${REVOCATION_BYTES} bytes`);
        const { id } = memory.read(second);
        return [number, id, first.subarray(0, SECRET_BYTES), first.subarray(SECRET_BYTES)];
      }
      case updatePush.number: {
        const place = memory.read(third);
        const id = idOf(second, place.nextPush);
        place.nextPush = id + 1;
        return [number, place.id, id, first, fourth ?? id];
      }
      case pushReceipt.number: {
        const place = memory.read(third);
        const id = idOf(second, place.nextReceipt);
        place.nextReceipt = id + 1;
        return [number, place.id, id, first];
      }
      default:
        items[0] = number;
        items[1] = memory.read(first).id;
        return items;
    }
  }
}

function idOf(written: CborValue | undefined, next: number): number {
  if (written === undefined || written === null) {
    demand(next >= 0, "packet.id", "nothing was counted before");
    return next;
  }
  demand(typeof written === "number" && written >= 0, "packet.id", "must be an unsigned integer");
  return written;
}

/** Negative for picobolt's own, so that the most frequent ones take one byte. */
function shortNumber(number: number): number {
  assert(number >= 0 && number < 2 * OWN_NUMBERS, "a message number has 16 bits");
  return number < OWN_NUMBERS ? number ^ UPDATE_BIT : OWN_NUMBERS - 1 - number;
}

function longNumber(type: CborValue | undefined): number {
  demand(typeof type === "number", "message-form", "a message begins with its number");
  const inRange = type < OWN_NUMBERS && type >= -OWN_NUMBERS;
  demand(inRange, "message-form", `no message has the number ${type}`);
  return type < 0 ? OWN_NUMBERS - 1 - type : type ^ UPDATE_BIT;
}
