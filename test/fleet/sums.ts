/** The books at the end of the day: what each side says, held against the other, the chain, and what was asked for. */

import { join } from "node:path";
import type { DeviceChannel } from "../../cli/owner/device-channels.ts";
import { PayerNode } from "../../cli/wallet/payer-node.ts";
import { openWallet } from "../../cli/wallet/wallet.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { FUNDED_SAT, GATEWAYS_CHANNEL } from "./day.ts";
import type { GatewayPart } from "./gateway.ts";
import { until } from "./programs.ts";
import type { Bought, Traffic } from "./traffic.ts";
import { PRICES, type Shop, type World } from "./world.ts";

export interface Line {
  readonly what: string;
  readonly sat: number;
}

export interface MachineBooks {
  readonly name: string;
  readonly purchases: number;
  readonly delivered: number;
  readonly refunded: number;
  readonly earnedSat: number;
  readonly fallen: number;
  readonly lives: number;
}

export interface PaymentBooks {
  readonly what: string;
  readonly asked: number;
  readonly sent: number;
  readonly received: number;
  readonly msat: number;
}

export interface Books {
  readonly payments: readonly PaymentBooks[];
  readonly machines: readonly MachineBooks[];
  readonly money: readonly Line[];
  /** What does not agree, in words. */
  readonly problems: readonly string[];
}

/** One side's view of a channel that is there. */
interface Side {
  readonly id: string;
  /** Who looks at it as an owner of a device is told neither of these. */
  readonly outpoint?: string;
  readonly htlcs?: number;
  readonly capacitySat: number;
  readonly localMsat: number;
  readonly remoteMsat: number;
  readonly phase: string;
}

type ApiChannel = Awaited<ReturnType<typeof channelsOf>>[number];
const PAGE = 200;
/** Of their money there is nothing in the channel any more. */
const ENDED = new Set(["on-chain", "ended"]);

export async function closeBooks(world: World, traffic: Traffic): Promise<Books> {
  const problems: string[] = [];
  const demand = (isSo: boolean, problem: string) => {
    if (!isSo) problems.push(problem);
  };
  const payments = [];
  for (const [from, to] of [
    [world.a, world.b],
    [world.b, world.a],
  ] as const) {
    payments.push(await invoicesOf(traffic, from, to, demand));
  }
  const sides = new Map<string, Side[]>();
  const note = (side: Side) => sides.set(side.id, [...(sides.get(side.id) ?? []), side]);
  for (const gateway of [world.a, world.b]) {
    for (const one of await channelsOf(gateway)) note(apiSide(one));
  }
  const machines = [];
  for (const shop of world.shops) {
    machines.push(await machineOf({ world, traffic, shop, note }, demand));
  }
  for (const [id, views] of sides) checkSides(id, views, demand);
  await checkGateways(world, traffic, demand);
  const money = await moneyOf(world, sides, demand);
  return { payments, machines, money, problems };
}

type Demand = (isSo: boolean, problem: string) => void;

function channelsOf(gateway: GatewayPart) {
  return gateway.ask("listChannels", async (client) => {
    const all = await client.listChannels();
    return all.filter(({ state }) => !ENDED.has(state));
  });
}

/** Every invoice that was asked for is paid once, and both gateways say so. */
async function invoicesOf(
  traffic: Traffic,
  from: GatewayPart,
  to: GatewayPart,
  demand: Demand,
): Promise<PaymentBooks> {
  const asked = traffic.paid.filter((one) => one.from === from);
  const sent = (await paymentsOf(from, "sent")).filter(({ status }) => status === "succeeded");
  const received = (await paymentsOf(to, "received")).filter(
    ({ status }) => status === "succeeded",
  );
  const name = `${from.name} to ${to.name}`;
  const bySender = new Map(sent.map((one) => [one.payment_hash, one]));
  const byPayee = new Map(received.map((one) => [one.payment_hash, one]));
  demand(bySender.size === sent.length, `${name}: a payment was sent twice`);
  demand(byPayee.size === received.length, `${name}: a payment was received twice`);
  for (const { hash, msat } of asked) {
    const [left, right] = [bySender.get(hash), byPayee.get(hash)];
    const says = `${left?.status} of ${left?.amount_msat}, ${right?.status} of ${right?.amount_msat}`;
    const isSo = left?.amount_msat === msat && right?.amount_msat === msat;
    demand(isSo, `${name}: the payment ${hash} of ${msat} msat is ${says}`);
    demand(left?.fee_msat === 0, `${name}: the payment ${hash} cost ${left?.fee_msat} msat`);
  }
  demand(sent.length === asked.length, `${name}: ${sent.length} sent, ${asked.length} asked for`);
  demand(
    received.length === asked.length,
    `${name}: ${received.length} received, ${asked.length} asked for`,
  );
  return {
    what: `invoices ${name}`,
    asked: asked.length,
    sent: sent.length,
    received: received.length,
    msat: asked.reduce((sum, { msat }) => sum + msat, 0),
  };
}

async function paymentsOf(gateway: GatewayPart, kind: "sent" | "received") {
  const all = [];
  for (let before: number | undefined; ; ) {
    const page = await gateway.ask("listPayments", (client) =>
      client.listPayments({ kind, limit: PAGE, ...(before !== undefined && { before }) }),
    );
    all.push(...page.payments);
    if (page.next_before === null) return all;
    before = page.next_before;
  }
}

interface Machines {
  readonly world: World;
  readonly traffic: Traffic;
  readonly shop: Shop;
  note(side: Side): void;
}

/** What it holds with its customer is the price of what came out. */
async function machineOf(
  { world, traffic, shop, note }: Machines,
  demand: Demand,
): Promise<MachineBooks> {
  const { machine, gateway } = shop;
  const { name, fallen, lives } = machine;
  const mine = traffic.bought.filter((one) => one.shop === shop);
  const delivered = mine.filter((one) => one.delivered);
  const priceSat = priceOf(delivered);
  const channels = await channelsOfMachine(world, shop);
  for (const one of channels) note(plainSide(one));
  const earnedMsat = earnedIn(channels, gateway);
  for (const side of await customerSides(world, shop)) note(side);
  const earned = `${name} holds ${earnedMsat} msat of its customer, and delivered for ${priceSat} sat`;
  demand(earnedMsat === priceSat * 1_000, earned);
  // A product that fell as power failed is given back for: no customer pays for what nobody saw fall.
  const isSeen = fallen >= delivered.length && fallen < delivered.length + lives;
  demand(isSeen, `${name} says it delivered ${delivered.length}, and ${fallen} fell`);
  return {
    name,
    purchases: mine.length,
    delivered: delivered.length,
    refunded: mine.length - delivered.length,
    earnedSat: earnedMsat / 1_000,
    fallen,
    lives,
  };
}

/** A refund that was on its way when its customer left arrives when he comes again; a funding when it is confirmed. */
export async function settleShop(world: World, traffic: Traffic, shop: Shop): Promise<void> {
  const mine = traffic.bought.filter((one) => one.shop === shop && one.delivered);
  await until(`${shop.machine.name} owes nothing to anybody`, async () => {
    const channels = await channelsOfMachine(world, shop);
    const isSquare = earnedIn(channels, shop.gateway) === priceOf(mine) * 1_000;
    if (isSquare && channels.every(({ state }) => state === "normal")) return true;
    await world.customer(shop, []);
    return false;
  });
}

async function channelsOfMachine(world: World, shop: Shop): Promise<readonly DeviceChannel[]> {
  const { last } = await world.plugged(shop, (link) =>
    world.owner(["channel", "list", "--device", link]),
  );
  return (last.channels as readonly DeviceChannel[]).filter(({ state }) => !ENDED.has(state));
}

/** What it has in channels with customers. */
function earnedIn(channels: readonly DeviceChannel[], gateway: GatewayPart): number {
  return channels
    .filter(({ peer_node_id }) => peer_node_id !== gateway.nodeId)
    .reduce((sum, { local_balance_msat }) => sum + local_balance_msat, 0);
}

function priceOf(bought: readonly Bought[]): number {
  return bought.reduce((sum, { product }) => sum + PRICES[product], 0);
}

/** As the customer's wallet has them. */
async function customerSides(world: World, { machine }: Shop): Promise<readonly Side[]> {
  const crypto = chooseCrypto();
  const folder = join(world.home(`customer-${machine.name}`), "wallet");
  const wallet = await openWallet(crypto, folder, undefined);
  const payer = await PayerNode.start(crypto, wallet, wallet.signer.nodeId);
  try {
    return payer.channelsWith(publicKey(fromHex(machine.nodeId))).map((record) => ({
      id: toHex(record.channelId),
      outpoint: outpointOf(record.terms.fundingOutpoint.txid, record.terms.fundingOutpoint.vout),
      capacitySat: record.terms.fundingSatoshis,
      localMsat: record.base.toLocalMsat,
      remoteMsat: record.base.toRemoteMsat,
      htlcs: record.base.htlcs.length,
      phase: record.phase,
    }));
  } finally {
    await payer.stop();
  }
}

function checkSides(id: string, views: readonly Side[], demand: Demand): void {
  const name = `channel ${id.slice(0, 12)}…`;
  const [left, right] = views as [Side, Side?];
  demand(views.length === 2, `${name}: ${views.length} sides know it`);
  for (const { phase, htlcs } of views) {
    demand(phase === "normal" && (htlcs ?? 0) === 0, `${name} is ${phase}, with ${htlcs} HTLCs`);
  }
  demand(
    left.localMsat + left.remoteMsat === left.capacitySat * 1_000,
    `${name}: ${left.localMsat} and ${left.remoteMsat} msat are not ${left.capacitySat} sat`,
  );
  if (!right) return;
  const isMirrored = left.localMsat === right.remoteMsat && left.remoteMsat === right.localMsat;
  const says = ({ localMsat, remoteMsat }: Side) => `${localMsat} and ${remoteMsat}`;
  demand(isMirrored, `${name}: one side says ${says(left)}, the other ${says(right)} msat`);
}

/** To the millisatoshi: what was asked for, no more and no less. */
async function checkGateways({ a, b }: World, traffic: Traffic, demand: Demand): Promise<void> {
  const between = (await channelsOf(a)).filter(({ peer_node_id }) => peer_node_id === b.nodeId);
  demand(between.length === 1, `the gateways have ${between.length} channels`);
  const { capacity, push } = GATEWAYS_CHANNEL;
  const moved = [...traffic.paid, ...traffic.pushed].reduce(
    (sum, { from, msat }) => sum + (from === a ? msat : -msat),
    0,
  );
  const expected = (capacity - push) * 1_000 - moved;
  const has = between[0]?.local_balance_msat;
  demand(has === expected, `gateway a has ${has} msat with gateway b, not ${expected}`);
}

/** Every coin that descends from what was funded is a wallet's, a channel's, or was paid out. */
async function moneyOf(
  { bitcoin, a, b }: World,
  sides: ReadonlyMap<string, readonly Side[]>,
  demand: Demand,
): Promise<readonly Line[]> {
  const { coins, feesSat, commitments } = await bitcoin.flow();
  demand(commitments.length === 0, `closed by force: ${commitments.join(", ")}`);
  const left = new Map(coins.map(({ outpoint, sat }) => [outpoint, sat]));
  const lines: Line[] = [];
  for (const gateway of [a, b]) {
    let sat = 0;
    for (const coin of await bitcoin.coinsOf(gateway.wallet)) {
      demand(left.delete(coin.outpoint), `${coin.outpoint} came from nowhere`);
      sat += coin.sat;
    }
    const { onchain_sat } = await gateway.ask("getWalletBalance", (c) => c.getWalletBalance());
    const says = `gateway ${gateway.name} says it has ${onchain_sat} sat on chain, not ${sat}`;
    demand(onchain_sat === sat, says);
    lines.push({ what: `wallet of gateway ${gateway.name}`, sat });
  }
  let inChannels = 0;
  for (const [id, views] of sides) {
    const side = views.find(({ outpoint }) => outpoint !== undefined);
    if (side?.outpoint === undefined) continue;
    const sat = left.get(side.outpoint);
    demand(sat === side.capacitySat, `channel ${id.slice(0, 12)}… holds ${sat} sat on chain`);
    left.delete(side.outpoint);
    inChannels += side.capacitySat;
  }
  lines.push({ what: `in ${sides.size} channels`, sat: inChannels });
  const paidOut = [...left.values()].reduce((sum, sat) => sum + sat, 0);
  demand(left.size === 1, `${left.size} coins are neither a wallet's nor a channel's, not 1`);
  lines.push({ what: "paid out to the machines' owner", sat: paidOut });
  lines.push({ what: "fees of transactions", sat: feesSat });
  const sum = lines.reduce((all, { sat }) => all + sat, 0);
  demand(sum === FUNDED_SAT, `${FUNDED_SAT} sat were funded, and ${sum} are found`);
  return lines;
}

function apiSide(one: ApiChannel): Side {
  const outpoint = `${one.funding_txid}:${one.funding_vout}`;
  return { ...plainSide(one), outpoint, htlcs: one.htlcs };
}

function plainSide(one: Omit<DeviceChannel, "key_index">): Side {
  return {
    id: one.channel_id,
    capacitySat: one.capacity_sat,
    localMsat: one.local_balance_msat,
    remoteMsat: one.remote_balance_msat,
    phase: one.state,
  };
}

function outpointOf(txid: Uint8Array, vout: number): string {
  return `${toHex(txid.slice().reverse())}:${vout}`;
}
