/** Makes an unclaimed device its owner's: shows what will be done, binds it, and sends the price list. */
import { readFileSync } from "node:fs";
import type { PlainObject } from "../../core/messages/admin-values.ts";
import { secretKey } from "../../core/primitives/brands.ts";
import type { ClaimRequest } from "../../gateway/admin/client.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { secretIn } from "../keys/home.ts";
import { describeIdentity } from "../links/identify.ts";
import { DEFAULT_NETWORK, networkOf, rememberDevice } from "./known-devices.ts";
import { answered, connectOwner, deviceEndpoint, ownerKeyFile } from "./owned-device.ts";
import { readPriceFile } from "./price-file.ts";

export async function claim(
  context: Context,
  _args: readonly string[],
  options: Options,
): Promise<void> {
  const { out, home } = context;
  const request = requestOf(options);
  const file = text(options, "priceList");
  const products = file ? readPriceFile(file) : [];
  const endpoint = await deviceEndpoint(context, options);
  const nodeId = hex(endpoint.nodeId);
  if (endpoint.card) out.note(`${endpoint.name}: ${describeIdentity(endpoint.card)}`);
  if (endpoint.card?.model === "gateway") {
    throw new Failure(
      `${endpoint.name} leads to a gateway, not to a device; a new device is claimed by its cable or over BLE`,
      EXIT.refused,
    );
  }
  if (endpoint.card?.claimed) {
    throw new Failure(
      `the device on ${endpoint.name} has an owner already: if that is you, picobolt settings and price-list change ` +
        "what it does; a factory reset (its button) frees it",
      EXIT.refused,
    );
  }
  const keyFile = ownerKeyFile(home);
  out.text(planOf(request, { nodeId, products: products.length, keyFile }));
  if (options.dryRun) {
    out.result({ dryRun: true, nodeId, ...request, gateway: hex(request.gateway) });
    return;
  }
  const { secret, isNew } = secretIn(keyFile);
  if (isNew) {
    out.note(
      `a new owner's key is in ${keyFile}: without it nobody administers the device; copy it`,
    );
  }
  const owner = secretKey(secret);
  const device = await connectOwner(context, { endpoint, owner, network: request.network });
  await answered(device.claim(request));
  rememberDevice(home, endpoint.nodeId, { name: request.name, network: request.network });
  if (products.length > 0) {
    await answered(
      device.setPrices(products, (done) => out.progress("price list", done, products.length)),
    );
    out.endBar();
  }
  out.text(`${request.name} is yours`);
  out.result({ ok: true, nodeId, name: request.name, products: products.length });
}

export function requestOf(options: Options): ClaimRequest {
  const app = text(options, "app");
  const settings = text(options, "appSettings");
  const code = text(options, "code");
  return {
    name: text(options, "name") ?? "",
    payout: text(options, "payout") ?? "",
    gateway: gatewayOf(text(options, "gateway") ?? ""),
    network: networkOf(text(options, "network") ?? DEFAULT_NETWORK),
    ...(app && { app }),
    ...(settings && { appConfig: jsonIn(settings) }),
    ...(code && { code }),
  };
}

function gatewayOf(words: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(words, "hex"));
  if (/^0[23][0-9a-f]{64}$/.test(words) && chooseCrypto().isPublicKey(bytes)) return bytes;
  throw new Failure(
    `"${words}" is no node id: --gateway takes the 66 hexadecimal digits that your gateway shows`,
    EXIT.usage,
  );
}

function jsonIn(file: string): PlainObject {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as PlainObject;
  } catch (cause) {
    throw new Failure(`${file} cannot be used (${messageOf(cause)})`, EXIT.usage);
  }
}

function planOf(
  { name, payout, gateway, network, app }: ClaimRequest,
  device: { nodeId: string; products: number; keyFile: string },
): string {
  const rows = [
    ["device", device.nodeId],
    ["name", name],
    ["owner's key", device.keyFile],
    ["pays out to", `${payout} (the device cannot spend it)`],
    ["gateway", hex(gateway)],
    ["network", network],
    ["app", app ? `${app}${device.products ? `, ${device.products} products` : ""}` : "none yet"],
  ];
  return rows.map(([what, value]) => `  ${what?.padEnd(12)} ${value}`).join("\n");
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
