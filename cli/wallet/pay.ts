/** Buys at a machine from a wallet's folder, and says whether it was delivered or refunded. */
import { join } from "node:path";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { type Endpoint, openEndpoint } from "../links/endpoint.ts";
import { PayerNode } from "./payer-node.ts";
import {
  buy,
  channelFor,
  connected,
  type Finished,
  finishUnderWay,
  hex,
  type PriceList,
  priceListOf,
} from "./purchase.ts";
import { openWallet, type Wallet } from "./wallet.ts";

export async function pay(
  context: Context,
  _args: readonly string[],
  options: Options,
): Promise<void> {
  const { out, home, atEnd } = context;
  const crypto = chooseCrypto();
  const folder = text(options, "wallet") ?? join(home, "wallet");
  const product = numberOf(options, "product");
  const fundSat = numberOf(options, "fund");
  const wallet = await openWallet(crypto, folder, text(options, "network"));
  if (wallet.isNew) out.note(`new wallet in ${folder}: keep a copy of its file "seed"`);
  const machine = await openEndpoint(text(options, "link") ?? "", "machine");
  const gateway = await gatewayOf(text(options, "gateway"), wallet);
  const gatewayId = gateway?.nodeId ?? knownGateway(wallet);
  const payer = await PayerNode.start(crypto, wallet, gatewayId ?? wallet.signer.nodeId);
  atEnd(() => payer.stop());
  if (gateway) payer.device.attach(gateway.link, gateway.nodeId);
  payer.device.attach(machine.link, machine.nodeId);
  await connected(payer, machine.nodeId, machine.name);

  const list = await priceListOf(payer, machine.nodeId);
  const earlier = await finishUnderWay(payer, out);
  for (const one of earlier) tellOutcome(context, one, "an earlier purchase");
  if (product === undefined) {
    showPrices(context, list, machine);
    return;
  }
  const wanted = wantedOf(list, product);
  out.text(`${list.machine}: ${wanted.name} for ${sat(wanted.priceMsat)}`);
  if (options.dryRun) {
    const [channel] = payer.channelsWith(machine.nodeId);
    out.text(channel ? "there is a channel; nothing was paid" : "no channel yet; nothing was paid");
    out.result({ dryRun: true, product, priceMsat: wanted.priceMsat, hasChannel: !!channel });
    return;
  }
  const channel = await channelFor(payer, machine.nodeId, wanted.priceMsat, {
    out,
    fundSat,
    ...(gateway && { gateway: gateway.nodeId }),
  });
  const done = await buy(payer, channel, product);
  tellOutcome(context, done, wanted.name);
  out.result({ ...done, product, priceMsat: wanted.priceMsat, machine: hex(machine.nodeId) });
  if (!done.delivered) {
    throw new Failure(`${wanted.name} was not delivered: ${done.note || "the money is back"}`);
  }
}

async function gatewayOf(words: string | undefined, wallet: Wallet): Promise<Endpoint | undefined> {
  if (words === undefined) return undefined;
  const isNamed = words.includes("=");
  const known = wallet.gateway;
  const endpoint = await openEndpoint(!isNamed && known ? `${words}=${known}` : words, "gateway");
  wallet.rememberGateway(hex(endpoint.nodeId));
  return endpoint;
}

function knownGateway({ gateway }: Wallet): PublicKey | undefined {
  return gateway ? publicKey(new Uint8Array(Buffer.from(gateway, "hex"))) : undefined;
}

function wantedOf(list: PriceList, product: number) {
  const wanted = list.products.find(({ id }) => id === product);
  const has = list.products.map(({ id, name }) => `${id} ${name}`).join(", ");
  if (!wanted) {
    throw new Failure(`the machine has no product ${product}; it has ${has}`, EXIT.refused);
  }
  if (!list.ready) {
    throw new Failure("the machine cannot deliver now; nothing was paid", EXIT.refused);
  }
  return wanted;
}

function showPrices({ out }: Context, list: PriceList, machine: Endpoint): void {
  out.text(`${list.machine}${list.ready ? "" : " (cannot deliver now)"}`);
  for (const { id, name, priceMsat } of list.products) {
    out.line(`  ${String(id).padStart(5)}  ${name.padEnd(24)} ${sat(priceMsat).padStart(14)}`, {
      product: id,
      name,
      priceMsat,
    });
  }
  out.result({ machine: list.machine, nodeId: hex(machine.nodeId), ready: list.ready });
}

function tellOutcome({ out }: Context, { delivered, note, reference }: Finished, what: string) {
  const words = delivered ? "delivered" : `not delivered (${note})`;
  if (out.isJson) out.note(`${what}: ${words}`);
  else out.text(`${what}: ${words}, reference ${reference}`);
}

function sat(msat: number): string {
  return `${msat / 1000} sat`;
}

function numberOf(options: Options, name: string): number | undefined {
  const words = text(options, name);
  if (words === undefined) return undefined;
  const value = Number(words);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Failure(`--${name} must be a whole number, not "${words}"`, EXIT.usage);
}
