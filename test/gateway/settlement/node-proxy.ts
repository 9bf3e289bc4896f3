/** A place where a Bitcoin node can be found under one port, whatever its own is; and where it is missing when it is down. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class NodeProxy {
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Server,
    /** Undefined: nobody answers. */
    private target: number | undefined,
  ) {}

  static async start(target: number): Promise<NodeProxy> {
    const server = createServer();
    const proxy = new NodeProxy(server, target);
    server.on("connection", (socket) => proxy.serve(socket));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on this one answers. */
  lead(target: number | undefined): void {
    this.target = target;
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.lead(undefined);
    await new Promise((done) => this.server.close(done));
  }

  private serve(near: Socket): void {
    if (this.target === undefined) {
      near.destroy();
      return;
    }
    const far = connect(this.target, "127.0.0.1");
    const end = () => {
      for (const socket of [near, far]) {
        socket.destroy();
        this.sockets.delete(socket);
      }
    };
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.on("error", end);
      socket.on("close", end);
    }
    near.pipe(far).pipe(near);
  }
}
