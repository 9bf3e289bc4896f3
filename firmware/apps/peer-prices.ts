/** The price lists of machines as a buyer sees them: asked for page by page, few pages kept. */
import type { MessageNamed } from "../../core/messages/message.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AppHost } from "./app.ts";

export type ListedProduct = MessageNamed<"price_list">["products"][number];
type Page = MessageNamed<"price_list">;

/** Pages of one machine that are kept; requests that wait. */
const MAX_PAGES_KEPT = 4;
const MAX_WAITING = 8;
const ANSWER_MS = 15_000;

interface Shop {
  head: Page;
  readonly pages: Map<number, Page>;
}

interface Wait {
  readonly peer: PublicKey;
  resolve(page: Page): void;
  reject(error: Error): void;
}

export class PeerPrices {
  private readonly shops = new Map<string, Shop>();
  private readonly waiting = new Map<number, Wait>();
  private nextRequest = 1;

  constructor(private readonly host: Pick<AppHost, "node" | "clock">) {}

  /** What the machine says of itself, with the page that came last unasked; undefined while it is away. */
  head(peer: PublicKey): Page | undefined {
    return this.shops.get(toHex(peer))?.head;
  }

  /** One page; asked for where it is not known. */
  async page(peer: PublicKey, page: number): Promise<readonly ListedProduct[]> {
    const known = this.shops.get(toHex(peer))?.pages.get(page);
    return (known ?? (await this.ask(peer, { page }))).products;
  }

  /** One product of a list of any length: one question at most. */
  async product(peer: PublicKey, id: number): Promise<ListedProduct | undefined> {
    const shop = this.shops.get(toHex(peer));
    if (!shop) return undefined;
    for (const { products } of shop.pages.values()) {
      const found = products.find((product) => product.id === id);
      if (found) return found;
    }
    if (shop.head.pages <= 1) return undefined;
    const { products } = await this.ask(peer, { product: id });
    return products.find((product) => product.id === id);
  }

  listed(peer: PublicKey, message: Page): void {
    const page = copyOf(message);
    const key = toHex(peer);
    const before = this.shops.get(key);
    const isSame = before?.head.version === page.version && before.head.pages === page.pages;
    const shop = isSame ? before : { head: page, pages: new Map<number, Page>() };
    if (page.page === 0) shop.head = page;
    shop.head = { ...shop.head, ready: page.ready, note: page.note };
    shop.pages.delete(page.page);
    shop.pages.set(page.page, page);
    const [oldest] = shop.pages.keys();
    if (shop.pages.size > MAX_PAGES_KEPT && oldest !== undefined) shop.pages.delete(oldest);
    this.shops.set(key, shop);
    const wait = page.request === undefined ? undefined : this.waiting.get(page.request);
    if (!wait || page.request === undefined || !equal(wait.peer, peer)) return;
    this.waiting.delete(page.request);
    wait.resolve(page);
  }

  changed(peer: PublicKey, message: MessageNamed<"availability">): void {
    const shop = this.shops.get(toHex(peer));
    if (!shop || shop.head.version !== message.version) return;
    shop.head = { ...shop.head, ready: message.ready, note: message.note };
    for (const { id, ready } of message.products) {
      for (const [number, page] of shop.pages) {
        const products = page.products.map((one) => (one.id === id ? { ...one, ready } : one));
        shop.pages.set(number, { ...page, products });
      }
    }
  }

  away(peer: PublicKey): void {
    this.shops.delete(toHex(peer));
    for (const [request, wait] of this.waiting) {
      if (!equal(wait.peer, peer)) continue;
      this.waiting.delete(request);
      wait.reject(new Error("the machine went away: nothing was paid"));
    }
  }

  private ask(
    peer: PublicKey,
    asked: { readonly page?: number; readonly product?: number },
  ): Promise<Page> {
    if (this.waiting.size >= MAX_WAITING) {
      return Promise.reject(new Error("too many pages of price lists are awaited"));
    }
    const request = this.nextRequest++;
    const { node, clock } = this.host;
    return new Promise((resolve, reject) => {
      this.waiting.set(request, { peer, resolve, reject });
      const { page, product } = asked;
      if (!node.sendService(peer, { type: "price_list_request", request, page, product })) {
        this.away(peer);
      }
      clock?.after(ANSWER_MS, () => {
        if (this.waiting.delete(request)) reject(new Error("the machine does not answer"));
      });
    });
  }
}

/** Its own objects: the byte strings of a message would be views of a buffer that is used again. */
function copyOf(list: Page): Page {
  return { ...list, products: list.products.map((product) => ({ ...product })) };
}
