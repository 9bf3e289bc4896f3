/** A payment from a node through the gateway to another: fees to the millisatoshi, refusals, sleepers, duplicates, gateways that lie. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Command } from "../../../core/channel/inputs.ts";
import { describeFailure, encodeFailure } from "../../../core/payments/failure.ts";
import { encodeInstructions } from "../../../core/payments/instructions.ts";
import { blockHeight, milliSatoshi, paymentHash } from "../../../core/primitives/brands.ts";
import type { PaymentTarget } from "../../../gateway/payments/payer.ts";
import { type SimLab, startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { PaymentLab } from "../../support/payment-lab.ts";

let chain: SimLab;
let lab: PaymentLab;
beforeAll(async () => {
  chain = startSimLab(crypto);
});
afterEach(() => lab.close());
afterAll(() => chain.close());

let made = 0;
async function make(prepare?: (lab: PaymentLab) => void): Promise<PaymentLab> {
  lab = await PaymentLab.make(chain, `through ${++made}`, prepare);
  return lab;
}

const HALF = 500_000_000;
const NOW = { timeoutSeconds: 1 };
const UNKNOWN = describeFailure(encodeFailure("incorrectOrUnknownPaymentDetails"));

/** Nothing moved, nothing is under way, nothing is written of it but that it failed. */
async function expectUntouched(): Promise<void> {
  const { alice, bob, gateway } = lab;
  expect([alice.balance(gateway), bob.balance(gateway)]).toEqual([HALF, HALF]);
  expect([gateway.balance(alice), gateway.balance(bob)]).toEqual([HALF, HALF]);
  for (const party of lab.parties) {
    expect(await party.ledger.pending()).toEqual([]);
    for (const { channel } of party.node.channels()) {
      expect(channel.kind === "live" && channel.record.base.htlcs).toEqual([]);
    }
  }
  expect(lab.troubles).toEqual([]);
}

describe("a payment through the gateway", () => {
  it("arrives, and the gateway earns its fee to the millisatoshi", async () => {
    const { alice, bob, gateway } = await make();
    const invoice = await lab.invoice(10_000_123);
    await alice.bank.payer.pay(lab.target(invoice));
    await lab.flow();

    const feeMsat = 1_000 + Math.floor((10_000_123 * 2_500) / 1_000_000);
    const { preimage } = invoice;
    expect(lab.troubles).toEqual([]);
    expect(alice.last("succeeded")?.payment).toMatchObject({ feeMsat, preimage });
    expect(bob.last("succeeded")?.payment.amountMsat).toBe(10_000_123);
    expect(alice.balance(gateway)).toBe(HALF - 10_000_123 - feeMsat);
    expect(bob.balance(gateway)).toBe(HALF + 10_000_123);
    expect(gateway.balance(alice) + gateway.balance(bob)).toBe(2 * HALF + feeMsat);
    const earned = await gateway.ledger.totals({ kind: "forwarded", status: "succeeded" });
    expect(earned).toEqual({ count: 1, amountMsat: 10_000_123, feeMsat });
    expect(await bob.bank.invoices.state(invoice.paymentHash)).toBe("paid");
  });

  it("pays what the gateway asks for as soon as it says so, within the payer's limit", async () => {
    const { alice, gateway } = await make(({ gateway: asked }) => {
      asked.policy = { ...asked.policy, feeBaseMsat: milliSatoshi(1_001), cltvExpiryDelta: 44 };
    });
    await alice.bank.payer.pay(lab.target(await lab.invoice(1_000_000)));
    await lab.flow();
    expect(alice.last("succeeded")?.payment.feeMsat).toBe(1_001 + 2_500);
    expect(gateway.events("htlcReceived")).toHaveLength(2);

    const cheap = { maxFeeMsat: milliSatoshi(3_500) };
    await alice.bank.payer.pay(lab.target(await lab.invoice(1_000_000)), cheap);
    await lab.flow();
    expect(alice.last("failed")?.reason).toMatch(/the fee of 3501 msat is above 3500 msat/);
  });

  it.each<[string, Partial<PaymentTarget>]>([
    ["a wrong payment secret", { paymentSecret: new Uint8Array(32).fill(9) }],
    ["no payment secret", { paymentSecret: undefined as never }],
    ["less than was asked for", { amountMsat: milliSatoshi(9_999_999) }],
    ["more than twice of it", { amountMsat: milliSatoshi(20_000_001) }],
    ["too little time", { finalCltvDelta: 16 }],
    ["another hash", { paymentHash: paymentHash(new Uint8Array(32).fill(3)) }],
  ])("is refused by the receiver for %s", async (_, change) => {
    const { alice, gateway } = await make(({ gateway: party }) => {
      party.policy = { ...party.policy, minBlocksToExpiry: 5 };
    });
    await alice.bank.payer.pay(lab.target(await lab.invoice(), change));
    await lab.flow();
    expect(alice.last("failed")?.reason).toBe(UNKNOWN);
    expect(gateway.last("failed")?.payment.kind).toBe("forwarded");
    await expectUntouched();
  });

  it("is refused for an invoice that is expired, or paid", async () => {
    const { alice, bob } = await make();
    const stale = await bob.bank.invoices.create({ expirySeconds: 1 });
    await lab.pass(3);
    const amountMsat = milliSatoshi(5_000_000);
    await alice.bank.payer.pay(lab.target(stale, { amountMsat }));
    await lab.flow();
    expect(alice.last("failed")?.reason).toBe(UNKNOWN);
    await expectUntouched();

    const invoice = await lab.invoice();
    const pay = () => alice.bank.payer.pay(lab.target(invoice));
    await pay();
    await lab.flow();
    expect((await pay()).status).toBe("succeeded");
    // Another payer, or one that forgot: the gateway knows that it is paid.
    await alice.ledger.put({ ...(await pay()), status: "failed" });
    await pay();
    await lab.flow();
    expect(alice.last("failed")?.reason).toBe(UNKNOWN);
    expect(bob.payments).toHaveLength(1);
  });

  it("is refused by the gateway where nobody is there, and where it breaks the gateway's terms", async () => {
    const { alice, gateway } = await make();
    const invoice = await lab.invoice();
    const nobody = crypto.publicKeyOf(crypto.sha256(new Uint8Array(5)) as never);
    await alice.bank.payer.pay(lab.target(invoice, { destination: nobody }));
    await lab.flow();
    expect(alice.last("failed")?.reason).toMatch(/no channel with this receiver/);

    const height = gateway.node.height;
    const good = { amountMsat: 10_026_000, cltvExpiry: height + 70, to: height + 30 };
    const refused = async (change: Partial<typeof good>) => {
      const { amountMsat, cltvExpiry, to } = { ...good, ...change };
      const { paymentHash: hash } = await lab.invoice();
      alice.node.command(alice.channelWith(gateway), {
        type: "addHtlc",
        amountMsat: milliSatoshi(amountMsat),
        paymentHash: hash,
        cltvExpiry: blockHeight(cltvExpiry),
        onion: encodeInstructions({
          type: "forward",
          destination: lab.bob.id,
          amountMsat: milliSatoshi(10_000_000),
          cltvExpiry: blockHeight(to),
          sealed: new Uint8Array(0),
          gateways: [],
        }),
      });
      await lab.flow();
      return describeFailure(alice.events("htlcFailed").at(-1)?.reason ?? new Uint8Array(0));
    };
    expect(await refused({})).toBe(UNKNOWN); // bob's word: it came through
    expect(await refused({ amountMsat: 10_025_999 })).toMatch(/fee is lower/);
    expect(await refused({ amountMsat: 9_000_000 })).toMatch(/fee is lower/);
    expect(await refused({ cltvExpiry: height + 69 })).toMatch(/time that this payment leaves/);
    expect(await refused({ to: height + 19 })).toMatch(/expire too soon/);
    expect(await refused({ cltvExpiry: height + 2_017 })).toMatch(/locked up for too long/);
    await expectUntouched();
  });

  it("goes nowhere with instructions that nobody understands", async () => {
    const { alice, gateway } = await make();
    const garbage = [Uint8Array.of(0x82, 1), new Uint8Array(1366), Uint8Array.of(0xff)];
    for (const [i, onion] of garbage.entries()) {
      alice.node.command(alice.channelWith(gateway), {
        type: "addHtlc",
        amountMsat: milliSatoshi(1_000_000),
        paymentHash: paymentHash(new Uint8Array(32).fill(i)),
        cltvExpiry: blockHeight(gateway.node.height + 100),
        onion,
      });
      await lab.flow();
    }
    const texts = alice.events("htlcFailed").map(({ reason }) => describeFailure(reason));
    expect(texts).toEqual([
      "the instructions of this payment are malformed",
      "the gateway does not understand where this payment goes",
      "the instructions of this payment are malformed",
    ]);
    await expectUntouched();
  });
});

describe("a receiver that is asleep", () => {
  it("is waited for, and gets its payment when it wakes in time", async () => {
    const { alice, bob, gateway } = await make();
    const invoice = await lab.invoice();
    lab.disconnect(bob);
    await alice.bank.payer.pay(lab.target(invoice));
    await lab.pass(2);
    expect(alice.payments).toEqual([]);
    lab.connect(bob);
    await lab.flow();
    expect(alice.last("succeeded")?.payment.preimage).toEqual(invoice.preimage);
    expect(gateway.events("htlcReceived")).toHaveLength(1);
    expect(lab.troubles).toEqual([]);
  });

  it("that does not wake is given up after the stated time, and everything goes back", async () => {
    const { alice, bob } = await make();
    const invoice = await lab.invoice();
    lab.disconnect(bob);
    await alice.bank.payer.pay(lab.target(invoice), NOW);
    await lab.pass(6);
    expect(alice.last("failed")?.reason).toMatch(/asleep.*try again later/);
    await expectUntouched();
  });

  it("is waited for by so many payments and no more", async () => {
    const { alice, bob, gateway } = await make(({ gateway: party }) => {
      party.policy = { ...party.policy, maxHeldPerDestination: 2 };
    });
    lab.disconnect(bob);
    for (let i = 0; i < 3; i++) await alice.bank.payer.pay(lab.target(await lab.invoice()), NOW);
    await lab.pass(2);
    expect(alice.events("htlcFailed")).toHaveLength(1);
    expect(gateway.node.record(gateway.channelWith(alice))?.base.htlcs).toHaveLength(2);
  });
});

describe("the same payment again", () => {
  it("asked for twice at once is paid once", async () => {
    const { alice, bob, gateway } = await make();
    const target = lab.target(await lab.invoice());
    await Promise.all([1, 2, 3].map(() => alice.bank.payer.pay(target)));
    await lab.flow();
    expect(gateway.events("htlcReceived")).toHaveLength(1);
    expect(bob.balance(gateway)).toBe(HALF + 10_000_000);
  });

  it("offered twice by a payer that errs is forwarded once (rule one-htlc-per-hash)", async () => {
    const { alice, bob, gateway } = await make();
    const invoice = await lab.invoice();
    lab.disconnect(bob);
    await alice.bank.payer.pay(lab.target(invoice));
    await lab.flow();
    const id = alice.channelWith(gateway);
    const [first] = alice.node.record(id)?.base.htlcs ?? [];
    if (!first) throw new Error("the payment is not held");
    const { amountMsat, paymentHash: hash, cltvExpiry, onion } = first;
    const again = { type: "addHtlc", amountMsat, paymentHash: hash, cltvExpiry, onion } as const;
    alice.node.command(id, again);
    await lab.flow();
    expect(alice.events("htlcFailed").map(({ htlcId }) => htlcId)).toEqual([1]);
    lab.connect(bob);
    await lab.flow();
    expect(alice.last("succeeded")?.payment.preimage).toEqual(invoice.preimage);
    expect(bob.balance(gateway)).toBe(HALF + 10_000_000);
  });
});

describe("a gateway that lies", () => {
  it.each<[string, Partial<Extract<Command, { type: "addHtlc" }>>]>([
    ["about the amount", { amountMsat: milliSatoshi(9_999_999) }],
    ["about the payment hash", { paymentHash: paymentHash(new Uint8Array(32).fill(4)) }],
    ["about the expiry", { cltvExpiry: blockHeight(150) }],
    ["about what the payer told the receiver", { onion: new Uint8Array(0) }],
  ])("%s can only fail: nobody loses anything", async (_, lie) => {
    const { alice, bob, gateway } = await make();
    const { node } = gateway;
    const command = node.command.bind(node);
    node.command = (id, given) =>
      command(id, given.type === "addHtlc" ? { ...given, ...lie } : given);
    await alice.bank.payer.pay(lab.target(await lab.invoice()), NOW);
    await lab.pass(4);
    expect(bob.payments).toEqual([]);
    expect(bob.balance(gateway)).toBe(HALF);
    expect(alice.events("htlcFulfilled")).toEqual([]);
  });
});

describe("the gateway itself", () => {
  it("does not start with less time between its HTLCs than an ending on chain takes", async () => {
    const short = ({ gateway }: PaymentLab) => {
      gateway.policy = { ...gateway.policy, cltvExpiryDelta: 24 };
    };
    await expect(PaymentLab.make(chain, "short", short)).rejects.toThrow(/at least 25 blocks/);
    await make();
  });

  it("is paid on its own invoice, and pays others", async () => {
    const { alice, bob, gateway } = await make();
    const amountMsat = milliSatoshi(7_000_000);
    const own = await gateway.bank.invoices.create({ amountMsat });
    await alice.bank.payer.pay({ ...lab.target(own), destination: gateway.id });
    await gateway.bank.payer.pay(lab.target(await lab.invoice(3_000_000)));
    await lab.flow();
    expect(gateway.last("succeeded")?.payment).toBeDefined();
    expect(alice.balance(gateway)).toBe(HALF - 7_000_000);
    expect(bob.balance(gateway)).toBe(HALF + 3_000_000);
    const kinds = (await gateway.ledger.list({ status: "succeeded" })).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(["received", "sent"]);
    await expect(
      gateway.bank.payer.pay({ ...lab.target(own), destination: gateway.id }),
    ).rejects.toThrow(/our own/);
  });
});
