/** The fleet of a running service: its store, its sessions, its broker's files, and where its alarms are told. */
import { randomBytes } from "node:crypto";
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { BrokerFiles } from "../fleet/credentials.ts";
import { Fleet } from "../fleet/fleet.ts";
import type { GatewayService } from "./service.ts";

const TICK_MS = 250;
const HOUR_SECONDS = 3_600;

type Host = Pick<
  GatewayService,
  "records" | "options" | "events" | "gateway" | "nodeId" | "atStop" | "alarm" | "alarms" | "mqtt"
>;

/** Before any link is up: who comes is heard of from the first. Undefined where several processes share the records. */
export async function startFleet(service: Host): Promise<Fleet | undefined> {
  const { fleet: store } = service.records;
  if (!store) return undefined;
  const { options, events, gateway, nodeId } = service;
  const { config, log } = options;
  const folder = config["mqtt.config_folder"];
  const pidFile = config["mqtt.pid_file"];
  const onProblem = (text: string) => service.alarm(`fleet: ${text}`);
  const keyOf = (id: string) => publicKey(fromHex(id));
  const fleet = await Fleet.load({
    store,
    limits: {
      silentSeconds: config["devices.silent_hours"] * HOUR_SECONDS,
      liquidityPercent: config["alerts.device_percent"],
      flashPayments: config["alerts.flash_payments"],
    },
    alarms: service.alarms,
    askSeconds: config["devices.ask_seconds"],
    ...(folder !== undefined && {
      broker: new BrokerFiles({
        folder,
        gateway: topicName(nodeId),
        ...(pidFile !== undefined && { pidFile }),
        onProblem,
      }),
    }),
    nowSeconds: () => Date.now() / 1_000,
    random: (length) => new Uint8Array(randomBytes(length)),
    send: (device, message) => gateway.node.sendService(device, message),
    isConnected: (id) => gateway.node.isConnected(keyOf(id)),
    presence: (id) => service.mqtt?.presence(topicName(id)),
    events: {
      onRequest: ({ id, nodeId: node_id, kind, state, failure }) => {
        const why = failure ? { failure: failure.code, text: failure.text } : {};
        events.emit({ type: "device-request", id, node_id, kind, state, ...why });
      },
      onSale: ({ nodeId: node_id, kind, reference, amountMsat, product, reason }) => {
        const amount_msat = amountMsat ?? null;
        const more = { product: product ?? null, reason: reason ?? null };
        events.emit({ type: "sale", node_id, kind, reference, amount_msat, ...more });
      },
      onRollout: ({ id, state, stage, reason }) => {
        const told = { id, state, stage: stage + 1, ...(reason !== undefined && { reason }) };
        if (state === "halted") log.warn({ rollout: id }, `a roll-out halted: ${reason}`);
        events.emit({ type: "rollout", ...told });
      },
      onProblem,
    },
  });
  const leave = events.follow(({ event }) => {
    if (event.type !== "peer") return;
    fleet.peer(String(event.node_id), event.state as "connected" | "disconnected");
  });
  const timer = setInterval(() => fleet.tick(), TICK_MS);
  service.atStop("fleet", async () => {
    clearInterval(timer);
    leave();
    await fleet.close();
  });
  return fleet;
}
