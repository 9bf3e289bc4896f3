/** A broker inside this process (aedes, MQTT 3.1.1): for trials and tests. */
import { createServer, type Server, type Socket } from "node:net";
import { Aedes } from "aedes";
import { BROKER_HOST, type Broker } from "./broker.ts";

export async function startAedes(port = 0): Promise<AedesBroker> {
  const broker = new AedesBroker(port);
  await broker.restart();
  return broker;
}

export class AedesBroker implements Broker {
  readonly host = BROKER_HOST;
  private aedes: Aedes | undefined;
  private server: Server | undefined;
  private readonly sockets = new Set<Socket>();

  constructor(private wantedPort: number) {}

  get port(): number {
    return this.wantedPort;
  }

  get url(): string {
    return `mqtt://${this.host}:${this.port}`;
  }

  async restart(): Promise<void> {
    await this.kill();
    const aedes = await Aedes.createBroker();
    const server = createServer((socket) => {
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
      aedes.handle(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.wantedPort, this.host, resolve);
    });
    const address = server.address();
    if (address && typeof address === "object") this.wantedPort = address.port;
    this.aedes = aedes;
    this.server = server;
  }

  async kill(): Promise<void> {
    const { aedes, server } = this;
    this.aedes = undefined;
    this.server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server) await new Promise<void>((done) => server.close(() => done()));
    if (aedes) await new Promise<void>((done) => aedes.close(done));
  }

  close(): Promise<void> {
    return this.kill();
  }

  /** As a hostile broker would: any message to whoever subscribed. */
  inject(topic: string, payload: Uint8Array, retain = false): Promise<void> {
    const packet = { cmd: "publish", qos: 0, dup: false, retain, topic } as const;
    return new Promise((resolve, reject) => {
      this.aedes?.publish({ ...packet, payload: Buffer.from(payload) }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }
}
