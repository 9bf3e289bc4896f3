/** A payment through a gateway whose channels end on chain while it is under way: each ending is carried to the other side (BOLT 5, BOLT 2 "cltv_expiry_delta"). */
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { StoredInvoice } from "../../gateway/payments/ledger.ts";
import { type ChainLab, createLab, describeOnChains } from "../support/chain-lab.ts";
import { type Party, PaymentLab } from "../support/payment-lab.ts";

const AMOUNT = 50_000_000;
const FEE = 1_000 + (AMOUNT * 2_500) / 1_000_000;
const HALF = 500_000_000;

describeOnChains("an ending on chain", (kind) => {
  let chain: ChainLab;
  let lab: PaymentLab;
  let made = 0;
  beforeAll(async () => {
    chain = await createLab({ chain: kind });
  }, 330_000);
  afterEach(() => lab.close());
  afterAll(() => chain?.close());

  /** Alice's payment has reached bob, who says nothing yet. */
  async function underWay(): Promise<StoredInvoice> {
    lab = await PaymentLab.make(chain, `forwarding ${kind} ${++made}`);
    const { alice, bob, gateway } = lab;
    const { bank } = bob;
    bank.channelEvent = () => {};
    const invoice = await lab.invoice(AMOUNT);
    await alice.bank.payer.pay(lab.target(invoice));
    await lab.flow();
    expect(bob.events("htlcReceived")).toHaveLength(1);
    expect(htlcs(gateway, alice)).toHaveLength(1);
    return invoice;
  }

  const htlcs = (party: Party, other: Party) =>
    party.node.record(party.channelWith(other))?.base.htlcs ?? [];
  const phase = (party: Party, other: Party) => party.node.record(party.channelWith(other))?.phase;

  function answer(invoice?: StoredInvoice): void {
    const { bob, gateway } = lab;
    const id = bob.channelWith(gateway);
    bob.node.command(
      id,
      invoice
        ? { type: "fulfillHtlc", htlcId: 0, preimage: invoice.preimage }
        : { type: "failHtlc", htlcId: 0, reason: new Uint8Array(0) },
    );
  }

  async function mineUntil(isSo: () => boolean, most = 200): Promise<void> {
    for (let i = 0; i < most && !isSo(); i++) await lab.mine(1);
    expect(isSo()).toBe(true);
  }

  it("downstream, with the preimage: the payer's HTLC is settled with it", async () => {
    const invoice = await underWay();
    const { alice, bob, gateway } = lab;
    lab.disconnect(bob);
    answer(invoice); // heard by nobody: bob has to claim on chain

    await mineUntil(() => alice.payments.length > 0);

    expect(bob.events("forceClosing")).toHaveLength(1);
    expect(alice.last("succeeded")?.payment.preimage).toEqual(invoice.preimage);
    expect(alice.balance(gateway)).toBe(HALF - AMOUNT - FEE);
    expect(gateway.balance(alice)).toBe(HALF + AMOUNT + FEE);
    expect(gateway.last("succeeded")?.payment.feeMsat).toBe(FEE);
    expect(phase(alice, gateway)).toBe("normal");
    expect(lab.troubles).toEqual([]);
  });

  it("downstream, by timeout: the payer has it back when that is deep enough, and its channel goes on", async () => {
    await underWay();
    const { alice, bob, gateway } = lab;
    lab.disconnect(bob);

    await mineUntil(() => gateway.events("htlcFailed").length > 0);
    await lab.flow();

    const [closed] = gateway.events("forceClosing");
    expect(closed?.reason).toMatch(/that we offered expired/);
    expect(htlcs(gateway, alice)).toEqual([]);
    expect(alice.balance(gateway)).toBe(HALF);
    expect(phase(alice, gateway)).toBe("normal");
    expect(gateway.last("failed")?.payment.kind).toBe("forwarded");
    await lab.pass(60);
    expect(alice.last("failed")?.reason).toMatch(/try again later|closed|no channel/);
    expect(alice.balance(gateway)).toBe(HALF);
    expect(lab.troubles).toEqual([]);
  });

  it("upstream, and the receiver is paid: the gateway claims with its preimage", async () => {
    const invoice = await underWay();
    const { alice, bob, gateway } = lab;
    alice.node.command(alice.channelWith(gateway), { type: "forceClose" });
    await lab.flow();
    await lab.mine(2);
    expect(phase(gateway, alice)).toBe("on-chain");

    answer(invoice);
    await lab.flow();
    expect(bob.balance(gateway)).toBe(HALF + AMOUNT);
    await mineUntil(() => alice.payments.length > 0);

    expect(alice.last("succeeded")?.payment.preimage).toEqual(invoice.preimage);
    await mineUntil(() => gateway.events("closed").length > 0);
    const claimed = gateway.events("closed")[0]?.outputs ?? [];
    expect(
      claimed.find(({ kind: what }) => what === "second-stage" || what === "received-htlc"),
    ).toMatchObject({
      status: "claimed",
      amount: Math.floor((AMOUNT + FEE) / 1000),
    });
    expect(phase(bob, gateway)).toBe("normal");
  });

  it("upstream, and the receiver refuses: the payer has it back by timeout", async () => {
    await underWay();
    const { alice, bob, gateway } = lab;
    alice.node.command(alice.channelWith(gateway), { type: "forceClose" });
    await lab.flow();
    await lab.mine(2);
    answer();
    await lab.flow();
    expect(gateway.last("failed")?.payment.kind).toBe("forwarded");

    await mineUntil(() => alice.events("htlcFailed").length > 0);

    expect(alice.events("htlcFulfilled")).toEqual([]);
    expect(bob.balance(gateway)).toBe(HALF);
    expect(gateway.balance(bob)).toBe(HALF);
    expect(phase(bob, gateway)).toBe("normal");
  });

  it("upstream, of a payer that never came back after the gateway's crash: its HTLC is claimed in time", async () => {
    const invoice = await underWay();
    const { alice, gateway } = lab;
    const { node } = gateway;
    const command = node.command.bind(node);
    node.command = (id, given) => given.type === "fulfillHtlc" || command(id, given); // dies before it
    answer(invoice);
    await lab.flow();
    expect(gateway.last("succeeded")).toBeDefined();
    await lab.restartGateway(false);
    lab.connect(lab.bob);

    await mineUntil(() => alice.payments.length > 0, 160);

    expect(gateway.events("forceClosing").at(-1)?.reason).toMatch(/is not yet settled/);
    expect(alice.last("succeeded")?.payment.preimage).toEqual(invoice.preimage);
  });
});
