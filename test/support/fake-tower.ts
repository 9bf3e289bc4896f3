/** A tower in a few lines, honest unless told otherwise, for tests of its clients. */
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { emptyDigest, nextDigest, towerReceiptHash } from "../../core/tower/receipt.ts";
import { crypto } from "./node-pair.ts";

export class FakeTower {
  readonly signer = new SeedSigner(crypto, crypto.sha256(ascii("fake tower")));
  readonly received: Message[] = [];
  /** By tag. */
  readonly held = new Map<string, Uint8Array[]>();
  maxSlots = 1000;
  /** What it says instead of its receipt. */
  lie: (receipt: MessageNamed<"tower_receipt">) => Message = (receipt) => receipt;

  constructor(private readonly client: PublicKey) {}

  get slots(): number {
    return [...this.held.values()].reduce((sum, { length }) => sum + length, 0);
  }

  updates(): MessageNamed<"tower_update">[] {
    return this.received.flatMap((one) => (one.type === "tower_update" ? [one] : []));
  }

  answer(message: Message): Message | undefined {
    this.received.push(message);
    switch (message.type) {
      case "tower_register": {
        const { maxSlots, slots: usedSlots } = this;
        const accepted = maxSlots > 0;
        return { type: "tower_terms", accepted, maxSlots, usedSlots, note: accepted ? "" : "no" };
      }
      case "tower_update":
        return this.keep(message);
      case "tower_forget":
        this.held.delete(toHex(message.tag));
        return { type: "tower_forgotten", tag: message.tag };
      default:
        return undefined;
    }
  }

  private keep({ tag, from, slots }: MessageNamed<"tower_update">): Message {
    const known = this.held.get(toHex(tag)) ?? [];
    const added = from <= known.length ? slots.slice(known.length - from) : [];
    if (this.slots + added.length > this.maxSlots) {
      return { type: "tower_refused", tag, code: 1, note: "all slots are used" };
    }
    const all = [...known, ...added];
    this.held.set(toHex(tag), all);
    const count = all.length;
    const digest = all.reduce((sum, slot) => nextDigest(crypto, sum, slot), emptyDigest());
    const hash = towerReceiptHash(crypto, this.client, { tag, count, digest });
    const signature = this.signer.sign(hash);
    return this.lie({ type: "tower_receipt", tag, count, digest, freeSlots: 0, signature });
  }
}
