/** What the operations about devices do. */
import { type PublicKey, publicKey } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { topicName } from "../../../core/transport/mqtt-topics.ts";
import type { FleetDevice, JsonObject } from "../../fleet/fleet-types.ts";
import { channelsOf } from "../channel-json.ts";
import { deviceFields, orProblem, saleJson } from "../fleet-json.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { deviceShapes } from "../shapes/devices.ts";

type DeviceJson = Answer<typeof deviceShapes.getDevice>;

const DEFAULT_LIMIT = 100;

export function deviceOperations(host: ApiHost): readonly AnyOperation[] {
  const about = ({ node_id }: { readonly node_id: string }) => nodeOf(host, node_id);
  return [
    serve(deviceShapes.listDevices, ({ group }) => ({
      devices: deviceIds(host, group).map((nodeId) => deviceJson(host, nodeId)),
    })),
    serve(
      deviceShapes.getDevice,
      ({ node_id }) => {
        if (deviceIds(host).includes(node_id)) return deviceJson(host, node_id);
        throw new ApiProblem("not-found", `${node_id} has no channel here and was not seen`);
      },
      about,
    ),
    serve(deviceShapes.claimDevice, (input) => claim(host, input), about),
    serve(
      deviceShapes.revokeDevice,
      async ({ node_id }) => {
        const { hadCredentials } = await orProblem(fleetOf(host).revoke(node_id));
        return { device: deviceJson(host, node_id), had_credentials: hadCredentials };
      },
      about,
    ),
    serve(
      deviceShapes.setDeviceGroups,
      async ({ node_id, groups }) => {
        await orProblem(fleetOf(host).setGroups(node_id, groups));
        return deviceJson(host, node_id);
      },
      about,
    ),
    serve(
      deviceShapes.listDeviceSales,
      async ({ node_id, kind, before, limit = DEFAULT_LIMIT }) => {
        const fleet = fleetOf(host);
        await orProblem(Promise.resolve().then(() => fleet.device(node_id)));
        const sales = await fleet.sales({
          nodeId: node_id,
          limit,
          ...(kind !== undefined && { kind }),
          ...(before !== undefined && { before }),
        });
        return { sales: sales.map(saleJson) };
      },
      about,
    ),
  ];
}

/** @throws ApiProblem where it is no point of the curve. */
export function nodeOf({ crypto }: Pick<ApiHost, "crypto">, nodeId: string): PublicKey {
  const bytes = fromHex(nodeId);
  if (crypto.isPublicKey(bytes)) return publicKey(bytes);
  throw new ApiProblem("invalid-request", `${nodeId} is no node id: no point of the curve`);
}

export function fleetOf({ fleet }: Pick<ApiHost, "fleet">) {
  if (fleet) return fleet;
  const text =
    "several processes share this gateway (worker.name), and a fleet is run by one alone";
  throw new ApiProblem("refused", text);
}

async function claim(
  host: ApiHost,
  { node_id, name, groups, claim: given }: Input<typeof deviceShapes.claimDevice>,
): Promise<Answer<typeof deviceShapes.claimDevice>> {
  const fleet = fleetOf(host);
  nodeOf(host, node_id);
  const known = fleet.registry.get(node_id);
  const { app_settings: appConfig, ...rest } = given ?? {};
  const request: JsonObject | undefined = given && {
    ...(rest as JsonObject),
    ...(appConfig && { appConfig: appConfig as JsonObject }),
    gateway: host.nodeId,
    network: host.chain.network === "sim" ? "regtest" : host.chain.network,
  };
  const { mqtt } = await orProblem(
    fleet.add({
      nodeId: node_id,
      name,
      groups: groups ?? known?.groups ?? [],
      ...(request && { claim: request }),
    }),
  );
  return { device: deviceJson(host, node_id), owner: host.nodeId, mqtt: mqtt ?? null };
}

/** The fleet; who came over another link than TCP; and who has a channel, and is not called by us. */
function deviceIds(host: ApiHost, group?: string): readonly string[] {
  const { gateway, peerBook, dialers, mqtt, fleet } = host;
  if (group !== undefined) return fleet?.registry.inGroup(group).map(({ nodeId }) => nodeId) ?? [];
  const ofChannels = channelsOf(gateway.node)
    .map(({ peer_node_id }) => peer_node_id)
    .filter((id) => !dialers.get(id) && (mqtt?.presence(topicName(id)) || !isOverTcp(id)));
  function isOverTcp(id: string): boolean {
    const seen = peerBook.get(id);
    return seen !== undefined && !seen.isDevice;
  }
  const came = peerBook.nodeIds.filter((id) => peerBook.get(id)?.isDevice);
  const ours = fleet?.registry.all().map(({ nodeId }) => nodeId) ?? [];
  return [...new Set([...ours, ...came, ...ofChannels])];
}

export function deviceJson(host: ApiHost, nodeId: string): DeviceJson {
  const { node } = host.gateway;
  const { peerBook, mqtt, fleet } = host;
  const id = publicKey(fromHex(nodeId));
  const device: FleetDevice | undefined = fleet?.registry.get(nodeId);
  const channels = channelsOf(node).filter(({ peer_node_id }) => peer_node_id === nodeId);
  const sum = (amounts: readonly number[]) => amounts.reduce((total, one) => total + one, 0);
  const fields = deviceFields(fleet, device);
  return {
    ...fields,
    node_id: nodeId,
    connected: node.isConnected(id),
    link: node.linkOf(id)?.name ?? null,
    presence: mqtt?.presence(topicName(nodeId)) ?? null,
    channels: channels.length,
    local_balance_msat: sum(channels.map((one) => one.local_balance_msat)),
    remote_balance_msat: sum(channels.map((one) => one.remote_balance_msat)),
    last_seen: peerBook.get(nodeId)?.lastSeen ?? fields.last_seen,
  };
}
