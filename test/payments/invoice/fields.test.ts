/** Each rule for an invoice's reader, on an invoice that breaks this one alone and is well signed (BOLT 11 "Requirements"). */
import { describe, expect, test } from "vitest";
import { isExpired, MAX_INVOICE_CHARACTERS } from "../../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import {
  BECH32,
  BECH32M,
  decodeBech32,
  encodeBech32,
  toGroups,
} from "../../../core/primitives/bech32.ts";
import { concat } from "../../../core/primitives/bytes.ts";
import { native, noble } from "../../support/crypto-providers.ts";
import { coffee, payee, problemOf } from "./invoice-samples.ts";
import { d, forged, h, n, p, raw, s, tag } from "./raw-invoice.ts";

const crypto = native ?? noble;
const parse = (text: string) => parseInvoice(crypto, text);
const read = (...fields: Uint8Array[]) => parse(raw(fields));
const problem = (...fields: Uint8Array[]) => problemOf(() => read(...fields));
const zeros = (length: number) => new Uint8Array(length);

test("the least that can be paid", () => {
  const invoice = read(p, s, d);
  expect(invoice).toMatchObject({ expirySeconds: 3600, minFinalCltvExpiryDelta: 18 });
  expect(invoice.payee).toEqual(payee.nodeId);
});

describe("fields of a fixed length that have another one", () => {
  test.each([
    ["p of 51", tag("p", zeros(51))],
    ["p of 53", tag("p", zeros(53))],
    ["s of 51", tag("s", zeros(51))],
    ["h of 53, beside d", tag("h", zeros(53))],
    ["n of 54", tag("n", zeros(54))],
    ["n of 52", tag("n", zeros(52))],
  ])("%s is ignored beside a right one", (_, field) => {
    expect(read(field, p, s, d)).toEqual(read(p, s, d));
    expect(read(p, s, d, field)).toEqual(read(p, s, d));
  });
  test.each([
    ["p", [s, d, tag("p", zeros(53))], "p invoice-missing"],
    ["s", [p, d, tag("s", zeros(51))], "s invoice-missing"],
    ["h", [p, s, tag("h", zeros(51))], "d invoice-missing"],
  ])("a wrong %s alone is none", (_, fields, expected) =>
    expect(problem(...fields)).toBe(expected),
  );
});

describe("fields that must be there, once", () => {
  test.each([
    ["no p", [s, d], "p invoice-missing"],
    ["no s", [p, d], "s invoice-missing"],
    ["neither d nor h", [p, s], "d invoice-missing"],
    ["d and h", [p, s, d, h], "d invoice-contradiction"],
    ["h and d", [p, s, h, d], "d invoice-contradiction"],
    ["two p, which programs read differently", [p, s, d, p], "p invoice-repeated"],
    ["two s", [p, s, s, d], "s invoice-repeated"],
    ["two d", [p, s, d, d], "d invoice-repeated"],
    ["two n", [p, s, d, n, n], "n invoice-repeated"],
    ["two 9", [p, s, d, tag("9", [16, 8, 0]), tag("9", [16, 8, 0])], "9 invoice-repeated"],
  ])("%s", (_, fields, expected) => expect(problem(...fields)).toBe(expected));
});

describe("what is unknown is skipped and kept out", () => {
  test.each([
    ["a field of an unknown type", tag("2", [1, 2, 3])],
    ["an empty one", tag("t", [])],
    ["a fallback of version 19", tag("f", [19, ...zeros(32)])],
    ["a fallback of version 31 without anything", tag("f", [31])],
    ["a feature that is unknown and odd", tag("9", [16, ...zeros(16), 16, 8, 0])],
  ])("%s", (name, field) => {
    const plain = read(p, s, d);
    const { features: _, ...rest } = read(p, field, s, d);
    const { features: __, ...expected } = plain;
    expect(rest, name).toEqual(expected);
  });
});

describe("features", () => {
  test.each([
    ["required and understood: 8, 14, 16, 48", [8, 0, 0, 0, 0, 0, 2, 16, 8, 0], "accepted"],
    ["required and unknown: 100", [1, ...zeros(17), 16, 8, 0], "9 invoice-unknown-feature"],
    ["required and unknown: 0", [1], "9 invoice-unknown-feature"],
    ["parts without a payment secret", [4, 0, 0, 0], "9 invoice-feature-dependency"],
    ["a zero before them", [0, 16, 8, 0], "9 invoice-not-minimal"],
    ["none", [], "accepted"],
  ])("%s", (_, groups, expected) => expect(problem(p, s, d, tag("9", groups))).toBe(expected));
  test("the unknown one is named to the person", () => {
    const field = tag("9", [1, ...zeros(20)]);
    expect(() => read(p, s, d, field)).toThrow("the payee requires feature 100");
  });
});

describe("numbers, texts and addresses", () => {
  test.each([
    ["an expiry that begins with 0", tag("x", [0, 1]), "x invoice-not-minimal"],
    ["a delta of one zero", tag("c", [0]), "c invoice-not-minimal"],
    ["an expiry beyond counting", tag("x", zeros(12).fill(31)), "x invoice-out-of-range"],
    ["a long expiry", tag("x", zeros(10).fill(31)), "accepted"],
    ["metadata with a bit too many", tag("m", [31, 31]), "m invoice-wrong-padding"],
    ["metadata with a group too many", tag("m", [0]), "m invoice-wrong-padding"],
    ["a public key hash of 19 bytes", tag("f", [17, ...zeros(31)]), "f invoice-wrong-length"],
    [
      "a public key hash with a bit too many",
      tag("f", [17, ...zeros(32), 1]),
      "f invoice-wrong-padding",
    ],
    ["a public key hash of 25 bytes", tag("f", [17, ...zeros(40)]), "f invoice-wrong-length"],
    ["a script hash of 15 bytes", tag("f", [18, ...zeros(24)]), "f invoice-wrong-length"],
    ["a segwit program of 25 bytes", tag("f", [0, ...zeros(40)]), "f invoice-wrong-length"],
    ["a version 2 program of 25 bytes", tag("f", [2, ...zeros(40)]), "accepted"],
    ["a fallback without a version", tag("f", []), "f invoice-wrong-length"],
    ["an empty route", tag("r", []), "r invoice-wrong-length"],
    ["half a route", tag("r", zeros(56)), "r invoice-wrong-length"],
    ["a route from no node", tag("r", zeros(82)), "r invoice-not-a-key"],
  ])("%s", (_, field, expected) => expect(problem(p, s, d, field)).toBe(expected));
  test.each([
    ["half a character", [0xc3]],
    ["an overlong form", [0xc0, 0x80]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("a description with %s", (_, bytes) => {
    expect(problem(p, s, tag("d", toGroups(Uint8Array.from(bytes))))).toBe("d invoice-not-utf8");
  });
});

describe("what is cut off", () => {
  test.each([
    ["a field's data", concat(p, s, d, Uint8Array.of(13, 0, 5, 1)), "d invoice-cut-off"],
    [
      "an unknown field's data",
      concat(p, s, d, Uint8Array.of(2, 31, 31)),
      "fields invoice-cut-off",
    ],
    ["a field's head", concat(p, s, d, Uint8Array.of(13, 0)), "fields invoice-cut-off"],
  ])("%s", (_, fields, expected) => expect(problem(fields)).toBe(expected));
  test("no room for a signature", () => {
    const text = encodeBech32("lnbc", zeros(110), BECH32);
    expect(problemOf(() => parse(text))).toBe("text invoice-too-short");
  });
});

describe("the signature", () => {
  test("with n, a high S is refused; without it, it is the same payee's", () => {
    expect(() => parse(forged([p, s, d, n], { highS: true }))).toThrow("its S is high");
    expect(parse(forged([p, s, d], { highS: true })).payee).toEqual(payee.nodeId);
  });
  test("with n, it is n's and nobody else's", () => {
    expect(parse(raw([p, s, d, n])).payee).toEqual(payee.nodeId);
    const other = tag("n", toGroups(noble.publicKeyAdd(payee.nodeId, payee.nodeId)));
    expect(problem(p, s, d, other)).toBe("signature invoice-wrong-signature");
    expect(problem(p, s, d, tag("n", zeros(53)))).toBe("n invoice-not-a-key");
  });
  test.each([
    ["a recovery id of 4", { recoveryId: 4 }],
    ["a recovery id of 255", { recoveryId: 255 }],
    ["an r beyond the field", { recoveryId: 2 }],
    ["an r of zero", { r: zeros(32) }],
    ["an s of zero", { s: zeros(32) }],
    ["an s of the order or more", { s: zeros(32).fill(0xff) }],
    ["an r that is no point's", { r: zeros(32).fill(5) }],
  ])("%s", (_, change) => {
    const text = forged([p, s, d], change);
    expect(problemOf(() => parse(text))).toBe("signature invoice-wrong-signature");
  });
});

describe("the text", () => {
  const text = writeInvoice(crypto, payee, coffee);
  test.each([
    ["a changed character", text.replace("q", "p"), "text invoice-wrong-checksum"],
    ["upper and lower case", `L${text.slice(1)}`, "text invoice-not-bech32"],
    ["a space behind it", `${text} `, "text invoice-not-bech32"],
    ["a scheme before it", `lightning:${text}`, "prefix invoice-unknown-network"],
    ["nothing", "", "text invoice-not-bech32"],
    ["too long", `lnbc1${"q".repeat(MAX_INVOICE_CHARACTERS)}`, "text invoice-too-long"],
    ["beyond ASCII", `${text}é`, "text invoice-not-bech32"],
    ["no invoice's prefix", raw([p, s, d], "bc"), "prefix invoice-unknown-network"],
    ["another network's", raw([p, s, d], "lnltc"), "prefix invoice-unknown-network"],
  ])("%s", (_, given, expected) => {
    // A scheme changes the checksum's prefix: whichever is found first is right.
    const found = problemOf(() => parse(given));
    expect([expected, "text invoice-wrong-checksum"]).toContain(found);
    if (!given.startsWith("lightning:")) expect(found).toBe(expected);
  });
  test("the checksum of bech32m is another", () => {
    const { hrp, groups } = decodeBech32(text) as { hrp: string; groups: Uint8Array };
    const other = encodeBech32(hrp, groups, BECH32M);
    expect(problemOf(() => parse(other))).toBe("text invoice-wrong-checksum");
  });
});

describe("amounts", () => {
  test.each([
    ["lnbc1m", 100_000_000],
    ["lnbc2500u", 250_000_000],
    ["lnbc1000n", 100_000],
    ["lnbc10p", 1],
    ["lnbc9678785340p", 967_878_534],
    ["lnbc1", 100_000_000_000],
    ["lnbc", undefined],
    ["lntb7n", 700],
    ["lntbs7n", 700],
    ["lnbcrt90071", 9_007_100_000_000_000],
  ])("%s", (hrp, msat) => expect(parse(raw([p, s, d], hrp)).amountMsat).toBe(msat));
  test.each([
    "1p",
    "2500000001p",
    "0",
    "0u",
    "01m",
    "1x",
    "1mm",
    "1m1",
    "1M0",
    "90072",
    "9".repeat(200),
  ])("%s is no amount", (amount) => {
    const text = raw([p, s, d], `lnbc${amount}`.toLowerCase());
    expect(problemOf(() => parse(text))).toBe("amount invoice-wrong-amount");
  });
});

test("it expires when its time is over, not before", () => {
  const invoice = read(p, s, d);
  expect(isExpired(invoice, invoice.timestamp + 3600)).toBe(false);
  expect(isExpired(invoice, invoice.timestamp + 3601)).toBe(true);
});
