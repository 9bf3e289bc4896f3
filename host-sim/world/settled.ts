/** Whether everything that was begun in a world has come to its end. */
import { toHex } from "../../core/primitives/bytes.ts";
import type { BookChannel } from "./book.ts";
import type { World } from "./world.ts";

export function isSettled(world: World): boolean {
  return unsettled(world) === "";
}

/** What has not, in words; empty where everything has. */
export function unsettled(world: World): string {
  const reasons: string[] = [];
  for (const node of world.nodes) {
    if (!node.isUp) reasons.push(`${node.name} is down`);
    else if (!node.node?.isIdle)
      reasons.push(`${node.name} is busy, its disk has ${node.disk?.pending} to do`);
    // The newest block may be on its way to it.
    else if (world.isDevice(node.index) && !node.hearsOf(world.height - 1))
      reasons.push(`${node.name} has heard of block ${node.node.height} only`);
  }
  for (const channel of world.book.channels) reasons.push(...unsettledChannel(world, channel));
  return reasons.join("; ");
}

function unsettledChannel(world: World, channel: BookChannel): readonly string[] {
  const { id } = channel;
  if (!id || !channel.created) return [];
  const reasons: string[] = [];
  const name = toHex(id).slice(0, 8);
  for (const index of [channel.opener, channel.acceptor]) {
    const record = world.node(index).record(id);
    if (!record) continue; // it has ended here
    const { phase, pending, receiptsAwaited, awaitingRevocation } = record;
    const { localSigned, localAcked, remoteAcked, remoteSigned } = pending;
    const updates = [localSigned, localAcked, remoteAcked, remoteSigned].flat().length;
    const said = (text: string) => reasons.push(`n${index} ${name}: ${text}`);
    if (phase !== "normal") said(phase);
    else if (!world.node(index).node?.isConnected(record.remoteNodeId)) said("peer is away");
    else if (record.base.htlcs.length > 0) said(`${record.base.htlcs.length} HTLCs`);
    else if (updates > 0 || awaitingRevocation) said(`${updates} updates under way`);
    else if (receiptsAwaited.length > 0) said(`${receiptsAwaited.length} receipts awaited`);
  }
  return reasons;
}
