/** What a side may offer, and what it is refused: by its own node with a reason, and by the other one where it cheats (BOLT 2 "Adding an HTLC"). */
import { describe, expect, test } from "vitest";
import type { ChannelPolicy } from "../../core/channel/context.ts";
import { devicePolicy, hostPolicy } from "../../core/channel/policy.ts";
import { featureBitmap } from "../../core/messages/features.ts";
import { blockHeight, milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import {
  add,
  cheat,
  cheatAdd,
  cheatPush,
  commanded,
  HASH,
  open,
  push,
} from "../support/commands.ts";
import type { TestNode } from "../support/node-pair.ts";

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
const FUNDING = 1_000_000;
/** One percent, which is what hostPolicy asks the other side to keep. */
const RESERVE_MSAT = 10_000_000;

describe.each(CHANNEL_TYPES)("%s: the reserve", (channelType) => {
  const pushMsat = 200_000_000;

  test("the one who did not open spends down to it and no further", async () => {
    const { pair, id } = await open({ channelType, pushMsat });
    expect(push(pair.b, id, pushMsat - RESERVE_MSAT + 1)).toMatch(/1 msat below the reserve/);
    expect(push(pair.b, id, pushMsat - RESERVE_MSAT)).toBeUndefined();
    pair.cable.pump();
    expect(pair.balances(id)).toEqual([990_000_000, RESERVE_MSAT, 990_000_000, RESERVE_MSAT]);
    expect(push(pair.b, id, 1)).toMatch(/reserve of 10000 sat/);
    expect(add(pair.b, id, 1)).toMatch(/reserve/);
    expect(push(pair.a, id, 5_000)).toBeUndefined();
    pair.cable.pump();
    expect(push(pair.b, id, 5_000)).toBeUndefined();
    pair.cable.pump();
    pair.expectPeace();
  });

  test("a cheat that goes below it is warned and dropped, and nothing changed", async () => {
    const { pair, id } = await open({ channelType, pushMsat });
    const tooMuch = pushMsat - RESERVE_MSAT + 1;
    expect(cheat(pair, id, cheatPush(id, tooMuch))).toBe("update_push");
    expect(cheat(pair, id, cheatPush(id, FUNDING * 1000 + 1))).toBe("update_push");
    expect(cheat(pair, id, cheatAdd(id, 0, tooMuch))).toBe("update_add_htlc");
    expect(push(pair.b, id, 1_000)).toBeUndefined();
    pair.cable.pump();
    expect(pair.b.events("receipt").length).toBe(1);
  });

  test("the opener keeps it, and room for fees where commitments have any", async () => {
    const { pair, id } = await open({ channelType, pushMsat });
    const mine = FUNDING * 1000 - pushMsat;
    const reason = push(pair.a, id, mine - RESERVE_MSAT + 1);
    expect(reason).toMatch(/below the reserve of 10000 sat and fees/);
    const rest = Number(/fall (\d+) msat/.exec(reason ?? "")?.[1]);
    expect(push(pair.a, id, mine - RESERVE_MSAT + 1 - rest)).toBeUndefined();
    pair.cable.pump();
    expect(push(pair.a, id, 1)).toMatch(/reserve/);
    // Twice the feerate and one more HTLC, as BOLT 2 advises; nothing where there is no fee.
    const kept = pair.balances(id)[0] as number;
    const weight = channelType === "anchors" ? 1124 + 172 : 724 + 172;
    const anchors = channelType === "anchors" ? 660 : 0;
    const fees = channelType === "zero_fee_commitments" ? 0 : (2 * weight + anchors) * 1000;
    expect(kept).toBe(RESERVE_MSAT + fees);
    pair.expectPeace();
  });
});

const zeroReserve: ChannelPolicy = { ...hostPolicy, reservePpm: 0 };

test("where both agree to no reserve, everything can be spent, and comes back", async () => {
  const { pair, id } = await open({ policyA: zeroReserve, policyB: zeroReserve });
  expect(push(pair.a, id, FUNDING * 1000)).toBeUndefined();
  pair.cable.pump();
  expect(pair.balances(id)).toEqual([0, FUNDING * 1000, 0, FUNDING * 1000]);
  expect(push(pair.a, id, 1)).toBe("the balance does not suffice");
  expect(push(pair.b, id, FUNDING * 1000)).toBeUndefined();
  pair.cable.pump();
  expect(pair.balances(id)[0]).toBe(FUNDING * 1000);
  pair.expectPeace();
});

test("a side that wants no reserve gives the other what it asks for where that one does not agree", async () => {
  const strict: ChannelPolicy = { ...hostPolicy, allowZeroReserve: false, reservePpm: 0 };
  const { pair, id } = await open({ policyA: strict, policyB: zeroReserve, pushMsat: 50_000_000 });
  expect(pair.a.node.record(id)?.terms.local.channelReserveSatoshis).toBe(1_062);
  expect(push(pair.b, id, 50_000_000 - 1_062_000 + 1)).toMatch(/reserve of 1062 sat/);
  expect(push(pair.a, id, 950_000_000)).toBeUndefined();
});

describe("the number of HTLCs", () => {
  test.each([
    ["zero_fee_commitments", hostPolicy, 114],
    ["anchors", hostPolicy, 483],
    ["static_remotekey", hostPolicy, 483],
    ["zero_fee_commitments", devicePolicy, 30],
    ["anchors", { ...hostPolicy, maxAcceptedHtlcs: 30 }, 30],
  ] as const)(
    "%s takes as many as the receiver's policy says",
    async (channelType, policyB, most) => {
      const { pair, id } = await open({ channelType, policyB, fundingSatoshis: 5_000_000 });
      for (let i = 0; i < most; i++) expect(add(pair.a, id, 2_000_000)).toBeUndefined();
      expect(add(pair.a, id, 2_000_000)).toBe(`no more than ${most} HTLCs may be in flight`);
      pair.cable.pump();
      expect(pair.b.events("htlcReceived").length).toBe(most);
      expect(pair.a.node.record(id)?.base.htlcs.length).toBe(most);
      for (let htlcId = 0; htlcId < most; htlcId++) {
        pair.b.node.command(id, { type: "failHtlc", htlcId, reason: new Uint8Array(0) });
      }
      pair.cable.pump();
      expect(pair.a.events("htlcFailed").length).toBe(most);
      expect(add(pair.a, id, 2_000_000)).toBeUndefined();
      pair.cable.pump();
      pair.expectPeace();
    },
  );

  test("a cheat's first one too many is refused", async () => {
    const policy = { ...hostPolicy, maxAcceptedHtlcs: 2 };
    const { pair, id } = await open({ policyA: policy, pushMsat: 100_000_000 });
    const htlcs = [0, 1, 2].map((htlcId) => cheatAdd(id, htlcId, 1_000_000));
    expect(cheat(pair, id, ...htlcs)).toBe("update_add_htlc");
  });

  test("between devices, signatures of all HTLCs fit into a message of 4096 bytes", async () => {
    const sizes = { maxMessageA: 4096, maxMessageB: 4096 };
    const { pair, id } = await open({ ...sizes, channelType: "anchors", pushMsat: 400_000_000 });
    for (let i = 0; i < 30; i++) expect(add(pair.a, id, 2_000_000)).toBeUndefined();
    for (let i = 0; i < 30; i++) expect(add(pair.b, id, 2_000_000)).toBeUndefined();
    expect(add(pair.a, id, 2_000_000)).toMatch(/no more than 30 HTLCs/);
    pair.cable.pump();
    expect(pair.a.node.record(id)?.base.htlcs.length).toBe(60);
    pair.expectPeace();
  });
});

describe("amounts of HTLCs", () => {
  test("no more in flight than the receiver allows", async () => {
    const policyB = { ...hostPolicy, maxHtlcValueInFlightMsat: milliSatoshi(5_000_000) };
    const { pair, id } = await open({ policyB });
    expect(add(pair.a, id, 5_000_000)).toBeUndefined();
    expect(add(pair.a, id, 1_000)).toBe("no more than 5000000 msat may be in flight");
    pair.cable.pump();
    pair.expectPeace();
  });

  test("a cheat that exceeds what is in flight, or stays below the minimum, is refused", async () => {
    const policyA = {
      ...hostPolicy,
      maxHtlcValueInFlightMsat: milliSatoshi(5_000_000),
      htlcMinimumMsat: milliSatoshi(1_000),
    };
    const { pair, id } = await open({ policyA, pushMsat: 100_000_000 });
    expect(add(pair.b, id, 999)).toBe("an HTLC must have at least 1000 msat");
    expect(cheat(pair, id, cheatAdd(id, 0, 5_000_001))).toBe("update_add_htlc");
    expect(cheat(pair, id, cheatAdd(id, 0, 999))).toBe("update_add_htlc");
    expect(cheat(pair, id, cheatAdd(id, 0, 0))).toBe("update_add_htlc");
  });

  test.each(CHANNEL_TYPES)(
    "%s: dust goes through, up to the exposure that we accept",
    async (channelType) => {
      const policyA = { ...hostPolicy, maxDustExposureMsat: milliSatoshi(700_000) };
      const { pair, id } = await open({ policyA, channelType, pushMsat: 100_000_000 });
      expect(add(pair.a, id, 350_000)).toBeUndefined();
      expect(add(pair.a, id, 350_000)).toBeUndefined();
      expect(add(pair.a, id, 1_000)).toBe("too much would lie in HTLCs below dust");
      pair.cable.pump();
      expect(pair.b.events("htlcReceived").map(({ declined }) => declined)).toEqual([
        undefined,
        undefined,
      ]);
      // The other way round nobody asks first: what comes is declined.
      expect(add(pair.b, id, 300_000)).toBeUndefined();
      pair.cable.pump();
      expect(pair.a.events("htlcReceived").at(-1)?.declined).toMatch(/below dust/);
      pair.expectPeace();
    },
  );

  test("an HTLC that expires too soon to be sure of it is to be declined", async () => {
    const { pair, id } = await open();
    const soon = blockHeight(pair.height + hostPolicy.fulfillSafetyBlocks);
    pair.a.node.command(id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(1_000_000),
      paymentHash: HASH,
      cltvExpiry: soon,
    });
    pair.cable.pump();
    expect(pair.b.events("htlcReceived")[0]?.declined).toMatch(/too soon/);
  });

  test("pushes below a satoshi add up", async () => {
    const { pair, id } = await open({ fundingSatoshis: 20_000 });
    for (let i = 0; i < 101; i++) {
      expect(push(pair.a, id, 999)).toBeUndefined();
      pair.cable.pump();
    }
    expect(pair.balances(id)[1]).toBe(999 * 101);
    expect(pair.a.events("receipt").length).toBe(101);
    pair.expectPeace();
  });
});

describe("the feerate", () => {
  test.each(["anchors", "static_remotekey"] as const)(
    "%s: the opener sets it, within what both accept",
    async (channelType) => {
      const { pair, id } = await open({ channelType, pushMsat: 300_000_000 });
      const fee = (side: TestNode, feeratePerKw: number) =>
        commanded(side, () => side.node.command(id, { type: "updateFee", feeratePerKw }));
      expect(fee(pair.a, 2_000)).toBeUndefined();
      pair.cable.pump();
      expect(pair.b.node.record(id)?.base.feeratePerKw).toBe(2_000);
      expect(fee(pair.b, 2_500)).toBe("only the opener sets the feerate");
      expect(fee(pair.a, 252)).toBe("the feerate must be 253 to 250000 sat/kw");
      expect(fee(pair.a, 250_001)).toMatch(/the feerate must be/);
      expect(fee(pair.a, 300.5)).toMatch(/the feerate must be/);
      pair.cable.pump();
      expect(cheat(pair, id, { type: "update_fee", channelId: id, feeratePerKw: 2_500 })).toBe(
        "update_fee",
      );
      pair.reconnect();
      expect(pair.a.node.record(id)?.base.feeratePerKw).toBe(2_000);
    },
  );

  test("an opener that cannot pay the fee that it asks for is refused on both sides", async () => {
    const { pair, id } = await open({ channelType: "anchors", fundingSatoshis: 50_000 });
    const command = { type: "updateFee", feeratePerKw: 45_000 } as const;
    expect(commanded(pair.a, () => pair.a.node.command(id, command))).toMatch(/below the reserve/);
    const before = pair.b.node.record(id);
    pair.a.node.sendService(pair.b.nodeId, {
      type: "update_fee",
      channelId: id,
      feeratePerKw: 45_000,
    });
    pair.cable.pump();
    expect(pair.b.events("violation")[0]?.tag).toBe("update_fee");
    expect(pair.b.node.record(id)).toBe(before);
  });

  test("channels without fees have no feerate", async () => {
    const { pair, id } = await open();
    const command = { type: "updateFee", feeratePerKw: 1_000 } as const;
    expect(commanded(pair.a, () => pair.a.node.command(id, command))).toBe(
      "this channel has no feerate",
    );
    expect(cheat(pair, id, { type: "update_fee", channelId: id, feeratePerKw: 1_000 })).toBe(
      "update_fee",
    );
  });
});

test("satoshi amounts of a policy are what the peer declares", async () => {
  const policyB = { ...hostPolicy, dustLimitSatoshis: satoshi(546), toSelfDelay: 99 };
  const { pair, id } = await open({ policyB });
  const { remote } = pair.a.node.record(id)?.terms ?? {};
  expect(remote).toMatchObject({ dustLimitSatoshis: 546, toSelfDelay: 99 });
});

test("a push that was not negotiated is refused, not taken for an odd message", async () => {
  const { pair, id } = await open({ pushMsat: 200_000_000 });
  const without = featureBitmap({
    required: ["staticRemotekey", "channelType"],
    optional: ["anchors", "shutdownAnysegwit", "zeroFeeCommitments", "simpleClose"],
  });
  Object.assign(pair.a.node.options, { features: without });
  Object.assign((pair.a.node as unknown as { peers: { options: object } }).peers.options, {
    features: without,
  });
  pair.reconnect();
  expect(push(pair.b, id, 1_000)).toMatch(/takes no pushes/);
  expect(cheat(pair, id, cheatPush(id, 1_000))).toBe("update_push");
  expect(pair.a.events("pushReceived")).toEqual([]);
});
