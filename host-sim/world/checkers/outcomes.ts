/** An HTLC is delivered or refunded: its payer is told one of the two and never both, and "failed" only where nobody was paid (rule `failed-when-never-paid`). */
import type { PaymentHash } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";
import { shownPreimages } from "./on-chain-rules.ts";

export const outcomes: MakeChecker = (world, complain) => {
  /** By payer and payment hash. */
  const told = new Map<string, "fulfilled" | "failed">();
  /** By payee and payment hash: irrevocably its own. */
  const paid = new Set<string>();
  const halted = new Set<WorldNode>();
  const tell = (node: WorldNode, hash: PaymentHash, outcome: "fulfilled" | "failed") => {
    const key = keyOf(node.index, hash);
    const before = told.get(key) ?? outcome;
    told.set(key, outcome);
    // What an older image does not know of, it takes for failed (docs/TESTING.md "What is not tested").
    const isForgotten = node.isRestored && outcome === "failed";
    if (before !== outcome && !isForgotten)
      complain(`${node.name} was told ${before}, then ${outcome}`);
  };
  return {
    alarm: (node) => void halted.add(node),
    event: (node, _, event) => {
      if (event.type === "htlcFulfilled") tell(node, event.htlc.paymentHash, "fulfilled");
      if (event.type === "htlcFailed") tell(node, event.paymentHash, "failed");
      if (event.type === "htlcSettled" && event.fulfilled) {
        paid.add(keyOf(node.index, event.paymentHash));
      }
    },
    end: () => {
      const shown = shownPreimages(world.chain);
      for (const { from, to, hash, secret, committed } of world.book.htlcs) {
        const outcome = told.get(keyOf(from, hash));
        const { name, runs, isByzantine, isRestored } = world.node(from);
        if (isByzantine || world.node(to).isByzantine) continue;
        if (isRestored || world.node(to).isRestored) continue;
        const isTaken = shown.has(toHex(secret)) && isAlone(world, hash);
        if (outcome === "failed" && (isTaken || paid.has(keyOf(to, hash)))) {
          complain(`${name} was told that an HTLC failed, and n${to} has it`);
        }
        // A power cut or a disk that refused may have come between the record and the word.
        const hears = runs === 1 && !halted.has(world.node(from));
        if (committed && hears && !outcome)
          complain(`${name} was never told of an HTLC of its own`);
      }
    },
  };
};

/** On the chain nothing tells the halves of a forwarded one apart. */
function isAlone(world: World, hash: PaymentHash): boolean {
  return world.book.htlcs.filter((one) => equal(one.hash, hash)).length === 1;
}

function keyOf(index: number, hash: PaymentHash): string {
  return `${index}/${toHex(hash)}`;
}
