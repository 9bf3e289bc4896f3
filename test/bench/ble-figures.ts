/** The bench's rows for BLE: a push over BlueZ's virtual controller, or why this machine cannot take them. */
import { whyNoVirtualRadio } from "../../host-sim/ble/virtual-radio.ts";
import { type BleFigures, measureBle } from "./ble.ts";
import { jsonOf as p50AndP99 } from "./latency.ts";

export interface BleBench {
  readonly json: Readonly<Record<string, unknown>>;
  readonly latency: Readonly<Record<string, unknown>>;
  readonly table: string;
}

/** Round trips of a push with its receipt, after connect and handshake. */
export const ROUND_TRIPS_BUDGET = 3;

export async function takeBleFigures(): Promise<BleBench> {
  const missing = whyNoVirtualRadio();
  if (missing) {
    const reason = { reason: missing };
    const latency = { result: "skipped", ...reason };
    return { json: { result: "failed", ...reason }, latency, table: `no BLE: ${missing}` };
  }
  const figures = await measureBle();
  return { json: jsonOf(figures), latency: p50AndP99(figures.latency), table: tableOf(figures) };
}

function jsonOf({ mtu, roundTrips, packets, bytes, latency, connectMs }: BleFigures) {
  return {
    result: roundTrips <= ROUND_TRIPS_BUDGET ? "passed" : "failed",
    mtu,
    round_trips: roundTrips,
    round_trips_budget: ROUND_TRIPS_BUDGET,
    packets,
    bytes,
    latency_ms: Number(latency.p50Ms.toFixed(1)),
    connect_ms: Math.round(connectMs),
  };
}

function tableOf({ mtu, roundTrips, packets, bytes, latency, connectMs }: BleFigures): string {
  const row = (name: string, value: string) => `  ${name.padEnd(34)}${value}`;
  const verdict = roundTrips <= ROUND_TRIPS_BUDGET ? "" : " EXCEEDED";
  return [
    `a push over BLE at MTU ${mtu}, real host stacks on a virtual controller`,
    row("round trips with the receipt", `${roundTrips} (budget ${ROUND_TRIPS_BUDGET})${verdict}`),
    row("writes and notifications", `${packets}, ${bytes} bytes`),
    row(
      "time, command to receipt",
      `p50 ${latency.p50Ms.toFixed(1)} ms, p99 ${latency.p99Ms.toFixed(1)} ms`,
    ),
    row("found, connected, session", `${Math.round(connectMs)} ms`),
  ].join("\n");
}
