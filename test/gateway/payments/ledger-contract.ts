/** What every Ledger on disk keeps: it answers as its model in memory does, also after a restart. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Store } from "../../../core/ports/store.ts";
import { channelId, milliSatoshi, paymentHash, preimage } from "../../../core/primitives/brands.ts";
import { ascii, toHex } from "../../../core/primitives/bytes.ts";
import type {
  Ledger,
  Payment,
  PaymentFilter,
  StoredInvoice,
} from "../../../gateway/payments/ledger.ts";
import { MemoryLedger } from "../../../gateway/payments/memory-ledger.ts";
import { crypto } from "../../support/node-pair.ts";

interface OpenLedger {
  readonly store: Store;
  readonly ledger: Ledger;
}

/** A new empty one, and how to open it again when its store was closed. */
export type MakeLedger = () => Promise<OpenLedger & { again(): Promise<OpenLedger> }>;

const bytes = (name: string) => crypto.sha256(ascii(name));
export const channel = (n: number) => channelId(bytes(`channel ${n}`));

export function payment(n: number, change: Partial<Payment> = {}): Payment {
  return {
    kind: "forwarded",
    paymentHash: paymentHash(bytes(`hash ${n}`)),
    status: "succeeded",
    amountMsat: milliSatoshi(1_000_000 + n),
    feeMsat: milliSatoshi(1_001),
    createdAt: 1_800_000_000 + n,
    resolvedAt: 1_800_000_002 + n,
    incoming: { channelId: channel(1), htlcId: n },
    outgoing: channel(2),
    preimage: preimage(bytes(`preimage ${n}`)),
    ...change,
  };
}

const somePayment = fc
  .record({
    n: fc.nat(5),
    kind: fc.constantFrom("forwarded", "sent", "received"),
    status: fc.constantFrom("pending", "succeeded", "failed"),
    amount: fc.nat(1_000_000),
    fee: fc.nat(1_000),
    out: fc.option(fc.nat(2), { nil: undefined }),
    at: fc.nat(20),
    failure: fc.option(fc.nat(0xffff), { nil: undefined }),
  })
  .map(({ n, kind, status, amount, fee, out, at, failure }) => {
    const { preimage: _, resolvedAt: __, outgoing: ___, ...rest } = payment(n);
    return {
      ...rest,
      kind,
      status,
      amountMsat: milliSatoshi(amount),
      feeMsat: milliSatoshi(fee),
      createdAt: at,
      ...(out !== undefined && { outgoing: channel(out) }),
      ...(failure !== undefined && { failure }),
    } as Payment;
  });

const someFilter: fc.Arbitrary<PaymentFilter> = fc
  .record(
    {
      kind: fc.constantFrom("forwarded" as const, "sent" as const, "received" as const),
      status: fc.constantFrom("pending" as const, "failed" as const),
      from: fc.nat(20),
      until: fc.nat(20),
      party: fc.nat(3).map(channel),
      before: fc.integer({ min: 1, max: 10 }),
      limit: fc.integer({ min: 1, max: 4 }),
    },
    { requiredKeys: [] },
  )
  .map((filter) => filter as PaymentFilter);

export function ledgerContract(name: string, make: MakeLedger, numRuns = 20): void {
  describe(`the ledger in ${name}`, () => {
    it("answers as its model does, also after a restart", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(somePayment, { maxLength: 25 }),
          fc.array(someFilter, { minLength: 3, maxLength: 6 }),
          fc.boolean(),
          fc.array(fc.boolean(), { minLength: 25, maxLength: 25 }),
          async (payments, filters, inOneTurn, isClaim) => {
            const model = new MemoryLedger();
            const { again, ...first } = await make();
            let { store, ledger } = first;
            try {
              const put = payments.map(
                (one) => () => Promise.all([model.put(one), ledger.put(one)]),
              );
              if (inOneTurn) await Promise.all(put.map((work) => work()));
              for (const [index, work] of inOneTurn ? [] : put.entries()) {
                const one = payments[index] as Payment;
                if (!isClaim[index]) await work();
                else expect(await ledger.claim(one)).toBe(await model.claim(one));
              }
              await expectSame(model, ledger, { filters, payments });
              await store.close();
              ({ store, ledger } = await again());
              await expectSame(model, ledger, { filters, payments });
              expect(await ledger.orphans(true)).toEqual(model.orphans());
            } finally {
              await store.close();
            }
          },
        ),
        { numRuns },
      );
    });

    it("keeps an invoice once, under its hash", async () => {
      const { store, ledger } = await make();
      const invoice = {
        paymentHash: paymentHash(bytes("i")),
        preimage: preimage(bytes("p")),
        paymentSecret: bytes("s"),
        createdAt: 5,
        expiresAt: 3_605,
        minFinalCltvExpiryDelta: 18,
        memo: "Kaffee ☕\0",
      };
      await ledger.putInvoice(invoice);
      await ledger.putInvoice({ ...invoice, memo: "another" });
      const hashed = { descriptionHash: bytes("d"), amountMsat: milliSatoshi(7) };
      const other = { ...invoice, ...hashed, paymentHash: paymentHash(bytes("j")), createdAt: 6 };
      await ledger.putInvoice(other);
      expect(await ledger.invoice(other.paymentHash)).toEqual(other);
      expect(await ledger.invoice(invoice.paymentHash)).toEqual(invoice);
      const all = await ledger.invoices({});
      expect(all.map(({ createdAt }) => createdAt)).toEqual([6, 5]);
      expect(await ledger.invoices({ before: other })).toEqual([invoice]);
      // Pages lose none of those that were made within one second.
      const hashes = ["k", "l", "m"].map((name) => paymentHash(bytes(name)));
      for (const hash of hashes) await ledger.putInvoice({ ...invoice, paymentHash: hash });
      const paged: StoredInvoice[] = [];
      for (let before: StoredInvoice | undefined; ; before = paged.at(-1)) {
        const page = await ledger.invoices({ limit: 2, ...(before && { before }) });
        paged.push(...page);
        if (page.length < 2) break;
      }
      expect(paged).toEqual(await ledger.invoices({}));
      expect(new Set(paged.map((one) => toHex(one.paymentHash))).size).toBe(5);
      await store.close();
    });
  });
}

/** In answers to those filters, and in each of those payments. */
async function expectSame(
  model: MemoryLedger,
  disk: Ledger,
  { filters, payments }: { filters: readonly PaymentFilter[]; payments: readonly Payment[] },
): Promise<void> {
  // Sequences rise; a ledger may skip some.
  const places = (await disk.list({})).map((one) => one.sequence).reverse();
  const given = ({ before, ...filter }: PaymentFilter): PaymentFilter =>
    before === undefined
      ? filter
      : { ...filter, before: places[before - 1] ?? Number.MAX_SAFE_INTEGER };
  for (const filter of filters) {
    const listed = await disk.list(given(filter));
    expect(listed.map((one) => ({ ...one, sequence: places.indexOf(one.sequence) + 1 }))).toEqual(
      model.list(filter),
    );
    expect(await disk.totals(given(filter))).toEqual(model.totals(filter));
  }
  expect(await disk.pending()).toEqual(model.pending());
  for (const { kind, paymentHash: hash } of payments) {
    expect(await disk.get(kind, hash)).toEqual(model.get(kind, hash));
  }
}
