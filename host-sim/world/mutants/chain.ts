/** Bugs of what happens on chain: closing, claiming, punishing, reorganisations and depths (BOLT 3, 5). */
import type { Mutant } from "./mutant.ts";

const CLAIMS = "core/transactions/claims.ts";
const HTLCS = "core/chain/monitor/htlcs.ts";

export const CHAIN_MUTANTS: readonly Mutant[] = [
  {
    name: "to-self-delay-one-too-few",
    breaks: "liveness",
    edits: [{ file: CLAIMS, old: "sequence: toSelfDelay,", new: "sequence: toSelfDelay - 1," }],
    seeds: 12,
    first: 2,
    needs: ["forceCloses"],
  },
  {
    name: "delay-agreed-and-not-kept",
    breaks: "whoever publishes waits for its delay",
    edits: [
      {
        file: "core/transactions/channel-terms.ts",
        old: "toSelfDelay: other.toSelfDelay,",
        new: "toSelfDelay: other.toSelfDelay - 1,",
      },
    ],
    seeds: 12,
    first: 2,
    needs: ["forceCloses"],
  },
  {
    name: "htlc-left-out-of-the-penalty",
    breaks: "revoked-always-punished",
    edits: [
      {
        file: HTLCS,
        old: "return [punishHtlc(work, output, htlc)];",
        new: "return htlc.offered ? [punishHtlc(work, output, htlc)] : [];",
      },
    ],
    seeds: 40,
    first: 38,
    needs: ["htlcs", "oldStates"],
  },
  {
    name: "htlc-not-archived",
    breaks: "revoked-always-punished",
    edits: [
      {
        file: "core/channel/archive.ts",
        old: "if (before.length === 0) return [];",
        new: "if (before.length >= 0) return [];",
      },
    ],
    seeds: 60,
    first: 38,
    needs: ["htlcs", "oldStates"],
  },
  {
    name: "balance-left-out-of-the-penalty",
    breaks: "revoked-always-punished",
    edits: [
      {
        file: "core/chain/monitor/balances.ts",
        old: "input: revokedDelayedClaim(output, keys, terms.toSelfDelay, secret),",
        new: "input: revokedDelayedClaim(output, keys, terms.toSelfDelay + 1, secret),",
      },
    ],
    seeds: 30,
    needs: ["oldStates"],
  },
  {
    name: "wrong-side-times-out",
    breaks: "liveness",
    edits: [
      {
        file: HTLCS,
        old: "  if (htlc.offered) {\n    const preimage = knownPreimage(work, htlc);",
        new: "  if (!htlc.offered) {\n    const preimage = knownPreimage(work, htlc);",
      },
    ],
    seeds: 30,
    first: 109,
    needs: ["htlcs", "forceCloses"],
  },
  {
    name: "preimage-on-chain-not-read",
    breaks: "delivered or refunded",
    edits: [
      {
        file: HTLCS,
        old: "  return { preimage: path.preimage };",
        new: "  return {};",
      },
    ],
    seeds: 60,
    first: 53,
    needs: ["htlcs", "deadlines"],
  },
  {
    name: "received-htlc-not-claimed",
    breaks: "delivered or refunded",
    edits: [
      {
        file: HTLCS,
        old: "if (!htlc.offered && preimage === undefined) return waitForTheirs(work, output, htlc);",
        new: "if (!htlc.offered) return waitForTheirs(work, output, htlc);",
      },
    ],
    seeds: 60,
    first: 236,
    needs: ["htlcs", "forceCloses"],
  },
  {
    name: "sweep-pays-a-stranger",
    breaks: "whoever is online loses nothing",
    edits: [
      {
        file: "core/channel/on-chain.ts",
        old: "payoutScript: context.payoutScript,",
        new: "payoutScript: Uint8Array.from(context.payoutScript, (byte, i) => (i < 2 ? byte : 1)),",
      },
    ],
    seeds: 12,
    needs: ["forceCloses"],
  },
  {
    name: "reorganisation-ignored",
    breaks: "liveness",
    edits: [
      {
        file: "gateway/chain/follow.ts",
        old: "    node.rewind(height);\n",
        new: "",
      },
    ],
    seeds: 40,
    first: 27,
    needs: ["reorgs", "forceCloses"],
  },
  {
    name: "ready-one-block-early",
    breaks: "funding as deep as agreed",
    edits: [
      {
        file: "core/channel/funding.ts",
        old: "depth < record.minimumDepth",
        new: "depth + 1 < record.minimumDepth",
      },
    ],
    seeds: 6,
  },
  {
    name: "watches-lost-by-restart",
    breaks: "liveness",
    edits: [
      { file: "core/node/node.ts", old: "      this.watchAgain(runner, record);\n", new: "" },
    ],
    seeds: 40,
    first: 7,
    needs: ["powerCuts", "forceCloses"],
  },
  {
    name: "claims-never-end",
    breaks: "bounded",
    edits: [
      {
        file: "gateway/chain/publisher.ts",
        old: "        : entry.round < this.#round;\n",
        new: "        : false;\n",
      },
    ],
    seeds: 12,
    needs: ["forceCloses"],
  },
  {
    name: "closed-before-irrevocable",
    breaks: "liveness",
    edits: [
      {
        file: "core/chain/monitor/plan.ts",
        old: "return confirmations(work.view, height) >= work.policy.irrevocableDepth;",
        new: "return confirmations(work.view, height) >= 1;",
      },
    ],
    seeds: 60,
    first: 49,
    needs: ["reorgs", "forceCloses"],
  },
  {
    name: "htlc-failed-too-soon",
    breaks: "failed-when-never-paid",
    edits: [
      {
        file: "core/chain/monitor/failed-htlcs.ts",
        old: `if (report.status === "claimed" && report.height !== undefined) {`,
        new: `if (report.status !== "abandoned") {
    return true;
  }
  if (report.status === "claimed" && report.height !== undefined) {`,
      },
    ],
    seeds: 40,
    first: 53,
    needs: ["htlcs", "deadlines"],
  },
  {
    name: "deadline-of-an-offered-htlc-ignored",
    breaks: "liveness",
    edits: [
      {
        file: "core/channel/on-chain.ts",
        old: "if (htlc.offeredByLocal && expired) {",
        new: "if (htlc.offeredByLocal && expired && tipHeight < 0) {",
      },
    ],
    seeds: 12,
    first: 4,
    needs: ["htlcs", "deadlines"],
  },
  {
    name: "low-work-fork-taken",
    breaks: "device-trusts-nobody",
    edits: [
      {
        file: "core/chain/headers.ts",
        old: "if (fork < chain.tip.height && cursor.work <= chain.tip.work) {",
        new: "if (fork < chain.tip.height && cursor.work < 0n) {",
      },
    ],
    seeds: 6,
    first: 3,
    needs: ["reorgs"],
  },
  {
    name: "proof-of-work-not-checked",
    breaks: "device-trusts-nobody",
    edits: [
      {
        file: "core/chain/header-rules.ts",
        old: "if (target === undefined || hashToNumber(header.hash) > target) {",
        new: "if (target === undefined || hashToNumber(header.hash) < 0n) {",
      },
    ],
    seeds: 3,
  },
];
