/** A machine that sells by BOLT 11 invoice to payers behind its gateway: delivered, then paid; or neither, whatever happens in between. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { describeFailure } from "../../core/payments/failure.ts";
import { encodeInstructions, sealPayment } from "../../core/payments/instructions.ts";
import { parseInvoice } from "../../core/payments/invoice/parse-invoice.ts";
import type { Store } from "../../core/ports/store.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  satoshi,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { VendingApp } from "../../firmware/apps/vending.ts";
import { FlashLogStore } from "../../firmware/store/flash-log.ts";
import { MemoryLedger } from "../../gateway/payments/memory-ledger.ts";
import { NorFlash, PowerCut } from "../../host-sim/flash/nor-flash.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice } from "../support/device-lab.ts";
import { crypto } from "../support/node-pair.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(900_000) };
const NOW = 1_800_000_000;
const FLASH_BYTES = 512 * 1024;
const entropy = { random: (length: number) => new Uint8Array(randomBytes(length)) };

class Motor {
  fallen = 0;
  broken = false;
  /** Power fails while it turns. */
  stuck = false;
  wait: Promise<void> | undefined;
  readonly deliver = async (): Promise<void> => {
    await this.wait;
    if (this.stuck) await new Promise(() => {});
    if (this.broken) throw new Error("tea did not come out");
    this.fallen++;
  };
}

let lab: DeviceLab;
let machine: LabDevice;
let motor: Motor;
let id: ChannelId;
let cable: Cable;
let ledger: MemoryLedger;
let ended: string[];
/** What the machine knows of the time, and what the payer believes. */
let clock: number | undefined;
let payerTime: number;

async function setUp(store: Store = new MemoryStore(), counted = true): Promise<void> {
  motor = new Motor();
  ledger = new MemoryLedger();
  ended = [];
  clock = NOW;
  payerTime = NOW;
  lab = await DeviceLab.make(gatewayOptions());
  const { deliver } = motor;
  const delivery = counted ? { deliver, fallen: () => motor.fallen } : { deliver };
  const app = () => new VendingApp({ machine: "kiosk", products: [TEA], delivery });
  const after = () => () => {};
  machine = await lab.add("machine", app, store, {
    clock: { nowMs: () => lab.nowMs, nowSeconds: () => clock, after },
  });
  cable = lab.connect(machine);
  await lab.flow();
  lab.gateway.node.open({
    remoteNodeId: machine.id,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(400_000),
    pushMsat: milliSatoshi(0),
    feeratePerKw: 0,
  });
  await lab.flow();
  await lab.mine(3);
  id = machine.events("created").at(-1)?.channelId as ChannelId;
}

function gatewayOptions(): Parameters<typeof DeviceLab.make>[0] {
  return {
    payments: {
      ledger,
      network: "regtest",
      nowSeconds: () => payerTime,
      onPayment: ({ status }, reason) => ended.push(reason ?? status),
    },
  };
}

const earned = () => machine.device.node.record(id)?.base.toLocalMsat ?? 0;

async function invoice(product = TEA.id): Promise<string> {
  const asked = lab.gateway.invoiceRelay.ask(machine.id, { product });
  asked.catch(() => {});
  await lab.flow();
  return asked;
}

/** From the gateway's own channel, as a payment that comes through it does. */
async function pay(text: string): Promise<string> {
  const begun = lab.gateway.payments?.payInvoice(text);
  begun?.catch(() => {});
  await lab.flow(30);
  await begun;
  return ended.at(-1) ?? "pending";
}

async function restart(): Promise<void> {
  await lab.crash(machine, [reversed(cable)]);
  cable = lab.connect(machine);
  await lab.flow(30);
}

afterEach(() => lab.close());

describe("an invoice of a machine", () => {
  beforeEach(() => setUp());

  it("is the machine's own word: price, what for, how long, and the gateway that leads there", async () => {
    const made = parseInvoice(crypto, await invoice());
    expect(made).toMatchObject({
      payee: machine.id,
      network: "regtest",
      amountMsat: TEA.priceMsat,
      description: "kiosk: tea",
      timestamp: NOW,
      expirySeconds: 600,
    });
    expect(made.routes[0]?.[0]?.nodeId).toEqual(lab.gatewayId);
    const again = parseInvoice(crypto, await invoice());
    expect(again.paymentHash).not.toEqual(made.paymentHash);
    expect(await machine.store.getValue("app/inbox")).toBeUndefined(); // nothing is kept of either
  });

  it("is refused in words for what cannot come out", async () => {
    await expect(invoice(7)).rejects.toThrow("say which product");
    motor.broken = true;
    await pay(await invoice());
    await expect(invoice()).rejects.toThrow(/did not come out|jammed|out of order/);
  });

  it("is paid: the product comes out first, the preimage after it", async () => {
    const text = await invoice();
    motor.stuck = true;
    expect(await pay(text)).toBe("pending");
    expect(earned()).toBe(0);
    motor.stuck = false;
    await restart();
    expect(ended).toEqual(["succeeded"]);
    expect(motor.fallen).toBe(1);
    expect(earned()).toBe(TEA.priceMsat);
    expect(machine.appEvents("delivered")).toHaveLength(1);
    expect((await ledger.list({}))[0]?.preimage).toBeDefined();
  });

  it("whose product jams is not paid: the payer has the money back, and the reason", async () => {
    const text = await invoice();
    motor.broken = true;
    expect(await pay(text)).toBe("tea did not come out");
    expect(earned()).toBe(0);
    expect(machine.appEvents("refunded")).toHaveLength(1);
    expect(lab.gateway.node.record(id)?.base.htlcs).toEqual([]);
  });

  it("is not paid by less, late, or after it was changed", async () => {
    const text = await invoice();
    const { paymentHash, paymentSecret } = parseInvoice(crypto, text);
    const reasons = async (amountMsat: number, totalMsat: number, secret = paymentSecret) => {
      const sealed = sealPayment(crypto, entropy, {
        destination: machine.id,
        paymentHash,
        paymentSecret: secret,
        totalMsat: milliSatoshi(totalMsat),
      });
      lab.gateway.node.command(id, {
        type: "addHtlc",
        amountMsat: milliSatoshi(amountMsat),
        paymentHash,
        cltvExpiry: blockHeight(lab.gateway.node.height + 43),
        onion: encodeInstructions({ type: "final", sealed }),
      });
      await lab.flow();
      const failed = lab.told.flatMap(({ event }) => (event.type === "htlcFailed" ? [event] : []));
      return describeFailure(failed.at(-1)?.reason ?? new Uint8Array());
    };
    const unknown = /knows no such invoice/;
    expect(await reasons(800_000, 800_000)).toMatch(unknown);
    expect(await reasons(800_000, 900_000)).toMatch(unknown);
    expect(await reasons(1_800_001, 1_800_001)).toMatch(unknown);
    const cheaper = paymentSecret.slice();
    cheaper[23] = 1;
    expect(await reasons(900_000, 900_000, cheaper)).toMatch(unknown);
    clock = NOW + 721;
    expect(await reasons(900_000, 900_000)).toMatch(unknown);
    expect(motor.fallen).toBe(0);
    clock = NOW + 719;
    await reasons(900_000, 900_000);
    expect(motor.fallen).toBe(1);
  });

  it("of a machine without a clock names the newest block's time, and is judged by blocks", async () => {
    clock = undefined;
    const made = parseInvoice(crypto, await invoice());
    expect(made.timestamp).toBe(machine.device.chain.freshness.tipTimeSeconds);
    expect(made.expirySeconds).toBe(600 + 7_200);
    payerTime = made.timestamp + 3_600; // the newest block may be an hour old
    const late = await invoice();
    await lab.mine(19);
    expect(await pay(late)).not.toBe("succeeded");
    expect(motor.fallen).toBe(0);
    const fresh = await invoice();
    payerTime = parseInvoice(crypto, fresh).timestamp + 3_600;
    expect(await pay(fresh)).toBe("succeeded");
  });

  it("holds at its price when the list has another one", async () => {
    const text = await invoice();
    const { deliver } = motor;
    const dear = [{ ...TEA, priceMsat: milliSatoshi(2_000_000) }];
    machine.makeApp = () =>
      new VendingApp({ machine: "kiosk", products: dear, delivery: { deliver } });
    await restart();
    expect(await pay(text)).toBe("succeeded");
    expect(earned()).toBe(TEA.priceMsat);
  });
});

describe("a gateway that is killed while the machine delivers", () => {
  it.each([
    ["delivers is paid: the preimage waits for it", false],
    ["cannot deliver has the money again", true],
  ])("and whose machine %s", async (_, broken) => {
    await setUp();
    let turn = () => {};
    const turning = new Promise<void>((done) => {
      turn = done;
    });
    motor.wait = turning;
    motor.broken = broken;
    expect(await pay(await invoice())).toBe("pending");
    await lab.stopGateway();
    turn();
    await lab.startGateway(gatewayOptions());
    cable = lab.connect(machine);
    await lab.flow(60);
    expect(ended).toEqual([broken ? "tea did not come out" : "succeeded"]);
    expect([motor.fallen, earned()]).toEqual(broken ? [0, 0] : [1, TEA.priceMsat]);
    expect(lab.gateway.node.record(id)?.base.htlcs).toEqual([]);
  });
});

describe("a machine that loses power while it sells by invoice", () => {
  it("and cannot know whether anything fell lets the payer have the money back", async () => {
    await setUp(new MemoryStore(), false);
    const text = await invoice();
    motor.stuck = true;
    await pay(text);
    motor.stuck = false;
    await restart();
    expect(ended).toEqual(["power failed while it was delivered"]);
    expect([motor.fallen, earned()]).toEqual([0, 0]);
  });

  it.each([
    ["with a counter of what fell", true],
    ["without one", false],
  ])("at any step of its flash delivers once for each payment (%s)", async (_, counted) => {
    let flash = new NorFlash({ size: FLASH_BYTES });
    await setUp(new FlashLogStore(flash), counted);
    const started = flash.steps;
    await pay(await invoice());
    const stepsOfOne = flash.steps - started;
    expect(stepsOfOne).toBeGreaterThan(3);
    for (let step = 0; step < stepsOfOne; step++) {
      const [text, before, fallen] = [await invoice(), earned(), motor.fallen];
      flash.failAt(flash.steps + step, step);
      await pay(text).catch((cause) => {
        if (!(cause instanceof PowerCut)) throw cause;
      });
      flash = new NorFlash({ size: FLASH_BYTES, image: flash.image() });
      machine.store = new FlashLogStore(flash);
      await restart();
      const isPaid = ended.at(-1) === "succeeded";
      expect(earned() - before, `step ${step}`).toBe(isPaid ? TEA.priceMsat : 0);
      const fell = motor.fallen - fallen;
      // Without a counter what fell just before the power did is the payer's, unpaid.
      if (counted || isPaid) expect(fell, `step ${step}`).toBe(isPaid ? 1 : 0);
    }
    expect(new Set(ended)).toContain("succeeded");
    expect(ended).toHaveLength(1 + stepsOfOne);
    const told = machine.appEvents("delivered").map(({ reference }) => toHex(reference));
    expect(new Set(told).size).toBe(told.length);
    const notes = 5;
    expect(await machine.store.getValue("app/inbox")).toHaveLength(1 + 4 + 1 + notes + 2 + 1); // nothing waits
  });
});

/** The same cable, whose first end is the one that goes. */
function reversed(one: Cable): Cable {
  const ends = [one.ends[1], one.ends[0]] as const;
  return Object.assign(Object.create(one), { ends }) as Cable;
}
