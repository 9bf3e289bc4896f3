/** The gateway's embedded broker (aedes) as tests want it: it breaks, comes back, and turns hostile. */
import { BROKER_HOST, EmbeddedBroker } from "../../gateway/links/embedded-broker.ts";
import { freePort } from "../processes/free-port.ts";
import type { Broker } from "./broker.ts";

/** Without a port: one that nobody else is given while the broker is away. */
export async function startAedes(port?: number): Promise<AedesBroker> {
  const broker = new AedesBroker(port ?? (await freePort()));
  await broker.restart();
  return broker;
}

export class AedesBroker implements Broker {
  readonly host = BROKER_HOST;
  private embedded: EmbeddedBroker | undefined;

  constructor(private wantedPort: number) {}

  get port(): number {
    return this.wantedPort;
  }

  get url(): string {
    return `mqtt://${this.host}:${this.port}`;
  }

  async restart(): Promise<void> {
    await this.kill();
    this.embedded = await EmbeddedBroker.start(this.wantedPort);
    this.wantedPort = this.embedded.port;
  }

  async kill(): Promise<void> {
    const { embedded } = this;
    this.embedded = undefined;
    await embedded?.close();
  }

  close(): Promise<void> {
    return this.kill();
  }

  /** As a hostile broker would: any message to whoever subscribed. */
  async inject(topic: string, payload: Uint8Array, retain = false): Promise<void> {
    await this.embedded?.publish(topic, payload, retain);
  }
}
