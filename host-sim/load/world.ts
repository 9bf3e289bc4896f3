/** What the load runs on: bitcoind in regtest, mosquitto, and the gateway's program, in one temporary folder that goes at the end. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ChainWallet } from "../../core/ports/chain.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { InsufficientFunds } from "../../gateway/chain/insufficient-funds.ts";
import { startRegtestLab } from "../chain/bitcoind-lab.ts";
import type { ChainLab } from "../chain/lab.ts";
import type { Broker } from "../mqtt/broker.ts";
import { startMosquitto } from "../mqtt/mosquitto.ts";
import { TestPostgres } from "../postgres/postgres-server.ts";
import { pause } from "./fleet.ts";
import { GatewayProgram } from "./gateway-program.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const WALLET = "load";
const ALONE = "gateway";
const FUND_TRIES = 100;
const FUND_PAUSE_MS = 300;
const LOOK_MS = 200;
const HOLDERS = "SELECT DISTINCT name FROM leases JOIN workers ON worker = number";
/** A process that is not heard of for so long is taken for dead. */
export const LEASE_SECONDS = 10;

export class LoadGround {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-load-"));
  lab!: ChainLab;
  rpc!: BitcoindRpc;
  wallet!: ChainWallet;
  broker!: Broker;
  private postgres: TestPostgres | undefined;
  private database: string | undefined;
  private readonly built = `.cache/load-${process.pid}`;
  private readonly onExit = () => this.removeFiles();

  constructor(
    private readonly onGatewayExit: (text: string) => void,
    /** Where gateways write all that they have to say. */
    private readonly logsFolder?: string,
  ) {
    process.on("exit", this.onExit);
  }

  async start(): Promise<void> {
    const words = [`${ROOT}scripts/build-gateway.mjs`, this.built];
    execFileSync(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
    this.lab = await startRegtestLab();
    const { connection } = this.lab;
    if (!connection) throw new Error("this chain cannot be reached by another process");
    const { rpcPort: port, cookieFile } = connection;
    this.rpc = new BitcoindRpc({ port, auth: { cookieFile } });
    this.wallet = await this.lab.wallet(WALLET);
    this.broker = await startMosquitto();
  }

  /** One of several on one database where there is one; they are one node, and have its seed. */
  async startGateway(name: string = ALONE): Promise<GatewayProgram> {
    const { connection, database, seed, logsFolder } = this;
    const dataDir = join(this.folder, name);
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    if (existsSync(seed) && !existsSync(join(dataDir, "seed"))) {
      copyFileSync(seed, join(dataDir, "seed"));
    }
    const program = await GatewayProgram.start({
      program: join(ROOT, this.built, "picobolt-gateway.mjs"),
      dataDir,
      settings: {
        network: "regtest",
        "bitcoind.url": `http://127.0.0.1:${connection?.rpcPort}`,
        "bitcoind.cookie_file": connection?.cookieFile ?? "",
        "mqtt.url": this.broker.url,
        "api.port": "0",
        "api.tls": "off",
        "api.calls_per_second": "100000",
        "p2p.port": "0",
        "discovery.lan": "false",
        "alerts.wallet_coins": "0",
        "alerts.outbound_percent": "0",
        log_level: logsFolder === undefined ? "warn" : "debug",
        ...(database !== undefined && {
          database_url: database,
          "worker.name": name,
          "worker.lease_seconds": String(LEASE_SECONDS),
        }),
      },
      logFile: logsFolder && join(logsFolder, `${name}.log`),
      onExit: (text) => this.onGatewayExit(text),
    });
    if (!existsSync(seed)) copyFileSync(join(dataDir, "seed"), seed);
    return program;
  }

  /** From now on gateways keep everything there. */
  async usePostgres(): Promise<void> {
    this.postgres = await TestPostgres.start();
    this.database = await this.postgres.database();
  }

  /** Until a process of that name holds no lease any more. */
  async withoutLeases(name: string): Promise<void> {
    const { postgres, database } = this;
    if (!postgres || database === undefined) return;
    for (;;) {
      const rows = await postgres.query(database, HOLDERS);
      if (rows.every((row) => row.name !== name)) return;
      await pause(LOOK_MS);
    }
  }

  /** Where the gateway kept everything, now that it has stopped. */
  get databaseUrl(): string {
    return this.database ?? join(this.folder, ALONE, "regtest.sqlite");
  }

  private get seed(): string {
    return join(this.folder, "seed");
  }

  private get connection() {
    return this.lab.connection;
  }

  /** A coin's change is free again once it is mined: what others fund has to be signed and sent before that. */
  walletThatMines(): ChainWallet {
    const { wallet, lab } = this;
    const fund: ChainWallet["fund"] = async (outputs, feeratePerKw) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await wallet.fund(outputs, feeratePerKw);
        } catch (cause) {
          if (!(cause instanceof InsufficientFunds) || attempt === FUND_TRIES) throw cause;
          await lab.mine(1);
          await pause(FUND_PAUSE_MS);
        }
      }
    };
    return Object.assign(Object.create(wallet), { fund }) as ChainWallet;
  }

  async broadcast(raw: Uint8Array): Promise<void> {
    await this.rpc.call("sendrawtransaction", toHex(raw));
  }

  async close(): Promise<void> {
    await this.broker?.close();
    await this.postgres?.close();
    this.rpc?.close();
    await this.lab?.close();
    process.off("exit", this.onExit);
    this.removeFiles();
  }

  private removeFiles(): void {
    for (const path of [this.folder, join(ROOT, this.built)]) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}
