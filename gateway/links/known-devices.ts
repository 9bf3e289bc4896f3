/** Devices that have a channel here, by their names in topics: asked for with every stranger that comes while all places are taken. */
import type { Node } from "../../core/node/node.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";

/** A device that had its first channel since then is known a moment later. */
const KNOWN_FOR_MS = 5_000;

export class KnownDevices {
  private names: ReadonlySet<string> = new Set();
  private madeMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly node: Pick<Node, "channels">,
    private readonly nowMs: () => number,
  ) {}

  has(name: string): boolean {
    const nowMs = this.nowMs();
    if (nowMs - this.madeMs >= KNOWN_FOR_MS) {
      this.madeMs = nowMs;
      const live = this.node.channels().filter(({ channel }) => channel.kind === "live");
      this.names = new Set(live.map(({ remoteNodeId }) => topicName(toHex(remoteNodeId))));
    }
    return this.names.has(name);
  }
}
