/** A gateway keeps its channels' backup at its peers, and comes back from its words alone: what a peer gives is checked, and what an honest one has is enough. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { nobleCrypto } from "../../../core/crypto/noble.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { MAX_STORED_BYTES } from "../../../core/messages/storage.ts";
import { publicKey } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { fetchBlobs } from "../../../gateway/backup/fetch-blobs.ts";
import { gatherBlobs } from "../../../gateway/backup/peer-copies.ts";
import { NodeSecret } from "../../../gateway/secrets/node-secret.ts";
import { PATIENCE_MS } from "../../support/patience.ts";
import type { ApiLab } from "../api/api-lab.ts";
import { alarms, BackupLab, followed, isBackedUp, record, until } from "./backup-lab.ts";

const crypto = nobleCrypto();
let lab: BackupLab;
beforeAll(async () => {
  lab = await BackupLab.start();
});
afterAll(() => lab.stop());

interface Told {
  readonly peers: readonly { readonly node_id: string; readonly given_at: string }[];
}

const copyAt = ({ service }: ApiLab) =>
  service.backups?.copies.copies.find(({ peer }) => peer === lab.bob.service.nodeId);

/** What bob has for a node, also where it is not on his disk yet. */
async function kept(nodeId: string): Promise<Uint8Array> {
  const peer = publicKey(fromHex(nodeId));
  return (await lab.bob.service.gateway.storage.keptFor(peer)) ?? new Uint8Array(0);
}

/** A gateway with a channel, and what it laid down at bob last: bob has it, and nothing newer follows by itself. */
async function laidDown(folder: string) {
  const alice = await lab.started("alice", folder);
  const { service } = alice;
  const { node } = service.gateway;
  const send = node.sendService.bind(node);
  let blob = new Uint8Array(0);
  node.sendService = (to, message) => {
    if (message.type === "peer_storage") blob = message.blob.slice();
    return send(to, message);
  };
  const id = await lab.opened(alice);
  await until(() => isBackedUp(alice) && copyAt(alice)?.isCurrent === true);
  await until(async () => Buffer.from(await kept(service.nodeId)).equals(blob));
  return { alice, id, blob };
}

async function asked(secret: NodeSecret, timeoutMs = PATIENCE_MS) {
  const signer = new SeedSigner(crypto, secret.seed(crypto));
  const fetched = await fetchBlobs({
    crypto,
    signer,
    network: "regtest",
    holders: [lab.bobsAddress],
    timeoutMs,
  });
  const basepointsOf = (keyIndex: number) => signer.channel(keyIndex).basepoints;
  const key = secret.derive(crypto, "backup");
  return { ...fetched, ...gatherBlobs(key, fetched.blobs, basepointsOf) };
}

test("from words alone: the peer gives the backup, is asked to close, and pays what was ours in the end", async () => {
  const begunSeconds = Math.floor(Date.now() / 1_000);
  const { alice, id, blob } = await laidDown("one");
  const { peers } = (await alice.call("GET", "/api/backup")).body as unknown as Told;
  expect(peers[0]?.node_id).toBe(lab.bob.service.nodeId);
  expect(Date.parse(peers[0]?.given_at ?? "")).toBeGreaterThanOrEqual(begunSeconds * 1_000);
  // Its size tells nothing of how many channels there are.
  expect(blob.length).toBeGreaterThan(MAX_STORED_BYTES - 256);
  await lab.pay(alice, id, 30_000_000);
  await alice.stop({ keepsFolder: true });

  const secret = await lab.seedOnly("one", "one again");
  const answer = await asked(secret);
  expect(answer).toMatchObject({ network: "regtest", silent: [], rejected: [] });
  expect(record(lab.bob, id)?.phase).toBe("normal"); // asking alone ends nothing
  const fromPeers = { network: "regtest", channels: answer.channels };
  expect(await lab.restored("one again", { secret, fromPeers })).toMatchObject({ outdated: 1 });
  const again = await lab.started("alice", "one again");
  lab.dial(again);
  await lab.paidOut(again, id, 370_000);
  await again.stop();
});

test("a peer that lies: damaged, foreign, older or nothing is told, and replaced", async () => {
  const { alice, id, blob: first } = await laidDown("two");
  const { gateway } = alice.service;
  const events = followed(alice);
  const { storage, node } = gateway;
  const bob = record(alice, id)?.remoteNodeId;
  if (!bob) throw new Error("there is a channel");
  const gives = (blob: Uint8Array) => {
    const before = alarms(events).length;
    storage.receive(bob, { type: "peer_storage_retrieval", blob });
    return alarms(events).slice(before);
  };
  expect(gives(first)).toBe("");
  const damaged = first.slice();
  damaged[500] = (damaged[500] as number) ^ 1;
  expect(gives(damaged)).toContain("(damaged): it gets a new one");
  expect(copyAt(alice)?.isCurrent).toBe(false);
  expect(gives(first.slice(0, 9_000))).toContain("(damaged)");
  expect(gives(new Uint8Array(60_000))).toContain("(damaged)");
  await until(() => copyAt(alice)?.isCurrent === true);
  expect(gives(first)).toContain("gave back an older backup");
  await until(() => copyAt(alice)?.isCurrent === true);
  expect(gives(new Uint8Array(0))).toContain("no longer has the backup");
  expect(node.isConnected(bob)).toBe(true);

  // Somebody else's words open none of it, and bob gives strangers nothing.
  const stranger = NodeSecret.random();
  const given = gatherBlobs(
    stranger.derive(crypto, "backup"),
    [{ from: "bob", blob: first }],
    () => {
      throw new Error("nothing is read");
    },
  );
  expect(given).toMatchObject({ network: undefined, channels: [] });
  expect(given.rejected.join()).toContain("another seed");
  expect(await asked(stranger, 5_000)).toMatchObject({ blobs: [] });
  await alice.stop();
});

test("a store that was lost: the peer's backup is told of, and not replaced by an empty one", async () => {
  const { alice, id, blob: before } = await laidDown("three");
  const { nodeId } = alice.service;
  await alice.stop({ keepsFolder: true });
  await lab.seedOnly("three", "three again");
  const empty = await lab.started("alice", "three again");
  const events = followed(empty);
  lab.dial(empty);
  await until(() => alarms(events).includes("1 channels that the store lacks"));
  expect(alarms(events)).toContain("restore-gateway --from-peer");
  const second = await lab.opened(empty);
  expect(second).not.toBe(id);
  expect(Buffer.from(await kept(nodeId)).equals(before)).toBe(true);
  await empty.stop();
});
