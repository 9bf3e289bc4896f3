/** Bugs that only a device behind a gateway shows: what it believes of the chain, and what the gateway does for it. */
import type { Mutant } from "./mutant.ts";

const CHAIN_CLIENT = "core/node/chain-client.ts";

export const DEVICE_MUTANTS: readonly Mutant[] = [
  {
    name: "merkle-branch-not-checked",
    breaks: "device-trusts-nobody",
    edits: [
      {
        file: CHAIN_CLIENT,
        old: "    if (!outcome.ok) return { notInBlock: outcome.reason };\n",
        new: "",
      },
    ],
    seeds: 12,
    first: 9,
    needs: ["devices", "lies"],
  },
  {
    name: "proof-ahead-of-its-branch-dropped",
    breaks: "a device learns what ended its channel",
    edits: [
      {
        file: CHAIN_CLIENT,
        old: `    if (outcome === "learnt" || outcome === "nothing new") return;\n`,
        new: `    if (outcome !== "early") return;\n`,
      },
    ],
    seeds: 12,
    first: 21,
    needs: ["devices", "reorgs"],
  },
  {
    name: "watches-not-named-again",
    breaks: "a device learns what ended its channel",
    edits: [
      {
        file: CHAIN_CLIENT,
        old: "    for (const message of this.watched.values()) this.options.send(message);\n",
        new: "",
      },
    ],
    seeds: 12,
    first: 9,
    needs: ["devices"],
  },
  {
    name: "settled-claims-kept-for-devices",
    breaks: "bounded",
    edits: [
      {
        file: "gateway/chain/publisher.ts",
        old: "    if (spends.some((key) => this.#spent.has(key))) return { ok: false, reason: SPENT_ALREADY };\n",
        new: "",
      },
    ],
    seeds: 12,
    first: 9,
    needs: ["devices"],
  },
  {
    name: "gateway-forgets-what-devices-watch",
    breaks: "a device learns what ended its channel",
    edits: [
      {
        file: "gateway/service/device-watches.ts",
        old: "    await this.readAll([...devices.values()].filter(serves));\n",
        new: "",
      },
    ],
    seeds: 12,
    first: 27,
    needs: ["devices"],
  },
  {
    name: "offline-budget-ignored",
    breaks: "offline-budget",
    edits: [
      {
        file: "firmware/device.ts",
        old: "    if (decision.ok) return this.options.declineReason?.();\n",
        new: "    if (decision.ok || !this.declined) return this.options.declineReason?.();\n",
      },
    ],
    seeds: 12,
    first: 9,
    needs: ["devices"],
  },
];
