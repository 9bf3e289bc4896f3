/** Operations about channels and the payments inside one, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import {
  ChannelIdHex,
  Count,
  Given,
  Limit,
  Msat,
  NodeId,
  Nullable,
  OneOf,
  ReferenceHex,
  Sat,
  Time,
  TxidHex,
} from "../schemas.ts";

export const CHANNEL_STATES = [
  "opening",
  "awaiting-funding",
  "normal",
  "closing",
  "force-closing",
  "on-chain",
  "outdated",
] as const;

export const Channel = Type.Object(
  {
    channel_id: Type.String({
      pattern: "^[0-9a-f]{64}$",
      description: "channel_id (BOLT 2); a temporary one while the state is opening",
    }),
    peer_node_id: NodeId,
    state: OneOf(CHANNEL_STATES, "Where it stands"),
    connected: Type.Boolean(),
    channel_type: Type.String(),
    funding_txid: Nullable(TxidHex),
    funding_vout: Nullable(Count()),
    confirmations_needed: Count("Depth of the funding transaction that we wait for"),
    capacity_sat: Sat("What the funding output holds"),
    local_balance_msat: Msat("Ours, without what is in HTLCs"),
    remote_balance_msat: Msat("The peer's, without what is in HTLCs"),
    htlcs: Count("HTLCs that are not settled"),
    opened_by_us: Type.Boolean(),
  },
  { title: "Channel" },
);

export const ChannelPayment = Type.Object(
  {
    reference: ReferenceHex,
    direction: OneOf(["sent", "received"], "Seen from the gateway"),
    amount_msat: Msat("What was pushed"),
    state: OneOf(
      ["pending", "succeeded"],
      "succeeded: signed by both sides and durable; it cannot be taken back",
    ),
    at: Time("When it became durable here"),
  },
  { title: "ChannelPayment" },
);

const OneChannel = Given({ channel_id: ChannelIdHex });

export const channelShapes = {
  listChannels: {
    name: "listChannels",
    group: "read",
    method: "GET",
    path: "/api/channels",
    tag: "Channels",
    summary: "All channels, those that are being opened or closed included",
    query: Given({
      peer_node_id: Type.Optional(NodeId),
      state: Type.Optional(OneOf(CHANNEL_STATES, "Only those")),
    }),
    processes: { channels: "channel_id" },
    answer: Type.Object({ channels: Type.Array(Channel) }),
  },
  getChannel: {
    name: "getChannel",
    group: "read",
    method: "GET",
    path: "/api/channels/{channel_id}",
    tag: "Channels",
    summary: "One channel",
    parameters: OneChannel,
    processes: "holder",
    answer: Channel,
  },
  openChannel: {
    name: "openChannel",
    group: "channel",
    method: "POST",
    path: "/api/channels",
    tag: "Channels",
    summary: "Open a channel with a connected peer, from the gateway's coins",
    description:
      "Answers when the funding transaction is signed by both sides and on its way, or after half a minute with the state opening.",
    body: Given({
      peer_node_id: NodeId,
      capacity: Sat("Size of the channel in satoshi", 1),
      push: Type.Optional(Sat("Satoshi that are the peer's from the beginning")),
    }),
    processes: "holder",
    answer: Channel,
    movesMoney: true,
  },
  closeChannel: {
    name: "closeChannel",
    group: "channel",
    method: "DELETE",
    path: "/api/channels/{channel_id}",
    tag: "Channels",
    summary: "Close a channel; a second call does no harm",
    description:
      "Together with the peer; while it is away the state stays as it was, and the close is kept until the peer is back, " +
      "also over a restart. With force alone, and then our money is bound for to_self_delay blocks.",
    parameters: OneChannel,
    query: Given({
      force: Type.Optional(Type.Boolean({ default: false })),
      feerate_sat_per_vb: Type.Optional(Type.Number({ minimum: 1, maximum: 1_000 })),
    }),
    processes: "holder",
    answer: Type.Object({
      channel_id: ChannelIdHex,
      state: OneOf([...CHANNEL_STATES, "closed"], "Where it stands by now"),
      closing_txid: Nullable(TxidHex),
    }),
  },
  payChannel: {
    name: "payChannel",
    group: "pay",
    method: "POST",
    path: "/api/channels/{channel_id}/payments",
    tag: "Channels",
    summary: "Push an amount to the peer of a channel",
    description: "Either amount (satoshi) or amount_msat.",
    parameters: OneChannel,
    body: Given({
      amount: Type.Optional(Sat("Satoshi", 1)),
      amount_msat: Type.Optional(Msat("Millisatoshi", 1)),
    }),
    processes: "holder",
    answer: ChannelPayment,
    movesMoney: true,
  },
  listChannelPayments: {
    name: "listChannelPayments",
    group: "read",
    method: "GET",
    path: "/api/channels/{channel_id}/payments",
    tag: "Channels",
    summary: "Pushes in a channel since the gateway's start, newest first",
    parameters: OneChannel,
    query: Given({ limit: Limit }),
    processes: "holder",
    answer: Type.Object({ payments: Type.Array(ChannelPayment) }),
  },
} as const satisfies Record<string, OperationShape>;
