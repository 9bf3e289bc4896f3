/** mosquitto as `picobolt broker-config` configures it: TLS, a password for each name, and who may speak where. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { done, Server, until } from "./programs.ts";

const HOST = "127.0.0.1";

interface DeviceSettings {
  readonly user: string;
  readonly password: string;
}

export interface BrokerOptions {
  readonly folder: string;
  readonly port: number;
  /** Of the gateway. */
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  onDied(how: string): void;
}

export class Mosquitto {
  private readonly server: Server;
  private config = "";
  caFile = "";
  gatewayUrlFile = "";
  private devices: Readonly<Record<string, string>> = {};

  constructor(private readonly options: BrokerOptions) {
    this.server = new Server({
      name: "mosquitto",
      command: ["mosquitto", "-c", join(options.folder, "own.conf")],
      // Debian keeps it where only root's PATH leads.
      env: { PATH: `${process.env.PATH}:/usr/sbin` },
      logFile: join(options.folder, "mosquitto.log"),
      onDied: options.onDied,
    });
  }

  /** Lets these in: devices by their node ids, customers by 16 hexadecimal digits. */
  async letIn(names: readonly string[]): Promise<void> {
    const { folder, port, dataDir, env } = this.options;
    const words = ["broker-config", folder, "--host", HOST, "--port", String(port)];
    const { last } = await done([...words, "--data-dir", dataDir, "--device", ...names], { env });
    this.config = last.config as string;
    this.caFile = last.ca_file as string;
    this.gatewayUrlFile = last.gateway_url_file as string;
    this.devices = last.devices as Record<string, string>;
  }

  async start(): Promise<void> {
    // On loopback alone; and run by root it would become another user, who cannot read this folder.
    const { folder, port } = this.options;
    const written = readFileSync(this.config, "utf8");
    const lines = [written.replace(/^listener .*$/m, `listener ${port} ${HOST}`)];
    if (process.getuid?.() === 0) lines.push("user root\n");
    writeFileSync(join(folder, "own.conf"), lines.join(""), { mode: 0o600 });
    void this.server.start().catch(() => {});
    await until("mosquitto listens", () => this.answers());
  }

  kill(): Promise<void> {
    return this.server.kill();
  }

  /** What a device's owner sends it. */
  settingsFile(name: string): string {
    return this.devices[name.slice(2, 18)] ?? (this.devices[name] as string);
  }

  /** How somebody with this name reaches the gateway. */
  linkOf(name: string, gatewayId: string): string {
    const text = readFileSync(this.devices[name] as string, "utf8");
    const { user, password } = JSON.parse(text) as DeviceSettings;
    return `mqtts://${user}:${password}@${HOST}:${this.options.port}/${gatewayId}/${name}`;
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const ca = readFileSync(this.caFile);
      const socket = connect({ host: HOST, port: this.options.port, ca }, () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
    });
  }
}
