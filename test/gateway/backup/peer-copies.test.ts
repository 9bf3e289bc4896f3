/** What a peer gives back is compared with what it surely has, and with all that the processes of one store run. */
import { beforeEach, expect, it } from "vitest";
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { encodeChannel } from "../../../gateway/backup/channel-backup.ts";
import { blobFor, PeerCopies } from "../../../gateway/backup/peer-copies.ts";
import { Pair } from "../../support/node-pair.ts";

const KEY = new Uint8Array(32).fill(1);
const PEER = "02ab";
/** Longer than a session takes to notice that nobody hears it. */
const LONG_MS = 120_000;

let nowMs: number;
let problems: string[];
let placed: Uint8Array[];

interface Given {
  readonly record?: ChannelRecord;
  readonly pair?: Pair;
  readonly origin?: number;
  readonly isBackedUp?: boolean;
  elsewhere?(ids: readonly string[]): Promise<ReadonlySet<string>>;
}

function copiesOf(given: Given = {}): PeerCopies {
  const { record, pair, origin = 1, isBackedUp = true, elsewhere } = given;
  const bytes = record ? encodeChannel({ record, address: undefined }) : new Uint8Array(8);
  return new PeerCopies({
    key: KEY,
    network: "regtest",
    origin: new Uint8Array(16).fill(origin),
    basepointsOf: (index) => {
      if (!pair) throw new Error("no channel is read");
      return pair.a.signer.channel(index).basepoints;
    },
    isHeld: () => false,
    ...(elsewhere && { elsewhere }),
    channels: () => (isBackedUp ? [{ stage: "open", bytes, peer: PEER }] : []),
    hasChannel: () => true,
    isHolder: () => true,
    send: (_, blob) => placed.push(blob) > 0,
    nowMs: () => nowMs,
    onProblem: (text) => problems.push(text),
  });
}

/** It had nothing, and takes what is current. */
function place(copies: PeerCopies): void {
  copies.connected(PEER);
  copies.returned(PEER, new Uint8Array(0));
  nowMs += LONG_MS;
  copies.tick();
}

beforeEach(() => {
  nowMs = LONG_MS;
  problems = [];
  placed = [];
});

it("what was sent as the link was lost may not have arrived; what was there long ago has", () => {
  const copies = copiesOf();
  place(copies);
  copies.disconnected(PEER);
  place(copies);
  expect([placed.length, problems]).toEqual([2, []]);
  nowMs += LONG_MS;
  copies.disconnected(PEER);
  place(copies);
  expect(problems).toEqual([expect.stringContaining("no longer has the backup that it took")]);
});

it("a peer that another process served meanwhile is not blamed for what it got there", () => {
  const copies = copiesOf();
  place(copies);
  nowMs += LONG_MS;
  copies.left(PEER);
  copies.disconnected(PEER);
  place(copies);
  expect([placed.length, problems]).toEqual([2, []]);
});

/** As a process of this life would have made it, so many seconds from now. */
function madeIn(seconds: number): Uint8Array {
  const createdAtSeconds = Math.floor(Date.now() / 1_000) + seconds;
  const about = { network: "regtest", createdAtSeconds, origin: new Uint8Array(16).fill(1) };
  return blobFor(KEY, { about, channels: [], peer: PEER }).blob;
}

/** It had this, and is connected until long after it took what is current. */
function settle(copies: PeerCopies, has: Uint8Array): void {
  copies.connected(PEER);
  copies.returned(PEER, has);
  nowMs += LONG_MS;
  copies.tick();
  nowMs += LONG_MS;
  copies.disconnected(PEER);
}

it("what another process made later than ours is no older backup; what was made before is", () => {
  const copies = copiesOf();
  settle(copies, new Uint8Array(0));
  settle(copies, madeIn(60));
  expect([placed.length, problems]).toEqual([2, []]);
  copies.connected(PEER);
  copies.returned(PEER, madeIn(-60));
  expect(problems).toEqual([expect.stringContaining("gave back an older backup")]);
});

it("of a channel that was just taken over the backup does not know yet: the peer says first what it has", () => {
  const copies = copiesOf({ isBackedUp: false });
  copies.connected(PEER);
  copies.tick();
  expect(placed).toEqual([]);
  copies.returned(PEER, madeIn(-1)); // the process before gave it
  copies.tick();
  expect([placed.length, problems]).toEqual([1, []]);
});

it("a session that was dead for a minute before it was noticed blames nobody, and hides nothing older", () => {
  const copies = copiesOf();
  const before = madeIn(-60);
  settle(copies, before);
  const [taken] = placed;
  const sendIntoTheVoid = (has: Uint8Array | undefined) => {
    copies.connected(PEER);
    copies.returned(PEER, has ?? expect.fail("a blob was placed"));
    copies.changed();
    nowMs += 2_000;
    copies.tick();
    nowMs += 60_000;
    copies.disconnected(PEER);
  };
  sendIntoTheVoid(taken);
  sendIntoTheVoid(taken);
  expect([placed.length, problems]).toEqual([3, []]);
  sendIntoTheVoid(before);
  expect(problems).toEqual([expect.stringContaining("gave back an older backup")]);
});

it("channels that other processes run are not lost; one that none of them runs is", async () => {
  const pair = await Pair.make({});
  const id = await pair.open({ pushMsat: 100_000_000 });
  const record = pair.a.node.record(id);
  if (!record) throw new Error("the channel is open");
  place(copiesOf({ record }));
  const [blob] = placed;
  if (!blob) throw new Error("a blob was placed");
  const ask = async (found: readonly string[]) => {
    const elsewhere = async () => new Set(found);
    const copies = copiesOf({ pair, origin: 2, elsewhere });
    copies.connected(PEER);
    copies.returned(PEER, blob);
    await new Promise((done) => setImmediate(done));
    nowMs += LONG_MS;
    copies.tick();
    return placed.length;
  };
  expect([await ask([toHex(id)]), problems]).toEqual([2, []]);
  expect(await ask([])).toBe(2); // it stays there
  expect(problems).toEqual([expect.stringContaining("1 channels that the store lacks")]);
});
