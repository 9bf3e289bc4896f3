/** Generated invoices come back as they were written, and other people's code reads the same out of them. */

import { createRequire } from "node:module";
import { networks, address as wallets } from "bitcoinjs-lib";
import fc from "fast-check";
import { decode } from "light-bolt11-decoder";
import { expect, test } from "vitest";
import { addressOf, fallbackOf } from "../../../core/payments/invoice/fallback.ts";
import {
  type Fallback,
  type InvoiceNetwork,
  MAX_INVOICE_CHARACTERS,
  type RouteHop,
} from "../../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { recoverKey, recoveryIdOf } from "../../../core/payments/invoice/recovery.ts";
import { type InvoiceToWrite, writeInvoice } from "../../../core/payments/invoice/write-invoice.ts";
import {
  milliSatoshi,
  paymentHash,
  type SecretKey,
  type Signature,
} from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { native, noble, providers } from "../../support/crypto-providers.ts";
import { coffee, payee, payeeOf, problemOf } from "./invoice-samples.ts";

const crypto = native ?? noble;
const RUNS = 60;

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const network = fc.constantFrom<InvoiceNetwork>("mainnet", "testnet", "signet", "regtest");
const hop: fc.Arbitrary<RouteHop> = fc.record({
  nodeId: fc.integer({ min: 1, max: 250 }).map((fill) => payeeOf(crypto, fill).nodeId),
  shortChannelId: bytes(8),
  feeBaseMsat: fc.nat({ max: 0xffff_ffff }),
  feeProportionalMillionths: fc.nat({ max: 0xffff_ffff }),
  cltvExpiryDelta: fc.nat({ max: 0xffff }),
});
const fallback: fc.Arbitrary<Fallback> = fc.oneof(
  fc.record({ type: fc.constantFrom("p2pkh" as const, "p2sh" as const), hash: bytes(20) }),
  fc.record({
    type: fc.constant("witness" as const),
    version: fc.constant(0),
    program: fc.oneof(bytes(20), bytes(32)),
  }),
  fc.record({
    type: fc.constant("witness" as const),
    version: fc.integer({ min: 1, max: 16 }),
    program: bytes(32),
  }),
);
const character = fc.constantFrom("a", " ", "é", "杯", "🥤", "👩‍🚀", "\n", "\u0000", "\uffff");
const description = fc.oneof(
  fc.string({ unit: character, maxLength: 60 }).map((text) => ({ description: text })),
  bytes(32).map((descriptionHash) => ({ descriptionHash })),
);
const rest = fc.record(
  {
    amountMsat: fc
      .oneof(
        fc.integer({ min: 1, max: 10_000 }),
        fc.maxSafeNat().map((n) => n + (n === 0 ? 1 : 0)),
      )
      .map(milliSatoshi),
    expirySeconds: fc.integer({ min: 1, max: 2 ** 40 }),
    minFinalCltvExpiryDelta: fc.integer({ min: 1, max: 5_000 }),
    fallbacks: fc.array(fallback, { maxLength: 3 }),
    routes: fc.array(fc.array(hop, { minLength: 1, maxLength: 4 }), { maxLength: 3 }),
    metadata: fc.uint8Array({ maxLength: 100 }),
    basicMpp: fc.boolean(),
    withPayee: fc.boolean(),
  },
  { requiredKeys: [] },
);
const invoices: fc.Arbitrary<InvoiceToWrite> = fc
  .tuple(
    fc.record({
      network,
      timestamp: fc.nat({ max: 2 ** 35 - 1 }),
      paymentHash: bytes(32).map(paymentHash),
      paymentSecret: bytes(32),
    }),
    description,
    rest,
  )
  .map(([needed, what, optional]) => ({ ...needed, ...what, ...optional }));

test("what is written is read again, whole, with the payee", () => {
  fc.assert(
    fc.property(invoices, fc.integer({ min: 1, max: 250 }), (invoice, fill) => {
      const { basicMpp: _, withPayee: __, ...content } = invoice;
      const { features: ___, ...read } = parseInvoice(
        crypto,
        writeInvoice(crypto, payeeOf(crypto, fill), invoice),
      );
      const defaults = { expirySeconds: 3600, minFinalCltvExpiryDelta: 18 };
      const lists = { fallbacks: [], routes: [] };
      const { nodeId } = payeeOf(crypto, fill);
      expect(read).toEqual({ ...defaults, ...lists, ...content, payee: nodeId });
    }),
    { numRuns: RUNS },
  );
});

/** The library does not know signet by its name; its types do not know that it can be told. */
const SIGNET = { bech32: "tbs", pubKeyHash: 0x6f, scriptHash: 0xc4, validWitnessVersions: [0, 1] };
const decodeIn = decode as (text: string, network?: object) => ReturnType<typeof decode>;

test("light-bolt11-decoder reads the same", () => {
  fc.assert(
    fc.property(invoices, (invoice) => {
      const isSignet = invoice.network === "signet";
      const text = writeInvoice(crypto, payee, invoice);
      const { sections } = decodeIn(text, isSignet ? SIGNET : undefined);
      const value = (name: string) =>
        (sections as { name: string; value?: unknown }[]).find((one) => one.name === name)?.value;
      expect(value("amount")).toBe(invoice.amountMsat?.toString());
      expect(value("timestamp")).toBe(invoice.timestamp);
      expect(value("payment_hash")).toBe(toHex(invoice.paymentHash));
      expect(value("payment_secret")).toBe(toHex(invoice.paymentSecret));
      expect(value("description")).toBe(invoice.description);
      expect(value("expiry")).toBe(invoice.expirySeconds);
      expect(value("min_final_cltv_expiry")).toBe(invoice.minFinalCltvExpiryDelta);
      const { descriptionHash, metadata } = invoice;
      expect(value("description_hash")).toBe(descriptionHash && toHex(descriptionHash));
      expect(value("metadata")).toBe(metadata && toHex(metadata));
      const routes = (sections as { name: string; value?: unknown }[])
        .filter(({ name }) => name === "route_hint")
        .map((one) => one.value);
      expect(routes).toEqual((invoice.routes ?? []).map((route) => route.map(asTheySay)));
    }),
    { numRuns: RUNS },
  );
});

function asTheySay(hop: RouteHop) {
  return {
    pubkey: toHex(hop.nodeId),
    short_channel_id: toHex(hop.shortChannelId),
    fee_base_msat: hop.feeBaseMsat,
    fee_proportional_millionths: hop.feeProportionalMillionths,
    cltv_expiry_delta: hop.cltvExpiryDelta,
  };
}

test("fallback addresses are those of a wallet's library, both ways", () => {
  const chains = {
    mainnet: networks.bitcoin,
    testnet: networks.testnet,
    regtest: networks.regtest,
  };
  fc.assert(
    fc.property(fallback, fc.constantFrom("mainnet", "testnet", "regtest"), (one, name) => {
      const address = addressOf(crypto, one, name as "mainnet");
      const chain = chains[name as "mainnet"];
      const expected =
        one.type === "witness"
          ? wallets.toBech32(one.program, one.version, chain.bech32)
          : wallets.toBase58Check(
              one.hash,
              one.type === "p2pkh" ? chain.pubKeyHash : chain.scriptHash,
            );
      expect(address).toBe(expected);
      expect(fallbackOf(crypto, address, name as "mainnet")).toEqual(one);
    }),
    { numRuns: RUNS },
  );
  const address = addressOf(crypto, { type: "p2pkh", hash: new Uint8Array(20) }, "mainnet");
  expect(problemOf(() => fallbackOf(crypto, address, "regtest"))).toBe("f invoice-out-of-range");
});

test("recovered keys are libsecp256k1's, of any S and either id, with every provider", () => {
  const secp = createRequire(import.meta.url)("secp256k1") as typeof import("secp256k1");
  const recovered = (signature: Uint8Array, recoveryId: number, hash: Uint8Array) => {
    try {
      return toHex(secp.ecdsaRecover(signature, recoveryId, hash));
    } catch {
      return "nobody";
    }
  };
  fc.assert(
    fc.property(bytes(32), bytes(32), bytes(64), fc.nat({ max: 3 }), (secret, hash, noise, id) => {
      fc.pre(noble.isSecretKey(secret));
      const { signature, recid } = secp.ecdsaSign(hash, secret);
      const key = noble.publicKeyOf(secret as SecretKey);
      for (const crypto of providers) {
        const signed = signature as Signature;
        expect(recoveryIdOf(crypto, signed, { hash, key })).toBe(recid);
        for (const [one, recoveryId] of [
          [signed, id],
          [noise, id],
        ] as const) {
          const ours = recoverKey(crypto, one as Signature, { hash, recoveryId });
          expect(ours ? toHex(ours) : "nobody").toBe(recovered(one, recoveryId, hash));
        }
      }
    }),
    { numRuns: 25 },
  );
});

test("a signature made so that every key would do is nobody's", () => {
  // R = k·G and s = hash / k: the key would be the point at infinity.
  for (const crypto of providers) {
    const one = new Uint8Array(32);
    one[31] = 1;
    const hash = crypto.sha256(one);
    const generator = crypto.publicKeyOf(one as SecretKey);
    const signature = new Uint8Array(64) as Uint8Array as Signature;
    signature.set(generator.subarray(1));
    signature.set(hash, 32);
    const recoveryId = (generator[0] as number) - 2;
    expect(recoverKey(crypto, signature, { hash, recoveryId })).toBeUndefined();
  }
});

test("what no invoice can say is refused before it is signed", () => {
  const problem = (change: object) =>
    problemOf(() => writeInvoice(crypto, payee, { ...coffee, ...change } as InvoiceToWrite));
  expect(problem({ description: "é".repeat(319) })).toBe("accepted");
  expect(problem({ description: "e".repeat(639) })).toBe("accepted");
  expect(problem({ description: "e".repeat(640) })).toBe("d invoice-too-long");
  expect(problem({ description: "é".repeat(320) })).toBe("d invoice-too-long");
  expect(problem({ description: "\ud83e" })).toBe("d invoice-not-utf8");
  expect(problem({ description: undefined })).toBe("d invoice-missing");
  expect(problem({ descriptionHash: new Uint8Array(32) })).toBe("d invoice-contradiction");
  expect(problem({ amountMsat: 0 })).toBe("amount invoice-wrong-amount");
  expect(problem({ expirySeconds: 0 })).toBe("x invoice-out-of-range");
  expect(problem({ timestamp: 2 ** 35 })).toBe("timestamp invoice-out-of-range");
  expect(problem({ timestamp: 1.5 })).toBe("timestamp invoice-out-of-range");
  expect(problem({ metadata: new Uint8Array(640) })).toBe("m invoice-too-long");
  expect(problem({ routes: [[]] })).toBe("r invoice-missing");
  expect(problem({ paymentSecret: new Uint8Array(31) })).toBe("s invoice-wrong-length");
  const program = new Uint8Array(25);
  expect(problem({ fallbacks: [{ type: "witness", version: 0, program }] })).toBe(
    "f invoice-wrong-length",
  );
  expect(problem({ fallbacks: [{ type: "witness", version: 19, program }] })).toBe(
    "f invoice-out-of-range",
  );
  const route = [{ ...hopFrom(payee.nodeId), cltvExpiryDelta: 65_536 }];
  expect(problem({ routes: [route] })).toBe("r invoice-out-of-range");
  const long = Array.from({ length: 12 }, () => hopFrom(payee.nodeId));
  expect(problem({ routes: Array.from({ length: 8 }, () => long) })).toBe("text invoice-too-long");
  expect(problem({ routes: [Array.from({ length: 13 }, () => hopFrom(payee.nodeId))] })).toBe(
    "r invoice-too-long",
  );
  const longest = writeInvoice(crypto, payee, { ...coffee, routes: Array(6).fill(long) });
  expect(longest.length).toBeLessThanOrEqual(MAX_INVOICE_CHARACTERS);
  expect(parseInvoice(crypto, longest).routes).toHaveLength(6);
});

function hopFrom(nodeId: RouteHop["nodeId"]): RouteHop {
  const fee = { feeBaseMsat: 1000, feeProportionalMillionths: 100 };
  return { nodeId, shortChannelId: new Uint8Array(8), ...fee, cltvExpiryDelta: 40 };
}
