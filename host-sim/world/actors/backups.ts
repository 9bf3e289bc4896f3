/** An owner whose disk broke: an older image of it comes back, told of or not, and nothing may be lost by that but what the image never knew. */
import { decodeRecord, encodeRecord } from "../../../core/channel/codec.ts";
import { type ChannelRecord, isOpen } from "../../../core/channel/record.ts";
import type { Random } from "../../random.ts";
import type { WorldClass } from "../options.ts";
import type { World } from "../world.ts";
import type { WorldNode } from "./world-node.ts";

/** With these an old record that nobody marked could be published before the peer is heard. */
const MAY_PUBLISH: readonly WorldClass[] = ["forceCloses", "oldStates", "deadlines"];

/** The first node that an image is taken of: of two sides of a channel one may lose its memory, not both. */
export function backUp(world: World, random: Random): void {
  const node = world.backup?.node ?? random.oneOf(world.nodes);
  if (world.backup && !random.oneIn(4)) return; // nobody takes one often
  // What is forwarded is known to a ledger beside the store; and a peer that cheats keeps what it can.
  const isIn = (["forwards", "oldStates", "lies"] as const).some((name) => world.has(name));
  if (!node.isUp || isIn) return;
  const channels = node.channelIds();
  world.backup = { node, image: node.memory.image(), channels, opened: world.book.channels.length };
  world.note(`image of ${node.name}`);
}

export function restoreBackup(world: World, random: Random): void {
  const { backup } = world;
  if (!backup || backup.node.isRestored) return;
  const { node, image, channels, opened } = backup;
  const isSame = node.channelIds() === channels && opened === world.book.channels.length;
  if (!node.isUp || !isSame) return;
  world.note(`${node.name} gets an older image back`);
  world.cutPower(node.index, random.between(2, 12));
  node.isRestored = true;
  for (const channel of world.book.channels) {
    if (channel.opener === node.index || channel.acceptor === node.index) channel.restored = true;
  }
  node.memory.restore(image);
  node.checking.replaced();
  node.memory.powerOn();
  const isTold = random.oneIn(2) || MAY_PUBLISH.some((name) => world.has(name));
  if (isTold) markSuspect(node);
}

/** As a restore by the owner's tools does. */
function markSuspect(node: WorldNode): void {
  const { memory } = node;
  for (const { channelId, record: kept } of memory.load() as Awaited<
    ReturnType<typeof memory.load>
  >) {
    const record =
      kept instanceof Uint8Array
        ? decodeRecord(kept, (key) => node.channelSigner(key).basepoints)
        : (kept.live as ChannelRecord);
    if (!isOpen(record.phase)) continue;
    const live = { ...record, suspect: true };
    memory.commit({ channelId, record: () => encodeRecord(live), live });
  }
}
