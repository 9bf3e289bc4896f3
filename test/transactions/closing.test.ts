/**
 * Mutual close by option_simple_close: the closer pays, the lesser side may drop its output, and
 * both sign the same transaction.
 */
import { describe, expect, it } from "vitest";
import { milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import {
  buildClosing,
  type ClosingTerms,
  type ClosingVariant,
  closeeVariant,
  closerVariants,
  closingWeight,
} from "../../core/transactions/closing.ts";
import { assembleFundingWitness, fundingOutput } from "../../core/transactions/funding.ts";
import { transactionWeight, withWitness } from "../../core/transactions/transaction.ts";
import { channelPair, crypto } from "../support/channel-pair.ts";
import { judgeSpend } from "../support/script-verifier.ts";

const pair = channelPair("zero_fee_commitments");
const fundingPubkeys = [
  pair.terms.broadcaster.fundingPubkey,
  pair.terms.countersignatory.fundingPubkey,
] as const;
const closerScript = fromHex(`0014${"11".repeat(20)}`);
const closeeScript = fromHex(`0020${"22".repeat(32)}`);
const returnScript = fromHex(`6a06${"33".repeat(6)}`);

function closing(change: Partial<Record<"closerMsat" | "closeeMsat" | "fee", number>> = {}) {
  return {
    fundingOutpoint: pair.terms.fundingOutpoint,
    fundingSatoshis: pair.terms.fundingSatoshis,
    fundingPubkeys,
    closerMsat: milliSatoshi(change.closerMsat ?? 600_000_999),
    closeeMsat: milliSatoshi(change.closeeMsat ?? 399_999_001),
    closerScript,
    closeeScript,
    feeSatoshis: satoshi(change.fee ?? 1000),
    locktime: 700_000,
  } satisfies ClosingTerms;
}

function amounts(terms: ClosingTerms, variant: ClosingVariant) {
  return buildClosing(crypto, terms, variant).transaction.outputs.map(({ amount }) => amount);
}

describe("the closing transaction", () => {
  it("spends the funding output for both, under the closer's locktime and fee", () => {
    const terms = closing();
    const { transaction, sighash } = buildClosing(crypto, terms, "closerAndCloseeOutputs");
    const signed = withWitness(
      transaction,
      0,
      assembleFundingWitness(
        { fundingPubkey: fundingPubkeys[1], signature: pair.countersignatory.signClosing(sighash) },
        { fundingPubkey: fundingPubkeys[0], signature: pair.broadcaster.signClosing(sighash) },
      ),
    );
    const funding = fundingOutput(crypto, fundingPubkeys, terms.fundingSatoshis);
    expect(judgeSpend(signed, 0, funding)).toBe("valid");
    expect(transaction).toMatchObject({
      version: 2,
      locktime: 700_000,
      inputs: [{ sequence: 0xfffffffd }],
      outputs: [
        { amount: 399_999, script: closeeScript },
        { amount: 599_000, script: closerScript },
      ],
    });
    expect(transactionWeight(signed)).toBeLessThanOrEqual(closingWeight(terms));
    expect(transactionWeight(signed)).toBeGreaterThanOrEqual(closingWeight(terms) - 4);
  });

  it("has one output where one side drops its own", () => {
    expect(amounts(closing(), "closerOutputOnly")).toEqual([599_000]);
    expect(amounts(closing(), "closeeOutputOnly")).toEqual([399_999]);
  });

  it("gives nothing to an OP_RETURN", () => {
    const terms = { ...closing(), closerScript: returnScript };
    expect(amounts(terms, "closerAndCloseeOutputs")).toEqual([0, 399_999]);
    const theirs = { ...closing(), closeeScript: returnScript };
    expect(amounts(theirs, "closerAndCloseeOutputs")).toEqual([0, 599_000]);
  });

  it("may take all that the closer has, and no more", () => {
    expect(amounts(closing({ fee: 600_000 }), "closerAndCloseeOutputs")).toEqual([0, 399_999]);
    expect(() => buildClosing(crypto, closing({ fee: 600_001 }), "closerOutputOnly")).toThrow(
      /^closing-fee: /,
    );
  });
});

describe("the closer offers", () => {
  it("both variants, or its own output alone, where it has the greater balance", () => {
    expect(closerVariants(closing())).toEqual(["closerOutputOnly", "closerAndCloseeOutputs"]);
    expect(closerVariants(closing({ closeeMsat: 329_999 }))).toEqual(["closerOutputOnly"]);
    expect(closerVariants(closing({ closeeMsat: 330_000 }))).toHaveLength(2);
    const equal = closing({ closerMsat: 500_000_000, closeeMsat: 500_000_000 });
    expect(closerVariants(equal)).toEqual(["closerOutputOnly", "closerAndCloseeOutputs"]);
  });

  it("both outputs, or the closee's alone where its own is dust, with the lesser balance", () => {
    const lesser = { closerMsat: 1_294_000, closeeMsat: 998_706_000 };
    expect(closerVariants(closing(lesser))).toEqual(["closerAndCloseeOutputs"]);
    const dust = { closerMsat: 1_293_999, closeeMsat: 998_706_001 };
    expect(closerVariants(closing(dust))).toEqual(["closeeOutputOnly"]);
  });

  it("nothing where every output would be dust", () => {
    expect(closerVariants(closing({ closerMsat: 1_200_000, closeeMsat: 200_000 }))).toEqual([]);
  });
});

describe("the closee signs", () => {
  const both = ["closerOutputOnly", "closerAndCloseeOutputs"] as const;

  it("for both outputs where offered, for the closer alone where its own is dust", () => {
    expect(closeeVariant(closing(), both)).toBe("closerAndCloseeOutputs");
    expect(closeeVariant(closing({ closeeMsat: 329_999 }), both)).toBe("closerOutputOnly");
  });

  it("for its own output alone where nothing else is offered", () => {
    expect(closeeVariant(closing(), ["closeeOutputOnly"])).toBe("closeeOutputOnly");
  });

  it("nothing that drops its output against its will", () => {
    expect(closeeVariant(closing(), ["closerOutputOnly"])).toBeUndefined();
    expect(closeeVariant(closing({ closeeMsat: 1 }), ["closerAndCloseeOutputs"])).toBeUndefined();
    expect(closeeVariant(closing(), [])).toBeUndefined();
  });
});
