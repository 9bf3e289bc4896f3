/** Local sockets: what stands in for a cable where there is no pty, and what a pty's far end is. */
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { SocketLink } from "../../gateway/links/socket-link.ts";

export function connectSocket(path: string): Promise<SocketLink> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(new SocketLink(`socket:${path}`, socket));
    });
  });
}

/** Listens on a path; each connection is handed over. */
export function listenSocket(path: string, onSocket: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onSocket);
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}
