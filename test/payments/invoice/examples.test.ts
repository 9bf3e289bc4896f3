/** The BOLT's own invoices, valid and invalid, read by the strict parser (BOLT 11 "Examples"). */
import { expect, test } from "vitest";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import { publicKey, type SecretKey } from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { native, noble } from "../../support/crypto-providers.ts";
import { describeVectors } from "../../support/vectors.ts";
import { problemOf } from "./invoice-samples.ts";

interface Example {
  readonly title: string;
  readonly valid: boolean;
  readonly invoice: string;
  readonly amount_text?: string;
  readonly timestamp?: number;
}
interface Examples {
  readonly private_key: string;
  readonly node_id: string;
  readonly payment_secret_unless_noted: string;
  readonly examples: readonly Example[];
}

/** What is wrong, where the vectors' title says it. */
const problems: readonly (readonly [RegExp, string])[] = [
  [/unknown feature 100/, "9 invoice-unknown-feature"],
  [/no 1/, "text invoice-not-bech32"],
  [/not recoverable/, "signature invoice-wrong-signature"],
  [/multiplier/, "amount invoice-wrong-amount"],
  [/Missing required `s`/, "s invoice-missing"],
];
const MSAT_OF_UNIT = { "": 1e11, m: 1e8, u: 1e5, n: 100, p: 0.1 } as const;

function msatOf(amount: string): number {
  const unit = amount.replace(/\d/g, "") as keyof typeof MSAT_OF_UNIT;
  return Math.round(Number.parseInt(amount, 10) * MSAT_OF_UNIT[unit]);
}

describeVectors<Examples>("BOLT 11 examples", "bolt11-examples.json", (vectors) => {
  const valid = vectors.examples.filter((example) => example.valid);
  const invalid = vectors.examples.filter((example) => !example.valid);
  const crypto = native ?? noble;
  const signer = {
    nodeId: publicKey(fromHex(vectors.node_id)),
    sign: (hash: Uint8Array) => crypto.sign(hash, fromHex(vectors.private_key) as SecretKey),
  };

  test.each(valid)("$title", ({ invoice: text, timestamp, amount_text }) => {
    const invoice = parseInvoice(crypto, text);
    expect(toHex(invoice.payee)).toBe(vectors.node_id);
    expect(toHex(invoice.paymentSecret)).toBe(vectors.payment_secret_unless_noted);
    if (timestamp !== undefined) expect(invoice.timestamp).toBe(timestamp);
    if (amount_text !== undefined) expect(invoice.amountMsat).toBe(msatOf(amount_text));
    expect(parseInvoice(crypto, text.toUpperCase())).toEqual(invoice);
  });

  test.each(invalid)("refused: $title", ({ title, invoice }) => {
    const expected = problems.find(([pattern]) => pattern.test(title))?.[1];
    const problem = problemOf(() => parseInvoice(crypto, invoice));
    expect(problem).toEqual(expected ?? expect.stringMatching(/^\w+ invoice-/));
  });

  test("what the BOLT signs with its key, the writer writes to the letter", () => {
    for (const title of [
      "Please make a donation",
      "Please send 0.0025 BTC for a cup of nonsense",
    ]) {
      const example = valid.find((one) => one.title.startsWith(title)) as Example;
      const {
        expirySeconds,
        minFinalCltvExpiryDelta: _,
        ...content
      } = parseInvoice(crypto, example.invoice);
      const expiry = expirySeconds === 3600 ? {} : { expirySeconds };
      expect(writeInvoice(crypto, signer, { ...content, ...expiry })).toBe(example.invoice);
    }
  });

  test("what each field says", () => {
    const said = (part: string) =>
      parseInvoice(crypto, (valid.find((one) => one.title.includes(part)) as Example).invoice);
    const nonsense = said("nonsense");
    expect(nonsense.description).toBe("ナンセンス 1杯");
    expect(nonsense.expirySeconds).toBe(60);
    expect(nonsense.minFinalCltvExpiryDelta).toBe(18);
    expect(said("a donation")).not.toHaveProperty("amountMsat");
    expect(toHex(said("metadata").metadata as Uint8Array)).toBe("01fafaf0");
    const list = said("list of items");
    expect(list.minFinalCltvExpiryDelta).toBe(10);
    expect(list.expirySeconds).toBe(604_800);
    expect(list.routes).toHaveLength(1);
    expect(list.routes[0]?.[0]).toMatchObject({
      feeBaseMsat: 1000,
      feeProportionalMillionths: 2500,
      cltvExpiryDelta: 40,
    });
  });
});
