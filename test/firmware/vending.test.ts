/** A machine and its payer: each payment is delivered or given back, once, whatever happens to either of them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments } from "../../core/payments/push.ts";
import type { Store } from "../../core/ports/store.ts";
import { type ChannelId, milliSatoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice, say } from "../support/device-lab.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
const SOUP = { id: 2, name: "soup", priceMsat: milliSatoshi(2_000_000) };
const FLASH_BYTES = 512 * 1024;

/** The motor, and the counter at its sensor. */
class Motor {
  fallen = 0;
  broken = false;
  stuck = false;
  readonly deliver = async (): Promise<void> => {
    if (this.stuck) await new Promise(() => {});
    if (this.broken) throw new Error("it did not come out");
    this.fallen++;
  };
}

let lab: DeviceLab;
let payer: LabDevice;
let machine: LabDevice;
let motor: Motor;
let id: ChannelId;
let cable: Cable;
let gatewayCables: Cable[];

async function setUp(store: Store = new MemoryStore(), counted = true): Promise<void> {
  motor = new Motor();
  lab = await DeviceLab.make();
  payer = await lab.add("payer", () => new PayerApp());
  const { deliver } = motor;
  const delivery = counted ? { deliver, fallen: () => motor.fallen } : { deliver };
  const app = () => new VendingApp({ machine: "kiosk", products: [TEA, SOUP], delivery });
  machine = await lab.add("machine", app, store);
  gatewayCables = [lab.connect(payer), lab.connect(machine)];
  cable = lab.connect(payer, machine);
  await lab.flow();
  id = await lab.open(payer, machine);
}

const balance = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;
const reference = (product: number, salt: number) => {
  const bytes = new Uint8Array(16).fill(salt);
  bytes[0] = 0;
  bytes[1] = product;
  return bytes;
};
const push = (product: number, amountMsat: number, salt: number) =>
  payer.device.node.command(id, {
    type: "push",
    payments: packPayments([
      { reference: reference(product, salt), amountMsat: milliSatoshi(amountMsat) },
    ]),
  });

/** Resolves while messages flow. */
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

async function reconnect(): Promise<void> {
  lab.pull(cable);
  cable = lab.connect(payer, machine);
  await lab.flow();
}

afterEach(async () => {
  await lab.close();
});

describe("a purchase", () => {
  beforeEach(() => setUp());

  it("is paid, delivered and told; its reference begins with product and height", async () => {
    const before = balance();
    const outcome = await during(payer.payer.buy(id, TEA.id));
    expect(outcome).toMatchObject({ delivered: true, note: "tea" });
    expect(motor.fallen).toBe(1);
    expect(balance() - before).toBe(TEA.priceMsat);
    const view = new DataView(outcome.reference.buffer, outcome.reference.byteOffset);
    expect(view.getUint16(0)).toBe(TEA.id);
    expect(view.getUint32(2)).toBe(payer.device.node.height);
    expect(machine.appEvents("delivered")).toHaveLength(1);
    expect(payer.appEvents("bought")).toHaveLength(1);
  });

  it.each([
    ["the wrong price", 1, 5_000, "tea costs 900000 msat"],
    ["a product that is not sold", 9, 5_000, "there is no such product"],
  ])("at %s is given back", async (_, product, amountMsat, reason) => {
    const before = balance();
    push(product, amountMsat, 7);
    await lab.flow();
    expect(motor.fallen).toBe(0);
    expect(balance()).toBe(before);
    expect(machine.appEvents("refunded")).toMatchObject([{ reason }]);
  });

  it("that does not come out is given back", async () => {
    const before = balance();
    motor.broken = true;
    const outcome = await during(payer.payer.buy(id, TEA.id));
    expect(outcome.delivered).toBe(false);
    expect(outcome.note).toContain("your money was given back");
    expect(balance()).toBe(before);
  });

  it("is never delivered again for the same reference, however late it is asked for", async () => {
    const { reference: first } = await during(payer.payer.buy(id, TEA.id));
    for (let i = 0; i < 20; i++) await during(payer.payer.buy(id, TEA.id));
    expect(motor.fallen).toBe(21);
    say(machine, payer.id, { type: "delivery_request", reference: first });
    await lab.flow();
    expect(motor.fallen).toBe(21);
  });

  it("whose money was given back is not delivered when it is asked for", async () => {
    push(SOUP.id, 1_000, 9);
    await lab.flow();
    say(machine, payer.id, { type: "delivery_request", reference: reference(SOUP.id, 9) });
    await lab.flow();
    expect(motor.fallen).toBe(0);
    expect(machine.appEvents("refunded")).toHaveLength(1);
  });

  it("beyond the offline budget is declined, and given back when the device has heard of the chain (offline-budget)", async () => {
    for (const one of gatewayCables) lab.pull(one);
    const { unsynced } = machine.device as unknown as { unsynced: { add(msat: number): void } };
    unsynced.add(2_000_000_000);
    const before = balance();
    const outcome = await during(payer.payer.buy(id, TEA.id));
    expect(outcome.delivered).toBe(false);
    expect(outcome.note).toContain("watchtower");
    expect(motor.fallen).toBe(0);
    lab.connect(machine);
    await lab.mine(1);
    expect(balance()).toBe(before);
    expect(machine.appEvents("refunded")).toHaveLength(1);
  });
});

describe("an HTLC", () => {
  beforeEach(() => setUp());

  it("buys a product; asked again for an invoice a payer gets the same, and nothing is written", async () => {
    const before = balance();
    const outcome = await during(payer.payer.buyByHtlc(id, SOUP.id));
    expect(outcome).toMatchObject({ delivered: true, note: "soup" });
    expect(balance() - before).toBe(SOUP.priceMsat);
    let writes = 0;
    const { store } = machine;
    const setValue = store.setValue.bind(store);
    store.setValue = (key, value) => {
      writes++;
      return setValue(key, value);
    };
    for (let request = 1; request <= 50; request++) {
      say(machine, payer.id, { type: "invoice_request", request, product: 1 + (request % 2) });
    }
    await lab.flow();
    expect(writes).toBe(2);
  });

  it.each([
    ["the wrong amount", 1_000_000, 30, "wrong amount"],
    ["too little time", 2_000_000, 12, "too soon"],
  ])("with %s is failed back", async (_, amountMsat, expiresIn, reason) => {
    const before = balance();
    const invoices: { paymentHash: Uint8Array }[] = [];
    payer.payer.onMessage = (_peer, message) => {
      if (message.type === "invoice") invoices.push({ paymentHash: message.paymentHash.slice() });
      return true;
    };
    say(machine, payer.id, { type: "invoice_request", request: 1, product: SOUP.id });
    await lab.flow();
    payer.device.node.command(id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(amountMsat),
      paymentHash: invoices[0]?.paymentHash as never,
      cltvExpiry: (payer.device.node.height + expiresIn) as never,
    });
    await lab.flow();
    const failed = payer.events("htlcFailed");
    expect(Buffer.from(failed[0]?.reason ?? []).toString()).toContain(reason);
    expect(balance()).toBe(before);
  });

  it("whose invoice was made before a power cut is taken after it", async () => {
    const paying = payer.payer.buyByHtlc(id, SOUP.id);
    for (let i = 0; i < 3; i++) cable.pump(1);
    await lab.flow(1);
    await lab.crash(machine, [cable, gatewayCables[1] as Cable]);
    gatewayCables[1] = lab.connect(machine);
    cable = lab.connect(payer, machine);
    const [outcome] = await Promise.allSettled([during(paying)]);
    const delivered = outcome.status === "fulfilled" && outcome.value.delivered;
    expect(motor.fallen).toBe(delivered ? 1 : 0);
  });
});

describe("a payer", () => {
  beforeEach(() => setUp());

  it("asks again after a lost link, and pays once", async () => {
    const before = balance();
    for (const deliveries of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const fallen = motor.fallen;
      const buying = payer.payer.buy(id, TEA.id);
      for (let i = 0; i < deliveries; i++) {
        await lab.flow(0);
        cable.pump(1);
      }
      await reconnect();
      const outcome = await during(buying);
      expect(motor.fallen - fallen, `${deliveries} deliveries`).toBe(outcome.delivered ? 1 : 0);
    }
    expect(balance() - before).toBe(motor.fallen * TEA.priceMsat);
  });

  it("that lost power hears what became of what it paid", async () => {
    const before = balance();
    for (const deliveries of [1, 2, 3, 4, 5, 6, 7]) {
      payer.payer.buy(id, TEA.id).catch(() => {});
      for (let i = 0; i < deliveries; i++) {
        await lab.flow(0);
        cable.pump(1);
      }
      await lab.crash(payer, [cable, gatewayCables[0] as Cable]);
      gatewayCables[0] = lab.connect(payer);
      cable = lab.connect(payer, machine);
      await lab.flow(30);
      expect(payer.app.length, `${deliveries} deliveries`).toBeGreaterThan(0);
    }
    expect(balance() - before).toBe(motor.fallen * TEA.priceMsat);
    expect(payer.appEvents("bought")).toHaveLength(motor.fallen);
  });

  it("listens to the machine that it pays, and to nobody else", async () => {
    const buying = payer.payer.buy(id, TEA.id);
    const stranger = lab.gatewayId;
    payer.payer.onMessage(stranger, {
      type: "delivery",
      reference: new Uint8Array(16),
      delivered: false,
      note: "",
    });
    expect(await during(buying)).toMatchObject({ delivered: true });
  });
});

describe("a machine that loses power while its motor turns", () => {
  it.each([
    ["delivers what its counter did not see fall", true],
    ["without a counter gives the money back", false],
  ])("%s", async (_, counted) => {
    const flash = new NorFlash({ size: FLASH_BYTES });
    await setUp(new FlashLogStore(flash), counted);
    const before = balance();
    motor.stuck = true;
    payer.payer.buy(id, TEA.id).catch(() => {});
    await lab.flow();
    expect(balance() - before).toBe(TEA.priceMsat);
    motor.stuck = false;
    machine.store = new FlashLogStore(new NorFlash({ size: FLASH_BYTES, image: flash.image() }));
    await lab.crash(machine, [reversed(cable), reversed(gatewayCables[1] as Cable)]);
    // Nobody asks: the payer has gone.
    await lab.crash(payer, [gatewayCables[0] as Cable]);
    payer.device.node.sendService = () => true;
    cable = lab.connect(payer, machine);
    await lab.flow(30);
    expect(motor.fallen).toBe(counted ? 1 : 0);
    expect(balance() - before).toBe(counted ? TEA.priceMsat : 0);
    expect(machine.appEvents(counted ? "delivered" : "refunded")).toHaveLength(1);
  });
});

describe("a machine on flash that loses power", () => {
  it.each([
    ["with a counter of what fell", true],
    ["without one", false],
  ])(
    "at any step of its flash delivers or gives back each payment once (%s)",
    async (_, counted) => {
      let image = new NorFlash({ size: FLASH_BYTES }).image();
      const flashOf = () => new NorFlash({ size: FLASH_BYTES, image });
      let flash = flashOf();
      await setUp(new FlashLogStore(flash), counted);
      const before = balance();
      const started = flash.steps;
      await during(payer.payer.buy(id, TEA.id));
      const stepsOfOne = flash.steps - started;
      expect(stepsOfOne).toBeGreaterThan(3);
      for (let step = 0; step < stepsOfOne; step++) {
        const told = payer.app.length;
        flash.failAt(flash.steps + step, step);
        payer.payer.buy(id, TEA.id).catch(() => {});
        await lab.flow().catch((cause) => {
          if (!(cause instanceof PowerCut)) throw cause;
        });
        image = flash.image();
        flash = flashOf();
        machine.store = new FlashLogStore(flash);
        await lab.crash(machine, [reversed(cable), reversed(gatewayCables[1] as Cable)]);
        gatewayCables[1] = lab.connect(machine);
        cable = lab.connect(payer, machine);
        await lab.flow(30);
        expect(payer.app.length - told, `step ${step}: ${JSON.stringify(payer.app.at(-1))}`).toBe(
          1,
        );
      }
      const bought = payer.appEvents("bought").length;
      expect(balance() - before).toBe(bought * TEA.priceMsat);
      expect(motor.fallen).toBe(counted ? bought : Math.max(bought, motor.fallen));
      const ends = [...machine.appEvents("delivered"), ...machine.appEvents("refunded")];
      const each = ends.map((end) => toHex(end.reference));
      expect(new Set(each).size).toBe(each.length);
    },
  );

  it("at any step gives wrong payments back once, and delivers nothing for them", async () => {
    let flash = new NorFlash({ size: FLASH_BYTES });
    await setUp(new FlashLogStore(flash));
    const before = balance();
    const started = flash.steps;
    push(TEA.id, 5_000, 200);
    await lab.flow();
    const stepsOfOne = flash.steps - started;
    expect(balance()).toBe(before);
    for (let step = 0; step < stepsOfOne; step++) {
      flash.failAt(flash.steps + step, step);
      push(TEA.id, 5_000, step);
      await lab.flow();
      flash = new NorFlash({ size: FLASH_BYTES, image: flash.image() });
      machine.store = new FlashLogStore(flash);
      await lab.crash(machine, [reversed(cable), reversed(gatewayCables[1] as Cable)]);
      gatewayCables[1] = lab.connect(machine);
      cable = lab.connect(payer, machine);
      await lab.flow(30);
      expect(balance(), `step ${step}`).toBe(before);
    }
    expect(motor.fallen).toBe(0);
    expect(await machine.store.getValue("app/inbox")).toHaveLength(1 + 4 + 1 + 2 + 1); // nothing waits
  });
});

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
