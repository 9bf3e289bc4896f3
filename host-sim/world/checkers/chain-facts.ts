/** A node that has heard of the newest block believes of the chain what it says: nothing that a reorganisation took out of it (BOLT 5). */
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../../core/transactions/transaction.ts";
import { WorldDevice } from "../actors/world-device.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

export const chainFacts: MakeChecker = (world, complain) => {
  /** By node and channel: what was looked at last. */
  const seen = new Map<string, readonly [ChannelRecord, Uint8Array | undefined]>();
  return {
    step: () => {
      const tip = world.chain.block(world.height)?.hash;
      for (const { id, opener, acceptor } of world.book.channels) {
        for (const index of id ? [opener, acceptor] : []) {
          const { node, name, isUp } = world.node(index);
          const record = id && node?.record(id);
          // A branch that takes the place of another one is longer: who is as high knows it.
          if (!isUp || !record || node?.height !== world.height || !node.isAbreastOfChain) continue;
          if (node.isStored(id)) continue; // halted: what it was told waits until it is read again
          const key = `${name}/${toHex(id)}`;
          const last = seen.get(key);
          if (last?.[0] === record && last[1] === tip) continue;
          seen.set(key, [record, tip]);
          const isTold = world.liars.length > 0 && world.node(index) instanceof WorldDevice;
          const wrong = wrongFact(world, record, isTold);
          if (wrong) complain(`${name} believes in ${wrong}, which is not in the chain`);
        }
      }
    },
  };
};

function wrongFact(
  world: World,
  { facts, fundingHeight, terms }: ChannelRecord,
  /** By a gateway that may lie. */
  isTold: boolean,
) {
  const { txid } = terms.fundingOutpoint;
  const at = (height: number) => world.chain.block(height)?.transactions ?? [];
  if (fundingHeight !== undefined && !at(fundingHeight).some((one) => equal(one.txid, txid))) {
    return `a funding at height ${fundingHeight}`;
  }
  // A merkle branch proves a txid, which says nothing of witnesses: a lying gateway may change them for its device.
  const id = (raw: Uint8Array) => transactionId(world.crypto, parseTransaction(raw));
  const wrong = facts.find(
    ({ raw, height }) =>
      !at(height).some((one) => equal(one.raw, raw) || (isTold && equal(one.txid, id(raw)))),
  );
  return wrong && `a spend at height ${wrong.height}`;
}
