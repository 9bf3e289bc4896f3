/** Who publishes a revoked state gets nothing of it: every output that is worth a fee ends with the other side (BOLT 5). */
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import { outpointKey } from "../../../core/transactions/transaction.ts";
import type { SimTransaction } from "../../chain/sim-transaction.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

/** Anchors, and what costs more than it is worth. */
const MAX_DUST_SATOSHIS = 1_100;

export const punishment: MakeChecker = (world, complain) => ({
  end: () => {
    const confirmed = confirmedTransactions(world);
    const spenders = new Map<string, SimTransaction>();
    for (const one of confirmed.values()) for (const key of one.spends) spenders.set(key, one);
    for (const { by, raw, isPunishable, channel } of world.book.oldStates) {
      const { opener, acceptor } = channel;
      // Who was told of blocks and not of the spend cannot punish it.
      if (world.chainLiar?.deceived.has(opener + acceptor - by)) continue;
      const found = [...confirmed.values()].find((one) => equal(one.raw, raw));
      if (!found || !isPunishable) continue;
      const kept = keptFrom(world, by, found, spenders);
      if (kept > 0) complain(`n${by} published a revoked state, and ${kept} sat are not taken`);
    }
  },
});

/** Satoshis that no honest node got; whether the right one did, or a tower whose coins paid the fee, `wealth` knows. */
function keptFrom(
  world: World,
  by: number,
  transaction: SimTransaction,
  spenders: ReadonlyMap<string, SimTransaction>,
): number {
  const honest = world.nodes.filter(({ index }) => index !== by);
  let kept = 0;
  transaction.parsed.outputs.forEach(({ script, amount }, vout) => {
    const isTheirs = honest.some(
      ({ wallet, payoutScript }) => wallet.owns(script) || equal(script, payoutScript),
    );
    if (isTheirs || amount <= MAX_DUST_SATOSHIS) return;
    const spender = spenders.get(outpointKey({ txid: transaction.txid, vout }));
    kept += spender ? keptFrom(world, by, spender, spenders) : amount;
  });
  return kept;
}

function confirmedTransactions(world: World): ReadonlyMap<string, SimTransaction> {
  const all = new Map<string, SimTransaction>();
  for (let height = 1; height <= world.height; height++) {
    for (const one of world.chain.block(height)?.transactions.slice(1) ?? []) {
      all.set(toHex(one.txid), one);
    }
  }
  return all;
}
