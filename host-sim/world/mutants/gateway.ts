/** Bugs of what surrounds the channels: HTLCs that are forwarded, and stores on flash. */
import type { Mutant } from "./mutant.ts";

const FORWARDER = "gateway/payments/forwarder.ts";
const LOG_FORMAT = "firmware/store/log-format.ts";

export const GATEWAY_MUTANTS: readonly Mutant[] = [
  {
    name: "crc-of-flash-skipped",
    breaks: "a store holds what was durable",
    edits: [
      {
        file: LOG_FORMAT,
        old: `  if (view.getUint32(12, true) !== crc32(payload, check)) return { kind: "damaged", next };\n`,
        new: "",
      },
    ],
    seeds: 30,
    first: 19,
    needs: ["flash", "torn"],
  },
  {
    name: "half-a-commit-counts",
    breaks: "a store holds what was durable",
    edits: [
      {
        file: LOG_FORMAT,
        old: "last: (view.getUint8(1) & FLAG_LAST) !== 0,",
        new: "last: true,",
      },
    ],
    seeds: 30,
    first: 4,
    needs: ["flash"],
  },
  {
    name: "preimage-not-given-upstream",
    breaks: "delivered or refunded",
    edits: [
      {
        file: FORWARDER,
        old: `    if (state.type !== "fulfilled") return;\n`,
        new: `    if (state.type !== "fulfilled" || hash.length > 0) return;\n`,
      },
    ],
    seeds: 12,
    first: 3,
    needs: ["forwards"],
  },
  {
    name: "failed-upstream-in-doubt",
    breaks: "failed-when-never-paid",
    edits: [
      {
        file: "gateway/payments/attempts.ts",
        old: "return isLive ? IN_FLIGHT : GONE;",
        new: "return isLive && preimage ? IN_FLIGHT : GONE;",
      },
    ],
    seeds: 30,
    first: 3,
    needs: ["forwards"],
  },
  {
    name: "offered-before-it-is-written",
    breaks: "forward-written-first",
    edits: [{ file: FORWARDER, old: "isOurs = await ledger.claim(entry);", new: "isOurs = true;" }],
    seeds: 60,
    first: 216,
    needs: ["forwards", "powerCuts"],
  },
  {
    name: "forwards-more-than-it-got",
    breaks: "whoever is online loses no more than fees",
    edits: [
      {
        file: "gateway/payments/forward-policy.ts",
        old: `if (fee < 0 || fee < forwardFee(policy, amountMsat)) return "feeInsufficient";`,
        new: "void fee;",
      },
      {
        file: FORWARDER,
        old: "feeMsat: milliSatoshi(htlc.amountMsat - amountMsat),",
        new: "feeMsat: milliSatoshi(Math.max(0, htlc.amountMsat - amountMsat)),",
      },
    ],
    seeds: 20,
    first: 112,
    needs: ["forwards", "greed"],
  },
  {
    name: "forwards-beyond-its-time",
    breaks: "whoever is online loses no more than fees",
    edits: [
      {
        file: "gateway/payments/forward-policy.ts",
        old: `if (htlc.cltvExpiry - cltvExpiry < policy.cltvExpiryDelta) return "incorrectCltvExpiry";`,
        new: "",
      },
    ],
    seeds: 60,
    first: 621,
    needs: ["forwards", "greed", "deadlines"],
  },
];
