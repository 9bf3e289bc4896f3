/** Packets (docs/PROTOCOL.md "Packets"): a sequence of messages in their short form. */
import { type Bytes, concat, hex } from "./bytes.ts";
import {
  beginsWithChannel,
  decodeSequence,
  encode,
  itemsOf,
  type Message,
  messageOf,
  type Value,
} from "./messages.ts";
import { must } from "./must.ts";

const PLACES = 16;
const COMMITMENT_SIGNED = 132;
const REVOKE_AND_ACK = 133;
const UPDATE_PUSH = 32769;
const PUSH_RECEIPT = 32771;

interface Place {
  readonly id: Bytes;
  /** The next `id` of each counted message. */
  readonly next: Map<number, number>;
}

/** What one direction of a session remembers. */
class Memory {
  private readonly places: Place[] = [];
  private named = 0;
  private last: Place | undefined;

  /** The place of a channel, and how it is written. */
  find(id: Bytes): readonly [Place, Value] {
    if (this.last && hex(this.last.id) === hex(id)) return [this.last, null];
    const index = this.places.findIndex((place) => hex(place.id) === hex(id));
    return index < 0 ? [this.name(id), id] : [this.at(index), index];
  }

  read(written: Value): Place {
    if (written instanceof Uint8Array) {
      must(written.length === 32, "a channel id of another size");
      must(!this.places.some(({ id }) => hex(id) === hex(written)), "an id that has a place");
      return this.name(written);
    }
    if (written !== null) return this.at(Number(written));
    must(this.last !== undefined, "no channel was named");
    return this.last as Place;
  }

  private at(index: number): Place {
    const place = this.places[index];
    must(place !== undefined, `no channel at place ${index}`);
    this.last = place;
    return place as Place;
  }

  private name(id: Bytes): Place {
    const place = { id, next: new Map<number, number>() };
    this.places[this.named++ % PLACES] = place;
    this.last = place;
    return place;
  }
}

export class PacketWriter {
  private readonly memory = new Memory();

  write(messages: readonly Message[]): Bytes {
    return concat(...messages.map((message) => encode(this.shorten(message))));
  }

  private shorten(message: Message): Value[] {
    const [number, ...fields] = itemsOf(message);
    const type = shortType(Number(number));
    if (!(message.channelId instanceof Uint8Array)) return [type, ...fields];
    const [place, channel] = this.memory.find(message.channelId);
    const [, first = null, second = null, third = null] = fields;
    const short: Value[] = [type];
    if (number === COMMITMENT_SIGNED) {
      short.push(first, channel, (second as readonly Value[]).length > 0 ? second : null);
    } else if (number === REVOKE_AND_ACK) {
      short.push(concat(first as Bytes, second as Bytes), channel);
    } else if (number === UPDATE_PUSH || number === PUSH_RECEIPT) {
      const id = place.next.get(number) === first ? null : first;
      place.next.set(number, Number(first) + 1);
      short.push(second, id, channel, third === first ? null : third);
    } else short.push(channel, ...fields.slice(1));
    while (short.at(-1) === null) short.pop();
    return short;
  }
}

export class PacketReader {
  private readonly memory = new Memory();

  read(packet: Bytes): Message[] {
    return decodeSequence(packet).flatMap((items) => {
      const message = messageOf(this.expand(items));
      return message ? [message] : [];
    });
  }

  private expand([type, ...fields]: readonly Value[]): Value[] {
    const number = longType(Number(type));
    const [a = null, b = null, c = null, d = null] = fields;
    if (number === COMMITMENT_SIGNED) return [number, this.memory.read(b).id, a, c ?? []];
    if (number === REVOKE_AND_ACK) {
      const both = a as Bytes;
      return [number, this.memory.read(b).id, both.slice(0, 32), both.slice(32)];
    }
    if (number === UPDATE_PUSH || number === PUSH_RECEIPT) {
      const place = this.memory.read(c);
      const id = b ?? place.next.get(number) ?? null;
      must(id !== null, "an id was left away before it was counted");
      place.next.set(number, Number(id) + 1);
      return number === UPDATE_PUSH
        ? [number, place.id, id, a, d ?? id]
        : [number, place.id, id, a];
    }
    return beginsWithChannel(number)
      ? [number, this.memory.read(a).id, ...fields.slice(1)]
      : [number, ...fields];
  }
}

function shortType(number: number): number {
  return number < 32768 ? number ^ 128 : 32767 - number;
}

function longType(type: number): number {
  return type < 0 ? 32767 - type : type ^ 128;
}
