/** Instructions of an HTLC: small, strict, told apart from BOLT 4 onions, and sealed for the destination alone. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import {
  decodeFailure,
  describeFailure,
  encodeFailure,
  FAILURE_CODES,
  type FailureCode,
} from "../../core/payments/failure.ts";
import {
  decodeInstructions,
  encodeInstructions,
  type ForwardInstructions,
  MAX_FINAL_BYTES,
  MAX_INSTRUCTIONS_BYTES,
  openPayment,
  sealPayment,
} from "../../core/payments/instructions.ts";
import { blockHeight, milliSatoshi, paymentHash } from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { crypto } from "../support/node-pair.ts";

const signer = (name: string) => new SeedSigner(crypto, crypto.sha256(ascii(name)));
const bob = signer("bob");
const hash = paymentHash(crypto.sha256(ascii("hash")));
const paymentSecret = crypto.sha256(ascii("secret"));
let drawn = 0;
const entropy = { random: (n: number) => crypto.sha256(ascii(`random ${++drawn}`)).slice(0, n) };
const totalMsat = milliSatoshi(2 ** 50 + 3);
const seal = () =>
  sealPayment(crypto, entropy, {
    destination: bob.nodeId,
    paymentHash: hash,
    paymentSecret,
    totalMsat,
  });

const largest = (): ForwardInstructions => ({
  type: "forward",
  destination: bob.nodeId,
  amountMsat: milliSatoshi(Number.MAX_SAFE_INTEGER),
  cltvExpiry: blockHeight(499_999_999),
  sealed: seal(),
  gateways: ["x", "y", "z"].map((name) => signer(name).nodeId),
});

describe("instructions", () => {
  it("of the largest kind fit, and come back as they were", () => {
    const bytes = encodeInstructions(largest());
    expect(bytes.length).toBeLessThanOrEqual(MAX_INSTRUCTIONS_BYTES);
    const read = decodeInstructions(crypto, bytes);
    expect(read).toMatchObject({ type: "forward", amountMsat: Number.MAX_SAFE_INTEGER });
    expect(encodeInstructions(read as ForwardInstructions)).toEqual(bytes);
  });

  it("for the destination are empty, or the sealed part alone", () => {
    expect(decodeInstructions(crypto, new Uint8Array(0))).toEqual({
      type: "final",
      sealed: new Uint8Array(0),
    });
    const final = { type: "final", sealed: seal() } as const;
    const bytes = encodeInstructions(final);
    expect(bytes.length).toBe(MAX_FINAL_BYTES);
    expect(decodeInstructions(crypto, bytes)).toEqual(final);
  });

  it("are told apart from a BOLT 4 onion", () => {
    expect(decodeInstructions(crypto, new Uint8Array(1366))).toEqual({ type: "onion" });
  });

  it("are refused whatever is wrong, and nothing but a ProtocolViolation is thrown", () => {
    const good = encodeInstructions(largest());
    const mutate = fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.oneof(mutate, fc.uint8Array({ maxLength: 300 })), (input) => {
        const bytes = input instanceof Uint8Array ? input : good.slice();
        if (Array.isArray(input)) bytes[input[0]]! ^= input[1];
        try {
          const read = decodeInstructions(crypto, bytes);
          if (read.type !== "onion") expect(encodeInstructions(read)).toEqual(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolViolation);
        }
      }),
      { numRuns: 500 },
    );
    const version2 = good.slice();
    version2[1] = 2;
    expect(() => decodeInstructions(crypto, version2)).toThrow(/unknown version/);
  });

  it("open for their destination alone, beside their hash alone, and unchanged alone", () => {
    const sealed = seal();
    expect(openPayment(crypto, bob, sealed, hash)).toEqual({ paymentSecret, totalMsat });
    const other = paymentHash(crypto.sha256(ascii("another")));
    expect(openPayment(crypto, bob, sealed, other)).toBeUndefined();
    expect(openPayment(crypto, signer("carol"), sealed, hash)).toBeUndefined();
    for (let i = 0; i < sealed.length; i++) {
      const changed = sealed.slice();
      changed[i]! ^= 1;
      expect(openPayment(crypto, bob, changed, hash)).toBeUndefined();
    }
    expect(seal()).not.toEqual(sealed);
  });
});

describe("a failure", () => {
  it.each(Object.keys(FAILURE_CODES) as FailureCode[])("%s is read back and has words", (code) => {
    const reason = encodeFailure(code, Uint8Array.of(1, 2));
    expect(decodeFailure(reason)).toEqual({ code, data: Uint8Array.of(1, 2) });
    expect(describeFailure(reason).length).toBeGreaterThan(20);
  });

  it("in a device's own words is shown, what a terminal would obey is not", () => {
    expect(describeFailure(ascii("expires too soon"))).toBe("expires too soon");
    for (const reason of [new Uint8Array(0), ascii("\u001b[2J"), new Uint8Array(292).fill(200)]) {
      expect(describeFailure(reason)).toMatch(/no reason was given/);
    }
  });
});
