/** BOLT 11 invoices of a gateway are paid by their text alone, and refused with words before anything is written. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import { milliSatoshi, paymentHash } from "../../../core/primitives/brands.ts";
import { ascii } from "../../../core/primitives/bytes.ts";
import { type SimLab, startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { PaymentLab, START_SECONDS } from "../../support/payment-lab.ts";

let chain: SimLab;
let lab: PaymentLab;
let made = 0;
beforeAll(() => {
  chain = startSimLab(crypto);
});
beforeEach(async () => {
  lab = await PaymentLab.make(chain, `bolt11 ${++made}`);
});
afterEach(() => lab.close());
afterAll(() => chain.close());

describe("an invoice of a node behind the gateway", () => {
  it("says what was asked for, and is paid by its text", async () => {
    const { alice, bob, gateway } = lab;
    const amountMsat = milliSatoshi(12_345_000);
    const { text, paymentHash: hash } = await bob.bank.invoices.create({ amountMsat, memo: "tea" });
    expect(text).toMatch(/^lnbcrt123450n1/);
    expect(parseInvoice(crypto, text)).toMatchObject({
      payee: bob.id,
      amountMsat,
      description: "tea",
      expirySeconds: 3_600,
      minFinalCltvExpiryDelta: 80,
    });
    const paid = bob.bank.news.end("received", hash);
    await alice.bank.payInvoice(`lightning:${text.toUpperCase()}`);
    const sent = alice.bank.news.end("sent", hash);
    await lab.flow();
    expect((await paid).payment.amountMsat).toBe(amountMsat);
    expect((await sent).payment.status).toBe("succeeded");
    expect((await alice.bank.news.end("sent", hash)).payment.status).toBe("succeeded");
    expect(alice.last("succeeded")?.payment.amountMsat).toBe(amountMsat);
    expect(bob.balance(gateway)).toBe(500_000_000 + 12_345_000);
    const kept = await bob.ledger.invoice(hash);
    expect(kept && bob.bank.invoices.textOf(kept)).toBe(text);
    expect((await alice.bank.payment(hash))?.status).toBe("succeeded");
  });

  it("is waited for no longer than anybody wants to", async () => {
    const { bob } = lab;
    const { paymentHash: hash } = await bob.bank.invoices.create({});
    const patience = new AbortController();
    const waiting = bob.bank.news.end("received", hash, patience.signal);
    patience.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });

  it("without an amount is paid what the payer says", async () => {
    const { alice, bob } = lab;
    const { text } = await bob.bank.invoices.create({});
    await expect(alice.bank.payInvoice(text)).rejects.toMatchObject({ code: "bad-amount" });
    await alice.bank.payInvoice(text, { amountMsat: milliSatoshi(777) });
    await lab.flow();
    expect(bob.last("succeeded")?.payment.amountMsat).toBe(777);
  });

  it("is paid more than it asks for, up to twice of it", async () => {
    const { alice, bob } = lab;
    const { text } = await bob.bank.invoices.create({ amountMsat: milliSatoshi(1_000) });
    const pay = (msat: number) => alice.bank.payInvoice(text, { amountMsat: milliSatoshi(msat) });
    await expect(pay(999)).rejects.toThrow(/asks for 1000 msat/);
    await expect(pay(2_001)).rejects.toThrow(/asks for 1000 msat/);
    await pay(2_000);
    await lab.flow();
    expect(bob.last("succeeded")?.payment.amountMsat).toBe(2_000);
  });

  it("carries the hash of a description that comes by other ways", async () => {
    const descriptionHash = crypto.sha256(ascii("a contract"));
    const { text } = await lab.bob.bank.invoices.create({ descriptionHash });
    expect(parseInvoice(crypto, text)).toMatchObject({ descriptionHash });
  });

  it("that no text can say is not made, and nothing is kept", async () => {
    const { invoices } = lab.bob.bank;
    await expect(invoices.create({ memo: "x".repeat(640) })).rejects.toThrow(/639 bytes/);
    await expect(invoices.create({ amountMsat: milliSatoshi(0) })).rejects.toThrow(/at least 1/);
    await expect(invoices.create({ expirySeconds: 0 })).rejects.toThrow(/from a second to a year/);
    expect(await lab.bob.ledger.invoices({})).toEqual([]);
  });

  it("is not paid where it is expired, of another network, wants metadata, or is no invoice", async () => {
    const { alice, bob } = lab;
    const common = {
      network: "regtest",
      timestamp: START_SECONDS,
      paymentHash: paymentHash(crypto.sha256(ascii("h"))),
      paymentSecret: crypto.sha256(ascii("s")),
      amountMsat: milliSatoshi(1_000),
      description: "",
    } as const;
    const refused = (change: object) =>
      alice.bank.payInvoice(writeInvoice(crypto, bob.signer, { ...common, ...change }));
    await expect(refused({ network: "mainnet" })).rejects.toThrow(/is for mainnet; this gateway/);
    await expect(refused({ timestamp: START_SECONDS - 3_700 })).rejects.toThrow(/has expired/);
    await expect(refused({ metadata: Uint8Array.of(1) })).rejects.toThrow(/metadata back/);
    await expect(alice.bank.payInvoice("lnbcrt1nonsense")).rejects.toMatchObject({
      name: "InvoiceError",
    });
    expect(await alice.ledger.list({})).toEqual([]);
  });
});
