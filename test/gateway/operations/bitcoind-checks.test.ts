/** What doctor says of a Bitcoin node: a real one as it should be, and doubles with one fault each. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RegtestNode, startRegtest } from "../../../gateway/chain/bitcoind/node-process.ts";
import { bitcoindChecks } from "../../../gateway/operations/bitcoind-checks.ts";
import { type CheckReport, runCheck } from "../../../gateway/operations/check.ts";
import type { WantedBitcoind } from "../../../gateway/run/chain.ts";

const NOW_SECONDS = 1_800_000_000;
const servers: Server[] = [];
let node: RegtestNode;

beforeAll(async () => {
  node = await startRegtest();
});
afterAll(async () => {
  for (const server of servers) server.close();
  await node.stop();
});

async function examine(wanted: WantedBitcoind, nowMs = () => NOW_SECONDS * 1_000) {
  const reports: Record<string, CheckReport> = {};
  for (const check of bitcoindChecks({ wanted, walletName: "picobolt", nowMs })) {
    const report = await runCheck(check);
    reports[report.name] = report;
  }
  return reports;
}

const problems = (reports: Record<string, CheckReport>) =>
  Object.values(reports)
    .filter(({ status }) => status !== "ok")
    .map(({ name, status }) => `${name} ${status}`);

test("a real node: in order but for its wallet, which wants coins; no wallet is made by looking", async () => {
  const { rpcPort, cookieFile } = node;
  const wanted: WantedBitcoind = {
    network: "regtest",
    chain: "regtest",
    place: "bitcoind",
    rpc: { port: rpcPort, auth: { cookieFile } },
  };
  expect(problems(await examine(wanted))).toEqual(["wallet warning"]);
  const rpc = node.connect();
  expect(await rpc.call("listwallets")).toEqual([]);
  await rpc.call("createwallet", "picobolt");
  const address = await rpc.wallet("picobolt").call<string>("getnewaddress");
  const few = (await examine(wanted)).wallet;
  expect(few?.found).toContain("0 confirmed coins");
  expect(few?.advice).toContain("picobolt wallet address");
  await rpc.call("generatetoaddress", 106, address);
  expect(problems(await examine(wanted, Date.now))).toEqual([]);
  rpc.close();
});

test("a node that is not there, or that refuses us, fails once; what follows is skipped", async () => {
  const reports = await examine(at(1));
  expect(problems(reports)[0]).toBe("bitcoind failed");
  expect(reports.bitcoind?.advice).toContain("BITCOIND_URL");
  expect(
    problems(reports)
      .slice(1)
      .every((one) => one.endsWith("skipped")),
  ).toBe(true);
});

test.each([
  [
    "a longer chain",
    { tips: [{ height: 102, hash: "bb", branchlen: 2, status: "invalid" }] },
    "bitcoin forks failed",
  ],
  [
    "peers of another opinion",
    { chain: { warnings: ["Warning: We do not appear to fully agree with our peers!"] } },
    "bitcoin forks failed",
  ],
  ["another network", { chain: { chain: "test" } }, "bitcoin network failed"],
  ["too old", { network: { version: 280_100 } }, "bitcoin version failed"],
  ["still loading blocks", { chain: { blocks: 90 } }, "bitcoin blocks warning"],
  ["no block for hours", { chain: { time: NOW_SECONDS - 6_000 } }, "bitcoin blocks warning"],
  ["blocks from the future", { chain: { time: NOW_SECONDS + 8_000 } }, "clock failed"],
  [
    "Knots by default",
    { network: knots(), mempool: { truc_policy: "accept" } },
    "relay policy failed",
  ],
  ["a locked wallet", { wallet: { unlocked_until: 0 } }, "wallet failed"],
  ["few coins", { coins: 4 }, "wallet warning"],
])("%s", async (_, fault, expected) => {
  expect(problems(await examine(at(await doubleOf(fault))))).toEqual([expected]);
});

test("a node without a fault is found in order", async () => {
  expect(problems(await examine(at(await doubleOf({}))))).toEqual([]);
});

function knots() {
  return { subversion: "/Satoshi:29.1.0/Knots:20250903/" };
}

function at(port: number): WantedBitcoind {
  const rpc = { port, auth: { user: "u", password: "p" } };
  return { network: "signet", chain: "signet", place: "bitcoind", rpc };
}

interface Fault {
  readonly chain?: object;
  readonly tips?: readonly object[];
  readonly network?: object;
  readonly mempool?: object;
  readonly wallet?: object;
  readonly coins?: number;
}

/** Speaks as Bitcoin Core does, of a node that is in order but for the fault. */
async function doubleOf({
  chain,
  tips = [],
  network,
  mempool,
  wallet,
  coins = 10,
}: Fault): Promise<number> {
  const time = NOW_SECONDS - 300;
  const answers: Readonly<Record<string, unknown>> = {
    getblockchaininfo: {
      ...{ chain: "signet", blocks: 100, headers: 100, time, mediantime: time - 3_000 },
      ...chain,
    },
    getnetworkinfo: { version: 290_100, subversion: "/Satoshi:29.1.0/", ...network },
    getchaintips: [{ height: 100, hash: "aa", branchlen: 0, status: "active" }, ...tips],
    getmempoolinfo: { loaded: true, ...mempool },
    listwallets: ["picobolt"],
    listwalletdir: { wallets: [{ name: "picobolt" }] },
    getwalletinfo: { ...wallet },
    listunspent: Array(coins).fill({}),
  };
  const server = createServer(async (request, reply) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { id, method } = JSON.parse(text) as { id: number; method: string };
    reply.end(JSON.stringify({ id, result: answers[method], error: null }));
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}
