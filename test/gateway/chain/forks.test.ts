/** A fork is noticed: by what a real node says of itself, and by another real node or an Esplora server that has other blocks. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { type RegtestNode, startRegtest } from "../../../gateway/chain/bitcoind/node-process.ts";
import type { BitcoindRpc } from "../../../gateway/chain/bitcoind/rpc.ts";
import { BitcoindSource } from "../../../gateway/chain/bitcoind/source.ts";
import { ChainHealth } from "../../../gateway/chain/chain-health.ts";
import { differsFrom, longerBranch, ownFork } from "../../../gateway/chain/forks.ts";
import { secondSource } from "../../../gateway/chain/second-source.ts";

const MINUTE_MS = 60_000;
const ADDRESSES = [
  "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
  "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry",
] as const;
let here: RegtestNode;
let there: RegtestNode;
let rpc: BitcoindRpc;
let esplora: Server;

const mine = (node: RegtestNode, blocks: number, address: string) =>
  node.connect().call<string[]>("generatetoaddress", blocks, address);

beforeAll(async () => {
  [here, there] = await Promise.all([startRegtest(), startRegtest()]);
  rpc = here.connect();
  // As Esplora answers, from the other node.
  const other = there.connect();
  esplora = createServer(async (request, response) => {
    const [, height] = /^\/api\/block-height\/(\d+)$/.exec(request.url ?? "") ?? [];
    if (height) response.end(await other.call<string>("getblockhash", Number(height)));
    else if (request.url === "/api/blocks/tip/height") {
      response.end(String(await other.call<number>("getblockcount")));
    } else response.writeHead(404).end();
  });
  await new Promise<void>((done) => esplora.listen(0, "127.0.0.1", () => done()));
});
afterAll(async () => {
  esplora.close();
  await Promise.all([here.stop(), there.stop()]);
});

const own = {
  height: () => rpc.call<number>("getblockcount"),
  hashAt: (height: number) => rpc.call<string>("getblockhash", height),
};
const url = () => `http://127.0.0.1:${(esplora.address() as AddressInfo).port}/api`;

test("another source with the same blocks is no fork; newest blocks may differ; deeper ones may not", async () => {
  const second = secondSource(url());
  expect(await differsFrom(second, own)).toBeUndefined(); // both have the genesis block alone
  await mine(here, 3, ADDRESSES[0]);
  await mine(there, 3, ADDRESSES[1]);
  expect(await differsFrom(second, own)).toBeUndefined();
  await mine(here, 1, ADDRESSES[0]);
  await mine(there, 1, ADDRESSES[1]);
  const found = await differsFrom(second, own);
  expect(found).toContain("block 1 is ");
  expect(found).toContain(`at 127.0.0.1:${(esplora.address() as AddressInfo).port}`);
});

test("the gateway's own source and a node's RPC are compared in the same way", async () => {
  const crypto = nobleCrypto();
  const source = await BitcoindSource.open(here.connect(), { pollMs: 1_000, crypto });
  const health = new ChainHealth({
    ...{ source, crypto, hasPace: false, staleMinutes: 180, nowMs: Date.now },
    second: secondSource(url()),
  });
  expect(await health.fork()).toContain("block 1 is ");
  expect(await health.fork()).toContain(await own.hashAt(1));
  source.close();
});

test("a second source that is none says so, and is no fork", async () => {
  await expect(differsFrom(secondSource(`${url()}/nothing`), own)).rejects.toThrow(
    "/blocks/tip/height answers 404",
  );
});

test("a node tells of a longer chain that it does not follow; one that is refused counts too", async () => {
  await mine(here, 6, ADDRESSES[0]);
  expect(await ownFork(rpc)).toBeUndefined();
  await rpc.call("invalidateblock", await own.hashAt(7));
  expect(await ownFork(rpc)).toMatch(/a longer chain \(invalid\) up to block 10.*node is at 6/);
  await rpc.call("reconsiderblock", await rpc.call<string>("getbestblockhash"));
});

test("headers that wait for their blocks, a race of two blocks and shorter branches are no fork", () => {
  const active = { height: 100, hash: "aa", branchlen: 0, status: "active" };
  const branch = (height: number, branchlen: number, status: string) =>
    longerBranch([active, { height, hash: "bb", branchlen, status }]);
  expect(branch(900, 800, "headers-only")).toBeUndefined();
  expect(branch(101, 3, "valid-fork")).toBeUndefined();
  expect(branch(99, 20, "valid-fork")).toBeUndefined();
  expect(branch(102, 3, "headers-only")).toContain("left the node's own 3 blocks before");
});

test("a tip is stale by its block's own time at first, then by when the next one came; silence counts as well", async () => {
  let nowMs = 1_800_000_000_000;
  let height = 100;
  let isThere = true;
  const header = new Uint8Array(80);
  new DataView(header.buffer).setUint32(68, 1_800_000_000 - 200 * 60, true);
  const health = new ChainHealth({
    source: {
      tip: async () => {
        if (!isThere) throw new Error("connection refused");
        return { height: height as never, hash: new Uint8Array(32) };
      },
      headers: async () => [header],
    },
    ...{ crypto: nobleCrypto(), hasPace: true, staleMinutes: 180, nowMs: () => nowMs },
  });
  await health.tip();
  expect(health.staleness()).toContain("block 100 is 200 minutes old");
  height = 101;
  await health.tip();
  expect(health.staleness()).toBeUndefined();
  nowMs += 179 * MINUTE_MS;
  isThere = false;
  await health.tip().catch(() => {});
  expect(health.staleness()).toBeUndefined();
  nowMs += 181 * MINUTE_MS;
  await health.tip().catch(() => {});
  expect(health.staleness()).toContain("has not answered for 181 minutes");
});
