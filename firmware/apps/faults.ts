/** What jammed and waits for the owner: kept over restarts, so that nothing is sold that does not come out. */
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";
import type { AppFault } from "./app.ts";
import type { PriceStore } from "./price-list.ts";

const KEY = "app/faults";
const VERSION = 1;
/** More jammed products than this, and it is the machine. */
const MAX_JAMMED = 64;
/** Different products that jam one after the other: the sensor or the machine is at fault. */
const JAMS_OF_MACHINE = 3;

export class Faults {
  private jammed = new Set<number>();
  /** The whole machine waits for its owner. */
  private machine = false;
  /** Products that jammed since one came out. */
  private inARow = new Set<number>();

  private constructor(
    private readonly store: PriceStore,
    private readonly whole: string,
  ) {}

  /** `whole`: what is wrong where it is not one product's fault. */
  static async load(store: PriceStore, whole: string): Promise<Faults> {
    const faults = new Faults(store, whole);
    const stored = await store.getValue(KEY);
    if (!stored || stored.length === 0) return faults;
    const reader = new ByteReader(stored);
    if (reader.u8() !== VERSION) throw new Error("the faults were stored by a newer firmware");
    faults.machine = reader.u8() === 1;
    while (reader.remaining > 0) faults.jammed.add(reader.varint());
    return faults;
  }

  /** Why this product, or without one the machine, is not for sale. */
  reason(product?: number): string | undefined {
    if (this.machine) return `${this.whole}: the owner must look at it`;
    const isJammed = product !== undefined && this.jammed.has(product);
    return isJammed ? "it did not come out last time" : undefined;
  }

  get all(): readonly AppFault[] {
    const what = "did not come out";
    const products = [...this.jammed].map((product): AppFault => ({ product, what }));
    return this.machine ? [{ what: this.whole }, ...products] : products;
  }

  async jam(product: number): Promise<void> {
    this.inARow.add(product);
    this.jammed.add(product);
    const tooMany = this.jammed.size > MAX_JAMMED || this.inARow.size >= JAMS_OF_MACHINE;
    this.machine ||= tooMany;
    await this.keep();
  }

  /** Nothing is sold until the owner has looked at it. */
  async breakDown(): Promise<void> {
    this.machine = true;
    await this.keep();
  }

  cameOut(): void {
    this.inARow.clear();
  }

  /** Of one product, or of all and the machine. */
  async clear(product?: number): Promise<void> {
    if (product === undefined) {
      this.jammed.clear();
      this.machine = false;
      this.inARow.clear();
    } else {
      this.jammed.delete(product);
      this.inARow.delete(product);
    }
    await this.keep();
  }

  private async keep(): Promise<void> {
    const writer = new ByteWriter();
    writer.u8(VERSION);
    writer.u8(this.machine ? 1 : 0);
    let kept = 0;
    for (const product of this.jammed) if (kept++ < MAX_JAMMED) writer.varint(product);
    await this.store.setValue(KEY, writer.bytes());
  }
}
