/** A gateway is lost and comes back from its words and an old backup, on a real Bitcoin node: its peer closes, it gets what is its own, and nothing old was ever published. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { channelId } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../../core/transactions/transaction.ts";
import { restoreGateway } from "../../../gateway/backup/restore.ts";
import { toDisplay } from "../../../gateway/chain/bitcoind/units.ts";
import type { GatewayEvent } from "../../../gateway/run/event-hub.ts";
import { openSeedFile } from "../../../gateway/secrets/seed-file.ts";
import { startRegtestLab } from "../../../host-sim/chain/bitcoind-lab.ts";
import type { ChainLab } from "../../../host-sim/chain/lab.ts";
import { ApiLab } from "../api/api-lab.ts";
import { isBackedUp } from "./backup-lab.ts";

const crypto = nobleCrypto();
let chain: ChainLab;
let root: string;
let bob: ApiLab;

beforeAll(async () => {
  chain = await startRegtestLab();
  for (const name of ["alice", "bob"]) await chain.wallet(name);
  root = mkdtempSync(join(tmpdir(), "picobolt-backup-"));
  bob = await started("bob", "bob");
});
afterAll(async () => {
  await bob.stop();
  await chain.close();
  rmSync(root, { recursive: true });
});

function started(wallet: string, folder: string): Promise<ApiLab> {
  const { rpcPort, cookieFile } = chain.connection as NonNullable<ChainLab["connection"]>;
  const settings = {
    network: "regtest",
    "bitcoind.url": `http://127.0.0.1:${rpcPort}`,
    "bitcoind.cookie_file": cookieFile,
    "bitcoind.wallet": wallet,
    "backup.file": join(root, `${folder}.stick`),
  } as const;
  return ApiLab.start({ folder: join(root, folder), settings });
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((wake) => setTimeout(wake, 10));
}

const record = (lab: ApiLab, id: string) => lab.service.gateway.node.record(channelId(fromHex(id)));

function dial(lab: ApiLab): void {
  const { nodeId, peers } = bob.service;
  lab.service.dialers.dial({ nodeId, host: "127.0.0.1", port: peers?.port as number });
}

let keys = 0;
async function pay(from: ApiLab, id: string, amount_msat: number): Promise<void> {
  const path = `/api/channels/${id}/payments`;
  const given = record(from, id)?.base.toRemoteMsat ?? 0;
  const sent = await from.call("POST", path, { body: { amount_msat }, key: `pay ${++keys}` });
  expect(sent, JSON.stringify(sent.body)).toMatchObject({ status: 200 });
  // Bob learns last that it is his, and so far he would go on from there.
  await until(() => record(from, id)?.base.toRemoteMsat === given + amount_msat);
  await until(() => record(bob, id)?.base.toLocalMsat === given + amount_msat);
}

/** A channel of 500 000 sat with bob, who was given 100 000. */
async function opened(alice: ApiLab): Promise<string> {
  const { nodeId } = bob.service;
  const isConnected = () => alice.service.peerBook.get(nodeId)?.isConnected === true;
  if (!isConnected()) dial(alice);
  await until(isConnected);
  const body = { peer_node_id: nodeId, capacity: 500_000, push: 100_000 };
  const answer = await alice.call("POST", "/api/channels", { body, key: `open ${++keys}` });
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200 });
  const id = String(answer.body.channel_id);
  await until(async () => (await chain.mempool()).length > 0);
  await until(async () => {
    await chain.mine(1);
    return record(alice, id)?.phase === "normal" && record(bob, id)?.phase === "normal";
  });
  return id;
}

function followed(lab: ApiLab): GatewayEvent[] {
  const events: GatewayEvent[] = [];
  lab.service.events.follow(({ event }) => events.push(event));
  return events;
}

/** The seed alone, as from its words, and a backup; the rest of the old folder is gone. */
async function restored(from: string, into: string, files: readonly string[]) {
  mkdirSync(join(root, into), { mode: 0o700 });
  copyFileSync(join(root, from, "seed"), join(root, into, "seed"));
  const { secret } = await openSeedFile(join(root, into, "seed"), { env: {} });
  const storePath = (network: string) => join(root, into, `${network}.sqlite`);
  return restoreGateway({ crypto, secret, files, storePath });
}

/** Bob's commitment ended the channel, and alice's wallet has what was hers in the end. */
async function paidOut(alice: ApiLab, id: string, expectedSat: number): Promise<void> {
  const events = followed(alice);
  await until(() => record(bob, id)?.phase === "force-closing");
  // Bob may be done with it first.
  let raw: Uint8Array | undefined;
  await until(async () => {
    await chain.mine(1);
    raw ??= record(bob, id)?.facts[0]?.raw;
    return events.some(({ type, event }) => type === "channel" && isClosed(event));
  });
  const closing = parseTransaction(raw as unknown as Uint8Array);
  const ours = await chain.sumOfScripts([alice.service.gateway.payout]);
  expect(ours).toBeGreaterThan(expectedSat - 2_000);
  expect(ours).toBeLessThanOrEqual(expectedSat);
  const published = JSON.stringify(events.filter(({ type }) => type === "published"));
  expect(published).toContain("sweep");
  expect(published).not.toContain('"commitment"');
  expect(published).not.toContain(toDisplay(transactionId(crypto, closing)));
}

const isClosed = (event: unknown) => (event as { type: string }).type === "closed";

test("an old snapshot: nothing is published before the peer was heard; then the peer closes, and pays", async () => {
  const alice = await started("alice", "one");
  const id = await opened(alice);
  await pay(alice, id, 7_000_000);
  const { path, bytes } = await alice.service.backups!.snapshot();
  expect(bytes).toBeGreaterThan(4_096);
  expect(readFileSync(path).includes("SQLite format")).toBe(false);
  await pay(alice, id, 50_000_000);
  expect(record(bob, id)?.base.toLocalMsat).toBe(157_000_000);
  const before = Number(record(alice, id)?.terms.keyIndex);
  await alice.stop({ keepsFolder: true });

  const counts = await restored("one", "one again", [path]);
  expect(counts).toMatchObject({ network: "regtest", suspects: 1, outdated: 0, unreadable: [] });
  await expect(restored("one", "one again ", [path, path])).rejects.toThrow(/two snapshots/);
  const again = await started("alice", "one again");
  expect(record(again, id)).toMatchObject({ suspect: true, base: { toLocalMsat: 393_000_000 } });
  const force = await again.call("DELETE", `/api/channels/${id}?force=true`, { key: "cheat" });
  expect(force.status, JSON.stringify(force.body)).not.toBe(200);
  await chain.mine(1);
  expect(await chain.mempool()).toEqual([]);
  dial(again);
  await until(() => record(again, id)?.phase === "outdated");
  await paidOut(again, id, 343_000);
  const second = await opened(again);
  expect(record(again, second)?.terms.keyIndex).toBeGreaterThan(before + 1_000);
  await again.stop();
});

test("the static backup of the first day: the peer is called, asked to close, and pays", async () => {
  const alice = await started("alice", "two");
  const id = await opened(alice);
  const stick = join(root, "of the first day");
  await until(() => isBackedUp(alice));
  copyFileSync(join(root, "two.stick"), stick);
  await pay(alice, id, 50_000_000);
  expect(record(bob, id)?.base.toLocalMsat).toBe(150_000_000);
  await alice.stop({ keepsFolder: true });

  const counts = await restored("two", "two again", [stick]);
  expect(counts).toMatchObject({ suspects: 0, outdated: 1, addresses: 1 });
  const again = await started("alice", "two again");
  expect(record(again, id)).toMatchObject({
    phase: "outdated",
    base: { toLocalMsat: 400_000_000 },
  });
  await paidOut(again, id, 350_000);
  await again.stop();
});
