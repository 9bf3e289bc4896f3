/** What a machine shows its buyers: its price list in pages, and at any time whether it can deliver, BEFORE it is paid. */
import type { MessageNamed } from "../../core/messages/message.ts";
import type { Node } from "../../core/node/node.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { shortened } from "./notes.ts";
import type { PriceList } from "./price-list.ts";

/** Bytes of a note. */
const MAX_NOTE = 96;
/** Products of one `availability`. */
const MAX_CHANGED = 64;

export interface StorefrontParts {
  readonly machine: string;
  readonly node: Pick<Node, "sendService">;
  readonly prices: PriceList;
  /** Why nothing can be sold now. */
  machineFault(): string | undefined;
  /** Why this product cannot. */
  productFault(id: number): string | undefined;
}

export class Storefront {
  private readonly connected = new Map<string, PublicKey>();
  /** What was told last. */
  private told: { note: string | undefined; ready: boolean } = { note: undefined, ready: true };

  constructor(private readonly parts: StorefrontParts) {}

  connect(peer: PublicKey): Promise<void> {
    this.connected.set(toHex(peer), peer);
    return this.sendPage(peer, 0);
  }

  disconnect(peer: PublicKey): void {
    this.connected.delete(toHex(peer));
  }

  /** It may sell nothing at all now. */
  get note(): string | undefined {
    const { prices } = this.parts;
    return this.parts.machineFault() ?? (prices.total > 0 ? undefined : "nothing is for sale");
  }

  /** Another list has gone live: who is here gets it anew. */
  async listChanged(): Promise<void> {
    for (const peer of [...this.connected.values()]) await this.sendPage(peer, 0);
  }

  /** Tells who is here, if it is another than was told, or these products are. */
  refresh(changed: readonly number[] = []): void {
    const { note } = this;
    const ready = note === undefined;
    if (changed.length === 0 && note === this.told.note && ready === this.told.ready) return;
    this.told = { note, ready };
    const products = changed
      .slice(0, MAX_CHANGED)
      .map((id) => ({ id, ready: this.parts.productFault(id) === undefined }));
    const { version } = this.parts.prices;
    const message = {
      type: "availability",
      version,
      ready,
      note: this.short(note),
      products,
    } as const;
    for (const peer of this.connected.values()) this.parts.node.sendService(peer, message);
  }

  /** Several products at once: an owner has cleared them. */
  refreshAll(changed: readonly number[]): void {
    for (let at = 0; at < Math.max(1, changed.length); at += MAX_CHANGED) {
      this.refresh(changed.slice(at, at + MAX_CHANGED));
    }
  }

  async answer(peer: PublicKey, asked: MessageNamed<"price_list_request">): Promise<void> {
    const { prices } = this.parts;
    const page = asked.page ?? (asked.product === undefined ? 0 : prices.pageOf(asked.product));
    await this.sendPage(peer, page, asked.request);
  }

  private async sendPage(peer: PublicKey, page: number, request?: number): Promise<void> {
    const { prices, machine, node } = this.parts;
    const listed = await prices.page(page);
    // What is said is read in one go, after the page: a list that went live meanwhile is sent by itself.
    const products = listed.map(({ id, name, priceMsat }) => {
      return { id, name, priceMsat, ready: this.parts.productFault(id) === undefined };
    });
    // Who is here already hears of what this one is told: what was told last is the same for all.
    this.refresh();
    const { note } = this;
    node.sendService(peer, {
      type: "price_list",
      machine,
      ready: note === undefined,
      products,
      version: prices.version,
      page,
      pages: prices.pages,
      total: prices.total,
      note: this.short(note),
      request,
    });
  }

  private short(note: string | undefined): string | undefined {
    return note === undefined ? undefined : shortened(note, MAX_NOTE);
  }
}
