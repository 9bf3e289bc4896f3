/** Who carries the bytes between two nodes and means no good, as a broker or a phone may: keeps, repeats, reorders, invents and loses. */
import type { Random } from "../../random.ts";
import type { Wire } from "../links.ts";
import type { World } from "../world.ts";

const MAX_KEPT = 200;
const MAX_INVENTED_BYTES = 400;
const MAX_FLOOD = 120;
/** Of what is kept: the newest is what is most likely still waited for. */
const NEWEST = 8;

const TRICKS = [
  "replay",
  "replay",
  "reflect",
  "cross",
  "change",
  "change",
  "cut short",
  "invent",
  "reorder",
  "lose",
  "flood",
] as const;

interface Kept {
  readonly edge: number;
  /** The end that sent it: 0 is the caller. */
  readonly from: 0 | 1;
  readonly bytes: Uint8Array;
}

export class Carrier {
  /** What went over any link, former ones too. */
  private readonly kept: Kept[] = [];

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {}

  /** Whatever is about to arrive. */
  carried(edge: number, from: 0 | 1, bytes: Uint8Array): void {
    const one = { edge, from, bytes: bytes.slice() };
    if (this.kept.length < MAX_KEPT) this.kept.push(one);
    else {
      // The oldest go at random, so that some are from sessions long ago.
      this.kept.splice(this.random.below(MAX_KEPT - NEWEST), 1);
      this.kept.push(one);
    }
  }

  /** In a step of the world. */
  act(random: Random): void {
    const edge = random.below(this.world.options.edges.length);
    const wire = this.world.wires[edge];
    if (!wire || wire.isCut) return;
    const to = random.oneIn(2) ? 0 : 1;
    const trick = random.oneOf(TRICKS);
    this.world.note(`edge${edge} carrier: ${trick}`);
    switch (trick) {
      case "replay":
        this.put(
          wire,
          to,
          this.some(random, (one) => one.edge === edge && one.from !== to),
        );
        break;
      case "reflect":
        this.put(
          wire,
          to,
          this.some(random, (one) => one.edge === edge && one.from === to),
        );
        break;
      case "cross":
        this.put(
          wire,
          to,
          this.some(random, (one) => one.edge !== edge),
        );
        break;
      case "change":
        this.put(wire, to, changed(random, this.some(random)));
        break;
      case "cut short":
        this.put(wire, to, this.some(random)?.slice(0, random.between(1, 40)));
        break;
      case "invent":
        this.put(wire, to, invented(random));
        break;
      case "reorder":
        reorder(random, wire.towards(to));
        break;
      case "lose":
        wire.towards(to).splice(0, random.between(1, 6));
        break;
      case "flood": {
        const bytes = this.some(random);
        for (let i = random.between(10, MAX_FLOOD); i > 0; i--) this.put(wire, to, bytes);
      }
    }
  }

  private put(wire: Wire, to: 0 | 1, bytes: Uint8Array | undefined): void {
    if (!bytes || bytes.length === 0) return;
    const waiting = wire.towards(to);
    waiting.splice(this.random.below(waiting.length + 1), 0, bytes.slice());
  }

  private some(random: Random, isFit: (one: Kept) => boolean = () => true): Uint8Array | undefined {
    const fit = this.kept.filter(isFit);
    if (fit.length === 0) return undefined;
    return random.oneOf(random.oneIn(2) ? fit.slice(-NEWEST) : fit).bytes;
  }
}

function changed(random: Random, bytes?: Uint8Array): Uint8Array | undefined {
  if (!bytes) return undefined;
  const copy = bytes.slice();
  for (let i = random.between(1, 3); i > 0; i--) {
    const at = random.below(copy.length);
    copy[at] = (copy[at] as number) ^ (1 << random.below(8));
  }
  return copy;
}

function invented(random: Random): Uint8Array {
  const bytes = new Uint8Array(random.between(1, MAX_INVENTED_BYTES));
  return bytes.map(() => random.below(256));
}

function reorder(random: Random, waiting: Uint8Array[]): void {
  for (let last = waiting.length - 1; last > 0; last--) {
    const at = random.below(last + 1);
    [waiting[at], waiting[last]] = [waiting[last] as Uint8Array, waiting[at] as Uint8Array];
  }
}
