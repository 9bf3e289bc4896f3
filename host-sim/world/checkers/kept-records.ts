/** What several checkers know of the records that nodes store: every one that was committed, and which ones an older disk brought back. */
import type { ChannelRecord } from "../../../core/channel/record.ts";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { World } from "../world.ts";

/** Tells of every record before it is durable. Called in each step; nodes that are known already are left alone. */
export function hearRecords(
  world: World,
  known: Set<WorldNode>,
  hear: (node: WorldNode, record: ChannelRecord) => void,
): void {
  for (const node of world.nodes) {
    if (known.has(node)) continue;
    known.add(node);
    const { checking } = node;
    const others = checking.onRecord;
    checking.onRecord = (record, encoded) => {
      others(record, encoded);
      hear(node, record);
    };
  }
}

/** The durable record of a node that is up; undefined for ever once its disk was replaced by an older one. */
export class DurableRecords {
  private readonly newest = new Map<string, number>();
  private readonly fallen = new Set<string>();

  of(node: WorldNode, id: ChannelId): ChannelRecord | undefined {
    const record = node.isUp ? node.checking.stored(id) : undefined;
    if (!record) return undefined;
    const key = `${node.name}/${toHex(id)}`;
    const { localNumber, remoteNumber } = record;
    const sum = localNumber + remoteNumber;
    if (sum < (this.newest.get(key) ?? 0)) this.fallen.add(key);
    this.newest.set(key, sum);
    return this.fallen.has(key) ? undefined : record;
  }
}
