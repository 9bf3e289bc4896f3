/** Buys at a machine from a wallet's folder, and says whether it was delivered or refunded. */
import { join } from "node:path";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import type { ListedProduct } from "../../firmware/apps/peer-prices.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { type Endpoint, openEndpoint } from "../links/endpoint.ts";
import { choosePort } from "../ports/serial-ports.ts";
import { linkOf } from "../target/target.ts";
import { moneyIsBack } from "./money-back.ts";
import { payInvoice } from "./pay-invoice.ts";
import { PayerNode } from "./payer-node.ts";
import {
  buy,
  channelFor,
  connected,
  type Finished,
  finishUnderWay,
  hex,
  meterOf,
  numberOf,
  type PriceList,
  priceListOf,
  underWay,
} from "./purchase.ts";
import { whenChainIsRead } from "./readiness.ts";
import { openWallet, type Wallet } from "./wallet.ts";

const PROGRESS_MS = 250;
/** Of a long list, in an error. */
const SHOWN_PRODUCTS = 8;

export async function pay(
  context: Context,
  args: readonly string[],
  options: Options,
): Promise<void> {
  const [invoice] = args;
  if (invoice !== undefined || text(options, "machine") !== undefined) {
    return payInvoice(context, invoice, options);
  }
  const { out, home, atEnd } = context;
  const crypto = chooseCrypto();
  const folder = text(options, "wallet") ?? join(home, "wallet");
  const product = numberOf(options, "product");
  const seconds = numberOf(options, "meter");
  const fundSat = numberOf(options, "fund");
  const wallet = await openWallet(crypto, folder, text(options, "network"));
  if (wallet.isNew) out.note(`new wallet in ${folder}: keep a copy of its file "seed"`);
  const words = linkOf(options) ?? (await choosePort(undefined));
  const machine = await openEndpoint(context, words, "machine");
  const gateway = await gatewayOf(context, text(options, "gateway"), wallet);
  const gatewayId = gateway?.nodeId ?? knownGateway(wallet);
  const begun = await underWay(wallet.store);
  const payer = await PayerNode.start(crypto, wallet, gatewayId ?? wallet.signer.nodeId);
  atEnd(() => payer.stop());
  if (gateway) payer.device.attach(gateway.link, gateway.nodeId);
  payer.device.attach(machine.link, machine.nodeId);
  await connected(payer, machine.nodeId, machine.name);

  const earlier = await finishUnderWay(payer, begun, out);
  for (const one of earlier) tellOutcome(context, one, "an earlier purchase");
  const trip: Trip = {
    context,
    payer,
    machine,
    isDryRun: options.dryRun === true,
    funding: { out, fundSat, ...(gateway && { gateway: gateway.nodeId }) },
  };
  if (seconds !== undefined) return feedMeter(trip, seconds);
  const list = await priceListOf(payer, machine.nodeId);
  if (product === undefined) return showPrices(trip, list);
  return buyProduct(trip, list, product);
}

interface Trip {
  readonly context: Context;
  readonly payer: PayerNode;
  readonly machine: Endpoint;
  readonly isDryRun: boolean;
  readonly funding: Parameters<typeof channelFor>[3];
}

async function buyProduct(trip: Trip, list: PriceList, product: number): Promise<void> {
  const { context, payer, machine } = trip;
  const { out } = context;
  const wanted = await wantedOf(trip, list, product);
  out.text(`${list.machine}: ${wanted.name} for ${sat(wanted.priceMsat)}`);
  if (trip.isDryRun) {
    dryRun(trip, { product, priceMsat: wanted.priceMsat });
    return;
  }
  const channel = await channelFor(payer, machine.nodeId, wanted.priceMsat, trip.funding);
  const done = await buy(payer, channel, product, wanted.priceMsat);
  tellOutcome(context, done, wanted.name);
  const isBack = done.delivered || (await moneyIsBack(payer, [done.reference]));
  out.result({ ...done, product, priceMsat: wanted.priceMsat, machine: hex(machine.nodeId) });
  if (!isBack) out.note("the money is on its way: it is yours when you come to the machine again");
  if (!done.delivered) {
    throw new Failure(`${wanted.name} was not delivered: ${done.note || "the money is back"}`);
  }
}

function dryRun({ context, payer, machine }: Trip, what: object): void {
  const [channel] = payer.channelsWith(machine.nodeId);
  context.out.text(`${channel ? "there is a channel" : "no channel yet"}; nothing was paid`);
  context.out.result({ dryRun: true, ...what, hasChannel: channel !== undefined });
}

async function feedMeter(trip: Trip, seconds: number): Promise<void> {
  const { context, payer, machine } = trip;
  const { out } = context;
  const quote = await meterOf(payer, machine.nodeId, out);
  const { priceMsat, unitSize } = quote;
  const units = Math.ceil(seconds / unitSize);
  const maxMsat = units * priceMsat;
  out.text(`${quote.machine}: ${seconds} s for ${sat(maxMsat)} at most`);
  if (trip.isDryRun) {
    dryRun(trip, { seconds, priceMsat: maxMsat });
    return;
  }
  const channel = await channelFor(payer, machine.nodeId, maxMsat, trip.funding);
  const feed = await payer.app.feed(channel.channelId, { maxMsat, units });
  let isDone = false;
  context.atEnd(async () => {
    if (isDone) return;
    feed.stop("stopped"); // what is paid and unused comes back
    await feed.done;
  });
  const startedMs = Date.now();
  const timer = setInterval(() => {
    out.progress("fed", Math.min(seconds, (Date.now() - startedMs) / 1000), seconds);
  }, PROGRESS_MS);
  const outcome = await feed.done.finally(() => clearInterval(timer));
  isDone = true;
  out.endBar();
  const { usedUnits, paidMsat, restMsat, note } = outcome;
  out.text(
    `${usedUnits * unitSize} s used, ${sat(paidMsat)} paid, ${sat(restMsat)} come back; ${note}`,
  );
  out.result({ ...outcome, machine: hex(machine.nodeId) });
}

async function gatewayOf(
  context: Context,
  words: string | undefined,
  wallet: Wallet,
): Promise<Endpoint | undefined> {
  if (words === undefined) return undefined;
  const isNamed = words.includes("=");
  const known = wallet.gateway;
  const endpoint = await openEndpoint(
    context,
    !isNamed && known ? `${words}=${known}` : words,
    "gateway",
  );
  wallet.rememberGateway(hex(endpoint.nodeId));
  return endpoint;
}

function knownGateway({ gateway }: Wallet): PublicKey | undefined {
  return gateway ? publicKey(new Uint8Array(Buffer.from(gateway, "hex"))) : undefined;
}

async function wantedOf(
  { context, payer, machine: { nodeId } }: Trip,
  first: PriceList,
  product: number,
): Promise<ListedProduct> {
  const found = await payer.app.product(nodeId, product);
  if (!found) {
    const some = first.products.slice(0, SHOWN_PRODUCTS).map(({ id, name }) => `${id} ${name}`);
    const has = some.join(", ") + (first.total > some.length ? ", …" : "");
    throw new Failure(`the machine has no product ${product}; it has ${has}`, EXIT.refused);
  }
  const announced = () => payer.app.priceList(nodeId);
  const list = (await whenChainIsRead(payer, announced, context.out)) ?? first;
  const wanted = (await payer.app.product(nodeId, product)) ?? found;
  if (list.ready && wanted.ready) return wanted;
  const why = list.note ?? (list.ready ? `${wanted.name} is sold out` : "it does not say why");
  throw new Failure(`the machine cannot deliver now: ${why}; nothing was paid`, EXIT.refused);
}

async function showPrices({ context, payer, machine }: Trip, list: PriceList): Promise<void> {
  const { out } = context;
  const { ready, pages, note } = list;
  out.text(`${list.machine}${ready ? "" : ` (cannot deliver now${note ? `: ${note}` : ""})`}`);
  for (let page = 0; page < pages; page++) {
    for (const product of await payer.app.page(machine.nodeId, page)) {
      const { id, name, priceMsat } = product;
      const price = sat(priceMsat).padStart(14);
      out.line(
        `  ${String(id).padStart(5)}  ${name.padEnd(24)} ${price}${product.ready ? "" : "  sold out"}`,
        { product: id, name, priceMsat, ready: product.ready },
      );
    }
  }
  out.result({ machine: list.machine, nodeId: hex(machine.nodeId), ready });
}

function tellOutcome({ out }: Context, { delivered, note, reference }: Finished, what: string) {
  const words = delivered ? "delivered" : `not delivered (${note})`;
  if (out.isJson) out.note(`${what}: ${words}`);
  else out.text(`${what}: ${words}, reference ${reference}`);
}

function sat(msat: number): string {
  return `${msat / 1000} sat`;
}
