/** Gateway processes that share one PostgreSQL, one broker and one bitcoind, and devices that reach them through the broker. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PicoboltClient } from "../../client/client.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { Link } from "../../core/ports/link.ts";
import { milliSatoshi, type PublicKey, publicKey, satoshi } from "../../core/primitives/brands.ts";
import { ascii, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { Gateway } from "../../gateway/gateway.ts";
import { MemoryLedger } from "../../gateway/payments/memory-ledger.ts";
import { directHop } from "../../gateway/payments/next-hop.ts";
import { gatewayRoute } from "../../gateway/payments/routes.ts";
import { startRegtestLab } from "../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../host-sim/chain/lab.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import type { Broker } from "../../host-sim/mqtt/broker.ts";
import { startMosquitto } from "../../host-sim/mqtt/mosquitto.ts";
import { TestPostgres } from "../../host-sim/postgres/postgres-server.ts";
import { crypto } from "./node-pair.ts";
import { PATIENCE_MS } from "./patience.ts";

const PICOBOLT = new URL("../../cli/picobolt.mjs", import.meta.url).pathname;
const TICK_MS = 20;
const WALLET = "shared gateway";
/** A process, or its disk, may stand still for some seconds on a busy machine, and is not dead. */
export const LEASE_SECONDS = 8;
/** As a gateway forwards unless it is told otherwise. */
const TERMS = {
  feeBaseMsat: milliSatoshi(1_000),
  feeProportionalMillionths: 100,
  cltvExpiryDelta: 80,
};

export class WorkerLab {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-workers-"));
  readonly processes: GatewayProcess[] = [];
  readonly devices: TestDevice[] = [];
  databaseUrl = "";

  private constructor(
    readonly postgres: TestPostgres,
    readonly broker: Broker,
    readonly chain: ChainLab,
  ) {}

  static async start(): Promise<WorkerLab> {
    const [postgres, broker, chain] = await Promise.all([
      TestPostgres.start(),
      startMosquitto(),
      startRegtestLab(),
    ]);
    const lab = new WorkerLab(postgres, broker, chain);
    lab.databaseUrl = await postgres.database();
    await chain.wallet(WALLET);
    return lab;
  }

  /** All of them have the seed of the first. */
  async gateway(name: string, env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
    const started = new GatewayProcess(this, name, env);
    this.processes.push(started);
    await started.start();
    return started;
  }

  async device(name: string): Promise<TestDevice> {
    const device = new TestDevice(this, name, this.gatewayId);
    this.devices.push(device);
    await device.start();
    return device;
  }

  get gatewayId(): PublicKey {
    return publicKey(fromHex(this.processes[0]?.nodeId ?? ""));
  }

  /** Which process holds the lease of each device, by their names. */
  async holders(): Promise<Readonly<Record<string, string>>> {
    const rows = await this.postgres.query(
      this.databaseUrl,
      "SELECT encode(subject, 'hex') AS peer, name FROM leases JOIN workers ON worker = number",
    );
    const held = new Map(rows.map(({ peer, name }) => [String(peer), String(name)]));
    return Object.fromEntries(
      this.devices.map((device) => [device.name, held.get(toHex(device.id)) ?? "nobody"]),
    );
  }

  async close(): Promise<void> {
    for (const device of this.devices) await device.stop();
    for (const one of this.processes) await one.kill();
    await this.broker.close();
    await this.chain.close();
    await this.postgres.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `picobolt gateway` as an operator runs it, once for each worker. */
export class GatewayProcess {
  nodeId = "";
  /** Of its API. */
  url = "";
  client!: PicoboltClient;
  log = "";
  readonly folder: string;
  private child: ChildProcess | undefined;
  /** It has ended, and its last words are in the log. */
  private closed: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly lab: WorkerLab,
    readonly name: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    this.folder = join(lab.folder, name);
  }

  async start(): Promise<void> {
    const { lab, folder } = this;
    const first = lab.processes[0];
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const seed = join(folder, "seed");
    if (first && first !== this && !existsSync(seed))
      copyFileSync(join(first.folder, "seed"), seed);
    const { rpcPort, cookieFile } = lab.chain.connection ?? { rpcPort: 0, cookieFile: "" };
    const settings = {
      "api.port": "0",
      "api.tls": "off",
      "p2p.port": "0",
      "discovery.lan": "false",
      "bitcoind.cookie_file": cookieFile,
      "bitcoind.wallet": WALLET,
      "worker.lease_seconds": String(LEASE_SECONDS),
    };
    const words = Object.entries(settings).flatMap(([name, value]) => [
      "--set",
      `${name}=${value}`,
    ]);
    const command = ["--pdeathsig", "KILL", process.execPath, PICOBOLT, "gateway", "--json"];
    const child = spawn("setpriv", [...command, ...words], {
      env: {
        ...process.env,
        DATABASE_URL: lab.databaseUrl,
        MQTT_URL: lab.broker.url,
        WORKER_NAME: this.name,
        DATA_DIR: folder,
        BITCOIND_URL: `http://127.0.0.1:${rpcPort}`,
        NETWORK: "regtest",
        LOG_LEVEL: "debug",
        ...this.env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.closed = once(child, "close");
    child.stderr.on("data", (bytes) => {
      this.log += String(bytes);
    });
    const ready = await new Promise<Record<string, string>>((resolve, reject) => {
      let said = "";
      child.stdout.on("data", (bytes) => {
        said += String(bytes);
        const line = said.split("\n").find((one) => one.includes('"ready"'));
        if (line) resolve(JSON.parse(line) as Record<string, string>);
      });
      child.once("exit", (code) => reject(new Error(`${this.name} ended (${code}): ${this.log}`)));
    });
    this.nodeId = ready.node_id ?? "";
    this.url = ready.api ?? "";
    this.client = PicoboltClient.at({
      url: this.url,
      macaroon: readFileSync(join(folder, "admin.macaroon"), "utf8").trim(),
    });
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && !this.child.signalCode;
  }

  /** At once, as power goes. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM");
  }

  /** It stands still, and knows nothing of it. */
  pause(isPaused: boolean): void {
    this.child?.kill(isPaused ? "SIGSTOP" : "SIGCONT");
  }

  async ended(): Promise<number | null> {
    await this.closed;
    return this.child?.exitCode ?? null;
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.isRunning) this.child?.kill(signal);
    await this.closed;
  }
}

/** A node of its own in this process, with one channel: to the gateway, whichever process that is. */
export class TestDevice {
  readonly signer: SeedSigner;
  readonly told: ChannelEvent[] = [];
  readonly alarms: string[] = [];
  gateway!: Gateway;
  private connectedAtMs: number | undefined;
  private link: Link | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly store = new MemoryStore();

  constructor(
    private readonly lab: WorkerLab,
    readonly name: string,
    private readonly gatewayId: PublicKey,
  ) {
    this.signer = new SeedSigner(crypto, crypto.sha256(ascii(`${lab.folder}/${name}`)));
  }

  get id(): PublicKey {
    return this.signer.nodeId;
  }

  async start(): Promise<void> {
    const { lab, gatewayId, signer } = this;
    this.gateway = await Gateway.start({
      crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      store: this.store,
      signer,
      source: await lab.chain.source(),
      wallet: await lab.chain.wallet(this.name),
      nowMs: performance.now(),
      payments: {
        ledger: new MemoryLedger(),
        network: "regtest",
        nowSeconds: () => Math.floor(Date.now() / 1_000),
        findRoute: gatewayRoute(
          directHop(() => this.gateway.node),
          gatewayId,
          TERMS,
        ),
      },
      events: {
        onChannelEvent: (_, event) => void this.told.push(event),
        onPeer: (_, state, reason) => {
          if (process.env.PICOBOLT_SHOW_LOGS) console.error(Date.now(), this.name, state, reason);
          this.connectedAtMs = state === "connected" ? performance.now() : undefined;
        },
        onBlock: () => {},
        onPublished: () => {},
        onDeviceFunded: () => {},
        onAlarm: (text) => void this.alarms.push(text),
      },
    });
    this.timer = setInterval(() => this.gateway.tick(performance.now()), TICK_MS);
    // A host's link: a device's takes no frames above 8,192 bytes, and this one says that it does.
    const names = `${topicName(toHex(gatewayId))}/${topicName(toHex(this.id))}`;
    this.link = await openLink(`${lab.broker.url}/${names}`);
    this.gateway.attach(this.link, gatewayId);
    // The first session ends at once: its lease is asked for.
    const isServed = async () => (await lab.holders())[this.name] !== "nobody";
    await until(`${this.name} is leased`, isServed);
    await until(`${this.name} is connected`, () => this.isConnected);
  }

  /** Half of it is the gateway's. */
  async open(): Promise<void> {
    this.gateway.node.open({
      remoteNodeId: this.gatewayId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(1_000_000),
      pushMsat: milliSatoshi(500_000_000),
      feeratePerKw: 0,
    });
    await until(`${this.name}'s funding is signed`, () =>
      this.told.some(({ type }) => type === "created"),
    );
    await until(`${this.name}'s channel is ready`, async () => {
      await this.lab.chain.mine(1);
      return this.told.some(({ type }) => type === "ready");
    });
  }

  /** Since a moment ago. */
  get isConnected(): boolean {
    const { connectedAtMs } = this;
    return connectedAtMs !== undefined && performance.now() > connectedAtMs + 200;
  }

  get isReady(): boolean {
    const [found] = this.gateway.node.channels(this.gatewayId);
    if (found?.channel.kind !== "live") return false;
    const { connected, reestablishSent, reestablishReceived } = found.channel.session;
    return connected && reestablishSent && reestablishReceived;
  }

  /** How often its channel was taken up in a new session. */
  get talks(): number {
    return this.told.filter(({ type }) => type === "reestablished").length;
  }

  get balanceMsat(): number {
    const [found] = this.gateway.node.channels(this.gatewayId);
    return found?.channel.kind === "live" ? found.channel.record.base.toLocalMsat : Number.NaN;
  }

  get bank() {
    const { payments } = this.gateway;
    if (!payments) throw new Error("this device makes no payments");
    return payments;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.gateway.stop();
    this.link?.close();
  }
}

/** The error names what was waited for. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  ms = PATIENCE_MS,
): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await isSo()) return;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error(`not within ${ms} ms: ${what}`);
}
