/** What Prometheus reads of a gateway (prom-client); names begin with picobolt_, those of the process with process_. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { FLEET_ALARM_NAMES } from "../fleet/fleet-alarms.ts";
import { ALARM_NAMES } from "../operations/alerts.ts";
import type { EventHub, GatewayEvent } from "../run/event-hub.ts";

export interface MetricsSource {
  readonly events: EventHub;
  readonly startedAt: Date;
  /** Asked whenever metrics are. */
  channels(): readonly {
    readonly state: string;
    readonly local_balance_msat: number;
    readonly remote_balance_msat: number;
  }[];
  connectedPeers(): number;
  blockHeight(): number;
  isSynced(): Promise<boolean>;
  onchainSat(): Promise<number>;
  followers(): number;
  /** Names of those that are raised, of the gateway and its devices. */
  alarms(): readonly string[];
}

const NANOSECONDS = 1e9;
const SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 30];

export class GatewayMetrics {
  readonly registry = new Registry();
  private readonly lag = monitorEventLoopDelay({ resolution: 20 });
  private readonly leave: () => void;
  private readonly calls: Histogram<"operation" | "status">;

  constructor(private readonly source: MetricsSource) {
    const registers = [this.registry];
    this.lag.enable();
    this.calls = new Histogram({
      name: "picobolt_api_call_seconds",
      help: "Calls of the API, by operation and HTTP status",
      labelNames: ["operation", "status"],
      buckets: SECONDS,
      registers,
    });
    this.gauges();
    this.leave = source.events.follow(this.counters());
  }

  observe(operation: string, status: number, seconds: number): void {
    this.calls.observe({ operation, status: String(status) }, seconds);
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  close(): void {
    this.lag.disable();
    this.leave();
    this.registry.clear();
  }

  private gauges(): void {
    const { source, lag } = this;
    const registers = [this.registry];
    const gauge = (name: string, help: string, read: () => number | Promise<number>) =>
      new Gauge({
        name,
        help,
        registers,
        async collect() {
          this.set(await read());
        },
      });
    new Gauge({
      name: "picobolt_channels",
      help: "Channels by state",
      labelNames: ["state"],
      registers,
      collect() {
        this.reset();
        for (const { state } of source.channels()) this.inc({ state });
      },
    });
    new Gauge({
      name: "picobolt_channel_balance_msat",
      help: "What the channels hold, by side",
      labelNames: ["side"],
      registers,
      collect() {
        const all = source.channels();
        this.set({ side: "local" }, sum(all.map((one) => one.local_balance_msat)));
        this.set({ side: "remote" }, sum(all.map((one) => one.remote_balance_msat)));
      },
    });
    new Gauge({
      name: "picobolt_alarms",
      help: "Alarms that are raised now, by name (docs/OPERATIONS.md, docs/FLEET.md)",
      labelNames: ["name"],
      registers,
      collect() {
        for (const name of [...ALARM_NAMES, ...FLEET_ALARM_NAMES]) this.set({ name }, 0);
        for (const name of source.alarms()) this.inc({ name });
      },
    });
    gauge("picobolt_wallet_sat", "Coins of the wallet on chain", () => source.onchainSat());
    gauge("picobolt_connected_peers", "Peers and devices that are here", () =>
      source.connectedPeers(),
    );
    gauge("picobolt_block_height", "Newest block that the channels know", () =>
      source.blockHeight(),
    );
    gauge("picobolt_synced", "1: that is the newest block of the chain", async () =>
      (await source.isSynced()) ? 1 : 0,
    );
    gauge("picobolt_event_followers", "Streams of events that are open", () => source.followers());
    gauge("picobolt_event_loop_lag_seconds", "Longest wait since the last reading", () => {
      const longest = lag.max / NANOSECONDS;
      lag.reset();
      return longest;
    });
    gauge("process_resident_memory_bytes", "RSS", () => process.memoryUsage.rss());
    gauge("process_cpu_seconds", "Processor time of the process", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    gauge("process_start_time_seconds", "Start of the process", () => +source.startedAt / 1000);
  }

  private counters(): (numbered: { readonly event: GatewayEvent }) => void {
    const registers = [this.registry];
    const events = new Counter({
      name: "picobolt_events_total",
      help: "Events by type",
      labelNames: ["type"],
      registers,
    });
    const pushes = new Counter({
      name: "picobolt_push_payments_total",
      help: "Payments inside channels, by direction",
      labelNames: ["direction"],
      registers,
    });
    const amounts = new Counter({
      name: "picobolt_push_msat_total",
      help: "Their amounts",
      labelNames: ["direction"],
      registers,
    });
    return ({ event }) => {
      events.inc({ type: event.type });
      if (event.type !== "channel") return;
      const told = event.event as { type: string; payments?: { amountMsat: number }[] };
      const direction = DIRECTIONS[told.type];
      if (direction === undefined || !told.payments) return;
      pushes.inc({ direction }, told.payments.length);
      amounts.inc({ direction }, sum(told.payments.map(({ amountMsat }) => amountMsat)));
    };
  }
}

const DIRECTIONS: Readonly<Record<string, string>> = { pushCommitted: "out", pushReceived: "in" };

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, one) => total + one, 0);
}
