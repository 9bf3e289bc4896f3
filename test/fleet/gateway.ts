/** One gateway of the fleet: `picobolt gateway` as a service manager runs it, and its client. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PicoboltClient } from "../../client/client.ts";
import { GatewayProblem, GatewayUnreachable } from "../../client/errors.ts";
import { done, PICOBOLT, pause, Server, until } from "./programs.ts";

export interface GatewayOptions {
  readonly name: string;
  readonly folder: string;
  readonly apiPort: number;
  readonly p2pPort: number;
  /** It ended by itself, and is started again. */
  onDied(how: string): void;
}

interface Ready {
  readonly api: string;
  readonly ca: string;
}

/** As packaging/picobolt-gateway.service has it: on failure, after a moment. */
const RESTART_MS = 500;
const AGAIN_MS = 250;
/** Answers that say nothing of what was asked: try again with the same key. */
const TOO_MANY = 429;

export class GatewayPart {
  nodeId = "";
  readonly env: Readonly<Record<string, string>>;
  private readonly server: Server;
  private readonly config: string;
  private isWanted = false;
  private client: PicoboltClient | undefined;

  constructor(private readonly options: GatewayOptions) {
    const { name, folder } = options;
    mkdirSync(folder, { recursive: true });
    this.config = join(folder, "picobolt.toml");
    this.env = {
      PICOBOLT_KEY_FILE: join(folder, "unlock.key"),
      PICOBOLT_HOME: join(folder, "home"),
      // Nothing of the machine's own surroundings.
      DATABASE_URL: "",
      MQTT_URL: "",
    };
    this.server = new Server({
      name: `gateway ${name}`,
      command: [...PICOBOLT, "gateway", "--config", this.config, "--json"],
      env: this.env,
      logFile: join(folder, "gateway.log"),
      onDied: (how) => void this.died(how),
    });
  }

  get name(): string {
    return this.options.name;
  }

  get dataDir(): string {
    return join(this.options.folder, "data");
  }

  get wallet(): string {
    return `gateway-${this.name}`;
  }

  /** How a peer calls it. */
  get address(): string {
    return `${this.nodeId}@127.0.0.1:${this.options.p2pPort}`;
  }

  async makeSeed(): Promise<void> {
    const key = ["--key-file", this.env.PICOBOLT_KEY_FILE as string];
    const words = ["seed", "new", "--data-dir", this.dataDir, "--no-words", ...key];
    this.nodeId = (await done(words, { env: this.env })).last.node_id as string;
  }

  configure(settings: Readonly<Record<string, string | number | boolean | readonly string[]>>) {
    const { name, apiPort, p2pPort } = this.options;
    const all = {
      network: "regtest",
      data_dir: this.dataDir,
      name,
      log_level: "debug",
      "secrets.key_file": this.env.PICOBOLT_KEY_FILE as string,
      "api.port": apiPort,
      "p2p.port": p2pPort,
      "discovery.lan": false,
      "bitcoind.wallet": this.wallet,
      "devices.max_channel_sat": 1_000_000,
      ...settings,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
    writeFileSync(this.config, `${lines.join("\n")}\n`);
  }

  async start(): Promise<void> {
    this.isWanted = true;
    const ready = await this.server.start((line) => {
      if (!line.includes('"event":"ready"')) return undefined;
      return JSON.parse(line) as Ready;
    });
    if (!ready) throw new Error(`gateway ${this.name} does not start`);
    this.client = PicoboltClient.at({
      url: ready.api,
      ca: readFileSync(ready.ca, "utf8"),
      macaroon: readFileSync(join(this.dataDir, "admin.macaroon"), "utf8"),
    });
  }

  async kill(): Promise<void> {
    this.isWanted = false;
    await this.server.kill();
  }

  async stop(): Promise<void> {
    this.isWanted = false;
    await this.server.stop();
  }

  /** What a program of the operator's does: it asks again, with the same key, until there is an answer. */
  async ask<T>(
    what: string,
    call: (client: PicoboltClient) => Promise<T>,
    ms = 90_000,
  ): Promise<T> {
    let last = "";
    for (const end = Date.now() + ms; Date.now() < end; await pause(AGAIN_MS)) {
      try {
        if (this.client) return await call(this.client);
      } catch (cause) {
        if (!isPassing(cause)) throw cause;
        last = (cause as Error).message;
      }
    }
    throw new Error(`gateway ${this.name} did not answer within ${ms / 1000} s: ${what} (${last})`);
  }

  private async died(how: string): Promise<void> {
    this.options.onDied(how);
    await pause(RESTART_MS);
    if (!this.isWanted) return;
    // It may need what is down as well: as often as it takes.
    const again = () =>
      this.isWanted && !this.server.isRunning ? this.start().then(() => true) : true;
    await until(`gateway ${this.name} runs again`, again, { stepMs: RESTART_MS }).catch(() => {});
  }
}

function isPassing(cause: unknown): boolean {
  if (cause instanceof GatewayUnreachable) return true;
  return cause instanceof GatewayProblem && (cause.status >= 500 || cause.status === TOO_MANY);
}
