/** A shop for the command's tests: a gateway with a chain inside, and a machine that sells, each a process; the till's cable is a pty. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../support/patience.ts";

const PROCESSES = new URL("../../host-sim/processes/", import.meta.url).pathname;
const PRODUCTS = [
  { id: 1, name: "espresso", priceMsat: 1_500_000 },
  { id: 2, name: "tea", priceMsat: 900_000 },
];

interface Told {
  readonly event: string;
  readonly fields: JsonObject;
}

export class Shop {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-shop-"));
  gatewayId = "";
  machineId = "";
  readonly told: Told[] = [];
  till!: Cable;
  private readonly cables: Cable[] = [];
  private gateway!: ControlledProcess;
  private machine!: ControlledProcess;
  private gatewayCable!: Cable;

  static async open(): Promise<Shop> {
    const shop = new Shop();
    const [inner, outer, till] = await Promise.all([
      shop.lay("gateway-machine", "socket"),
      shop.lay("gateway-payer", "socket"),
      shop.lay("till", "pty"),
    ]);
    shop.till = till;
    shop.gatewayCable = outer;
    const links = ["--link", inner.ends[0], "--link", outer.ends[0]];
    const words = ["--folder", join(shop.folder, "gateway"), "--chain", "sim", ...links];
    shop.gateway = shop.run("gateway", ["gateway-process.ts", ...words]);
    shop.gatewayId = await shop.started(0);
    shop.machine = shop.run("machine", [
      "device-process.ts",
      ...["--folder", join(shop.folder, "machine"), "--name", "coffee", "--app", "vending"],
      ...["--gateway", shop.gatewayId, "--products", JSON.stringify(PRODUCTS)],
      ...["--link", `${inner.ends[1]}=${shop.gatewayId}`, "--link", till.ends[0]],
    ]);
    shop.machineId = await shop.started(1);
    // Before that it sells nothing.
    const isSynced = ({ event, fields }: Told) => event === "tip" && fields.isSynced === true;
    await shop.until("the machine to read the chain", () => shop.told.some(isSynced));
    return shop;
  }

  /** What `--link` names: the till's far end. */
  get link(): string {
    return `${this.till.ends[1]}=${this.machineId}`;
  }

  get gatewayLink(): string {
    return `${this.gatewayCable.ends[1]}=${this.gatewayId}`;
  }

  get home(): string {
    return join(this.folder, "home");
  }

  /** The gateway has published a channel's funding: what is mined from now on may hold it. */
  funded(): Promise<void> {
    const isFunded = () => this.told.some(({ event }) => event === "deviceFunded");
    return this.until("the funding to be published", isFunded);
  }

  async mine(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.gateway.call("mine", { blocks: 1 });
  }

  /** What is paid for does not fall until the answer is called. */
  hold(): () => void {
    const held = join(this.folder, "machine", "held");
    writeFileSync(held, "");
    return () => rmSync(held);
  }

  /** So many products were delivered in all: the machine tells of it beside the line to the customer. */
  async delivered(count: number): Promise<void> {
    await this.until(`delivery ${count}`, () => this.apps("delivered").length >= count);
    if (this.apps("delivered").length > count) throw new Error(`more than ${count} deliveries`);
  }

  /** What the machine's app has told. */
  apps(type: string): readonly JsonObject[] {
    return this.told
      .filter(({ event, fields }) => event === "app" && fields.type === type)
      .map(({ fields }) => fields);
  }

  async until(what: string, isThere: () => boolean, timeoutMs = PATIENCE_MS): Promise<void> {
    const until = Date.now() + timeoutMs;
    while (!isThere()) {
      if (Date.now() > until) throw new Error(`waited in vain for ${what}`);
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.gateway?.stop(), this.machine?.stop()]);
    await Promise.all(this.cables.map((cable) => cable.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async lay(name: string, kind: "pty" | "socket"): Promise<Cable> {
    const cable = await Cable.lay(this.folder, name, kind);
    this.cables.push(cable);
    return cable;
  }

  private run(name: string, [file, ...words]: readonly string[]): ControlledProcess {
    return new ControlledProcess(
      name,
      [process.execPath, RUNNER, PROCESSES + file, ...words],
      (event, fields) => this.told.push({ event, fields }),
    );
  }

  private async started(index: number): Promise<string> {
    const all = () => this.told.filter(({ event }) => event === "started");
    await this.until("a process to start", () => all()[index] !== undefined);
    return all()[index]?.fields.nodeId as string;
  }
}
