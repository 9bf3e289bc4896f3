/** A new machine without a loader for the command's tests: the virtual device with the links that a test wants, and a gateway with a chain inside. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { formatPublicKey, masterKey, toExtendedPublicKey } from "../../core/keys/bip32.ts";
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { Cable } from "../../host-sim/links/cable.ts";
import { ControlledProcess } from "../../host-sim/processes/control.ts";
import { RUNNER } from "../../host-sim/processes/runner.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { picobolt, type Ran, Running } from "./run-picobolt.ts";

const HOST_SIM = new URL("../../host-sim/", import.meta.url).pathname;

interface Told {
  readonly from: string;
  readonly event: string;
  readonly fields: JsonObject;
}

export class BareMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "picobolt-bare-"));
  readonly home = join(this.folder, "home");
  readonly told: Told[] = [];
  gatewayId = "";
  nodeId = "";
  private gateway!: ControlledProcess;
  private device!: ControlledProcess;
  private readonly cables: Cable[] = [];

  /** `device` and `gateway`: more words for their processes. */
  static async start(words: {
    readonly device: readonly string[];
    readonly gateway?: readonly string[];
  }): Promise<BareMachine> {
    const machine = new BareMachine();
    const { folder } = machine;
    machine.gateway = machine.run("gateway", [
      "processes/gateway-process.ts",
      ...["--folder", join(folder, "gateway"), "--chain", "sim", ...(words.gateway ?? [])],
    ]);
    machine.device = machine.run("device", [
      "virtual/device-process.ts",
      ...["--folder", join(folder, "device"), ...words.device],
    ]);
    machine.gatewayId = (await machine.event("gateway", "started")).nodeId as string;
    machine.nodeId = (await machine.event("device", "started")).nodeId as string;
    return machine;
  }

  /** What its maker prints on the label. */
  async claimCode(): Promise<string> {
    const isCode = ({ line }: JsonObject) => String(line).startsWith("claim code: ");
    const { line } = await this.event("device", "line", isCode);
    return String(line).slice("claim code: ".length);
  }

  /** An owner's extended public key. */
  get payout(): string {
    const crypto = nobleCrypto();
    const key = toExtendedPublicKey(crypto, masterKey(crypto, new Uint8Array(32).fill(9)));
    return formatPublicKey(crypto, key, "testnet");
  }

  /** A cable on which the gateway answers; this end is for `--gateway`. */
  async gatewayCable(name: string): Promise<string> {
    const cable = await Cable.lay(this.folder, name, "socket");
    this.cables.push(cable);
    await this.gateway.call("attach", { link: cable.ends[0] });
    return cable.ends[1];
  }

  /** The gateway calls the device on this link. */
  async joinGateway(link: string): Promise<void> {
    await this.gateway.call("attach", { link: `${link}=${this.nodeId}` });
  }

  /** The words of a claim, but for the link. */
  claimWords(name: string): readonly string[] {
    const prices = join(this.folder, "prices.csv");
    writeFileSync(prices, "number,name,sat\n2,tea,900\n1,espresso,1500\n");
    return [
      ...["claim", "--name", name, "--payout", this.payout, "--gateway", this.gatewayId],
      ...["--app", "vending", "--price-list", prices],
    ];
  }

  command(...words: string[]): Promise<Ran> {
    return picobolt([...words, "--json"], { home: this.home });
  }

  running(...words: string[]): Running {
    return new Running([...words, "--json"], { home: this.home });
  }

  /** The gateway has published a channel's funding: what is mined from now on may hold it. */
  async funded(): Promise<void> {
    await this.event("gateway", "deviceFunded");
  }

  async mine(blocks: number): Promise<void> {
    for (let block = 0; block < blocks; block++) await this.gateway.call("mine", { blocks: 1 });
  }

  /** The first such event; waits for it. */
  async event(
    from: string,
    event: string,
    isIt: (fields: JsonObject) => boolean = () => true,
    timeoutMs = PATIENCE_MS,
  ): Promise<JsonObject> {
    for (const until = Date.now() + timeoutMs; ; ) {
      const found = this.told.find(
        (one) => one.from === from && one.event === event && isIt(one.fields),
      );
      if (found) return found.fields;
      if (Date.now() > until) {
        const told = this.told.slice(-8).map((one) => JSON.stringify(one));
        throw new Error(`waited in vain for ${from}'s ${event}; told last:\n${told.join("\n")}`);
      }
      await new Promise((wake) => setTimeout(wake, 10));
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.gateway?.stop(), this.device?.stop()]);
    await Promise.all(this.cables.map((cable) => cable.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private run(name: string, [file, ...words]: readonly string[]): ControlledProcess {
    return new ControlledProcess(
      name,
      [process.execPath, RUNNER, HOST_SIM + file, ...words],
      (event, fields) => this.told.push({ from: name, event, fields }),
    );
  }
}
