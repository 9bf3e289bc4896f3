/** `picobolt invoice decode`, as a person and as a script use it. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { printable } from "../../cli/invoice/invoice-view.ts";
import { fallbackOf } from "../../core/payments/invoice/fallback.ts";
import { writeInvoice } from "../../core/payments/invoice/write-invoice.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { coffee, payee } from "../payments/invoice/invoice-samples.ts";
import { noble } from "../support/crypto-providers.ts";
import { picobolt } from "./run-picobolt.ts";

const ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const text = writeInvoice(noble, payee, {
  ...coffee,
  amountMsat: milliSatoshi(250_000_001),
  description: "1 \x1b[31mcoffee\x1b[0m",
  fallbacks: [fallbackOf(noble, ADDRESS, "regtest")],
  routes: [
    [
      {
        nodeId: payee.nodeId,
        shortChannelId: fromHex("0000010000020003"),
        feeBaseMsat: 1000,
        feeProportionalMillionths: 50,
        cltvExpiryDelta: 40,
      },
    ],
  ],
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "picobolt-invoice-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("for a person: amount, payee, ways to pay, a QR code, and no escape sequences of the payee's", async () => {
  const { code, stdout, stderr } = await picobolt([
    "invoice",
    "decode",
    `lightning:${text}`,
    "--qr",
  ]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  for (const part of [
    "amount:           250000.001 sat\n",
    "description:      1 \\u{1b}[31mcoffee\\u{1b}[0m\n",
    `payee:            ${toHex(payee.nodeId)}\n`,
    "expires:          2027-01-15T09:00:00Z (3600 s after it was made)",
    "channel 1x2x3 (1000 msat + 50 ppm, 40 blocks)",
    `or on chain:      ${ADDRESS}\n`,
    "█",
  ]) {
    expect(stdout).toContain(part);
  }
});

test("for a script: one object in BOLT 11's names, and the QR code in a file", async () => {
  const file = join(folder, "coffee.svg");
  const uri = `bitcoin:${ADDRESS.toUpperCase()}?amount=0.0025&LIGHTNING=${text.toUpperCase()}`;
  const { code, json, last } = await picobolt([
    ...["invoice", "decode", uri, "--json", "--qr", "--qr-file", file],
  ]);
  expect(code).toBe(0);
  expect(json).toHaveLength(1);
  expect(last).toMatchObject({
    network: "regtest",
    amount_msat: 250_000_001,
    payee: toHex(payee.nodeId),
    description: "1 \x1b[31mcoffee\x1b[0m",
    description_hash: null,
    expiry: 3600,
    min_final_cltv_expiry_delta: 20,
    fallback_addresses: [ADDRESS],
    features: [8, 14],
    routes: [[{ short_channel_id: "1x2x3", fee_proportional_millionths: 50 }]],
  });
  expect(await readFile(file, "utf8")).toContain("<svg");
});

test("what is no invoice is refused in a sentence, and no file is written", async () => {
  const file = join(folder, "none.svg");
  const changed = text.replace(/.$/, (last) => (last === "q" ? "p" : "q"));
  const { code, stderr, stdout } = await picobolt([
    ...["invoice", "decode", changed, "--qr-file", file],
  ]);
  expect(stderr).toBe(
    "picobolt: the invoice's checksum is wrong: a character was lost or changed; copy it again\n",
  );
  expect(stdout).toBe("");
  expect(code).toBe(4);
  await expect(readFile(file)).rejects.toThrow("ENOENT");
});

test("descriptions keep their letters and lose what steers a terminal", () => {
  expect(printable("ナンセンス 1杯 👩‍🚀 é")).toBe("ナンセンス 1杯 👩‍🚀 é");
  expect(printable("a\nb\r\u202ec\u009b")).toBe("a\\u{a}b\\u{d}\\u{202e}c\\u{9b}");
});
