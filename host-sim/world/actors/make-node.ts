/** Makes the nodes of a world: those with a chain of their own, and the devices behind them. */
import type { SimWallet } from "../../chain/sim-wallet.ts";
import type { World } from "../world.ts";
import { ownPolicy, SHORT_DELAYS } from "./policies.ts";
import { WorldDevice } from "./world-device.ts";
import { WorldGateway } from "./world-gateway.ts";
import type { NodeWatch, WorldNode } from "./world-node.ts";

export async function makeNode(world: World, index: number, watch: NodeWatch): Promise<WorldNode> {
  const { lab, options } = world;
  const { seed, flashBytes, gateways } = options;
  const wallet = (await lab.wallet(`n${index}`)) as SimWallet;
  const policy = world.has("policies") ? ownPolicy(seed, index) : SHORT_DELAYS;
  const place = { seed, lab, wallet, watch, policy, flashBytes: flashBytes[index] };
  const at = gateways[index];
  if (at === undefined) return new WorldGateway(index, place);
  const gateway = world.node(at) as WorldGateway;
  const device = new WorldDevice(index, place, gateway);
  gateway.devices = [...gateway.devices, device.nodeId];
  return device;
}
