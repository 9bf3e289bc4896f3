/** Operations about the gateway itself and its peers, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import { ChannelIdHex, Count, Given, NodeId, Nullable, OneOf, Time } from "../schemas.ts";

const Address = Type.String({ description: "node_id@host:port" });

export const Peer = Type.Object(
  {
    node_id: NodeId,
    connected: Type.Boolean(),
    link: Nullable(
      Type.String({ description: "tcp:…, mqtt:…, serial:… as it is named here; null while away" }),
    ),
    address: Nullable(Type.String({ description: "host:port that is called while it is away" })),
    channels: Count(),
    last_seen: Nullable(Time("When it was connected last, since the gateway's start")),
  },
  { title: "Peer" },
);

const Alert = Type.Object(
  {
    name: Type.String({ description: "As docs/OPERATIONS.md and docs/FLEET.md list them" }),
    text: Type.String({ description: "What happened, to what, and what to do" }),
    since: Time("When it was raised; a restart raises it anew"),
    channel_id: Nullable(ChannelIdHex),
    node_id: Nullable(Type.String({ description: "Of the device" })),
  },
  { title: "Alert" },
);

const GivenPeer = Given({ node_id: NodeId });

export const nodeShapes = {
  getNodeInfo: {
    name: "getNodeInfo",
    group: "read",
    method: "GET",
    path: "/api/node/info",
    tag: "Node",
    summary: "Who the gateway is, and how it stands",
    answer: Type.Object(
      {
        node_id: NodeId,
        public_key: NodeId,
        alias: Type.String(),
        version: Type.String(),
        network: OneOf(["mainnet", "testnet4", "signet", "regtest", "sim"], "The Bitcoin network"),
        play_money: Type.Boolean({ description: "The coins are worth nothing" }),
        chain: Type.String({ description: "What stands between the gateway and Bitcoin" }),
        block_height: Count("Newest block that the channels know"),
        synced: Type.Boolean({ description: "That is the newest block of the chain" }),
        bitcoin_address: Nullable(
          Type.String({ description: "Where closes and claims pay to; coins may be sent there" }),
        ),
        addresses: Type.Array(Address, { description: "Where peers reach it" }),
        mqtt: Nullable(Type.String({ description: "The broker of its devices" })),
        connected_peers: Count(),
        channels: Count("Channels that are open or being closed"),
        started_at: Time("When the process started"),
      },
      { title: "NodeInfo" },
    ),
  },
  listAlerts: {
    name: "listAlerts",
    group: "read",
    method: "GET",
    path: "/api/alerts",
    tag: "Node",
    summary: "What needs a person now: of the gateway, its channels and its devices",
    description: "Each is also an event of type alarm when it is raised and when it is cleared.",
    processes: { alerts: "text", notices: "" },
    answer: Type.Object(
      {
        alerts: Type.Array(Alert, { description: "The oldest first" }),
        notices: Type.Array(Type.Object({ at: Time("When it was told"), text: Type.String() }), {
          description: "What was told and has no end, as a refused claim: the newest first",
        }),
      },
      { title: "Alerts" },
    ),
  },
  listPeers: {
    name: "listPeers",
    group: "read",
    method: "GET",
    path: "/api/peers",
    tag: "Peers",
    summary: "Nodes that are connected, have a channel or are called",
    processes: { peers: "node_id" },
    answer: Type.Object({ peers: Type.Array(Peer) }),
  },
  connectPeer: {
    name: "connectPeer",
    group: "channel",
    method: "POST",
    path: "/api/peers",
    tag: "Peers",
    summary: "Call a node now and whenever it is away, also after a restart",
    description: "Answers when it is connected; where that fails it is not called again.",
    body: Given({
      node_id: NodeId,
      host: Type.String({ minLength: 1, maxLength: 253, pattern: "^[A-Za-z0-9.:_-]+$" }),
      port: Type.Integer({ minimum: 1, maximum: 65_535 }),
    }),
    processes: "holder",
    answer: Peer,
  },
  disconnectPeer: {
    name: "disconnectPeer",
    group: "channel",
    method: "DELETE",
    path: "/api/peers/{node_id}",
    tag: "Peers",
    summary: "End the connection, and call that node no more",
    description: "A node that calls by itself may come again.",
    parameters: GivenPeer,
    processes: "holder",
    answer: Type.Object({ node_id: NodeId, was_connected: Type.Boolean() }),
  },
} as const satisfies Record<string, OperationShape>;
