/** What the operations about the gateway and its peers do. */
import { publicKey } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import type { DialledPeer } from "../../run/peer-dialers.ts";
import { addressOf } from "../address.ts";
import { channelsOf } from "../channel-json.ts";
import type { ApiHost } from "../host.ts";
import { type AnyOperation, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { isSynced } from "../readiness.ts";
import { nodeShapes } from "../shapes/node.ts";
import { until } from "../until.ts";

const CONNECT_MS = 15_000;

export function nodeOperations(host: ApiHost): readonly AnyOperation[] {
  const keyOf = ({ node_id }: { readonly node_id: string }) => publicKey(fromHex(node_id));
  return [
    serve(nodeShapes.getNodeInfo, async () => {
      const { nodeId, config, chain, gateway, p2pPort } = host;
      const p2p = p2pPort === undefined ? [] : [`${nodeId}@${config["p2p.host"]}:${p2pPort}`];
      return {
        node_id: nodeId,
        public_key: nodeId,
        alias: config.name,
        version: host.version,
        network: chain.network,
        play_money: chain.isPlayMoney,
        chain: chain.source.name,
        block_height: gateway.node.height,
        synced: await isSynced(host),
        bitcoin_address: addressOf(gateway.payout, chain.network) ?? null,
        addresses: p2p,
        mqtt: host.brokerUrl === undefined ? null : `${host.brokerUrl}/${nodeId}`,
        connected_peers: host.peerBook.connected,
        channels: channelsOf(gateway.node).length,
        started_at: host.startedAt.toISOString(),
      };
    }),
    serve(nodeShapes.listAlerts, () => ({
      alerts: host.alarms.current.map(({ name, text, since, channelId, nodeId }) => ({
        name,
        text,
        since: since.toISOString(),
        channel_id: channelId ?? null,
        node_id: nodeId ?? null,
      })),
      notices: host.alarms.notices.map(({ at, text }) => ({ at: at.toISOString(), text })),
    })),
    serve(nodeShapes.listPeers, () => ({
      peers: peerIds(host).map((nodeId) => peerJson(host, nodeId)),
    })),
    serve(nodeShapes.connectPeer, (input, { signal }) => connect(host, input, signal), keyOf),
    serve(
      nodeShapes.disconnectPeer,
      async ({ node_id }) => {
        const { node } = host.gateway;
        const peer = publicKey(fromHex(node_id));
        const isKnown = host.dialers.get(node_id) !== undefined;
        const wasConnected = node.isConnected(peer);
        if (!isKnown && !wasConnected) {
          throw new ApiProblem("not-found", `${node_id} is neither connected nor called`);
        }
        await host.dialers.forget(node_id);
        node.disconnect({ remoteNodeId: peer }, "the operator ended the connection");
        return { node_id, was_connected: wasConnected };
      },
      keyOf,
    ),
  ];
}

function peerIds(host: ApiHost): readonly string[] {
  const ofChannels = channelsOf(host.gateway.node).map(({ peer_node_id }) => peer_node_id);
  const connected = host.peerBook.nodeIds.filter((id) => host.peerBook.get(id)?.isConnected);
  const dialled = host.dialers.all.map(({ nodeId }) => nodeId);
  return [...new Set([...connected, ...ofChannels, ...dialled])];
}

function peerJson(host: ApiHost, nodeId: string) {
  const { node } = host.gateway;
  const id = publicKey(fromHex(nodeId));
  const address = host.dialers.get(nodeId);
  const channels = channelsOf(node).filter(({ peer_node_id }) => peer_node_id === nodeId);
  return {
    node_id: nodeId,
    connected: node.isConnected(id),
    link: node.linkOf(id)?.name ?? null,
    address: address ? `${address.host}:${address.port}` : null,
    channels: channels.length,
    last_seen: host.peerBook.get(nodeId)?.lastSeen ?? null,
  };
}

async function connect(
  host: ApiHost,
  { node_id: nodeId, host: name, port }: { node_id: string; host: string; port: number },
  signal: AbortSignal,
) {
  if (nodeId === host.nodeId) throw new ApiProblem("refused", "that node is this gateway itself");
  const peer: DialledPeer = { nodeId, host: name, port };
  const before = host.dialers.get(nodeId);
  const { node } = host.gateway;
  const id = publicKey(fromHex(nodeId));
  let failure = `nobody there proved to be ${nodeId} within ${CONNECT_MS / 1000} s`;
  if (!node.isConnected(id)) {
    const failed = new AbortController();
    const isThere = await until(
      host.events,
      { timeoutMs: CONNECT_MS, signal: AbortSignal.any([signal, failed.signal]) },
      (event) =>
        event.type === "peer" && event.node_id === nodeId && event.state === "connected"
          ? true
          : undefined,
      () => {
        host.dialers.dial(peer, (text) => {
          failure = text;
          failed.abort();
        });
        return undefined;
      },
    );
    if (!isThere) {
      host.dialers.hangUp(nodeId);
      if (before) host.dialers.dial(before);
      throw new ApiProblem("not-connected", failure);
    }
  }
  // It called us itself: from now on it is called back.
  if (!host.dialers.get(nodeId)) host.dialers.dial(peer);
  if (!(await host.dialers.keep(peer))) {
    throw new ApiProblem("unavailable", "too many peers are called already: disconnect some");
  }
  return peerJson(host, nodeId);
}
