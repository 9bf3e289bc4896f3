/** Two gateway processes share the devices on PostgreSQL; one is killed in the midst of payments, and the other takes its devices over. */
import { milliSatoshi, publicKey } from "../../core/primitives/brands.ts";
import { fromHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { openStore } from "../../gateway/store/open-store.ts";
import { type Audit, audit } from "./audit.ts";
import { Fleet, tipCheckpoint } from "./fleet.ts";
import { type GatewayProgram, Refused } from "./gateway-program.ts";
import type { LoadOptions } from "./load.ts";
import type { LoadDevice } from "./load-device.ts";
import { type GatewayApi, Payments } from "./payments.ts";
import { LoadGround } from "./world.ts";

export interface TwoFigures {
  readonly devices: number;
  readonly paymentsPerSecond: number;
  /** From the kill until every device has a session with the process that is left, and its channel can pay. */
  readonly takeoverMs: number;
  /** From the kill until the other process has its leases. */
  readonly leasesMs: number;
  /** Payments that failed cleanly, by when they were begun. */
  readonly failed: { readonly before: number; readonly meanwhile: number; readonly after: number };
  /** Devices that the killed process served. */
  readonly takenOver: number;
  readonly audit: Audit;
  readonly alarms: readonly string[];
}

const FUNDING_BLOCKS = 4;
const SETTLE_MS = 90_000;
const KILLED = "one";

interface Taken extends Pick<TwoFigures, "takeoverMs" | "leasesMs" | "takenOver"> {
  readonly killedMs: number;
}

export class TwoProcesses {
  private readonly ground: LoadGround;
  private readonly crypto = chooseCrypto();
  private gateways: GatewayProgram[] = [];
  private fleet!: Fleet;
  private failure: string | undefined;
  private readonly payments = new Payments(() => this.fleet, {
    call: (method, params) => callEither(this.gateways, method, params),
  });

  constructor(private readonly options: LoadOptions) {
    this.ground = new LoadGround((text) => this.failed(text), options.logsFolder);
  }

  async run(): Promise<TwoFigures> {
    const { devices: count, perSecond, seconds, step, note } = this.options;
    note("two gateway processes on PostgreSQL");
    const { ground } = this;
    await ground.start();
    await ground.usePostgres();
    for (const name of [KILLED, "two"]) this.gateways.push(await ground.startGateway(name));
    await this.makeFleet(count);
    await this.fleet.connect(step("devices connected"));
    await this.fleet.openChannels(
      ground.walletThatMines(),
      (raw) => ground.broadcast(raw),
      step("channels opened"),
    );
    await ground.lab.mine(FUNDING_BLOCKS);
    await this.fleet.until((device) => device.isReady, step("channels ready"));
    const bar = step("payments begun");
    const each = () => {
      if (this.failure) throw new Error(this.failure);
      bar(this.payments.all.size, perSecond * seconds);
    };
    const beganMs = performance.now();
    await this.payments.run(perSecond, seconds / 2, each);
    const taking = this.killOne();
    await this.payments.run(perSecond, seconds / 2, each);
    const elapsed = (performance.now() - beganMs) / 1_000;
    const taken = await taking;
    await this.payments.settle(SETTLE_MS);
    for (const gateway of this.gateways) await gateway.stop();
    const { store } = await openStore(ground.databaseUrl);
    try {
      const { devices } = this.fleet;
      const audited = await audit(this.crypto, devices, this.payments, store);
      const paymentsPerSecond = audited.succeeded / elapsed;
      const { alarms } = this.payments;
      const { takeoverMs, leasesMs, takenOver } = taken;
      const times = { takeoverMs, leasesMs, takenOver, failed: this.failures(taken) };
      return { devices: count, paymentsPerSecond, ...times, audit: audited, alarms };
    } finally {
      await store.close();
    }
  }

  get troubles(): string {
    const said = this.gateways.map(({ output }) => output);
    return [...this.payments.alarms.slice(0, 10), ...said].join("\n");
  }

  async close(): Promise<void> {
    this.fleet?.stop();
    for (const gateway of this.gateways) await gateway.kill();
    await this.ground.close();
  }

  private failed(text: string): void {
    this.failure = text;
  }

  /** Without a word to anybody. */
  private async killOne(): Promise<Taken> {
    const { devices } = this.fleet;
    const [first] = this.gateways.splice(0, 1);
    const killedMs = performance.now();
    const before = new Map(devices.map((device) => [device, device.sessions]));
    await first?.kill();
    // Sessions with the process that is left go on, and answer; the others' end when they are told, or hear nothing.
    for (const device of devices) device.ask();
    const leased = this.ground.withoutLeases(KILLED).then(() => performance.now() - killedMs);
    const isBack = (device: LoadDevice) => device.isReady && device.heardMs > killedMs;
    await this.fleet.until(isBack, () => {});
    const takenOver = devices.filter((one) => one.sessions > (before.get(one) ?? 0)).length;
    const takeoverMs = performance.now() - killedMs;
    return { killedMs, takeoverMs, leasesMs: await leased, takenOver };
  }

  private failures({ killedMs, takeoverMs }: Taken): TwoFigures["failed"] {
    const failed = [...this.payments.all.values()].filter((one) => one.failed !== undefined);
    const before = failed.filter(({ begunMs }) => begunMs < killedMs).length;
    const after = failed.filter(({ begunMs }) => begunMs > killedMs + takeoverMs).length;
    return { before, meanwhile: failed.length - before - after, after };
  }

  private async makeFleet(count: number): Promise<void> {
    const { broker, rpc } = this.ground;
    const [first] = this.gateways;
    this.fleet = new Fleet({
      crypto: this.crypto,
      checkpoint: await tipCheckpoint(rpc),
      broker: { host: broker.host, port: broker.port },
      gatewayId: publicKey(fromHex(first?.nodeId ?? "")),
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
}

/** The process that does not serve a device says so, and has paid nothing. */
async function callEither(
  gateways: readonly GatewayProgram[],
  ...[method, params]: Parameters<GatewayApi["call"]>
): ReturnType<GatewayApi["call"]> {
  let refused: unknown;
  for (const gateway of gateways) {
    try {
      return await gateway.call(method, params);
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
      refused = cause;
    }
  }
  throw refused ?? new Error("no gateway is there");
}
