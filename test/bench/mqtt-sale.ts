/** A sale at a machine that is reachable over MQTT only: a buyer's wallet → gateway → machine, each over the broker, until it is delivered and until it is paid. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "../../cli/command.ts";
import { openEndpoint } from "../../cli/links/endpoint.ts";
import { PayerNode } from "../../cli/wallet/payer-node.ts";
import { channelFor, connected } from "../../cli/wallet/purchase.ts";
import { openWallet } from "../../cli/wallet/wallet.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { targetOfInvoice } from "../../gateway/payments/bolt11.ts";
import { startAedes } from "../../host-sim/mqtt/aedes.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { MqttShop } from "../support/mqtt-shop.ts";

export interface SaleFigures {
  /** Medians, from the buyer's decision, with the invoice in its hand. */
  readonly deliveredMs: number;
  readonly settledMs: number;
}

const SALES = 15;
const WARM_UP = 3;
const FUNDING_SAT = 200_000;
const WAIT_MS = 30_000;

export async function takeSaleFigures() {
  const mosquitto = await measure(await startMosquitto());
  const aedes = await measure(await startAedes());
  const json = (one: SaleFigures) => ({
    delivered_ms: Number(one.deliveredMs.toFixed(1)),
    settled_ms: Number(one.settledMs.toFixed(1)),
  });
  const row = (name: string, { deliveredMs, settledMs }: SaleFigures) =>
    `  ${name.padEnd(34)}${`${deliveredMs.toFixed(0)} ms`.padStart(14)}${`${settledMs.toFixed(0)} ms`.padStart(14)}`;
  const head = `  ${"".padEnd(34)}${"delivered".padStart(14)}${"settled".padStart(14)}`;
  const table = [
    "a sale by invoice, wallet → gateway → machine, both links over one broker",
    "From the buyer's decision; median; 40 ms of it are the simulated product's fall past the sensor.",
    head,
    row("mosquitto", mosquitto),
    row("embedded broker (aedes)", aedes),
  ].join("\n");
  return { json: { mosquitto: json(mosquitto), aedes: json(aedes) }, table };
}

async function measure(broker: Broker): Promise<SaleFigures> {
  const shop = await MqttShop.open(broker);
  const folder = mkdtempSync(join(tmpdir(), "picobolt-bench-wallet-"));
  const ends: (() => Promise<unknown> | unknown)[] = [];
  try {
    const crypto = chooseCrypto();
    const context = { atEnd: (end: () => unknown) => ends.push(end) } as unknown as Context;
    const wallet = await openWallet(crypto, folder, "regtest");
    const words = `${shop.gatewayBy("buyer")}=${shop.gatewayId}`;
    const gateway = await openEndpoint(context, words, "gateway");
    const payer = await PayerNode.start(crypto, wallet, gateway.nodeId);
    ends.push(() => payer.stop());
    payer.device.attach(gateway.link, gateway.nodeId);
    await connected(payer, gateway.nodeId, gateway.name);
    await fund(shop, payer, gateway.nodeId);
    const all: SaleFigures[] = [];
    for (let sale = 0; sale < WARM_UP + SALES; sale++) all.push(await sell(shop, payer));
    const counted = all.slice(WARM_UP);
    return {
      deliveredMs: median(counted.map((one) => one.deliveredMs)),
      settledMs: median(counted.map((one) => one.settledMs)),
    };
  } finally {
    for (const end of ends.reverse()) await end();
    await shop.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function fund(shop: MqttShop, payer: PayerNode, gateway: Parameters<typeof channelFor>[1]) {
  const timer = setInterval(() => void shop.api.lab.mine(1), 100);
  const out = { note: () => {} };
  await channelFor(payer, gateway, 1, { out, fundSat: FUNDING_SAT, gateway }).finally(() =>
    clearInterval(timer),
  );
}

async function sell(shop: MqttShop, payer: PayerNode): Promise<SaleFigures> {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const target = targetOfInvoice(chooseCrypto(), await shop.invoice(2), {
    network: "regtest",
    nowSeconds,
  });
  const heard = shop.told.length;
  const hash = toHex(target.paymentHash);
  const begin = performance.now();
  let deliveredMs = 0;
  const isDelivered = () =>
    shop.told.slice(heard).some(({ fields }) => fields.type === "delivered");
  const delivered = shop.told.push.bind(shop.told);
  shop.told.push = (...items) => {
    const length = delivered(...items);
    if (deliveredMs === 0 && isDelivered()) deliveredMs = performance.now() - begin;
    return length;
  };
  await payer.invoices.pay(target, {});
  const paid = await payer.until(() => payer.invoices.ended.get(hash), WAIT_MS);
  const settledMs = performance.now() - begin;
  shop.told.push = delivered;
  if (paid?.payment.status !== "succeeded" || deliveredMs === 0) {
    throw new Error(`a sale failed: ${paid?.reason ?? "it was not delivered in time"}`);
  }
  return { deliveredMs, settledMs };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}
