/** What is kept for peers is sent to nobody who does not take messages of that size. */
import { beforeEach, expect, it } from "vitest";
import type { Message } from "../../../core/messages/message.ts";
import { MAX_STORED_BYTES } from "../../../core/messages/storage.ts";
import { unconnected } from "../../../core/node/greeting.ts";
import { MemoryStore } from "../../../core/node/memory-store.ts";
import { publicKey } from "../../../core/primitives/brands.ts";
import { PeerStorage, type PeerStoragePorts } from "../../../gateway/backup/peer-storage.ts";

const PEER = publicKey(Uint8Array.of(2, ...new Uint8Array(32).fill(7)));
const SMALL = 4_096;
const LARGE = 65_535;
const CHANNEL = { kind: "live", record: { terms: { fundingSatoshis: 1_000_000 } } };

let sent: Message[];
let kept: Uint8Array;

function storageWith(
  remoteMaxMessageBytes: number,
  store: PeerStoragePorts["store"] = { getValue: async () => kept, setValue: async () => {} },
): PeerStorage {
  const negotiated = { ...unconnected(LARGE), provideStorage: true, remoteMaxMessageBytes };
  const node = {
    channels: () => [{ id: new Uint8Array(32), channel: CHANNEL }],
    contextOf: () => ({ negotiated }),
    record: () => undefined,
    sendService: (_: unknown, message: Message) => sent.push(message) > 0,
  };
  return new PeerStorage({
    store,
    node: () => node as unknown as ReturnType<PeerStoragePorts["node"]>,
    onReturned: () => {},
    onProblem: (text) => {
      throw new Error(text);
    },
  });
}

beforeEach(() => {
  sent = [];
  kept = new Uint8Array(MAX_STORED_BYTES);
});

it("a peer that takes less than its own blob is told so, and its session goes on", async () => {
  await storageWith(SMALL).connected(PEER);
  expect(sent).toMatchObject([{ type: "warning" }]);
  expect(sent[0]).toHaveProperty("data", expect.stringContaining(`${MAX_STORED_BYTES} bytes`));
});

it("one that takes it has it back, and small ones have what is small", async () => {
  await storageWith(LARGE).connected(PEER);
  kept = new Uint8Array(1_000);
  await storageWith(SMALL).connected(PEER);
  expect(sent).toMatchObject([
    { type: "peer_storage_retrieval", blob: { length: MAX_STORED_BYTES } },
    { type: "peer_storage_retrieval", blob: { length: 1_000 } },
  ]);
});

it("nothing is laid down at a peer that takes no messages of that size", () => {
  expect(storageWith(SMALL).isHolder(PEER, MAX_STORED_BYTES)).toBe(false);
  expect(storageWith(MAX_STORED_BYTES).isHolder(PEER, MAX_STORED_BYTES)).toBe(false);
  expect(storageWith(LARGE).isHolder(PEER, MAX_STORED_BYTES)).toBe(true);
});

it("a process that takes a peer over has what came last, and the one before writes nothing over it", async () => {
  const store = new MemoryStore();
  const [before, after] = [storageWith(LARGE, store), storageWith(LARGE, store)];
  const blobOf = (byte: number) => new Uint8Array(99).fill(byte);
  const lay = (at: PeerStorage, byte: number) =>
    at.receive(PEER, { type: "peer_storage", blob: blobOf(byte) });
  lay(before, 1);
  lay(before, 2); // so soon after the first it waits
  await before.handOver(PEER);
  await after.connected(PEER);
  expect(sent).toEqual([{ type: "peer_storage_retrieval", blob: blobOf(2) }]);
  lay(after, 3);
  before.tick(60_000);
  await before.stop();
  await after.stop();
  expect(await after.keptFor(PEER)).toEqual(blobOf(3));
});
