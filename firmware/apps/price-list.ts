/** A machine's price list in pages of flash: a thousand products are never in memory together, and a half-sent list never goes live. */
import { PRODUCTS_PER_PAGE } from "../../core/messages/service.ts";
import type { Store } from "../../core/ports/store.ts";
import { assert } from "../../core/primitives/errors.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";
import { ConfigError } from "./config.ts";
import { checkProduct, decodeProducts, encodeProducts, type Product } from "./product.ts";

export const MAX_PRODUCTS = 1_000;
const MAX_PAGES = Math.ceil(MAX_PRODUCTS / PRODUCTS_PER_PAGE);

/** Where the pages are: any store of named values. */
export type PriceStore = Pick<Store, "getValue" | "setValue">;

/** What is live: all of it changes in one write. */
interface Head {
  /** Rises with each list that goes live. */
  readonly version: number;
  /** Which of the two sets of keys holds it. */
  readonly half: number;
  readonly total: number;
  /** The first product of each page. */
  readonly firstIds: readonly number[];
}

interface Upload {
  readonly firstIds: number[];
  total: number;
  lastId: number;
  isFull: boolean;
}

const HEAD_KEY = "app/prices";
const HEAD_VERSION = 1;
const NONE: Head = { version: 0, half: 0, total: 0, firstIds: [] };
const NOTHING = new Uint8Array(0);

export class PriceList {
  /** Called when another list has gone live; set by the app that sells from it. */
  onChanged: () => void = () => {};
  private upload: Upload | undefined;
  /** The page that was read last, with the version that it belongs to. */
  private read: { version: number; page: number; products: readonly Product[] } | undefined;

  private constructor(
    private readonly store: PriceStore,
    private head: Head,
  ) {}

  static async load(store: PriceStore): Promise<PriceList> {
    const stored = await store.getValue(HEAD_KEY);
    return new PriceList(store, stored ? decodeHead(stored) : NONE);
  }

  /** 0 while there never was one. */
  get version(): number {
    return this.head.version;
  }

  get total(): number {
    return this.head.total;
  }

  get pages(): number {
    return this.head.firstIds.length;
  }

  /** Products in rising order of their numbers; an empty list beyond the last page. */
  async page(page: number): Promise<readonly Product[]> {
    const { read } = this;
    const { version, half } = this.head;
    if (page >= this.pages) return [];
    if (read?.version === version && read.page === page) return read.products;
    const stored = await this.store.getValue(keyOf(half, page));
    assert(stored, `page ${page} of the price list is not in the store`);
    const products = decodeProducts(stored);
    this.read = { version, page, products };
    return products;
  }

  /** The page that holds this product if any does. */
  pageOf(id: number): number {
    const { firstIds } = this.head;
    let low = 0;
    let high = firstIds.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((firstIds[middle] as number) <= id) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  async find(id: number): Promise<Product | undefined> {
    return (await this.page(this.pageOf(id))).find((product) => product.id === id);
  }

  /** Begins a new list; what was sent of another one is forgotten. The live list goes on. */
  begin(): void {
    this.upload = { firstIds: [], total: 0, lastId: -1, isFull: true };
  }

  /**
   * The next page of the new list: at most PRODUCTS_PER_PAGE, and all but the last have that many. Numbers rise
   * from one product to the next, over pages too. Throws a ConfigError; the upload must begin again then.
   */
  async put(page: number, products: readonly Product[]): Promise<void> {
    const { upload } = this;
    if (!upload) throw new ConfigError("no price list is being sent: begin one");
    this.upload = undefined; // unless all of this page is in order
    const next = upload.firstIds.length;
    if (page !== next)
      throw new ConfigError(`page ${next} of the price list comes next, not ${page}`);
    if (page >= MAX_PAGES) throw new ConfigError(`a price list has at most ${MAX_PAGES} pages`);
    const most = Math.min(PRODUCTS_PER_PAGE, MAX_PRODUCTS - upload.total);
    if (products.length === 0 || products.length > most) {
      throw new ConfigError(`page ${page} must have 1 to ${most} products, not ${products.length}`);
    }
    if (!upload.isFull) {
      throw new ConfigError(`only the last page has fewer than ${PRODUCTS_PER_PAGE} products`);
    }
    for (const product of products) {
      checkProduct(product);
      if (product.id <= upload.lastId) {
        throw new ConfigError(`product ${product.id} comes after ${upload.lastId}: sort by number`);
      }
      upload.lastId = product.id;
    }
    await this.store.setValue(keyOf(1 - this.head.half, page), encodeProducts(products));
    upload.firstIds.push((products[0] as Product).id);
    upload.total += products.length;
    upload.isFull = products.length === PRODUCTS_PER_PAGE;
    this.upload = upload;
  }

  /** The new list goes live, all of it at once; answers its version. */
  async commit(): Promise<number> {
    const { upload, head } = this;
    if (!upload) throw new ConfigError("no price list is being sent: begin one");
    this.upload = undefined;
    const { firstIds, total } = upload;
    const next = { version: head.version + 1, half: 1 - head.half, total, firstIds };
    await this.store.setValue(HEAD_KEY, encodeHead(next));
    this.head = next;
    this.read = undefined;
    this.onChanged();
    // The room of the old list is given back; what a power cut leaves is written over by the next one.
    for (let page = 0; page < head.firstIds.length; page++) {
      await this.store.setValue(keyOf(head.half, page), NOTHING);
    }
    return next.version;
  }

  abort(): void {
    this.upload = undefined;
  }

  /** A whole list at once, for whoever holds it in memory anyway. */
  async setAll(products: readonly Product[]): Promise<number> {
    this.begin();
    for (let at = 0; at < products.length; at += PRODUCTS_PER_PAGE) {
      await this.put(at / PRODUCTS_PER_PAGE, products.slice(at, at + PRODUCTS_PER_PAGE));
    }
    return this.commit();
  }
}

/** A list that is not stored: of the app's own settings. */
export async function fixedPrices(products: readonly Product[]): Promise<PriceList> {
  const kept = new Map<string, Uint8Array>();
  const prices = await PriceList.load({
    getValue: (key) => kept.get(key),
    setValue: (key, value) => void kept.set(key, value),
  });
  await prices.setAll([...products].sort((a, b) => a.id - b.id));
  return prices;
}

function keyOf(half: number, page: number): string {
  return `app/prices/${half}/${page}`;
}

function encodeHead({ version, half, total, firstIds }: Head): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(HEAD_VERSION);
  writer.u32(version);
  writer.u8(half);
  writer.varint(total);
  for (const id of firstIds) writer.varint(id);
  return writer.bytes();
}

function decodeHead(bytes: Uint8Array): Head {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== HEAD_VERSION) throw new Error("the price list is of a newer firmware");
  const version = reader.u32();
  const half = reader.u8();
  const total = reader.varint();
  const firstIds: number[] = [];
  while (reader.remaining > 0) firstIds.push(reader.varint());
  return { version, half, total, firstIds };
}
