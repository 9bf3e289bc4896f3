/** A node that comes back with an old record notices, publishes nothing and says so; its peer waits, then pays out by its own commitment (rule `outdated-never-broadcasts`). */
import { describe, expect, test } from "vitest";
import type { Store } from "../../core/ports/store.ts";
import { blockHeight, type ChannelId } from "../../core/primitives/brands.ts";
import { commanded, push } from "../support/commands.ts";
import { CopiedDisk } from "../support/copied-disk.ts";
import { Pair, type TestNode } from "../support/node-pair.ts";

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;

interface Story {
  readonly pair: Pair;
  readonly id: ChannelId;
  readonly disk: CopiedDisk;
}

async function begin(channelType: (typeof CHANNEL_TYPES)[number]): Promise<Story> {
  const disk = new CopiedDisk();
  const pair = await Pair.make({ diskA: disk });
  const id = await pair.open({ channelType, pushMsat: 300_000_000 });
  return { pair, id, disk };
}

async function restoreAlice({ pair }: Story, store: Store): Promise<void> {
  pair.a.use(store);
  await pair.restart(pair.a);
  pair.a.told.length = 0;
}

function pay(pair: Pair, id: ChannelId, times: number): void {
  for (let i = 0; i < times; i++) {
    push(pair.a, id, 1_000);
    pair.cable.pump();
    push(pair.b, id, 500);
    pair.cable.pump();
  }
}

describe.each(CHANNEL_TYPES)("%s", (channelType) => {
  test("an old backup: alice learns it, says so, publishes nothing; bob publishes when asked", async () => {
    const story = await begin(channelType);
    const { pair, id, disk } = story;
    const early = disk.history.length;
    pay(pair, id, 3);
    await restoreAlice(story, disk.asOf(early));
    pair.connect();
    expect(pair.a.events("outdated")[0]?.reason).toMatch(
      /our record is at commitment 0.*nothing of ours is published.*asked to close/,
    );
    expect(pair.a.node.record(id)).toMatchObject({ phase: "outdated", outdated: true });
    expect(pair.b.events("peerOutdated").length).toBe(1);
    expect(pair.b.events("forceClosing")[0]?.reason).toMatch(/please publish your commitment/);
    expect(pair.b.claims.some(({ purpose }) => purpose === "commitment")).toBe(true);
    expectSilence(pair.a, id);
    pair.mine(10);
    expectSilence(pair.a, id);
  });

  test("every backup of a busy hour is either current or known to be old; none is ever published", async () => {
    const story = await begin(channelType);
    const { pair, id, disk } = story;
    const early = disk.history.length;
    pay(pair, id, 2);
    const newest = disk.history.length;
    for (let commits = early; commits < newest; commits++) {
      const again = await begin(channelType);
      pay(again.pair, again.id, 2);
      await restoreAlice(again, again.disk.asOf(commits));
      again.pair.connect();
      const record = again.pair.a.node.record(again.id);
      const noticed = again.pair.a.events("outdated").length > 0;
      if (noticed) {
        expect(again.pair.a.claims).toEqual([]);
        expect(again.pair.b.events("forceClosing").length).toBe(1);
      } else {
        // Only what the peer retransmits anyway was missing.
        expect(record?.phase).toBe("normal");
        push(again.pair.a, again.id, 7);
        again.pair.cable.pump();
        expect(again.pair.balances(again.id).slice(0, 2)).toEqual(
          again.pair.balances(again.id).slice(2),
        );
      }
      expect(again.pair.a.checking.faults).toEqual([]);
      expect(again.pair.b.checking.faults).toEqual([]);
    }
  });
});

/** Neither a claim, nor a signature, whatever is asked. */
function expectSilence(alice: TestNode, id: ChannelId): void {
  expect(alice.claims).toEqual([]);
  expect(alice.closes).toEqual([]);
  const reason = commanded(alice, () => alice.node.command(id, { type: "forceClose" }));
  expect(reason).toMatch(/outdated/);
  expect(alice.claims).toEqual([]);
  expect(push(alice, id, 1)).toMatch(/outdated/);
  const record = alice.node.record(id);
  const signer = alice.signer.channel(record?.terms.keyIndex ?? 0);
  const { localNumber, remoteNumber, outdated } = record ?? {};
  signer.stored({
    localNumber: localNumber ?? 0,
    remoteNumber: remoteNumber ?? 0,
    outdated: outdated ?? false,
  });
  expect(() => signer.signLocalCommitment((localNumber ?? 0) as never, new Uint8Array(32))).toThrow(
    /never-broadcast-revoked/,
  );
}

test("the outdated node stays silent after a restart, and takes its part from the peer's commitment", async () => {
  const story = await begin("zero_fee_commitments");
  const { pair, id, disk } = story;
  const early = disk.history.length;
  pay(pair, id, 3);
  const old = disk.asOf(early);
  await restoreAlice(story, old);
  pair.connect();
  await restoreAlice(story, old);
  pair.connect();
  expectSilence(pair.a, id);
  const [commitment] = pair.b.claims;
  pair.mine(1, [commitment?.raw as Uint8Array]);
  expect(pair.a.events("onChain").at(-1)?.ending).toBe("future");
  expect(pair.a.claims.every(({ purpose }) => purpose === "sweep")).toBe(true);
});

test("an old backup meets a peer that closes on chain already: its numbers come before its error, and nothing is published", async () => {
  const story = await begin("zero_fee_commitments");
  const { pair, id, disk } = story;
  const early = disk.history.length;
  pay(pair, id, 3);
  pair.disconnect();
  pair.b.node.command(id, { type: "forceClose" });
  await restoreAlice(story, disk.asOf(early));

  pair.connect();

  expect(pair.a.events("peerSaid")[0]?.text).toMatch(/closing on chain/);
  expect(pair.a.events("outdated")).toHaveLength(1);
  expect(pair.a.node.record(id)).toMatchObject({ phase: "outdated", outdated: true });
  expectSilence(pair.a, id);
});

test.each(["the peer's", "its own, of the better record"])(
  "a newer commitment in a block, %s, tells it too: neither a reorganisation nor a start makes it publish",
  async (whose) => {
    const story = await begin("zero_fee_commitments");
    const { pair, id, disk } = story;
    const early = disk.history.length;
    pay(pair, id, 3);
    const publisher = whose === "the peer's" ? pair.b : pair.a;
    pair.disconnect();
    publisher.node.command(id, { type: "forceClose" });
    const [commitment] = publisher.claims;
    publisher.claims.length = 0;
    await restoreAlice(story, disk.asOf(early));
    pair.mine(1, [commitment?.raw as Uint8Array]);
    expect(pair.a.events("onChain").at(-1)?.warning).toMatch(/our (data|record) is/);
    pair.a.claims.length = 0; // its part of that commitment

    pair.a.node.rewind(blockHeight(pair.height));
    pair.a.node.reconsider();
    expectSilence(pair.a, id);
    await pair.restart(pair.a);
    pair.mine(1);
    expectSilence(pair.a, id);
  },
);

test("the peer does not publish before it is asked, and goes on where the newest record comes back", async () => {
  const story = await begin("zero_fee_commitments");
  const { pair, id, disk } = story;
  const early = disk.history.length;
  pay(pair, id, 3);
  await restoreAlice(story, disk.asOf(early));
  pair.a.tamper = (message) => (message.type === "error" ? [] : [message]);
  pair.connect();
  expect(pair.b.node.record(id)).toMatchObject({ phase: "normal", peerOutdated: true });
  expect(push(pair.b, id, 1)).toBe("the peer is not connected");
  pair.mine(20);
  expect(pair.b.claims).toEqual([]);
  // The person finds the newer backup.
  pair.a.tamper = (message) => [message];
  await restoreAlice(story, disk.asOf(disk.history.length));
  pair.connect();
  expect(pair.b.node.record(id)?.peerOutdated).toBe(false);
  expect(push(pair.b, id, 1)).toBeUndefined();
  pair.cable.pump();
  expect(pair.a.events("pushReceived").length).toBe(1);
});

describe("lies about the state of things", () => {
  test("a peer that expects more than was signed is asked to publish; we neither publish nor forget", async () => {
    const { pair, id } = await begin("zero_fee_commitments");
    pay(pair, id, 1);
    pair.disconnect();
    const before = pair.a.node.record(id);
    pair.b.tamper = (message) =>
      message.type === "channel_reestablish"
        ? [{ ...message, nextCommitmentNumber: message.nextCommitmentNumber + 5 }]
        : message.type === "error"
          ? []
          : [message];
    pair.connect();
    expect(pair.a.events("outdated")[0]?.reason).toMatch(/the peer expects our commitment/);
    expect(pair.a.node.record(id)).toBe(before);
    expect(pair.a.claims).toEqual([]);
    expect(pair.b.events("peerSaid")[0]?.text).toMatch(/please publish/);
  });

  test("and where it fails the channel, as one does who is ahead, ours is still not published", async () => {
    const { pair, id } = await begin("zero_fee_commitments");
    pay(pair, id, 1);
    pair.disconnect();
    const failed = { type: "error", channelId: id, data: "you are behind" } as const;
    pair.b.tamper = (message) =>
      message.type === "channel_reestablish"
        ? [{ ...message, nextCommitmentNumber: message.nextCommitmentNumber + 1 }, failed]
        : [message];
    pair.connect();
    expect(pair.a.events("peerSaid")[0]?.text).toMatch(/you are behind/);
    expect(pair.a.events("forceClosing")).toEqual([]);
    expect(pair.a.claims).toEqual([]);
    // Bob was asked to: his own commitment ends it, which he says over the next link too.
    expect(pair.b.events("forceClosing")).toHaveLength(1);
    pair.b.tamper = (message) =>
      message.type === "channel_reestablish"
        ? [{ ...message, nextCommitmentNumber: message.nextCommitmentNumber + 1 }]
        : [message];
    pair.reconnect();
    expect(pair.a.events("peerSaid").at(-1)?.text).toMatch(/closing on chain/);
    expect(pair.a.events("forceClosing")).toEqual([]);
    expect(pair.a.claims).toEqual([]);
  });

  test("a peer that was ahead, and whose numbers are ours after all, may fail the channel as any other", async () => {
    const { pair, id } = await begin("zero_fee_commitments");
    pair.disconnect();
    pair.b.tamper = (message) =>
      message.type === "channel_reestablish"
        ? [{ ...message, nextCommitmentNumber: message.nextCommitmentNumber + 1 }]
        : [message];
    pair.a.tamper = (message) => (message.type === "error" ? [] : [message]);
    pair.connect();
    expect(pair.a.events("outdated")).toHaveLength(1);
    pair.a.tamper = (message) => [message];
    pair.b.tamper = (message) => [message];
    pair.reconnect();
    pay(pair, id, 1);
    pair.b.node.command(id, { type: "forceClose" });
    pair.cable.pump();
    expect(pair.a.events("forceClosing")).toHaveLength(1);
  });

  test.each([
    ["a secret that is none of ours", { yourLastPerCommitmentSecret: new Uint8Array(32).fill(8) }],
    ["a revocation far ahead without its secret", { nextRevocationNumber: 1_000 }],
    ["the highest revocation there is", { nextRevocationNumber: 2 ** 48 - 1 }],
    ["a commitment number of zero", { nextCommitmentNumber: 0 }],
    ["no revocation, yet a secret", { nextRevocationNumber: 0 }],
  ])("%s is a warning, and nothing changes", async (_, change) => {
    const { pair, id } = await begin("zero_fee_commitments");
    pay(pair, id, 2);
    pair.disconnect();
    const before = pair.a.node.record(id);
    pair.b.tamper = (message) =>
      message.type === "channel_reestablish" ? [{ ...message, ...change }] : [message];
    pair.connect();
    expect(pair.a.events("violation")[0]?.tag).toMatch(/^channel_reestablish\./);
    expect(pair.a.events("outdated")).toEqual([]);
    expect(pair.a.node.record(id)).toBe(before);
    pair.b.tamper = (message) => [message];
    pair.reconnect();
    expect(push(pair.a, id, 1)).toBeUndefined();
    pair.cable.pump();
    expect(pair.a.events("forceClosing").concat(pair.b.events("forceClosing"))).toEqual([]);
  });
});
