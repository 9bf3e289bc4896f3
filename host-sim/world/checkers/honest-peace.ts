/** Two honest nodes never close their channel by force because of each other, and never take each other for a liar (rule `honest-peer-never-force-closed`). */
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

export const honestPeace: MakeChecker = (world, complain) => ({
  event: (node, id, event) => {
    const channel = world.channelOf(id);
    if (channel?.cheated || channel?.restored || node.isByzantine) return;
    // One that a liar is just opening: the book knows it by its id a moment later.
    if (!channel && isOfLiar(world, node, id)) return;
    if (event.type === "forceClosing" && !channel?.forceAsked) {
      complain(`${node.name} closes by force: ${event.reason}`);
    }
    if (event.type === "violation") complain(`${node.name}: ${event.tag}: ${event.text}`);
    if (event.type === "outdated" || event.type === "peerOutdated") {
      complain(`${node.name}: ${event.type}`);
    }
  },
});

function isOfLiar(world: World, node: WorldNode, id: ChannelId): boolean {
  const peer = node.record(id)?.remoteNodeId;
  return world.nodes.some(
    ({ index, signer }) => world.isLiar(index) && peer !== undefined && equal(signer.nodeId, peer),
  );
}
