/** The demo's world: one chain, a gateway and two devices as processes, three cables; all of it in one folder, all of it gone at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Json, JsonObject } from "../../gateway/api/event-json.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { createLab } from "../chain/create-lab.ts";
import type { ChainLab } from "../chain/lab.ts";
import { Cable, type CableKind } from "../links/cable.ts";
import { ControlledProcess } from "../processes/control.ts";
import { RUNNER } from "../processes/runner.ts";
import { ChainDesk } from "./chain-desk.ts";

export const PRODUCTS = [
  { id: 1, name: "espresso", priceMsat: 1_500_000 },
  { id: 2, name: "tea", priceMsat: 900_000 },
  { id: 3, name: "cookie", priceMsat: 450_500 },
] as const;
export const HTLC_PRODUCT = { id: 4, name: "lunch box", priceMsat: 9_000_000 } as const;

/** Short delays, so that a story of weeks fits into a minute. */
/** A pulled cable says nothing: it is noticed while somebody watches. */
const SOON = ["--ping-ms", "1000", "--dead-ms", "3000"];
const POLICY: JsonObject = {
  minimumDepth: 3,
  toSelfDelay: 12,
  irrevocableDepth: 6,
};

export interface WorldEvent {
  readonly from: Role;
  readonly event: string;
  readonly fields: JsonObject;
}
export type Role = "gateway" | "buyer" | "vending";

export interface WorldOptions {
  readonly chain: "sim" | "bitcoind";
  readonly cables: CableKind;
  readonly onProgress: (line: string) => void;
  readonly onEvent: (event: WorldEvent) => void;
}

const WAIT_MS = 60_000;

/** What is being started when all is to end may take so long to stop (a node that loads, a download). */
const BEGINNING_MS = 15_000;

/** Somebody asked the demo to end. */
export class Stopped extends Error {
  override readonly name = "Stopped";
  constructor() {
    super("stopped");
  }
}

export class World {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-demo-"));
  readonly log: WorldEvent[] = [];
  readonly ids: Partial<Record<Role, string>> = {};
  readonly started: Partial<Record<Role, JsonObject>> = {};
  private readonly processes: Partial<Record<Role, ControlledProcess>> = {};
  private readonly cables: Partial<Record<string, Cable>> = {};
  private lab: ChainLab | undefined;
  private desk: ChainDesk | undefined;
  private readonly listeners = new Set<() => void>();
  private closed = false;
  private closing: Promise<void> | undefined;

  private beginning: Promise<void> | undefined;

  /** Nothing runs yet. */
  constructor(private readonly options: WorldOptions) {}

  /** Starts everything; what was started is stopped again where something fails. */
  async start(): Promise<void> {
    this.beginning = this.begin();
    try {
      await this.beginning;
    } catch (cause) {
      await this.close();
      throw cause;
    }
  }

  private async begin(): Promise<void> {
    const { chain, cables, onProgress } = this.options;
    if (chain === "bitcoind") {
      this.lab = await createLab({ chain, onProgress });
      this.checkOpen();
      await this.lab.wallet("picobolt");
      this.desk = await ChainDesk.open(this.lab, chooseCrypto());
    }
    for (const name of ["gateway-buyer", "gateway-vending", "buyer-vending"]) {
      this.cables[name] = await Cable.lay(this.folder, name, cables);
      this.checkOpen();
    }
    await this.startGateway();
    await this.startVending();
    await this.startBuyer();
  }

  cable(name: "gateway-buyer" | "gateway-vending" | "buyer-vending"): Cable {
    return this.cables[name] as Cable;
  }

  get wireBytes(): number {
    return Object.values(this.cables).reduce((sum, cable) => sum + (cable?.bytes ?? 0), 0);
  }

  /** A request to one of the processes. */
  call<T = Json>(role: Role, method: string, params: JsonObject = {}): Promise<T> {
    const process = this.processes[role];
    if (!process) return Promise.reject(new Error(`the ${role} is not running`));
    return process.call(method, params) as Promise<T>;
  }

  /** A request to the chain, wherever it lives. */
  async chain<T = Json>(method: string, params: JsonObject = {}): Promise<T> {
    if (!this.desk) return this.call<T>("gateway", method, params);
    const answer = this.desk.methods()[method];
    if (!answer) throw new Error(`the chain has no method ${method}`);
    return (await answer(params)) as T;
  }

  /** Waits for an event that is told after `since` (an index into the log). */
  async until(
    what: string,
    matches: (event: WorldEvent) => boolean,
    since = 0,
    timeoutMs = WAIT_MS,
  ): Promise<WorldEvent> {
    const found = () => this.log.slice(since).find(matches);
    const end = Date.now() + timeoutMs;
    for (let event = found(); ; event = found()) {
      if (event) return event;
      this.checkOpen();
      if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
      await this.change(Math.min(250, end - Date.now() + 1));
    }
  }

  private change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.listeners.delete(done);
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.listeners.add(done);
    });
  }

  private async run(role: Role, words: readonly string[]): Promise<void> {
    this.checkOpen();
    const since = this.log.length;
    const process = new ControlledProcess(role, words, (event, fields) => {
      const told = { from: role, event, fields };
      this.log.push(told);
      this.options.onEvent(told);
      for (const listener of [...this.listeners]) listener();
    });
    this.processes[role] = process;
    const started = this.until(
      `the ${role} to start`,
      (e) => e.from === role && e.event === "started",
      since,
    );
    const died = process.exited.then(() => process.call("none"));
    const { fields } = (await Promise.race([started, died])) as WorldEvent;
    started.catch(() => {});
    died.catch(() => {});
    this.ids[role] = fields.nodeId as string;
    this.started[role] = fields;
  }

  private async startGateway(): Promise<void> {
    const script = join(import.meta.dirname, "../processes/gateway-process.ts");
    const connection = this.lab?.connection;
    const chain = connection
      ? [
          "--chain",
          "bitcoind",
          "--rpc-port",
          `${connection.rpcPort}`,
          "--cookie",
          connection.cookieFile,
        ]
      : ["--chain", "sim", "--store", "memory"];
    await this.run("gateway", [
      ...[process.execPath, RUNNER, script, "--folder", join(this.folder, "gateway"), ...chain],
      ...["--policy", JSON.stringify(POLICY), ...SOON],
      ...["--link", this.cable("gateway-buyer").ends[0]],
      ...["--link", this.cable("gateway-vending").ends[0]],
    ]);
  }

  async startVending(): Promise<void> {
    await this.startDevice("vending", "vending", [
      `${this.cable("gateway-vending").ends[1]}=${this.ids.gateway}`,
      this.cable("buyer-vending").ends[1],
    ]);
  }

  async startBuyer(): Promise<void> {
    await this.startDevice("buyer", "payer", [
      `${this.cable("gateway-buyer").ends[1]}=${this.ids.gateway}`,
      `${this.cable("buyer-vending").ends[0]}=${this.ids.vending}`,
    ]);
  }

  private startDevice(role: "buyer" | "vending", app: string, links: readonly string[]) {
    const script = join(import.meta.dirname, "../processes/device-process.ts");
    return this.run(role, [
      ...[process.execPath, RUNNER, script, "--name", role, "--app", app],
      ...["--folder", join(this.folder, role), "--gateway", this.ids.gateway as string],
      ...["--policy", JSON.stringify(POLICY), ...SOON],
      ...["--products", JSON.stringify([...PRODUCTS, HTLC_PRODUCT])],
      ...links.flatMap((link) => ["--link", link]),
    ]);
  }

  /** SIGKILL: a power cut. */
  async kill(role: "buyer" | "vending"): Promise<void> {
    await this.processes[role]?.kill();
  }

  /** It was asked to end while something was being started: that is stopped too, and nothing more begins. */
  private checkOpen(): void {
    if (this.closed) throw new Stopped();
  }

  get isClosed(): boolean {
    return this.closed;
  }

  async close(): Promise<void> {
    this.closed = true;
    this.closing ??= this.end();
    await this.closing;
  }

  private async end(): Promise<void> {
    for (const listener of [...this.listeners]) listener();
    const stopAll = async () => {
      for (const role of ["buyer", "vending", "gateway"] as const)
        await this.processes[role]?.stop();
    };
    await stopAll();
    const patience = new Promise((wake) => setTimeout(wake, BEGINNING_MS).unref());
    await Promise.race([this.beginning?.catch(() => {}), patience]);
    await stopAll();
    for (const cable of Object.values(this.cables)) await cable?.close();
    await this.lab?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
