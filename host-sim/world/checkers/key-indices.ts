/** The keys of a channel never serve another one of the same node (rule `key-index-once`). */
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { MakeChecker } from "./checker.ts";

export const keyIndices: MakeChecker = (world, complain) => {
  const watched = new Set<WorldNode>();
  const owners = new Map<string, string>();
  const hear = ({ name }: WorldNode, { channelId, terms }: ChannelRecord) => {
    const key = `${name}/${terms.keyIndex}`;
    const owner = owners.get(key) ?? toHex(channelId);
    owners.set(key, owner);
    if (owner !== toHex(channelId)) {
      complain(`${name} uses channel key ${terms.keyIndex} for a second channel`);
    }
  };
  return {
    step: () => {
      for (const node of world.nodes) {
        if (watched.has(node)) continue;
        watched.add(node);
        // Of a channel whose first record was lost with the power nothing was signed: its keys are free.
        node.checking.onDurable = (record) => hear(node, record);
      }
    },
  };
};
