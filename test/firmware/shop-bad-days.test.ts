/** The whole program as a shop on bad days: a message that is too long, a thousand prices over a slow line, a clock that is absent or leaps. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Link } from "../../core/ports/link.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { encodeFrame } from "../../core/transport/framing.ts";
import type { LabDevice } from "../support/device-lab.ts";
import { BUYER_CABLE, PRODUCTS, ProgramShop } from "../support/program-shop.ts";

const TEA_MSAT = 900_000;
const YEAR_SECONDS = 365 * 24 * 3_600;

let shop: ProgramShop;
let anna: LabDevice;
let id: ChannelId;

beforeEach(async () => {
  shop = await ProgramShop.open();
  anna = await shop.buyer("anna");
});
afterEach(() => shop.close());

async function shopping(through?: (line: Link) => Link): Promise<void> {
  shop.plugIn(anna, through);
  id = await shop.openChannel(anna);
}

/** Paid, and the motor turns. */
async function paidTea(): Promise<Promise<{ delivered: boolean }>[]> {
  const before = shop.balance(id);
  const buying = anna.payer.buy(id, 1);
  buying.catch(() => {});
  await shop.until(() => shop.balance(id) > before);
  return [buying];
}

describe("a message of 4,097 bytes", () => {
  it("of a customer while its payment is served: the link goes on, and so does the payment", async () => {
    await shopping();
    const before = shop.balance(id);
    const [buying] = await paidTea();
    const inside = anna.device.node as unknown as {
      peers: { sessions: { to(peer: Uint8Array): { current: Sealing } } };
    };
    const session = inside.peers.sessions.to(shop.nodeId);
    const frame = encodeFrame(session.current.seal(new Uint8Array(4_097).fill(0x81)));
    shop.board.ends[BUYER_CABLE]?.link.send(frame);
    expect(await shop.during(buying as Promise<unknown>)).toMatchObject({ delivered: true });
    expect(await shop.during(anna.payer.buy(id, 1))).toMatchObject({ delivered: true });
    expect(shop.balance(id) - before).toBe(2 * TEA_MSAT);
    expect(shop.fallen).toHaveLength(2);
    // Its owner reads what was sold, page by page, and nothing twice.
    const sold = { kind: "delivered", product: 1, amountMsat: TEA_MSAT };
    const all = await shop.during(shop.admin.call("sales"));
    expect(all).toMatchObject({ sales: [sold, sold], last: 2, isEnd: true });
    const rest = await shop.during(shop.admin.call("sales", { after: 1 }));
    expect(rest).toMatchObject({ sales: [{ ...sold, number: 2 }], isEnd: true });
  });

  it("of its owner is refused in words before it is sent, and the session goes on", async () => {
    const large = shop.admin.call("settings.set", { name: "x".repeat(4_097) });
    await expect(shop.during(large)).rejects.toThrow(/settings\.set.*4\d\d\d bytes.*3840/);
    await expect(shop.during(large)).rejects.toMatchObject({ code: "too-large" });
    expect(await shop.during(shop.admin.info())).toMatchObject({ name: "coffee" });
  });
});

describe("a price list of 1,000 products over a slow line", () => {
  const products = Array.from({ length: 1_000 }, (_, i) => ({
    id: i,
    name: `product ${i}`,
    priceMsat: 1_000 + i,
  }));

  it("is sent while a customer buys from the old one; then the customer reads all of the new one", async () => {
    await shopping((line) => slow(line, 48));
    const before = shop.balance(id);
    const done: number[] = [];
    const sending = shop.admin.setPrices(products, (count) => done.push(count));
    await shop.until(() => done.length > 1);
    const isOld = () => anna.payer.priceList(shop.nodeId)?.total === PRODUCTS.length;
    expect(isOld()).toBe(true);
    await shop.during(sending);
    expect(done.at(-1)).toBe(1_000);
    await shop.until(() => anna.payer.priceList(shop.nodeId)?.total === 1_000);
    const read: number[] = [];
    for (let page = 0; read.length < 1_000; page++) {
      const some = await shop.during(anna.payer.page(shop.nodeId, page));
      expect(some.length).toBeGreaterThan(0);
      read.push(...some.map(({ priceMsat }) => priceMsat));
    }
    expect(read).toEqual(products.map(({ priceMsat }) => priceMsat));
    expect(await shop.during(anna.payer.buy(id, 1))).toMatchObject({ delivered: true });
    expect(shop.balance(id) - before).toBe(1_001);
    // An empty one: what the app's own settings name is sold again.
    await shop.during(shop.admin.setPrices([]));
    await shop.until(() => isOld());
  });
});

describe("a clock", () => {
  it.each([
    ["that leaps a year ahead", 1_700_000_000, YEAR_SECONDS],
    ["that leaps a year back", 1_700_000_000, -YEAR_SECONDS],
    ["that was never set, and is now", undefined, 1_800_000_000],
    ["that forgets the time", 1_700_000_000, undefined],
  ])("%s while the motor turns: what was paid is delivered", async (_, seconds, leap) => {
    shop.board.seconds = seconds;
    await shopping();
    const before = shop.balance(id);
    const [buying] = await paidTea();
    shop.board.seconds = leap === undefined ? undefined : (seconds ?? 0) + leap;
    expect(await shop.during(buying as Promise<unknown>)).toMatchObject({ delivered: true });
    expect(shop.balance(id) - before).toBe(TEA_MSAT);
    // A block later it knows how far behind the chain it is, and sells.
    await shop.lab.chain.mine(1);
    await shop.until(() => anna.payer.priceList(shop.nodeId)?.ready === true);
    expect(await shop.during(anna.payer.buy(id, 1))).toMatchObject({ delivered: true });
    expect(shop.fallen).toHaveLength(2);
  });
});

interface Sealing {
  seal(plaintext: Uint8Array): readonly Uint8Array[];
}

/** So many bytes each millisecond and way, in pieces; nothing overtakes. */
function slow(line: Link, bytesPerMs: number): Link {
  const shown: Link = { ...line, onBytes: () => {}, onClosed: () => {} };
  const lane = (deliver: (bytes: Uint8Array) => void) => {
    const waiting: Uint8Array[] = [];
    const next = () => {
      const bytes = waiting.shift();
      if (bytes) deliver(bytes);
      if (waiting.length > 0) setTimeout(next, 1);
    };
    return (bytes: Uint8Array) => {
      const isIdle = waiting.length === 0;
      for (let at = 0; at < bytes.length; at += bytesPerMs) {
        waiting.push(bytes.slice(at, at + bytesPerMs));
      }
      if (isIdle && waiting.length > 0) setTimeout(next, 1);
    };
  };
  shown.send = lane((bytes) => line.send(bytes));
  line.onBytes = lane((bytes) => shown.onBytes(bytes));
  return shown;
}
