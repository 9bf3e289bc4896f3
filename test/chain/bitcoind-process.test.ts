/** The node of our own comes up, answers, and is gone when we are, however we end. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { startRegtest } from "../../gateway/chain/bitcoind/node-process.ts";
import { findBitcoind } from "../../gateway/chain/bitcoind/provision.ts";
import { BitcoindRpc } from "../../gateway/chain/bitcoind/rpc.ts";
import { bitcoindAbsence } from "../support/chain-lab.ts";
import { PATIENCE_MS, PATIENT } from "../support/patience.ts";

const TIMEOUT_MS = 330_000;
const absence = bitcoindAbsence();
const title = absence === undefined ? "" : ` (${absence})`;

describe.skipIf(absence !== undefined)(`a regtest node${title}`, () => {
  it("answers on loopback, and leaves neither process nor folder", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const node = await startRegtest();
    const rpc = node.connect();
    expect(await rpc.call("getblockcount")).toBe(0);
    const batch = [["getblockhash", 0] as const, ["getblockcount"] as const];
    expect(await rpc.batch(batch)).toEqual([expect.stringMatching(/^0f9188f1/), 0]);
    await expect(rpc.call("getblockhash", 99)).rejects.toMatchObject({
      name: "RpcError",
      code: -8,
    });
    await expect(rpc.call("nonsense")).rejects.toThrow("Method not found");
    rpc.close();
    await node.stop();
    expect(isAlive(node.processId)).toBe(false);
    expect(existsSync(node.dataFolder)).toBe(false);
  });

  it("has gone when it says so: the watcher beside it too, however late", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const node = await startRegtest();
    const [watcher] = processesNaming(node.dataFolder).filter((id) => id !== node.processId);
    process.kill(watcher as number, "SIGSTOP");
    let isOver = false;
    const stopping = node.stop().then(() => {
      isOver = true;
    });
    await expect.poll(() => isAlive(node.processId), PATIENT).toBe(false);
    await new Promise((wake) => setTimeout(wake, 200));
    expect(isOver).toBe(false);
    process.kill(watcher as number, "SIGCONT");
    await stopping;
    expect(processesNaming(node.dataFolder)).toEqual([]);
  });

  it.each(["SIGKILL", "exit"])(
    "goes when its owner goes by %s",
    { timeout: TIMEOUT_MS },
    async (end) => {
      const { processId, dataFolder } = await ownerThatEndsBy(end);
      expect(processId).toBeGreaterThan(1);
      await expect.poll(() => isAlive(processId), PATIENT).toBe(false);
      await expect.poll(() => existsSync(dataFolder), PATIENT).toBe(false);
    },
  );

  it("keeps a folder that was named, and goes on from it", { timeout: TIMEOUT_MS }, async () => {
    const dataFolder = await mkdtemp(join(tmpdir(), "picobolt-kept-"));
    try {
      for (const before of [0, 3]) {
        const node = await startRegtest({ dataFolder });
        const rpc = node.connect();
        expect(await rpc.call("getblockcount")).toBe(before);
        await rpc.call("generatetodescriptor", 3, "raw(51)");
        rpc.close();
        await node.stop();
      }
    } finally {
      await rm(dataFolder, { recursive: true, force: true });
    }
  });
});

describe("without a node", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** Answers like nothing that a node would. */
  async function fake(respond: Parameters<typeof createServer>[1], timeoutMs = PATIENCE_MS) {
    const server = createServer(respond as never);
    servers.push(server);
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const { port } = server.address() as AddressInfo;
    const auth = { user: "u", password: "secret-word" };
    return new BitcoindRpc({ port, auth, timeoutMs });
  }

  it("says where it looked, in the node's place", async () => {
    const rpc = new BitcoindRpc({ port: 1, auth: { user: "u", password: "secret-word" } });
    const failure = rpc.call("getblockcount").catch((error: Error) => error);
    expect(String(await failure)).toMatch(/RpcUnavailable: no Bitcoin node at 127.0.0.1:1/);
    expect(String(await failure)).not.toContain("secret-word");
    const noCookie = new BitcoindRpc({ port: 1, auth: { cookieFile: "/nonexistent/.cookie" } });
    await expect(noCookie.call("getblockcount")).rejects.toThrow(/no cookie at .* running/);
  });

  it("gives up on one that is silent, garbled or closes the line", async () => {
    const silent = await fake(() => undefined, 200);
    await expect(silent.call("x")).rejects.toThrow("did not answer in 200 ms");
    const garbled = await fake((_, response) => response.end("<html>"));
    await expect(garbled.call("x")).rejects.toThrow("HTTP 200: <html>");
    const closing = await fake((request) => request.socket.destroy());
    await expect(closing.call("x")).rejects.toMatchObject({ name: "RpcUnavailable" });
    const locked = await fake((_, response) => response.writeHead(401).end());
    await expect(locked.call("x")).rejects.toThrow("refused our user or cookie");
    const odd = await fake((_, response) => response.end("null"));
    await expect(odd.call("x")).rejects.toMatchObject({ name: "RpcUnavailable" });
    await expect(odd.batch([["x"]])).rejects.toMatchObject({ name: "RpcUnavailable" });
  });

  it("reads the cookie of a node that was restarted", async () => {
    const folder = await mkdtemp(join(tmpdir(), "picobolt-cookie-"));
    const cookieFile = join(folder, ".cookie");
    const wanted = (cookie: string) => `Basic ${Buffer.from(cookie).toString("base64")}`;
    let cookie = "__cookie__:one";
    const server = createServer((request, response) => {
      const isRight = request.headers.authorization === wanted(cookie);
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        const { id } = JSON.parse(body) as { id: number };
        if (isRight) response.end(JSON.stringify({ id, result: 7, error: null }));
        else response.writeHead(401).end();
      });
    });
    servers.push(server);
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const rpc = new BitcoindRpc({
      port: (server.address() as AddressInfo).port,
      auth: { cookieFile },
    });
    await writeFile(cookieFile, cookie);
    expect(await rpc.call("x")).toBe(7);
    cookie = "__cookie__:two";
    await writeFile(cookieFile, cookie);
    expect(await rpc.call("x")).toBe(7);
    rpc.close();
    await rm(folder, { recursive: true });
  });

  it("names a BITCOIND that is no program", () => {
    const before = process.env.BITCOIND;
    process.env.BITCOIND = "/nonexistent/bitcoind";
    try {
      expect(() => findBitcoind()).toThrow("BITCOIND=/nonexistent/bitcoind is no program");
    } finally {
      if (before === undefined) delete process.env.BITCOIND;
      else process.env.BITCOIND = before;
    }
  });
});

/** By their command lines. */
function processesNaming(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((id) => /^\d+$/.test(id))
    .filter((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, "utf8").includes(text);
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

/** Another Node process that starts a node, prints where it is, and ends. */
async function ownerThatEndsBy(end: string): Promise<{ processId: number; dataFolder: string }> {
  const module = new URL("../../gateway/chain/bitcoind/node-process.ts", import.meta.url).href;
  const program = `
    const { startRegtest } = await import(${JSON.stringify(module)});
    const { processId, dataFolder } = await startRegtest();
    process.stdout.write(JSON.stringify({ processId, dataFolder }) + "\\n", () =>
      ${end === "SIGKILL" ? 'process.kill(process.pid, "SIGKILL")' : "process.exit(0)"});`;
  const project = fileURLToPath(new URL("../../", import.meta.url));
  const options = { cwd: project, stdio: ["ignore", "pipe", "inherit"] as const };
  const words = ["--import", "tsx", "--input-type=module", "-e", program];
  const owner = spawn(process.execPath, words, { ...options, stdio: [...options.stdio] });
  let printed = "";
  for await (const chunk of owner.stdout as AsyncIterable<Buffer>) printed += chunk.toString();
  return JSON.parse(printed) as { processId: number; dataFolder: string };
}
