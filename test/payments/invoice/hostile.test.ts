/** Whatever text comes, the parser gives an invoice or an InvoiceError, never another error: each changed group has a right checksum. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_INVOICE_CHARACTERS } from "../../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import { BECH32, decodeBech32, encodeBech32 } from "../../../core/primitives/bech32.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import { native, noble } from "../../support/crypto-providers.ts";
import { coffee, payee, problemOf } from "./invoice-samples.ts";

const crypto = native ?? noble;
const RUNS = 150;
const group = fc.nat({ max: 31 });
const unit = fc.oneof(
  fc.nat({ max: 0xffff }).map((code) => String.fromCharCode(code)),
  fc.constantFrom(..."1qpzryQPZRY"),
);
const hop = {
  nodeId: payee.nodeId,
  shortChannelId: new Uint8Array(8),
  feeBaseMsat: 1,
  feeProportionalMillionths: 1,
  cltvExpiryDelta: 1,
};
const rich = {
  ...coffee,
  expirySeconds: 60,
  metadata: Uint8Array.of(1, 2),
  fallbacks: [{ type: "p2sh" as const, hash: new Uint8Array(20) }],
  routes: [[hop, hop]],
};
const parts = (withPayee: boolean) =>
  decodeBech32(writeInvoice(crypto, payee, { ...rich, withPayee })) as {
    hrp: string;
    groups: Uint8Array;
  };

test.each([true, false])("groups changed, cut out and put in; the payee named: %s", (withPayee) => {
  const { hrp, groups } = parts(withPayee);
  const change = fc.record({ at: fc.nat({ max: groups.length - 1 }), cut: fc.nat({ max: 3 }) });
  fc.assert(
    fc.property(change, fc.array(group, { maxLength: 3 }), ({ at, cut }, put) => {
      const changed = [...groups.slice(0, at), ...put, ...groups.slice(at + cut)];
      // The last group says how to recover the key, which nobody asks for where the payee is named.
      const signed = withPayee ? -1 : undefined;
      fc.pre(!equal(Uint8Array.from(changed.slice(0, signed)), groups.slice(0, signed)));
      const text = encodeBech32(hrp, Uint8Array.from(changed), BECH32);
      // Where it is still one, it is nobody's that signed something else.
      problemOf(() => {
        expect(parseInvoice(crypto, text).payee).not.toEqual(payee.nodeId);
      });
    }),
    { numRuns: RUNS },
  );
});

test("any groups at all", () => {
  fc.assert(
    fc.property(fc.array(group, { maxLength: 400 }), (groups) => {
      const text = encodeBech32("lnbc1m", Uint8Array.from(groups), BECH32);
      problemOf(() => parseInvoice(crypto, text));
    }),
    { numRuns: RUNS },
  );
});

test("any text at all", () => {
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 300 }), (text) => {
      expect(problemOf(() => parseInvoice(crypto, text))).not.toBe("accepted");
      expect(problemOf(() => parseInvoice(crypto, `lnbc${text}`))).not.toBe("accepted");
    }),
    { numRuns: RUNS },
  );
});

test("a text of megabytes is refused by its length alone", () => {
  const text = { length: MAX_INVOICE_CHARACTERS + 1 } as string; // no other property may be asked for
  expect(problemOf(() => parseInvoice(crypto, text))).toBe("text invoice-too-long");
});
