/** On a real node: closes are asked for while it is down, all is settled when it is back, and ends in the operator's own wallet. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RegtestNode, startRegtest } from "../../../gateway/chain/bitcoind/node-process.ts";
import type { BitcoindRpc } from "../../../gateway/chain/bitcoind/rpc.ts";
import { bitcoindAbsence } from "../../support/chain-lab.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "../api/api-lab.ts";
import { NodeProxy } from "./node-proxy.ts";

const TO_SELF_DELAY = 144;
const absence = bitcoindAbsence();

describe.skipIf(absence !== undefined)(`settlement (${absence ?? "bitcoind"})`, () => {
  const dataFolder = mkdtempSync(join(tmpdir(), "picobolt-settlement-"));
  let bitcoind: RegtestNode;
  let rpc: BitcoindRpc;
  let proxy: NodeProxy;
  let alice: ApiLab;
  let bob: ApiLab;
  let miner: string;
  const ids: string[] = [];

  beforeAll(async () => {
    bitcoind = await startRegtest({ dataFolder });
    rpc = bitcoind.connect();
    for (const name of ["miner", "cold"]) await rpc.call("createwallet", name);
    miner = await rpc.wallet("miner").call<string>("getnewaddress");
    await rpc.call("generatetoaddress", 1, miner);
    proxy = await NodeProxy.start(bitcoind.rpcPort);
    alice = await gateway("alice", {
      "settlement.sweep_descriptor": await receiving("cold"),
      // Of those that it splits, as many as closes take may be left.
      "settlement.reserve_coins": "4",
    });
    bob = await gateway("bob", {});
    const { address } = (await alice.call("POST", "/api/wallet/address")).body;
    await rpc.call("generatetoaddress", 3, address);
  }, 330_000);
  afterAll(async () => {
    await Promise.all([alice?.stop(), bob?.stop()]);
    await proxy?.close();
    rpc?.close();
    await bitcoind?.stop();
    rmSync(dataFolder, { recursive: true, force: true });
  });

  function gateway(name: string, settings: Record<string, string>): Promise<ApiLab> {
    return ApiLab.start({
      settings: {
        network: "regtest",
        "bitcoind.url": `http://127.0.0.1:${proxy.port}`,
        "bitcoind.cookie_file": bitcoind.cookieFile,
        "bitcoind.wallet": name,
        "settlement.automatic": "",
        ...settings,
      },
    });
  }

  /** As an operator copies it out of a wallet. */
  async function receiving(wallet: string): Promise<string> {
    const { descriptors } = await rpc
      .wallet(wallet)
      .call<{ descriptors: { desc: string; internal?: boolean }[] }>("listdescriptors");
    const found = descriptors.find(({ desc, internal }) => /^wpkh\(/.test(desc) && !internal);
    return found?.desc ?? "";
  }

  async function mine(blocks: number): Promise<void> {
    await rpc.call("generatetoaddress", blocks, miner);
    const height = await rpc.call<number>("getblockcount");
    for (const { service } of [alice, bob]) {
      await expect.poll(() => service.gateway.node.height, PATIENT).toBe(height);
      await service.gateway.publisher.idle();
    }
  }

  async function openChannels(count: number): Promise<void> {
    const { nodeId, peers } = bob.service;
    const place = { node_id: nodeId, host: "127.0.0.1", port: peers?.port };
    expect((await alice.call("POST", "/api/peers", { body: place })).status).toBe(200);
    for (let i = 0; i < count; i++) {
      const body = { peer_node_id: nodeId, capacity: 500_000 };
      const opened = await alice.call("POST", "/api/channels", { body, key: `open ${i}` });
      expect(opened.status, JSON.stringify(opened.body)).toBe(200);
      ids.push(String(opened.body.channel_id));
      await mine(1);
    }
    await mine(3);
    const states = async () =>
      (
        (await alice.call("GET", "/api/channels")).body.channels as unknown as { state: string }[]
      ).map(({ state }) => state);
    await expect.poll(states, PATIENT).toEqual(ids.map(() => "normal"));
  }

  const view = async () => (await alice.call("GET", "/api/settlement")).body;
  const queue = async () =>
    ((await view()).queue as unknown as { what: string; state: string }[]).map(
      ({ what, state }) => `${what} ${state}`,
    );

  it("queues closes while the node is down, and sends them when it is back, before any block", async () => {
    await mine(110);
    await mine(2); // the wallet splits a coin for its reserve
    await openChannels(2);
    const [together, alone] = ids;
    rpc.close();
    proxy.lead(undefined);
    await bitcoind.stop();

    const closed = await alice.call("DELETE", `/api/channels/${together}`);
    expect(closed.body, JSON.stringify(closed.body)).toMatchObject({ state: "closing" });
    const forced = await alice.call("DELETE", `/api/channels/${alone}?force=true`);
    expect(forced.body).toMatchObject({ state: "force-closing" });
    await expect
      .poll(async () => (await queue()).sort(), PATIENT)
      .toEqual(["commitment waiting", "mutual-close waiting"]);
    expect((await view()).chain_problem).toEqual(expect.any(String));

    bitcoind = await startRegtest({ dataFolder });
    rpc = bitcoind.connect();
    await rpc.call("loadwallet", "cold");
    proxy.lead(bitcoind.rpcPort);
    await expect
      .poll(async () => (await queue()).sort(), PATIENT)
      .toEqual(["commitment sent", "mutual-close sent"]);
    await expect.poll(async () => (await view()).chain_problem, PATIENT).toBeNull();
    // The mutual close, the commitment, and the child that pays for it.
    expect(await rpc.call<string[]>("getrawmempool")).toHaveLength(3);
  });

  it("settles all of it, and sweeps the coins in one transaction to the operator", async () => {
    await mine(1);
    await mine(TO_SELF_DELAY + 1);
    await mine(2);
    await expect.poll(queue, PATIENT).toEqual([]);
    const coins = (await alice.call("GET", "/api/wallet/balance")).body
      .onchain_sat as unknown as number;
    const plan = (await view()).actions as unknown as { kind: string; amount_sat: number }[];
    expect(plan).toMatchObject([{ kind: "sweep", waits_for: null }]);

    const run = await alice.call("POST", "/api/settlement/run", { body: {}, key: "sweep" });
    const [swept] = run.body.done as unknown as { amount_sat: number; fee_sat: number }[];
    expect(await rpc.call<string[]>("getrawmempool")).toHaveLength(1);
    await mine(1);
    const { mine: own } = await rpc
      .wallet("cold")
      .call<{ mine: { trusted: number } }>("getbalances");
    expect(Math.round(own.trusted * 1e8)).toBe(swept?.amount_sat);
    const left = (await alice.call("GET", "/api/wallet/balance")).body
      .onchain_sat as unknown as number;
    expect(left).toBeGreaterThanOrEqual(500_000);
    expect(left + (swept?.amount_sat ?? 0) + (swept?.fee_sat ?? 0)).toBe(coins);
  });
});
