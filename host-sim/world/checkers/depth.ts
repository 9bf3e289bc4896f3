/** A channel is used once its funding is as deep as was agreed, and not a block sooner (BOLT 2 "The channel_ready Message"). */
import { equal } from "../../../core/primitives/bytes.ts";
import { SHORT_DELAYS } from "../actors/policies.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

export const depth: MakeChecker = (world, complain) => ({
  sent: (node, id, message) => {
    const channel = message.type === "channel_ready" ? world.channelOf(id) : undefined;
    // With reorganisations a node may have seen more than there is now.
    if (!channel?.funding || world.has("reorgs")) return;
    // An opener risks nothing where the acceptor wants to wait for less.
    if (node.index === channel.opener && world.isLiar(channel.acceptor)) return;
    const found = depthOf(world, channel.funding);
    // The acceptor says how deep it is to be.
    const { minimumDepth = SHORT_DELAYS.minimumDepth } = world.node(channel.acceptor).policy;
    if (found < minimumDepth) {
      complain(`${node.name} uses a channel whose funding has ${found} confirmations`);
    }
  },
});

function depthOf(world: World, raw: Uint8Array): number {
  for (let height = world.height; height > 0; height--) {
    const { transactions = [] } = world.chain.block(height) ?? {};
    if (transactions.some((one) => equal(one.raw, raw))) return world.height - height + 1;
  }
  return 0;
}
