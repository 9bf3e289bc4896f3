/** What our RPC makes of a node that closes its idle connections, as bitcoind does after -rpcservertimeout. */
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";

let server: Server;
let rpc: BitcoindRpc;
afterEach(() => {
  rpc.close();
  server.closeAllConnections();
  server.close();
});

/** Answers the first `served` requests of each connection, and resets it at the next one. */
async function nodeThatResets(served: number): Promise<{ readonly resets: () => number }> {
  const requests = new Map<Socket, number>();
  let resets = 0;
  server = createServer((incoming, answer) => {
    const { socket } = incoming;
    const before = requests.get(socket) ?? 0;
    requests.set(socket, before + 1);
    if (before >= served) {
      resets++;
      socket.resetAndDestroy();
      return;
    }
    let text = "";
    incoming.on("data", (chunk) => {
      text += chunk;
    });
    incoming.on("end", () => {
      const { id, method } = JSON.parse(text);
      setTimeout(() => answer.end(JSON.stringify({ id, result: method, error: null })), 20);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  rpc = new BitcoindRpc({ port, auth: { user: "a", password: "b" }, timeoutMs: 10_000 });
  return { resets: () => resets };
}

const abreast = (methods: readonly string[]) =>
  Promise.all(methods.map((method) => rpc.call<string>(method)));

it("a call that meets only connections that the node has closed is made on a new one", async () => {
  const node = await nodeThatResets(1);
  const methods = ["one", "two", "three", "four"];
  expect(await abreast(methods)).toEqual(methods);
  expect(await rpc.call("five")).toBe("five");
  expect(node.resets()).toBe(4);
});

it("a node that resets every connection at once counts as away", async () => {
  const node = await nodeThatResets(0);
  await expect(rpc.call("one")).rejects.toMatchObject({
    name: "RpcUnavailable",
    message: expect.stringMatching(/^no Bitcoin node at 127\.0\.0\.1:\d+ \(ECONNRESET\)$/),
  });
  expect(node.resets()).toBe(1);
});
