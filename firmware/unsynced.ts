/** What was received since the gateway last answered (rule `offline-budget`): kept over restarts without a write for each payment. */
import { ByteReader, ByteWriter } from "../core/transactions/codec.ts";
import type { PriceStore } from "./apps/price-list.ts";

const KEY = "chain/unsynced";
/** The stored sum runs ahead by this share of the budget: a restart counts a little too much, never too little. */
const STEPS = 16;

export class Unsynced {
  private stored: number;

  private constructor(
    private readonly store: PriceStore,
    private readonly step: number,
    public amountMsat: number,
    private readonly failed: (cause: unknown) => void,
  ) {
    this.stored = amountMsat;
  }

  static async load(
    store: PriceStore,
    maxMsat: number,
    failed: (cause: unknown) => void,
  ): Promise<Unsynced> {
    const bytes = await store.getValue(KEY);
    const known = bytes && bytes.length > 0 ? new ByteReader(bytes).varint() : 0;
    const step = Math.max(1, Math.ceil(maxMsat / STEPS));
    return new Unsynced(store, step, Math.min(known, maxMsat), failed);
  }

  add(amountMsat: number): void {
    this.amountMsat += amountMsat;
    if (this.amountMsat > this.stored) this.keep(this.amountMsat + this.step);
  }

  /** The gateway has answered. */
  clear(): void {
    this.amountMsat = 0;
    if (this.stored > 0) this.keep(0);
  }

  private keep(sum: number): void {
    const before = this.stored;
    this.stored = sum;
    const writer = new ByteWriter();
    writer.varint(sum);
    const isLost = (cause: unknown) => {
      this.stored = before; // tried again with the next payment
      this.failed(cause);
    };
    try {
      Promise.resolve(this.store.setValue(KEY, writer.bytes())).catch(isLost);
    } catch (cause) {
      isLost(cause);
    }
  }
}
