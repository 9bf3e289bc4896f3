/** A wire between a store and PostgreSQL that a test can cut: at once, or just before or after a COMMIT takes effect. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** When to cut, once: before the server hears the next COMMIT, or after it answered and before we hear it. */
export type Cut = "before-commit" | "after-commit";

export class PostgresProxy {
  private readonly sockets = new Set<Socket>();
  private isDown = false;
  private isFrozen = false;
  cut: Cut | undefined;

  private constructor(
    private readonly server: Server,
    private readonly url: string,
  ) {
    server.on("connection", (socket) => this.serve(socket));
  }

  static async start(url: string): Promise<PostgresProxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new PostgresProxy(server, url);
  }

  /** The way through this proxy. */
  get through(): string {
    const { port } = this.server.address() as { port: number };
    const url = new URL(this.url);
    url.port = String(port);
    return url.href;
  }

  down(): void {
    this.isDown = true;
    this.drop();
  }

  up(): void {
    this.isDown = false;
  }

  /** No word passes and no connection ends, as where a cable is pulled; what was under way arrives late. */
  freeze(): void {
    this.isFrozen = true;
    for (const socket of this.sockets) socket.pause();
  }

  thaw(): void {
    this.isFrozen = false;
    for (const socket of this.sockets) socket.resume();
  }

  async close(): Promise<void> {
    this.server.close();
    this.drop();
    await once(this.server, "close");
  }

  private drop(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  private serve(client: Socket): void {
    if (this.isDown) {
      client.destroy();
      return;
    }
    const server = connect(Number(new URL(this.url).port), "127.0.0.1");
    let isCommitting = false;
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    client.on("data", (data) => {
      // The name of the prepared statement.
      if (this.cut && data.includes("commit")) {
        if (this.cut === "before-commit") {
          this.cut = undefined;
          client.destroy();
          return;
        }
        isCommitting = true;
      }
      server.write(data);
    });
    server.on("data", (data) => {
      if (isCommitting) {
        this.cut = undefined;
        client.destroy();
      } else client.write(data);
    });
    if (this.isFrozen) for (const socket of [client, server]) socket.pause();
  }
}
