/** Channels as the API tells of them. */
import type { Static } from "@sinclair/typebox";
import type { Channel as CoreChannel } from "../../core/channel/draft.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { type ChannelId, channelId, type PublicKey } from "../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { toDisplay } from "../chain/bitcoind/units.ts";
import type { ApiHost } from "./host.ts";
import { ApiProblem } from "./problem.ts";
import type { Channel } from "./shapes/channels.ts";

export type ChannelJson = Static<typeof Channel>;
type Node = ApiHost["gateway"]["node"];

export function channelsOf(node: Node): readonly ChannelJson[] {
  return node.channels().flatMap(({ id, channel }) => channelJson(node, id, channel) ?? []);
}

/** @throws ApiProblem "not-found". */
export function channelOf(node: Node, idHex: string): ChannelJson {
  const id = /^[0-9a-f]{64}$/.test(idHex) ? channelId(fromHex(idHex)) : undefined;
  const record = id && node.record(id);
  if (record) return live(node, record);
  // One that is opening has no record yet; there are few, and they are not asked for with each payment.
  const found = id && node.channels().find((one) => equal(one.id, id));
  const json = found && channelJson(node, found.id, found.channel);
  if (json) return json;
  throw new ApiProblem("not-found", `there is no channel ${idHex}: GET /api/channels lists them`);
}

/** The node at the other end; undefined where there is no such channel. */
export function peerOf(node: Node, idHex: string): PublicKey | undefined {
  return node.record(channelId(fromHex(idHex)))?.remoteNodeId;
}

function channelJson(node: Node, id: ChannelId, channel: CoreChannel): ChannelJson | undefined {
  if (channel.kind === "ended") return undefined;
  return channel.kind === "live" ? live(node, channel.record) : opening(node, id, channel);
}

function live(node: Node, record: ChannelRecord): ChannelJson {
  const { base, terms, remoteNodeId } = record;
  return {
    channel_id: toHex(record.channelId),
    peer_node_id: toHex(remoteNodeId),
    state: record.phase,
    connected: node.isConnected(remoteNodeId),
    channel_type: terms.channelType,
    funding_txid: toDisplay(terms.fundingOutpoint.txid),
    funding_vout: terms.fundingOutpoint.vout,
    confirmations_needed: record.minimumDepth,
    capacity_sat: terms.fundingSatoshis,
    local_balance_msat: base.toLocalMsat,
    remote_balance_msat: base.toRemoteMsat,
    htlcs: base.htlcs.length,
    opened_by_us: terms.localIsOpener,
  };
}

function opening(
  node: Node,
  id: ChannelId,
  { opening: one }: Extract<CoreChannel, { kind: "opening" }>,
): ChannelJson {
  const isOurs = one.step !== "accept-sent";
  const opener = one.fundingSatoshis * 1000 - one.pushMsat;
  return {
    channel_id: toHex(id),
    peer_node_id: toHex(one.remoteNodeId),
    state: "opening",
    connected: node.isConnected(one.remoteNodeId),
    channel_type: one.channelType,
    funding_txid: null,
    funding_vout: null,
    confirmations_needed: "minimumDepth" in one ? one.minimumDepth : 0,
    capacity_sat: one.fundingSatoshis,
    local_balance_msat: isOurs ? opener : one.pushMsat,
    remote_balance_msat: isOurs ? one.pushMsat : opener,
    htlcs: 0,
    opened_by_us: isOurs,
  };
}
