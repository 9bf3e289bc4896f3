/** What a payer has under way, kept over a restart: it asks again for what it paid, and pays nothing twice. */
import type { Store } from "../../core/ports/store.ts";
import {
  type ChannelId,
  channelId,
  type Preimage,
  preimage,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";

/** Purchases under way at a time. */
export const MAX_OPEN_PURCHASES = 8;
const KEY = "app/purchases";
const VERSION = 1;

export interface Purchase {
  readonly channelId: ChannelId;
  readonly product: number;
  /** Of 16 bytes for a push; the payment hash of an HTLC. */
  readonly reference: Uint8Array;
  /** Of an HTLC, once it is known: the proof that it was paid. */
  readonly preimage?: Preimage | undefined;
}

export class Purchases {
  private readonly open = new Map<string, Purchase>();

  private constructor(private readonly store: Store) {}

  static async load(store: Store): Promise<Purchases> {
    const purchases = new Purchases(store);
    const stored = await store.getValue(KEY);
    for (const one of stored ? decode(stored) : []) {
      purchases.open.set(toHex(one.reference), one);
    }
    return purchases;
  }

  all(): readonly Purchase[] {
    return [...this.open.values()];
  }

  get(reference: Uint8Array): Purchase | undefined {
    return this.open.get(toHex(reference));
  }

  async put(purchase: Purchase): Promise<void> {
    this.open.set(toHex(purchase.reference), purchase);
    await this.store.setValue(KEY, encode(this.all()));
  }

  async remove(reference: Uint8Array): Promise<void> {
    if (!this.open.delete(toHex(reference))) return;
    await this.store.setValue(KEY, encode(this.all()));
  }
}

function encode(purchases: readonly Purchase[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  for (const one of purchases) {
    writer.raw(one.channelId);
    writer.u32(one.product);
    writer.prefixed(one.reference);
    writer.prefixed(one.preimage ?? new Uint8Array(0));
  }
  return writer.bytes();
}

function decode(bytes: Uint8Array): readonly Purchase[] {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) throw new Error("the purchases were stored by a newer firmware");
  const purchases: Purchase[] = [];
  while (reader.remaining > 0) {
    const id = channelId(reader.raw(32).slice());
    const product = reader.u32();
    const reference = reader.prefixed().slice();
    const secret = reader.prefixed().slice();
    const known = secret.length === 32 ? preimage(secret) : undefined;
    purchases.push({ channelId: id, product, reference, preimage: known });
  }
  return purchases;
}
