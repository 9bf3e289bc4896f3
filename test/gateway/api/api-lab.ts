/** A real gateway service on play money with its API on a free port, and another node for it to have channels with. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { expect, vi } from "vitest";
import { loadConfig } from "../../../gateway/run/config.ts";
import { GatewayService } from "../../../gateway/run/service.ts";
import type { SettingName } from "../../../gateway/run/settings.ts";
import { type SimLab, startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { PATIENT } from "../../support/patience.ts";

export interface ApiLabOptions {
  readonly settings?: Readonly<Partial<Record<SettingName, string>>>;
  readonly lab?: SimLab;
  readonly folder?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** JSON where it is some, else text. */
  readonly body: Record<string, never> & { readonly [name: string]: unknown };
}

export interface Sent {
  readonly body?: unknown;
  readonly key?: string;
  readonly macaroon?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiLab {
  private constructor(
    readonly service: GatewayService,
    readonly lab: SimLab,
    readonly folder: string,
  ) {}

  static async start({ settings = {}, folder, lab = startSimLab() }: ApiLabOptions = {}) {
    const path = folder ?? mkdtempSync(join(tmpdir(), "picobolt-api-"));
    const words = {
      network: "sim",
      data_dir: path,
      "api.port": "0",
      "api.tls": "off",
      "api.calls_per_second": "100000",
      "p2p.port": "0",
      "mqtt.port": "0",
      "discovery.lan": "false",
      ...settings,
    } as Partial<Record<SettingName, string>>;
    const service = await GatewayService.start({
      config: loadConfig({ words }),
      env: {},
      log: pino({ level: "silent" }),
      version: "0.0.0",
      openSimChain: async () => ({
        source: await lab.source(),
        wallet: await lab.wallet(path),
      }),
    });
    return new ApiLab(service, lab, path);
  }

  get url(): string {
    return (this.service.api as { url: string }).url;
  }

  /** Its connection to its own broker follows its start. */
  async untilReady(): Promise<void> {
    await vi.waitFor(async () => {
      const { body } = await this.call("GET", "/ready", { macaroon: null });
      expect(body).toEqual({ ready: true, reasons: [] });
    }, PATIENT);
  }

  macaroon(name: "admin" | "readonly" | "invoice"): string {
    return readFileSync(join(this.folder, `${name}.macaroon`), "utf8").trim();
  }

  async call(method: string, path: string, sent: Sent = {}): Promise<Reply> {
    const { body, key, macaroon = this.macaroon("admin"), headers = {} } = sent;
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(key !== undefined && { "idempotency-key": key }),
        ...(macaroon !== null && { authorization: `Macaroon ${macaroon}` }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    const content = isJson ? JSON.parse(text) : { text };
    return { status: response.status, headers: response.headers, body: content };
  }

  async stop({ keepsFolder = false } = {}): Promise<void> {
    await this.service.stop();
    if (!keepsFolder) rmSync(this.folder, { recursive: true });
  }
}
