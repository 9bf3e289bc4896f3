/** Receipts of one channel, both ways (docs/PROTOCOL.md "Receipts"). */
import { ascii, type Bytes, bigEndian, same, sha256 } from "./bytes.ts";
import { pointOf, sign, verify } from "./curve.ts";
import type { Message } from "./messages.ts";

export class Receipts {
  /** Of our pushes: "I hold the receipts of all my pushes below this id". */
  below = 0;
  private readonly taken = new Map<number, Bytes>();
  private readonly given = new Map<number, Bytes>();
  private forgottenBelow = 0;
  private givenBelow = 0;

  constructor(
    private readonly channelId: Bytes,
    private readonly nodeSecret: Bytes,
    private readonly remoteId: Bytes,
    private readonly send: (message: Message) => void,
  ) {}

  get owedCount(): number {
    return this.given.size;
  }

  give(id: number, payments: Bytes): void {
    if (id < this.givenBelow) return;
    if (id !== this.givenBelow) throw new Error("receipts out of order");
    this.givenBelow++;
    this.given.set(id, sign(this.digest(id, payments), this.nodeSecret));
    this.sendOne(id);
  }

  giveAgain(peersBelow: number): void {
    this.forgetBelow(peersBelow);
    for (const id of this.given.keys()) this.sendOne(id);
  }

  forgetBelow(below: number): void {
    const isPossible = below >= this.forgottenBelow && below <= this.givenBelow;
    if (!isPossible) throw new Error(`receiptsBelow ${below}`);
    this.forgottenBelow = below;
    for (const id of this.given.keys()) if (id < below) this.given.delete(id);
  }

  take(id: number, payments: Bytes, signature: Bytes): void {
    if (!verify(signature, this.digest(id, payments), this.remoteId)) {
      throw new Error(`the receipt of push ${id} is not signed by the payee`);
    }
    const known = this.taken.get(id);
    if (known && !same(known, signature)) throw new Error("two receipts for one push");
    this.taken.set(id, signature);
    while (this.taken.has(this.below)) this.below++;
  }

  isOf(id: number, payments: Bytes, signature: Bytes): boolean {
    return verify(signature, this.digest(id, payments), pointOf(this.nodeSecret));
  }

  private sendOne(id: number): void {
    const signature = this.given.get(id) as Bytes;
    this.send({ type: "push_receipt", id, signature });
  }

  private digest(id: number, payments: Bytes): Bytes {
    const domain = ascii("picobolt receipt v1");
    return sha256(domain, this.channelId, bigEndian(id, 8), sha256(payments));
  }
}
