/** Bugs of what is paid: pushes, HTLCs, balances, fees and the closing of a channel (BOLT 2, 3). */
import type { Mutant } from "./mutant.ts";

const COMMITMENTS = "core/channel/commitments.ts";
const STATE = "core/channel/state.ts";

export const PAYMENT_MUTANTS: readonly Mutant[] = [
  {
    name: "acknowledge-without-credit",
    breaks: "credited-once",
    edits: [
      { file: COMMITMENTS, old: `draft.emit({ type: "credit", pushId, payments });`, new: "" },
    ],
    seeds: 3,
  },
  {
    name: "credit-before-revocation",
    breaks: "paid-when-revoked",
    edits: [
      {
        file: COMMITMENTS,
        old: "  draft.changeSession({ remoteProposed: [] });\n",
        new: `  for (const update of session.remoteProposed) {
    if (update.type === "push") creditPush(draft, update.id, update.payments, {});
  }
  draft.changeSession({ remoteProposed: [] });
`,
      },
      {
        file: COMMITMENTS,
        old: "creditPush(draft, update.id, update.payments, declined);",
        new: "void declined;",
      },
    ],
    seeds: 40,
  },
  {
    name: "credit-twice-after-restart",
    breaks: "credited-once",
    edits: [
      {
        file: "core/node/known-reference.ts",
        old: "if (store.isAnyDebited) return store.isAnyDebited(payments);",
        new: "",
      },
      {
        file: "core/node/known-reference.ts",
        old: "if (known === true) return true;",
        new: "",
      },
      {
        file: "core/node/known-reference.ts",
        old: "return Promise.all(waiting).then((all) => all.includes(true));",
        new: "return false;",
      },
      {
        file: "core/node/known-reference.ts",
        old: "return own.length > 0 ? {",
        new: "return own.length < 0 ? {",
      },
    ],
    seeds: 16,
  },
  {
    name: "reference-not-looked-up",
    breaks: "credited-once",
    edits: [
      {
        file: "core/node/known-reference.ts",
        old: "if (store.isAnyDebited) return store.isAnyDebited(payments);",
        new: "return false;",
      },
    ],
    seeds: 16,
  },
  {
    name: "push-counted-twice",
    breaks: "value-conserved",
    edits: [
      {
        file: STATE,
        old: `      balances[by] -= update.amountMsat;
      balances[other] += update.amountMsat;`,
        new: `      balances[by] -= 2 * update.amountMsat;
      balances[other] += 2 * update.amountMsat;`,
      },
    ],
    seeds: 3,
  },
  {
    name: "value-made-of-nothing",
    breaks: "value-conserved",
    edits: [
      {
        file: STATE,
        old: `      balances[by] += takeHtlc(balances, by, update.htlcId).amountMsat;`,
        new: `      balances[by] += takeHtlc(balances, by, update.htlcId).amountMsat + 1;`,
      },
    ],
    seeds: 6,
    needs: ["htlcs"],
  },
  {
    name: "failed-htlc-not-given-back",
    breaks: "delivered or refunded",
    edits: [
      {
        file: STATE,
        old: "balances[other] += takeHtlc(balances, by, update.htlcId).amountMsat;",
        new: "balances[by] += takeHtlc(balances, by, update.htlcId).amountMsat;",
      },
    ],
    seeds: 6,
    needs: ["htlcs"],
  },
  {
    name: "htlc-lost-on-one-side",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: STATE,
        old: "    htlcs: state.htlcs.map(({ offeredByLocal, id,",
        new: "    htlcs: state.htlcs.filter((htlc) => !local || htlc.amountMsat < 50_000_000).map(({ offeredByLocal, id,",
      },
    ],
    seeds: 6,
    needs: ["htlcs"],
  },
  {
    name: "fee-of-one-side",
    breaks: "honest-peer-never-force-closed",
    edits: [
      {
        file: STATE,
        old: "balances.feeratePerKw = update.feeratePerKw;",
        new: `if (by === "local") balances.feeratePerKw = update.feeratePerKw;`,
      },
    ],
    seeds: 8,
    first: 4,
    needs: ["fees"],
  },
  {
    name: "fee-not-deducted",
    breaks: "liveness",
    edits: [
      {
        file: "core/transactions/commitment.ts",
        old: "const less = (balance: Satoshi) => satoshi(Math.max(0, balance - cost));",
        new: "const less = (balance: Satoshi) => satoshi(Math.max(0, balance - 0 * cost));",
      },
    ],
    seeds: 12,
    needs: ["forceCloses"],
  },
  {
    name: "preimage-not-stored",
    breaks: "preimage-never-forgotten",
    edits: [
      {
        file: "core/channel/updates.ts",
        old: "  storePreimage(draft, htlc, preimage);\n  // Without",
        new: "  // Without",
      },
    ],
    seeds: 60,
    first: 236,
    needs: ["htlcs", "forceCloses"],
  },
  {
    name: "learnt-preimage-not-stored",
    breaks: "preimage-never-forgotten",
    edits: [
      {
        file: "core/channel/received-updates.ts",
        old: "if (!htlc.preimage) storePreimage(draft, htlc, preimage);",
        new: "",
      },
    ],
    seeds: 60,
    first: 5,
    needs: ["htlcs"],
  },
  {
    name: "htlc-fails-in-silence",
    breaks: "delivered or refunded",
    edits: [
      {
        file: COMMITMENTS,
        old: `draft.notify({ type: "htlcFailed", htlcId, paymentHash, reason });`,
        new: "void [htlcId, paymentHash, reason];",
      },
    ],
    seeds: 8,
    first: 16,
    needs: ["htlcs"],
  },
  {
    name: "closing-with-swapped-balances",
    breaks: "value-conserved",
    edits: [
      {
        file: "core/channel/closing.ts",
        old: `    closerMsat: local ? base.toLocalMsat : base.toRemoteMsat,
    closeeMsat: local ? base.toRemoteMsat : base.toLocalMsat,`,
        new: `    closerMsat: local ? base.toRemoteMsat : base.toLocalMsat,
    closeeMsat: local ? base.toLocalMsat : base.toRemoteMsat,`,
      },
    ],
    seeds: 12,
    first: 19,
    needs: ["closes"],
  },
  {
    name: "nonce-used-twice",
    breaks: "no nonce twice under a key",
    edits: [
      {
        file: "core/transport/cipher.ts",
        old: "nonce[4] = number;",
        new: "nonce[4] = number & 0xfe;",
      },
    ],
    seeds: 12,
  },
];
