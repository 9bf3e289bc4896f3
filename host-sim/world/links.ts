/** Links of a world, with the semantics of real ones: a stream may lose and change bytes; a broker's frames come whole, late or twice. */
import type { Link } from "../../core/ports/link.ts";
import type { Random } from "../random.ts";
import type { Power } from "./power.ts";

export interface LinkFaults {
  loses: boolean;
  corrupts: boolean;
  repeats: boolean;
}

/** What one end sent and nobody took yet; beyond it the wire is cut, as a broker or a driver would. */
const MAX_WAITING = 20_000;
/** Of deliveries: how often a byte is lost or changed, or a frame repeated. */
const ONE_IN = 40;

class WireEnd implements Link {
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  /** On their way to the other end. */
  readonly sent: Uint8Array[] = [];

  constructor(
    readonly name: string,
    readonly kind: Link["kind"],
    readonly power: Power,
    private readonly wire: Wire,
  ) {}

  send(bytes: Uint8Array): void {
    if (this.wire.isCut || !this.power.spend()) return;
    if (this.sent.length < MAX_WAITING) this.sent.push(bytes.slice());
  }

  close(): void {
    this.wire.cut("closed here");
  }
}

export class Wire {
  readonly ends: readonly [WireEnd, WireEnd];
  isCut = false;
  delivered = 0;
  /** Told what is about to arrive: the end that sent it, and its bytes. */
  onCarried: ((from: 0 | 1, bytes: Uint8Array) => void) | undefined;

  constructor(
    name: string,
    private readonly kind: Link["kind"],
    powers: readonly [Power, Power],
  ) {
    const [caller, callee] = powers;
    this.ends = [
      new WireEnd(`${name}:caller`, kind, caller, this),
      new WireEnd(`${name}:callee`, kind, callee, this),
    ];
  }

  get waiting(): number {
    return this.ends[0].sent.length + this.ends[1].sent.length;
  }

  /** Brings at most so many pieces to each end. */
  deliver(random: Random, faults: LinkFaults, most: number): void {
    for (let i = 0; i < most && !this.isCut && this.waiting > 0; i++) {
      const from = this.ends[0].sent.length === 0 || (random.oneIn(2) && this.ends[1].sent[0]);
      const [sender, receiver] = from ? [this.ends[1], this.ends[0]] : this.ends;
      const piece = this.next(sender, random, faults);
      this.onCarried?.(sender === this.ends[0] ? 0 : 1, piece);
      this.delivered++;
      if (piece.length > 0 && receiver.power.isOn) receiver.onBytes(piece);
    }
  }

  /** On their way to this end. */
  towards(end: 0 | 1): Uint8Array[] {
    return this.ends[end === 0 ? 1 : 0].sent;
  }

  /** Both ends hear of it, where there is one left; what is under way is lost. */
  cut(reason: string): void {
    if (this.isCut) return;
    this.isCut = true;
    for (const end of this.ends) end.sent.length = 0;
    for (const end of this.ends) if (end.power.isOn) end.onClosed(reason);
  }

  private next(sender: WireEnd, random: Random, faults: LinkFaults): Uint8Array {
    const { sent } = sender;
    const piece = sent.shift() as Uint8Array;
    if (this.kind === "datagram") {
      if (faults.repeats && random.oneIn(ONE_IN / 4)) {
        sent.splice(random.below(sent.length + 1), 0, piece.slice());
      }
      return piece;
    }
    if (piece.length > 1 && random.oneIn(8)) {
      const at = random.between(1, piece.length - 1);
      sent.unshift(piece.subarray(at));
      return this.damaged(piece.slice(0, at), random, faults);
    }
    return this.damaged(piece, random, faults);
  }

  private damaged(piece: Uint8Array, random: Random, faults: LinkFaults): Uint8Array {
    if (faults.corrupts && random.oneIn(ONE_IN)) {
      const at = random.below(piece.length);
      piece[at] = (piece[at] as number) ^ (1 << random.below(8));
    }
    if (!faults.loses || !random.oneIn(ONE_IN)) return piece;
    const from = random.below(piece.length);
    const lost = random.between(1, piece.length - from);
    const rest = [...piece.subarray(0, from), ...piece.subarray(from + lost)];
    return Uint8Array.from(rest);
  }
}
