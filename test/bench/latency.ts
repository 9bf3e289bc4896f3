/** How long one push takes on a real link, from the command to the receipt: two ptys by socat, and MQTT brokers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { Cable, hasSocat } from "../../host-sim/links/cable.ts";
import { openLink, whyNoSerialLinks } from "../../host-sim/links/open-link.ts";
import { startAedes } from "../../host-sim/mqtt/aedes.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { MqttWorld } from "../support/mqtt-world.ts";
import { Pair, payment, type TestNode } from "../support/node-pair.ts";
import type { PartBench, PartRequest } from "./parts.ts";

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const WARM_UP = 20;
const PUSHES = 300;
const WAIT_MS = 30_000;
/** The pair's nodes lived before, in its own time. */
const LATER_MS = 10_000_000;

export async function takeLatencies({ quick }: PartRequest): Promise<PartBench> {
  const pushes = quick ? 20 : PUSHES;
  const rows = {
    pty: await orWhyNot(() => overPty(pushes)),
    mqtt_mosquitto: await orWhyNot(async () => overMqtt(await startMosquitto(), pushes)),
    mqtt_aedes: await orWhyNot(async () => overMqtt(await startAedes(), pushes)),
  };
  const names = {
    pty: "pty (socat)",
    mqtt_mosquitto: "MQTT, mosquitto",
    mqtt_aedes: "MQTT, aedes",
  };
  const lines = Object.entries(rows).map(([key, row]) => {
    const name = `  ${names[key as keyof typeof rows].padEnd(36)}`;
    return typeof row === "string" ? `${name}skipped: ${row}` : name + cells(row).join("");
  });
  const head = `  ${"one push, from the command to the receipt".padEnd(36)}${"p50".padStart(9)}${"p99".padStart(14)}`;
  return {
    json: {
      latency: Object.fromEntries(
        Object.entries(rows).map(([key, row]) => [
          key,
          typeof row === "string" ? { result: "skipped", reason: row } : jsonOf(row),
        ]),
      ),
    },
    table: [
      `latency on real links, both nodes in this process, ${pushes} pushes`,
      head,
      ...lines,
    ].join("\n"),
  };
}

export function jsonOf({ p50Ms, p99Ms }: Latency) {
  return { p50_ms: Number(p50Ms.toFixed(2)), p99_ms: Number(p99Ms.toFixed(2)) };
}

export function percentiles(times: readonly number[]): Latency {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

function cells({ p50Ms, p99Ms }: Latency): readonly string[] {
  return [p50Ms, p99Ms].map((ms) => `${ms.toFixed(1)} ms`.padStart(14));
}

async function orWhyNot(work: () => Promise<Latency>): Promise<Latency | string> {
  try {
    return await work();
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

async function overPty(pushes: number): Promise<Latency> {
  if (!hasSocat()) throw new Error("socat is missing, which makes the ptys");
  const why = await whyNoSerialLinks();
  if (why !== undefined) throw new Error(why);
  const folder = mkdtempSync(join(tmpdir(), "picobolt-bench-pty-"));
  const pair = await Pair.make();
  const channel = await pair.open();
  pair.disconnect();
  const cable = await Cable.lay(folder, "cable", "pty");
  const links = await Promise.all(cable.ends.map(openLink));
  const ticking = setInterval(() => {
    for (const { node } of [pair.a, pair.b]) node.tick(LATER_MS + performance.now());
  }, 20);
  try {
    const [ours, theirs] = links as [(typeof links)[0], (typeof links)[0]];
    pair.b.node.attach(theirs);
    pair.a.node.attach(ours, pair.b.nodeId);
    const sides = [pair.a, pair.b];
    await until(() => sides.every((side) => side.events("reestablished").length > 0));
    return await measured(pair.a, channel, pushes);
  } finally {
    clearInterval(ticking);
    for (const { node } of [pair.a, pair.b]) node.close();
    for (const link of links) link.close();
    await cable.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From the device to its gateway. */
async function overMqtt(broker: Broker, pushes: number): Promise<Latency> {
  try {
    const world = await MqttWorld.make(broker);
    try {
      world.startGateway();
      world.startDevice();
      await world.until("a session", () => world.isReady);
      let isDone = false;
      const passing = world.until("measured", () => isDone, 20 * WAIT_MS);
      try {
        return await measured(world.pair.b, world.channel, pushes);
      } finally {
        isDone = true;
        await passing;
      }
    } finally {
      await world.close();
    }
  } finally {
    await broker.close();
  }
}

async function measured(payer: TestNode, channel: ChannelId, pushes: number): Promise<Latency> {
  const times: number[] = [];
  let receipts = payer.events("receipt").length;
  for (let i = 0; i < WARM_UP + pushes; i++) {
    const begin = performance.now();
    payer.node.command(channel, { type: "push", payments: payment(1_000) });
    await until(() => payer.events("receipt").length > receipts);
    receipts++;
    if (i >= WARM_UP) times.push(performance.now() - begin);
  }
  return percentiles(times);
}

async function until(done: () => boolean): Promise<void> {
  for (const end = performance.now() + WAIT_MS; !done(); ) {
    if (performance.now() > end) throw new Error(`nothing came within ${WAIT_MS / 1000} s`);
    await new Promise(setImmediate);
  }
}
