/** A real mosquitto as a process, with a private folder: plain, or with TLS, passwords and an access list. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BROKER_HOST } from "../../gateway/links/embedded-broker.ts";
import { freePort } from "../processes/free-port.ts";
import type { Broker } from "./broker.ts";
import { makeCertificates } from "./certificates.ts";

export interface MosquittoOptions {
  readonly tls?: boolean;
  /** Of the format of mosquitto's `acl_file` (gateway/fleet/broker-config.ts, `accessList`). */
  readonly acl?: string;
  /** By user; without them anybody may come. */
  readonly passwords?: Readonly<Record<string, string>>;
}

const READY_MS = 30_000;
const PORT_ATTEMPTS = 3;
/** Debian keeps it where only root's PATH leads. */
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

export async function startMosquitto(options: MosquittoOptions = {}): Promise<Broker> {
  if (spawnSync("mosquitto", ["-h"], { env, stdio: "ignore" }).error) {
    throw new Error("mosquitto is missing: apt-get install mosquitto");
  }
  for (let attempt = 1; ; attempt++) {
    const broker = new Mosquitto(options, await freePort());
    try {
      await broker.restart();
      return broker;
    } catch (cause) {
      await broker.close();
      if (attempt === PORT_ATTEMPTS) throw cause;
    }
  }
}

class Mosquitto implements Broker {
  readonly host = BROKER_HOST;
  readonly url: string;
  readonly ca?: Uint8Array;
  private readonly folder = mkdtempSync(join(tmpdir(), "picobolt-mosquitto-"));
  private readonly config: string;
  private child: ChildProcess | undefined;
  private said = "";
  /** Whatever ends this process takes the broker along. */
  private readonly onExit = () => {
    this.child?.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  };

  constructor(
    options: MosquittoOptions,
    readonly port: number,
  ) {
    const { folder, host } = this;
    process.on("exit", this.onExit);
    this.url = `${options.tls ? "mqtts" : "mqtt"}://${host}:${port}`;
    const lines = [`listener ${port} ${host}`, "persistence false", "max_queued_messages 20000"];
    // Run by root it would become another user, who cannot read this folder.
    if (process.getuid?.() === 0) lines.push("user root");
    if (options.tls) {
      const made = makeCertificates(folder);
      this.ca = made.ca;
      lines.push(`certfile ${made.certFile}`, `keyfile ${made.keyFile}`);
    }
    const { passwords, acl } = options;
    lines.push(`allow_anonymous ${passwords ? "false" : "true"}`);
    if (passwords) lines.push(`password_file ${passwordFile(folder, passwords)}`);
    if (acl !== undefined) lines.push(`acl_file ${written(folder, "acl", acl)}`);
    this.config = written(folder, "mosquitto.conf", `${lines.join("\n")}\n`);
  }

  async restart(): Promise<void> {
    await this.kill();
    const child = spawn("mosquitto", ["-c", this.config], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child = child;
    child.stderr.on("data", (bytes: Buffer) => {
      this.said = (this.said + bytes.toString()).slice(-4000);
    });
    const failed = () => new Error(`mosquitto does not listen on port ${this.port}: ${this.said}`);
    for (const until = Date.now() + READY_MS; !(await answers(this.port)); ) {
      if (child.exitCode !== null || Date.now() > until) throw failed();
      await new Promise((wake) => setTimeout(wake, 10));
    }
    // Else another one answers, which took the port between our look and mosquitto's.
    if (child.exitCode !== null) throw failed();
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async close(): Promise<void> {
    await this.kill();
    process.off("exit", this.onExit);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function passwordFile(folder: string, passwords: Readonly<Record<string, string>>): string {
  const lines = Object.entries(passwords).map(([user, password]) => `${user}:${password}\n`);
  const file = written(folder, "passwords", lines.join(""));
  execFileSync("mosquitto_passwd", ["-U", file], { env, stdio: "pipe" });
  return file;
}

function written(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, BROKER_HOST);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}
