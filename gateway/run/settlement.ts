/** Settlement of a running service: its policy from the configuration, its journal in the store, and what tells it. */
import type { PublicKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { GatewayOptions } from "../gateway.ts";
import { Inbound } from "../settlement/inbound.ts";
import { IncomeBook } from "../settlement/income.ts";
import { Rebalancer } from "../settlement/rebalancer.ts";
import { Settlement } from "../settlement/settlement.ts";
import { Sweeper } from "../settlement/sweeper.ts";
import type { GatewayService } from "./service.ts";
import type { ServiceStore } from "./service-store.ts";
import { SettingRefused } from "./setting-kinds.ts";
import type { Config } from "./settings.ts";

type Host = Pick<
  GatewayService,
  "options" | "chain" | "crypto" | "gateway" | "fleet" | "dialers" | "atStop" | "alarm"
>;

const PER_KW_OF_SAT_PER_VB = 250;
const MSAT_PER_SAT = 1_000;
const TICK_MS = 250;

/** Before the gateway starts. @throws SettingRefused where the descriptor is none of this network. */
export async function openSettlement(
  service: Host,
  { journal, income: rows }: NonNullable<ServiceStore["settlement"]>,
): Promise<Settlement> {
  const { chain, crypto, options } = service;
  const { config } = options;
  const nowSeconds = () => Math.floor(Date.now() / 1_000);
  const onAlarm = (text: string) => service.alarm(text);
  const gateway = () => service.gateway;
  const node = () => gateway().node;
  const isGateway = (nodeId: PublicKey) => keepsTable(service, nodeId);
  const common = { journal, node, nowSeconds, onAlarm };
  const income = await IncomeBook.open({
    ...common,
    rows,
    isGateway,
  });
  const inbound = new Inbound({
    ...common,
    wallet: chain.wallet,
    source: chain.source,
    policy: inboundPolicy(config),
    devices: () => devicesOf(service),
  });
  const rebalancer = new Rebalancer({
    ...common,
    payments: () => {
      const { payments } = gateway();
      if (!payments) throw new Error("this gateway makes no payments");
      return payments;
    },
    router: () => gateway().routing?.router,
    policy: rebalancePolicy(config),
    isGateway,
  });
  await rebalancer.load();
  const destination = await destinationOf(service);
  const { wallet, source } = chain;
  const sweeper =
    destination &&
    new Sweeper({ ...common, crypto, wallet, source, destination, policy: sweepPolicy(config) });
  const automatic = config["settlement.automatic"];
  return new Settlement({
    journal,
    income,
    inbound,
    rebalancer,
    sweeper,
    source,
    gateway,
    automatic,
    onAlarm,
  });
}

/** The gateway's options with settlement among those who are told. */
export function withSettlement(
  options: GatewayOptions,
  settlement: Settlement | undefined,
): GatewayOptions {
  if (!settlement) return options;
  const { events, payments } = options;
  return {
    ...options,
    ...(payments && {
      payments: {
        ...payments,
        circular: settlement.rebalancer,
        onPayment: (payment, reason) => {
          settlement.payment(payment, reason);
          payments.onPayment?.(payment, reason);
        },
      },
    }),
    events: {
      ...events,
      onChannelEvent: (id, event) => {
        settlement.channelEvent(id, event);
        events.onChannelEvent(id, event);
      },
      onBlock: (height) => {
        settlement.block();
        events.onBlock(height);
      },
    },
  };
}

/** Once the gateway runs. */
export async function startSettlement(service: Host, settlement: Settlement): Promise<void> {
  await settlement.start();
  const timer = setInterval(() => settlement.tick(performance.now()), TICK_MS);
  service.atStop("settlement", async () => {
    clearInterval(timer);
    await settlement.stop();
  });
}

async function destinationOf({ chain, options }: Host) {
  const given = options.config["settlement.sweep_descriptor"];
  if (given === undefined) return undefined;
  try {
    return await chain.descriptors.open(given);
  } catch (cause) {
    if (!(cause instanceof SettingRefused)) throw cause;
    throw new SettingRefused(`settlement.sweep_descriptor: ${cause.message}`, { cause });
  }
}

/** Those that are named, and those that the fleet owns by this node's key. */
function devicesOf({ fleet, options }: Host): readonly string[] {
  const named = options.config["settlement.open_devices"];
  const owned = (fleet?.registry.all() ?? []).filter(
    ({ claimedAt, revokedAt, refusal }) =>
      claimedAt !== undefined && revokedAt === undefined && refusal === undefined,
  );
  return [...new Set([...named, ...owned.map(({ nodeId }) => nodeId)])];
}

function keepsTable({ gateway, dialers }: Host, nodeId: PublicKey): boolean {
  if (dialers?.get(toHex(nodeId))) return true;
  const [first] = gateway.node.channels(nodeId);
  return first !== undefined && gateway.node.contextOf(first.id)?.negotiated.routingTable === true;
}

function sweepPolicy(config: Config) {
  return {
    reserveSat: config["settlement.reserve_sat"],
    reserveCoins: config["settlement.reserve_coins"],
    minSat: config["settlement.sweep_min_sat"],
    urgentSat: config["settlement.sweep_urgent_sat"],
    maxFeeratePerKw: config["settlement.sweep_max_sat_per_vb"] * PER_KW_OF_SAT_PER_VB,
  };
}

function inboundPolicy(config: Config) {
  return {
    lowSat: config["settlement.open_low_sat"],
    targetSat: config["settlement.open_target_sat"],
    minSat: config["settlement.open_min_sat"],
    maxSat: config["settlement.open_max_sat"],
    reserveSat: config["settlement.reserve_sat"],
    budgetPerDaySat: config["settlement.open_budget_day_sat"],
    budgetTotalSat: config["settlement.open_budget_sat"],
    maxAtOnce: config["settlement.open_at_once"],
    maxFeeratePerKw: config["settlement.open_max_sat_per_vb"] * PER_KW_OF_SAT_PER_VB,
  };
}

function rebalancePolicy(config: Config) {
  return {
    abovePercent: config["settlement.rebalance_above_percent"],
    minMsat: config["settlement.rebalance_min_sat"] * MSAT_PER_SAT,
    maxMsat: config["settlement.rebalance_max_sat"] * MSAT_PER_SAT,
    maxFeeMillionths: config["settlement.rebalance_max_fee_millionths"],
    budgetPerDayMsat: config["settlement.rebalance_budget_day_sat"] * MSAT_PER_SAT,
  };
}
