/** What payers and forwarders read: invoices, instructions, failures, keys as text; macaroons and rows of the gateway's. */

import { decodeBase58Check, encodeBase58Check } from "../../../core/keys/base58.ts";
import { parsePublicKey, parseSecretKey } from "../../../core/keys/bip32.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { describeFailure, encodeFailure } from "../../../core/payments/failure.ts";
import { decodeInstructions } from "../../../core/payments/instructions.ts";
import { InvoiceError } from "../../../core/payments/invoice/invoice-error.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import { BECH32, decodeBech32, encodeBech32 } from "../../../core/primitives/bech32.ts";
import { milliSatoshi, paymentHash } from "../../../core/primitives/brands.ts";
import { ascii, concat } from "../../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../../core/primitives/errors.ts";
import { AuthError } from "../../../gateway/auth/auth-error.ts";
import { parseCaveat } from "../../../gateway/auth/caveats.ts";
import {
  decodeMacaroon,
  encodeMacaroon,
  newMacaroon,
  withCaveat,
} from "../../../gateway/auth/macaroon.ts";
import { chooseCrypto } from "../../../gateway/crypto/choose.ts";
import { decodeTerms } from "../../../gateway/payments/forward-policy.ts";
import { decodeRetry, encodeRetry } from "../../../gateway/payments/retry.ts";
import { type FuzzTarget, isViolation, promise } from "../target.ts";

const crypto = chooseCrypto();
const signer = new SeedSigner(crypto, new Uint8Array(32).fill(1));

function textOf(input: Uint8Array): string {
  return String.fromCharCode(...input);
}

const invoiceText: FuzzTarget = {
  name: "invoice-text",
  maxBytes: 1024,
  seeds: () => invoices().map(ascii),
  isRefusal: (error) => error instanceof InvoiceError,
  run: (input) => void parseInvoice(crypto, textOf(input)),
};

/** Prefix and groups of five bits; the checksum is always right. */
const invoice: FuzzTarget = {
  name: "invoice",
  maxBytes: 1024,
  seeds: () =>
    invoices().map((text) => {
      const decoded = decodeBech32(text);
      if (typeof decoded === "string") throw new Error(decoded);
      return concat(Uint8Array.of(decoded.hrp.length), concat(ascii(decoded.hrp), decoded.groups));
    }),
  isRefusal: (error) => error instanceof InvoiceError,
  run(input) {
    const length = Math.min(input[0] ?? 0, 40);
    const printable = input
      .subarray(1, 1 + length)
      .map((byte) => 0x21 + ((byte - 0x21 + 256) % 94));
    const groups = input.slice(1 + length).map((byte) => byte & 31);
    const text = encodeBech32(textOf(printable).toLowerCase() || "x", groups, BECH32);
    const read = parseInvoice(crypto, text);
    promise(crypto.isPublicKey(read.payee), "the payee is a key");
    promise(read.amountMsat === undefined || Number.isSafeInteger(read.amountMsat), "exact amount");
  },
};

const instructions: FuzzTarget = {
  name: "instructions",
  maxBytes: 512,
  seeds: () => [Uint8Array.of(0), Uint8Array.of(0x82, 1, 0x58, 89, ...new Uint8Array(89))],
  run: (input) => void decodeInstructions(crypto, input),
};

const failure: FuzzTarget = {
  name: "failure",
  maxBytes: 300,
  seeds: () => [encodeFailure("feeInsufficient", Uint8Array.of(1, 2)), ascii("the motor is stuck")],
  run(input) {
    const text = describeFailure(input);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    promise(!/[\x00-\x1f\x7f]/.test(text), "nothing that a terminal would obey is shown");
    decodeTerms(input);
  },
};

const extendedKey: FuzzTarget = {
  name: "extended-key",
  maxBytes: 160,
  seeds: () => [
    new Uint8Array(78).fill(1),
    Uint8Array.of(4, 0x88, 0xb2, 0x1e, ...new Uint8Array(74)),
  ],
  run(input) {
    // As text with a right checksum, and as whatever text the bytes are.
    const text = encodeBase58Check(crypto, input);
    decodeBase58Check(crypto, textOf(input));
    for (const parse of [parsePublicKey, parseSecretKey]) {
      try {
        parse(crypto, text);
      } catch (error) {
        if (!(error instanceof ProtocolViolation)) throw error;
      }
    }
  },
};

const macaroon: FuzzTarget = {
  name: "macaroon",
  maxBytes: 1024,
  seeds: () => {
    const made = newMacaroon({
      rootKey: new Uint8Array(32).fill(1),
      identifier: ascii("admin"),
      location: "picobolt",
    });
    return [encodeMacaroon(made), encodeMacaroon(withCaveat(made, "method = read"))];
  },
  isRefusal: (error) => error instanceof AuthError,
  run(input) {
    const { caveats } = decodeMacaroon(input);
    for (const caveat of caveats) {
      try {
        parseCaveat(caveat);
      } catch (error) {
        if (!(error instanceof AuthError)) throw error;
      }
    }
  },
};

const caveat: FuzzTarget = {
  name: "caveat",
  maxBytes: 200,
  seeds: () =>
    [
      "method = read,createInvoice",
      `device = ${"02".repeat(33)}`,
      "time-before 2030-01-01T00:00:00Z",
      "amount-per-day <= 1000000",
      "ip = 10.0.0.0/8,::1",
    ].map(ascii),
  isRefusal: (error) => error instanceof AuthError,
  run: (input) => void parseCaveat(textOf(input)),
};

const retry: FuzzTarget = {
  name: "retry-note",
  maxBytes: 300,
  seeds: () => [
    encodeRetry({
      finalCltvDelta: 18,
      maxFeeMsat: milliSatoshi(1_000),
      deadline: 1_800_000_000,
      gateways: [signer.nodeId],
      paymentSecret: new Uint8Array(32),
    }),
  ],
  isRefusal: isViolation,
  run: (input) => void decodeRetry(input),
};

function invoices(): string[] {
  const common = {
    network: "regtest",
    timestamp: 1_700_000_000,
    paymentHash: paymentHash(new Uint8Array(32).fill(7)),
    paymentSecret: new Uint8Array(32).fill(8),
    features: new Uint8Array(0),
  } as const;
  const hop = {
    nodeId: signer.nodeId,
    shortChannelId: new Uint8Array(8),
    feeBaseMsat: 1,
    feeProportionalMillionths: 2,
    cltvExpiryDelta: 3,
  };
  return [
    writeInvoice(crypto, signer, { ...common, description: "coffee" } as never),
    writeInvoice(crypto, signer, {
      ...common,
      description: "ä",
      amountMsat: milliSatoshi(1_500_000),
      minFinalCltvExpiryDelta: 18,
      expirySeconds: 600,
      withPayee: true,
      routes: [[hop as never]],
    } as never),
  ];
}

export const paymentTargets: readonly FuzzTarget[] = [
  invoiceText,
  invoice,
  instructions,
  failure,
  extendedKey,
  macaroon,
  caveat,
  retry,
];
