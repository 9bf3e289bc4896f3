/** Makes a device a gateway's: it is taken into the fleet, and claimed for it over the cable or radio that leads to it from here. */

import type { PicoboltClient } from "../../client/client.ts";
import type { PlainObject } from "../../core/messages/admin-values.ts";
import { secretKey } from "../../core/primitives/brands.ts";
import { type Context, type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { secretIn } from "../keys/home.ts";
import { openEndpoint } from "../links/endpoint.ts";
import { requestOf } from "../owner/claim.ts";
import { networkOf } from "../owner/known-devices.ts";
import { answered, connectOwner, ownerKeyFile } from "../owner/owned-device.ts";
import { choosePort } from "../ports/serial-ports.ts";

export async function claimForFleet(
  client: PicoboltClient,
  context: Context,
  options: Options,
): Promise<void> {
  const { out, home } = context;
  const { network } = await client.call("getNodeInfo", {});
  const place = text(options, "at") ?? (await choosePort(undefined));
  const endpoint = await openEndpoint(context, place, "picobolt device");
  if (endpoint.card?.model === "gateway") {
    throw new Failure(`${endpoint.name} leads to a gateway, not to a device`, EXIT.refused);
  }
  const nodeId = Buffer.from(endpoint.nodeId).toString("hex");
  const groups = (options.group as readonly string[] | undefined) ?? [];
  const name = text(options, "name") ?? "";
  const told = await client.call("claimDevice", { node_id: nodeId, name, groups: [...groups] });
  const gateway = told.owner;
  // The simulated chain's devices know it as regtest.
  const chain = networkOf(network === "sim" ? "regtest" : network);
  const request = {
    ...requestOf({ ...options, gateway, network: chain }),
    owner: new Uint8Array(Buffer.from(gateway, "hex")),
    ...(told.mqtt && { mqtt: told.mqtt as PlainObject }),
  };
  // Any key will do: it names the owner, and is none itself.
  const owner = secretKey(secretIn(ownerKeyFile(home)).secret);
  const device = await connectOwner(context, { endpoint, owner, network: chain });
  await answered(device.claim(request));
  out.text(`${name} belongs to the gateway ${gateway.slice(0, 16)}; its node id is ${nodeId}`);
  if (!told.mqtt)
    out.note("the gateway gave it no broker: tell it one (mqtt), or leave it on a cable");
  out.result({ node_id: nodeId, name, owner: gateway, has_broker: told.mqtt !== null });
}
