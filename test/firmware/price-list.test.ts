/** A thousand products: sent in pages, kept in flash, live all at once or not at all, and bought from without having them all. */
import { afterEach, describe, expect, it } from "vitest";
import { encodeMessage } from "../../core/messages/codec.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { PriceList } from "../../firmware/apps/price-list.ts";
import type { Product } from "../../firmware/apps/product.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";

const FLASH_BYTES = 512 * 1024;

function products(count: number, priceMsat = 5_000, name = "product"): Product[] {
  return Array.from({ length: count }, (_, i) => {
    const price = milliSatoshi(priceMsat + i);
    return { id: 3 * i + 1, name: `${name} ${i}`.slice(0, 48), priceMsat: price };
  });
}

describe("a price list in flash", () => {
  it("of a thousand products finds each of them, and none that is not there", async () => {
    const prices = await PriceList.load(new FlashLogStore(new NorFlash({ size: FLASH_BYTES })));
    expect(await prices.setAll(products(1_000))).toBe(1);
    expect([prices.total, prices.pages]).toEqual([1_000, 32]);
    for (const one of products(1_000)) expect(await prices.find(one.id)).toEqual(one);
    for (const id of [0, 2, 3, 98, 3_001, 65_535]) expect(await prices.find(id)).toBeUndefined();
    expect(await prices.page(32)).toEqual([]);
  });

  it("is read again after a restart, and replaced by a shorter one whole", async () => {
    const flash = new NorFlash({ size: FLASH_BYTES });
    await (await PriceList.load(new FlashLogStore(flash))).setAll(products(100));
    const prices = await PriceList.load(new FlashLogStore(flash));
    expect((await prices.find(4))?.priceMsat).toBe(5_001);
    expect(await prices.setAll(products(2, 77))).toBe(2);
    expect([prices.total, prices.pages, prices.version]).toEqual([2, 1, 2]);
    expect(await prices.find(298)).toBeUndefined();
  });

  it("that is sent half way never goes live, whenever power fails", async () => {
    const flash = new NorFlash({ size: FLASH_BYTES });
    await (await PriceList.load(new FlashLogStore(flash))).setAll(products(70));
    const image = flash.image();
    const whole = new NorFlash({ size: FLASH_BYTES, image });
    const started = whole.steps;
    const store = new FlashLogStore(whole);
    await (await PriceList.load(store)).setAll(products(70, 9_000));
    const steps = whole.steps - started;
    const versions = new Set<number>();
    for (let step = 0; step < steps; step++) {
      const cut = new NorFlash({ size: FLASH_BYTES, image });
      const list = await PriceList.load(new FlashLogStore(cut));
      cut.failAt(cut.steps + step, step);
      await list.setAll(products(70, 9_000)).catch((cause) => {
        if (!(cause instanceof PowerCut) && !(cause.cause instanceof PowerCut)) throw cause;
      });
      const again = new FlashLogStore(new NorFlash({ size: FLASH_BYTES, image: cut.image() }));
      const prices = await PriceList.load(again);
      const base = prices.version === 1 ? 5_000 : 9_000;
      versions.add(prices.version);
      for (const i of [0, 31, 32, 69]) {
        expect((await prices.find(3 * i + 1))?.priceMsat, `step ${step}`).toBe(base + i);
      }
      expect(await prices.setAll(products(40))).toBe(prices.version);
    }
    expect(versions).toEqual(new Set([1, 2]));
  });

  it.each([
    ["a page that is left out", 1, products(1), "page 0 of the price list comes next, not 1"],
    ["too many on a page", 0, products(33), "must have 1 to 32 products, not 33"],
    ["an empty page", 0, [], "must have 1 to 32 products, not 0"],
    ["numbers out of order", 0, products(3).reverse(), "comes after"],
    ["a price of nothing", 0, products(1, 0), "the price of product 0 must be"],
    ["a name that is too long", 0, [{ ...products(1)[0], name: "é".repeat(25) }], "1 to 48 bytes"],
  ])("refuses %s in words, and the live list stays", async (_, page, list, message) => {
    const prices = await PriceList.load(new MemoryStore());
    await prices.setAll(products(2));
    prices.begin();
    await expect(prices.put(page, list as Product[])).rejects.toThrow(message);
    await expect(prices.commit()).rejects.toThrow("begin one");
    expect([prices.version, prices.total]).toEqual([1, 2]);
  });
});

describe("a machine with a thousand products", () => {
  let lab: DeviceLab;
  let payer: LabDevice;
  let machine: LabDevice;
  let prices: PriceList;
  let id: ChannelId;
  const fallen: number[] = [];
  const broken = new Set<number>();

  async function setUp(list = products(1_000, 5_000, "x".repeat(40))): Promise<void> {
    fallen.length = 0;
    broken.clear();
    prices = await PriceList.load(new MemoryStore());
    await prices.setAll(list);
    lab = await DeviceLab.make();
    payer = await lab.add("payer", () => new PayerApp());
    const delivery = {
      deliver: async (product: Product) => {
        if (broken.has(product.id)) throw new Error("it did not come out");
        fallen.push(product.id);
      },
    };
    const app = () => new VendingApp({ machine: "m".repeat(64), delivery });
    machine = await lab.add("machine", app, new MemoryStore(), { prices });
    lab.connect(payer);
    lab.connect(machine);
    lab.connect(payer, machine);
    await lab.flow();
    id = await lab.open(payer, machine);
  }
  afterEach(() => lab.close());

  async function during<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const end = work.finally(() => {
      done = true;
    });
    end.catch(() => {});
    for (let i = 0; i < 40 && !done; i++) await lab.flow(4);
    if (!done) throw new Error("nothing came of it");
    return end;
  }
  const balance = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;

  it("tells of itself in messages of 4,096 bytes at most, and of the rest when asked", async () => {
    await setUp();
    const sent: Message[] = [];
    const sendService = machine.device.node.sendService.bind(machine.device.node);
    machine.device.node.sendService = (peer, message) => {
      sent.push(message);
      return sendService(peer, message);
    };
    expect(payer.payer.priceList(machine.id)).toMatchObject({ total: 1_000, pages: 32 });
    const all: number[] = [];
    for (let page = 0; page < 32; page++) {
      const listed = await during(payer.payer.page(machine.id, page));
      all.push(...listed.map((product) => product.id));
    }
    expect(all).toEqual(products(1_000).map((product) => product.id));
    for (const message of sent) expect(encodeMessage(message).length).toBeLessThanOrEqual(4_096);
  });

  it("sells one from the middle after one question", async () => {
    await setUp();
    const before = balance();
    expect(await during(payer.payer.buy(id, 1_501))).toMatchObject({ delivered: true });
    expect(fallen).toEqual([1_501]);
    expect(balance() - before).toBe(5_500);
    await expect(during(payer.payer.buy(id, 1_502))).rejects.toThrow("1502 is not on sale");
    await expect(during(payer.payer.buy(id, 1, { maxMsat: 4_999 }))).rejects.toThrow("costs 5000");
  });

  it("tells who is here of a new list; a price that changed on the way goes back", async () => {
    await setUp(products(40));
    const before = balance();
    await during(payer.payer.product(machine.id, 4));
    const buying = payer.payer.buy(id, 4);
    await prices.setAll(products(40, 6_000));
    const outcome = await during(buying);
    expect(outcome.delivered).toBe(false);
    expect(outcome.note).toContain("costs 6001 msat: your money was given back");
    expect(balance()).toBe(before);
    expect(payer.payer.priceList(machine.id)).toMatchObject({ version: 2 });
    expect(await during(payer.payer.buy(id, 4))).toMatchObject({ delivered: true });
  });

  it("holds the price of an invoice while the list changes", async () => {
    await setUp(products(40));
    const before = balance();
    const buying = payer.payer.buyByHtlc(id, 7);
    await lab.flow(1);
    await lab.flow(1);
    await prices.setAll(products(40, 9_000));
    const [outcome] = await Promise.allSettled([during(buying)]);
    const delivered = outcome.status === "fulfilled" && outcome.value.delivered;
    expect(balance() - before).toBe(delivered ? 5_002 : 0);
    expect(fallen).toEqual(delivered ? [7] : []);
  });

  it("does not sell what jammed until its owner has cleared it, over a restart too", async () => {
    await setUp(products(40));
    const before = balance();
    broken.add(4);
    expect(await during(payer.payer.buy(id, 4))).toMatchObject({ delivered: false });
    expect(balance()).toBe(before);
    await expect(during(payer.payer.buy(id, 4))).rejects.toThrow("cannot be delivered now");
    expect(await during(payer.payer.buy(id, 7))).toMatchObject({ delivered: true });
    expect(machine.current.status?.().faults).toMatchObject([{ product: 4 }]);
    await machine.start();
    expect(machine.current.status?.().faults).toMatchObject([{ product: 4 }]);
    broken.clear();
    await machine.current.clear?.(4);
    expect(machine.current.status?.()).toMatchObject({ ready: true, faults: [] });
  });

  it("of which three different products jam in a row is out of order, and says so", async () => {
    await setUp(products(40));
    for (const product of [1, 4, 7]) {
      broken.add(product);
      await during(payer.payer.buy(id, product));
    }
    await expect(during(payer.payer.buy(id, 10))).rejects.toThrow("the owner must look at it");
  });

  it("gives the second of two buyers his money back where the last one is gone", async () => {
    await setUp(products(40));
    const other = await lab.add("other", () => new PayerApp());
    lab.connect(other);
    lab.connect(other, machine);
    await lab.flow();
    const theirs = await lab.open(other, machine);
    let left = 1;
    const deliver = async () => {
      if (left-- <= 0) throw new Error("it did not come out");
    };
    Object.assign((machine.current as unknown as { delivery: object }).delivery, { deliver });
    const before = balance() + (machine.device.node.record(theirs)?.base.toLocalMsat ?? 0);
    const both = [payer.payer.buy(id, 4), other.payer.buy(theirs, 4)];
    const outcomes = await during(Promise.all(both));
    expect(outcomes.filter(({ delivered }) => delivered)).toHaveLength(1);
    const after = balance() + (machine.device.node.record(theirs)?.base.toLocalMsat ?? 0);
    expect(after - before).toBe(5_001);
    await expect(during(other.payer.buy(theirs, 4))).rejects.toThrow("cannot be delivered now");
  });
});
