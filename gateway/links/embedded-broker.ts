/** A broker inside this process (aedes, MQTT 3.1.1), on loopback: for a trial, and for tests. */
import { createServer, type Server, type Socket } from "node:net";
import type { Aedes } from "aedes";

export const BROKER_HOST = "127.0.0.1";

export class EmbeddedBroker {
  readonly host = BROKER_HOST;

  private constructor(
    private readonly aedes: Aedes,
    private readonly server: Server,
    private readonly sockets: ReadonlySet<Socket>,
  ) {}

  /** Port 0: any that is free. Throws, with the address, where the port cannot be had. */
  static async start(port = 0): Promise<EmbeddedBroker> {
    const { Aedes: Broker } = await import("aedes"); // most gateways have a broker of their own
    const aedes = await Broker.createBroker();
    numberAsTheyLeave(aedes);
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      aedes.handle(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", ({ code, message }: NodeJS.ErrnoException) => {
        const reason = code === "EADDRINUSE" ? "another program has that port" : message;
        reject(new Error(`the broker inside cannot listen on ${BROKER_HOST}:${port}: ${reason}`));
      });
      server.listen(port, BROKER_HOST, resolve);
    });
    return new EmbeddedBroker(aedes, server, sockets);
  }

  get port(): number {
    const address = this.server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  }

  get url(): string {
    return `mqtt://${this.host}:${this.port}`;
  }

  /** To whoever subscribed, from nobody. */
  publish(topic: string, payload: Uint8Array, retain = false): Promise<void> {
    const packet = { cmd: "publish", qos: 0, dup: false, retain, topic } as const;
    return new Promise((resolve, reject) => {
      this.aedes.publish({ ...packet, payload: Buffer.from(payload) }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((done) => this.server.close(() => done()));
    await new Promise<void>((done) => this.aedes.close(done));
  }
}

/**
 * aedes numbers a message when it comes in, and drops whatever reaches a client after a higher number as a repetition. One
 * that is kept is stored first, meanwhile the next one overtakes it: a device's "online" would be lost before its first frame.
 */
function numberAsTheyLeave(aedes: Aedes): void {
  const inner = aedes as unknown as {
    counter: number;
    readonly mq: { emit(packet: { brokerCounter: number }, done: () => void): unknown };
  };
  const emit = inner.mq.emit.bind(inner.mq);
  inner.mq.emit = (packet, done) => {
    packet.brokerCounter = ++inner.counter;
    return emit(packet, done);
  };
}
