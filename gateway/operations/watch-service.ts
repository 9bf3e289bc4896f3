/** The alarms of a running service: what they look at, how often, and where they are told. */
import { toHex } from "../../core/primitives/bytes.ts";
import type { GatewayEvent } from "../run/event-hub.ts";
import type { GatewayService } from "../run/service.ts";
import { Alerts, type WatchedState } from "./alerts.ts";
import { diskOf } from "./disk.ts";

const LOOK_MS = 30_000;

type Watched = Pick<
  GatewayService,
  "options" | "chain" | "gateway" | "events" | "alarms" | "dataDir" | "atStop"
>;

/** Looks from now on, twice a minute, until the service stops. */
export function watchService(service: Watched, nowMs = () => Date.now()): Alerts {
  const { options, chain, gateway, events, dataDir } = service;
  const { config } = options;
  const alerts = new Alerts({
    network: chain.network,
    limits: {
      silentChainMinutes: config["alerts.no_block_minutes"],
      outboundPercent: config["alerts.outbound_percent"],
      inboundPercent: config["alerts.inbound_percent"],
      walletCoins: config["alerts.wallet_coins"],
    },
    nowMs,
    tip: () => chain.health.tip(),
    fork: () => chain.health.fork(),
    freeCoins: () => chain.wallet.freeCoins(),
    disk: () => diskOf(dataDir.path),
    channels: () => statesOf(gateway),
    statesForTower: () => gateway.watching.protected?.protection().waitingStates,
    board: service.alarms,
  });
  const leave = events.follow(({ event }) => hear(alerts, event));
  const timer = setInterval(() => void alerts.look(), LOOK_MS);
  service.atStop("alarms", () => {
    clearInterval(timer);
    leave();
    alerts.stop();
  });
  return alerts;
}

function hear(alerts: Alerts, event: GatewayEvent): void {
  if (event.type === "tower" && event.side === "client" && event.what === "receipt") {
    alerts.towerAnswered();
  }
  if (event.type !== "channel") return;
  const { type, ending } = event.event as { readonly type: string; readonly ending?: unknown };
  if (type === "onChain") alerts.channelEnds(String(event.channel_id), String(ending));
}

function statesOf({ node }: GatewayService["gateway"]): readonly WatchedState[] {
  return node.channels().flatMap(({ channel }) => {
    if (channel.kind !== "live") return [];
    const { channelId, remoteNodeId, phase, terms, base } = channel.record;
    const state = {
      channelId: toHex(channelId),
      peer: toHex(remoteNodeId),
      phase,
      capacitySat: terms.fundingSatoshis,
      localMsat: base.toLocalMsat,
      remoteMsat: base.toRemoteMsat,
    };
    return [state];
  });
}
