/** One run of the load, from an empty gateway to the audit (docs/PERFORMANCE.md "Ten thousand devices"). */

import { milliSatoshi, publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { openStore } from "../../gateway/store/open-store.ts";
import { type Audit, audit } from "./audit.ts";
import { Fleet, type Progress, pause, tipCheckpoint } from "./fleet.ts";
import type { GatewayProgram, Usage } from "./gateway-program.ts";
import type { LoadDevice } from "./load-device.ts";
import { Payments } from "./payments.ts";
import { LoadGround } from "./world.ts";

export interface LoadOptions {
  readonly devices: number;
  readonly perSecond: number;
  readonly seconds: number;
  /** Where profiles of the gateway are written. */
  readonly profileFolder?: string;
  /** Where the gateways' logs are written, with all of their detail. */
  readonly logsFolder?: string;
  step(name: string): Progress;
  note(text: string): void;
}

export interface LoadFigures {
  readonly devices: number;
  readonly paymentsPerSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** Of the gateway at the end of the payments. */
  readonly rssBytes: number;
  readonly emptyRssBytes: number;
  /** With all devices connected and idle, after a collection of garbage. */
  readonly idleRssBytes: number;
  readonly bytesPerIdleDevice: number;
  /** From the gateway's start with all its channels until every device is back. */
  readonly reconnectMs: number;
  readonly startMs: number;
  readonly idleCpuPercent: number;
  readonly loadCpuPercent: number;
  readonly blockMs: number;
  readonly audit: Audit;
  readonly alarms: readonly string[];
}

/** Blocks until a channel counts as funded, and one for luck. */
const FUNDING_BLOCKS = 4;
/** Until channels rest, which the gateway lets them do after half a minute, and at most twice that. */
const IDLE_MS = 65_000;
/** Until its connections stand. */
const CALM_MS = 2_000;
const SETTLE_MS = 60_000;

export class Load {
  private readonly ground: LoadGround;
  private readonly crypto = chooseCrypto();
  private gateway!: GatewayProgram;
  private fleet!: Fleet;
  private readonly payments = new Payments(() => this.fleet, {
    call: (method, params) => this.gateway.call(method, params),
  });
  private failure: string | undefined;

  constructor(private readonly options: LoadOptions) {
    this.ground = new LoadGround((text) => this.failed(text), options.logsFolder);
  }

  async run(): Promise<LoadFigures> {
    const { devices: count, perSecond, seconds, step, note } = this.options;
    note("starting bitcoind, mosquitto and the gateway");
    await this.ground.start();
    this.gateway = await this.ground.startGateway();
    await pause(CALM_MS);
    const empty = await this.gateway.usage(true);
    await this.makeFleet(count);
    await this.fleet.connect(step("devices connected"));
    await this.fleet.openChannels(
      this.ground.walletThatMines(),
      (raw) => this.ground.broadcast(raw),
      step("channels opened"),
    );
    const minedMs = performance.now();
    await this.ground.lab.mine(FUNDING_BLOCKS);
    await this.fleet.until((device) => device.isReady, step("channels ready"));
    const blockMs = performance.now() - minedMs;
    const { reconnectMs, startMs } = await this.restart();
    note("everybody is idle");
    const idleMs = Math.min(IDLE_MS, count * 100);
    const idleCpuPercent = await this.cpuDuring(() => pause(idleMs));
    const idle = await this.gateway.usage(true);
    let elapsed = 0;
    const bar = step("payments begun");
    await this.profile(true);
    const loadCpuPercent = await this.cpuDuring(() =>
      this.payments.run(perSecond, seconds, (now) => {
        elapsed = now;
        if (this.failure) throw new Error(this.failure);
        bar(this.payments.all.size, perSecond * seconds);
      }),
    );
    await this.profile(false);
    const { rss } = await this.gateway.usage();
    await this.payments.settle(SETTLE_MS);
    await this.gateway.stop();
    const audited = await this.audit();
    const took = [...this.payments.all.values()]
      .flatMap(({ tookMs }) => tookMs ?? [])
      .sort((a, b) => a - b);
    const at = (part: number) =>
      took[Math.min(took.length - 1, Math.floor(took.length * part))] ?? 0;
    return {
      devices: count,
      paymentsPerSecond: audited.succeeded / elapsed,
      medianMs: at(0.5),
      p99Ms: at(0.99),
      worstMs: at(1),
      rssBytes: rss,
      emptyRssBytes: empty.rss,
      idleRssBytes: idle.rss,
      bytesPerIdleDevice: Math.round((live(idle) - live(empty)) / count),
      reconnectMs,
      startMs,
      idleCpuPercent,
      loadCpuPercent,
      blockMs,
      audit: audited,
      alarms: this.payments.alarms,
    };
  }

  /** What the devices complained of, and the gateway's last words: for whoever asks why it failed. */
  get troubles(): string {
    return [...this.payments.alarms.slice(0, 10), this.gateway?.output ?? ""].join("\n");
  }

  async close(): Promise<void> {
    this.fleet?.stop();
    await this.gateway?.kill();
    await this.ground.close();
  }

  private failed(text: string): void {
    this.failure = text;
  }

  private async makeFleet(count: number): Promise<void> {
    const { broker, rpc } = this.ground;
    this.fleet = new Fleet({
      crypto: this.crypto,
      checkpoint: await tipCheckpoint(rpc),
      broker: { host: broker.host, port: broker.port },
      gatewayId: publicKey(fromHex(this.gateway.nodeId)),
      nowMs: () => performance.now(),
      terms: {
        feeBaseMsat: milliSatoshi(1_000),
        feeProportionalMillionths: 100,
        cltvExpiryDelta: 80,
      },
      told: this.payments,
    });
    await this.fleet.make(count);
  }

  /** As after an update: everybody calls at once. */
  private async restart() {
    const before = this.fleet.devices.map(({ sessions }) => sessions);
    const isBack = (device: LoadDevice) =>
      device.isReady && device.sessions > (before[device.index] ?? 0);
    await this.gateway.stop();
    const beganMs = performance.now();
    this.gateway = await this.ground.startGateway();
    const startMs = performance.now() - beganMs;
    await this.fleet.until(isBack, this.options.step("devices back"));
    return { startMs, reconnectMs: performance.now() - beganMs };
  }

  private async cpuDuring(work: () => Promise<void>): Promise<number> {
    const before = await this.gateway.usage();
    const beganMs = performance.now();
    await work();
    const after = await this.gateway.usage();
    const usedMs = (cpuOf(after) - cpuOf(before)) / 1_000;
    return (usedMs / (performance.now() - beganMs)) * 100;
  }

  private async profile(isBegin: boolean): Promise<void> {
    const { profileFolder } = this.options;
    if (profileFolder === undefined) return;
    if (isBegin) {
      await this.gateway.ask("snapshot", `${profileFolder}/idle.heapsnapshot`);
      await this.gateway.ask("profile");
    } else await this.gateway.ask("profiled", `${profileFolder}/load.cpuprofile`);
  }

  private async audit(): Promise<Audit> {
    const { store } = await openStore(this.ground.databaseUrl);
    try {
      return await audit(this.crypto, this.fleet.devices, this.payments, store);
    } finally {
      await store.close();
    }
  }
}

/** What is in use after a collection of garbage, in the heap and beside it. */
function live({ heapUsed, external }: Usage): number {
  return heapUsed + external;
}

function cpuOf({ cpu }: Usage): number {
  return cpu.user + cpu.system;
}
