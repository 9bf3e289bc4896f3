/**
 * Whatever the state, a commitment conserves value, orders its outputs, and tells each of them for
 * what it is.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { commitmentNumber } from "../../core/primitives/brands.ts";
import { compare } from "../../core/primitives/bytes.ts";
import { buildCommitment, commitmentConstants } from "../../core/transactions/commitment.ts";
import { findCommitmentNumber } from "../../core/transactions/number.ts";
import { fundingScript, p2wsh } from "../../core/transactions/script.ts";
import { segwitSighash } from "../../core/transactions/sighash.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { commitmentFee, htlcTransactionFee } from "../../core/transactions/weights.ts";
import {
  channelPair,
  channelTypes,
  crypto,
  htlc,
  type PairOptions,
} from "../support/channel-pair.ts";

const FUNDING = 1_000_000;

/**
 * Any split of the channel between the parties and up to six HTLCs, many of them near the dust
 * limit.
 */
const anyState = fc
  .record({
    htlcs: fc.array(
      fc.record({
        offered: fc.boolean(),
        amountMsat: fc.oneof(
          fc.integer({ min: 300_000, max: 1_500_000 }),
          fc.integer({ min: 1, max: 90_000_000 }),
        ),
        cltvExpiry: fc.integer({ min: 1, max: 3 }),
      }),
      { maxLength: 6 },
    ),
    share: fc.integer({ min: 0, max: 1000 }),
    feeratePerKw: fc.oneof(fc.nat(5000), fc.nat(1_000_000)),
    broadcasterIsOpener: fc.boolean(),
    dustLimitSatoshis: fc.integer({ min: 354, max: 1000 }),
  })
  .map((state) => {
    const htlcs = state.htlcs.map((one, id) => htlc({ ...one, id }));
    const rest = FUNDING * 1000 - htlcs.reduce((sum, { amountMsat }) => sum + amountMsat, 0);
    const share = Math.floor((rest * state.share) / 1000);
    // The opener can always pay for its anchors: 660 sat.
    const toBroadcasterMsat = state.broadcasterIsOpener
      ? Math.max(share, 660_000)
      : Math.min(share, rest - 660_000);
    return { ...state, htlcs, toBroadcasterMsat };
  });

const stateOf = (channelType: ChannelType, state: PairOptions) =>
  channelPair(channelType, {
    ...state,
    ...(channelType === "zero_fee_commitments" && { feeratePerKw: 0 }),
  });

describe.each(channelTypes)("any commitment of %s", (channelType) => {
  it("conserves value: what is neither in an output nor rounded or trimmed away is the fee", () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const { commitment, spec } = stateOf(channelType, state);
        const outputs = commitment.outputs.reduce((sum, { amount }) => sum + amount, 0);
        expect(outputs + commitment.feeSatoshis).toBe(FUNDING);
        expect(commitment.htlcs.length + commitment.trimmedHtlcs.length).toBe(spec.htlcs.length);
        for (const second of commitment.htlcs) {
          const [output] = second.transaction.outputs;
          const { offered } = second.htlc;
          const fee = htlcTransactionFee(channelType, offered, spec.feeratePerKw);
          expect((output?.amount ?? 0) + fee).toBe(second.amount);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("takes the base fee from the opener alone", () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const { commitment, spec, terms } = stateOf(channelType, state);
        const [kind, balance] = terms.broadcasterIsOpener
          ? (["toCountersignatory", spec.toCountersignatoryMsat] as const)
          : (["toBroadcaster", spec.toBroadcasterMsat] as const);
        const whole = Math.floor(balance / 1000);
        const output = commitment.outputs.find((candidate) => candidate.kind === kind);
        expect(output?.amount).toBe(whole >= terms.dustLimitSatoshis ? whole : undefined);
        const opener = terms.broadcasterIsOpener ? "toBroadcaster" : "toCountersignatory";
        if (commitment.outputs.some((candidate) => candidate.kind === opener)) {
          const fee = commitmentFee(channelType, spec.feeratePerKw, commitment.htlcs.length);
          expect(commitment.feeSatoshis).toBeGreaterThanOrEqual(fee);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("trims an HTLC exactly where its second stage would be below the dust limit", () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const { commitment, spec, terms } = stateOf(channelType, state);
        const left = ({ offered, amountMsat }: { offered: boolean; amountMsat: number }) =>
          Math.floor(amountMsat / 1000) -
          htlcTransactionFee(channelType, offered, spec.feeratePerKw);
        for (const trimmed of commitment.trimmedHtlcs) {
          expect(left(trimmed)).toBeLessThan(terms.dustLimitSatoshis);
        }
        for (const { htlc: kept } of commitment.htlcs) {
          expect(left(kept)).toBeGreaterThanOrEqual(terms.dustLimitSatoshis);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("has outputs in BIP 69 order, then by expiry, each with the script that it names", () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const { commitment } = stateOf(channelType, state);
        commitment.outputs.forEach((output, vout) => {
          expect(output.vout).toBe(vout);
          const { amount, script } = output;
          expect(commitment.transaction.outputs[vout]).toEqual({ amount, script });
          if (output.witnessScript) expect(p2wsh(crypto, output.witnessScript)).toEqual(script);
          const next = commitment.outputs[vout + 1];
          if (!next) return;
          const order =
            amount - next.amount ||
            compare(script, next.script) ||
            (output.htlc?.cltvExpiry ?? 0) - (next.htlc?.cltvExpiry ?? 0);
          expect(order).toBeLessThanOrEqual(0);
        });
        expect(commitment.htlcs.map(({ vout }) => vout)).toEqual(
          commitment.outputs.filter(({ kind }) => kind === "htlc").map(({ vout }) => vout),
        );
      }),
      { numRuns: 40 },
    );
  });

  it("tells its number to those who know the basepoints, and is signed whatever it is", () => {
    const number = fc.integer({ min: 0, max: 2 ** 48 - 1 });
    fc.assert(
      fc.property(number, fc.boolean(), (n, broadcasterIsOpener) => {
        const { terms, keys, spec } = channelPair(channelType, { broadcasterIsOpener });
        const at = { ...spec, number: commitmentNumber(n) };
        const { transaction, sighash } = buildCommitment(crypto, terms, keys, at);
        const funding = fundingScript(
          terms.broadcaster.fundingPubkey,
          terms.countersignatory.fundingPubkey,
        );
        const spent = { amount: terms.fundingSatoshis, scriptCode: funding };
        expect(sighash).toEqual(segwitSighash(crypto, transaction, 0, spent));
        expect(findCommitmentNumber(crypto, terms, transaction)).toBe(n);
      }),
      { numRuns: 20 },
    );
  });

  it("has balances down to the dust limit, and none below", () => {
    const kinds = (toCountersignatoryMsat: number, broadcasterIsOpener: boolean) => {
      const toBroadcasterMsat = FUNDING * 1000 - toCountersignatoryMsat;
      const swapped = {
        toBroadcasterMsat: toCountersignatoryMsat,
        toCountersignatoryMsat: toBroadcasterMsat,
      };
      const balances = broadcasterIsOpener
        ? { toBroadcasterMsat, toCountersignatoryMsat }
        : swapped;
      const options = { ...balances, broadcasterIsOpener, htlcs: [], dustLimitSatoshis: 500 };
      return stateOf(channelType, options).commitment.outputs.map(({ kind }) => kind);
    };
    expect(kinds(500_000, true)).toContain("toCountersignatory");
    expect(kinds(499_999, true)).not.toContain("toCountersignatory");
    expect(kinds(500_000, false)).toContain("toBroadcaster");
    expect(kinds(499_999, false)).not.toContain("toBroadcaster");
  });

  it("is the same when its constants are reused", () => {
    const { terms, keys, spec, commitment } = channelPair(channelType);
    const constants = commitmentConstants(crypto, terms);
    expect(buildCommitment(crypto, terms, keys, spec, constants)).toEqual(commitment);
  });
});

it("has both keyed anchors where it has HTLCs, else one for each balance that it pays", () => {
  const anchors = (toCountersignatoryMsat: number, htlcs: PairOptions["htlcs"]) =>
    channelPair("anchors", { toCountersignatoryMsat, ...(htlcs && { htlcs }) })
      .commitment.outputs.map(({ kind }) => kind)
      .filter((kind) => kind.endsWith("Anchor"))
      .sort();
  expect(anchors(0, undefined)).toEqual(["broadcasterAnchor", "countersignatoryAnchor"]);
  expect(anchors(0, [])).toEqual(["broadcasterAnchor"]);
  expect(anchors(1_000_000, [])).toEqual(["broadcasterAnchor", "countersignatoryAnchor"]);
});

describe("a transaction that is no commitment of the channel", () => {
  const { terms, commitment } = channelPair("anchors");
  const [input] = commitment.transaction.inputs as [(typeof commitment.transaction.inputs)[0]];
  const number = (change: Partial<typeof commitment.transaction>) =>
    findCommitmentNumber(crypto, terms, { ...commitment.transaction, ...change });

  it("has no number", () => {
    expect(number({})).toBe(5);
    expect(number({ locktime: 800_000 })).toBeUndefined();
    expect(number({ inputs: [{ ...input, sequence: 0xfffffffd }] })).toBeUndefined();
    expect(number({ inputs: [] })).toBeUndefined();
    expect(number({ inputs: [input, input] })).toBeUndefined();
    const elsewhere = { ...input, outpoint: { ...input.outpoint, vout: 0 } };
    expect(number({ inputs: [elsewhere] })).toBeUndefined();
  });
});

it("refuses to build a commitment whose opener cannot pay for the anchors", () => {
  const poor = (toBroadcasterMsat: number) =>
    channelPair("anchors", { toBroadcasterMsat, feeratePerKw: 0 }).commitment;
  expect(poor(660_000).feeSatoshis).toBeGreaterThanOrEqual(0);
  expect(() => poor(0)).toThrow(/^opener-cannot-pay: /);
});

it("refuses to build a commitment that pays more than the channel holds", () => {
  expect(() =>
    channelPair("zero_fee_commitments", {
      toBroadcasterMsat: 600_000_000,
      toCountersignatoryMsat: 400_001_000,
      htlcs: [],
    }),
  ).toThrow(/more than the channel holds/);
});
