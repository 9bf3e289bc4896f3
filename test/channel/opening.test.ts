/** Opening a channel: every field out of range, wrong chains, signatures and outpoints, links lost at each step (BOLT 2 "Channel Establishment v1"). */
import { describe, expect, test } from "vitest";
import { hostPolicy } from "../../core/channel/policy.ts";
import { channelTypeBits } from "../../core/messages/features.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { channelId, milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { transactionId } from "../../core/transactions/transaction.ts";
import { open } from "../support/commands.ts";
import { crypto, fundingTransaction, Pair, payment, type TestNode } from "../support/node-pair.ts";

const OFF_CURVE = Uint8Array.of(2, ...new Uint8Array(31), 5);
const POINTS = [
  "fundingPubkey",
  "revocationBasepoint",
  "paymentBasepoint",
  "delayedPaymentBasepoint",
  "htlcBasepoint",
  "firstPerCommitmentPoint",
] as const;

type Wrong = readonly [string, Readonly<Record<string, unknown>>, string];

const declared: readonly Wrong[] = [
  ["a dust limit below what is relayed", { dustLimitSatoshis: 353 }, "dust_limit_satoshis"],
  ["a dust limit above ours", { dustLimitSatoshis: 1_063 }, "dust_limit_satoshis"],
  ["a reserve below the dust limit", { channelReserveSatoshis: 353 }, "channel_reserve_satoshis"],
  [
    "a reserve of a fifth and more",
    { channelReserveSatoshis: 200_001 },
    "channel_reserve_satoshis",
  ],
  ["no delay", { toSelfDelay: 0 }, "to_self_delay"],
  ["a delay of weeks", { toSelfDelay: 2_017 }, "to_self_delay"],
  ["no HTLCs at all", { maxAcceptedHtlcs: 0 }, "max_accepted_htlcs"],
  ["more HTLCs than fit", { maxAcceptedHtlcs: 115 }, "max_accepted_htlcs"],
  ["a minimum above the channel", { htlcMinimumMsat: 1_000_000_001 }, "htlc_minimum_msat"],
  [
    "an unknown shutdown script",
    { upfrontShutdownScript: new Uint8Array(3) },
    "upfront_shutdown_script",
  ],
  ...POINTS.map((name): Wrong => [`${name} off the curve`, { [name]: OFF_CURVE }, snake(name)]),
];

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const opened: readonly Wrong[] = [
  ["another chain", { chainHash: new Uint8Array(32).fill(9) }, "chain_hash"],
  ["too little funding", { fundingSatoshis: 9_999 }, "funding_satoshis"],
  ["too much funding", { fundingSatoshis: 16_777_216 }, "funding_satoshis"],
  ["more pushed than there is", { pushMsat: 1_000_000_001 }, "push_msat"],
  ["a feerate where there is none", { feeratePerKw: 253 }, "feerate_per_kw"],
  ["an unknown channel type", { channelType: Uint8Array.of(1) }, "channel-type"],
  [
    "zero-conf from a stranger",
    { channelType: channelTypeBits("zero_fee_commitments", { zeroConf: true }) },
    "channel_type",
  ],
];

/** Alice asks; her message of this type is changed on its way out. */
async function attempt(type: Message["type"], who: "a" | "b", wrong: object) {
  const pair = await Pair.make();
  pair[who].tamper = (message) =>
    message.type === type ? [{ ...message, ...wrong } as Message] : [message];
  const outcome = await pair.open().then(
    () => "opened",
    (cause: Error) => cause.message,
  );
  return { pair, outcome };
}

function expectNothing(pair: Pair): void {
  for (const side of [pair.a, pair.b]) {
    expect(side.checking.commits).toBe(0);
    expect(side.events("forceClosing")).toEqual([]);
  }
}

describe("open_channel with", () => {
  test.each([...declared, ...opened])(
    "%s is refused by name, nothing is stored",
    async (_, wrong, field) => {
      const { pair } = await attempt("open_channel", "a", wrong);
      const [failed] = pair.a.events("openFailed");
      expect(failed?.reason).toContain(field);
      expectNothing(pair);
      expect(pair.b.node.channels()).toEqual([]);
      expect(pair.a.node.channels()).toEqual([]);
    },
  );
});

describe("accept_channel with", () => {
  const accepted: readonly Wrong[] = [
    ["a depth of days", { minimumDepth: 145 }, "minimum_depth"],
    ["another channel type", { channelType: channelTypeBits("anchors") }, "channel_type"],
  ];
  test.each([...declared, ...accepted])(
    "%s is refused by name, nothing is stored",
    async (_, wrong, field) => {
      const { pair } = await attempt("accept_channel", "b", wrong);
      expect(pair.a.events("openFailed")[0]?.reason).toContain(field);
      expectNothing(pair);
      expect(pair.a.node.channels()).toEqual([]);
      expect(pair.b.node.channels()).toEqual([]);
    },
  );
});

describe("the feerate of channels that have one", () => {
  test.each([252, 250_001])("%d sat/kw is refused", async (feeratePerKw) => {
    const pair = await Pair.make();
    pair.a.tamper = (message) =>
      message.type === "open_channel" ? [{ ...message, feeratePerKw }] : [message];
    await expect(pair.open({ channelType: "anchors" })).rejects.toThrow(/feerate_per_kw/);
    expectNothing(pair);
  });

  test("an opener that could not pay the first fee is refused", async () => {
    const pair = await Pair.make();
    await expect(pair.open({ channelType: "anchors", pushMsat: 999_000_000 })).rejects.toThrow(
      /unable to pay/,
    );
  });
});

describe("the first signatures", () => {
  const bad = { signature: new Uint8Array(64).fill(3) };

  test("funding_created with a wrong one leaves nothing on either side", async () => {
    const { pair, outcome } = await attempt("funding_created", "a", bad);
    expect(outcome).toContain("funding_created.signature");
    expectNothing(pair);
    expect(pair.b.node.channels()).toEqual([]);
  });

  test("funding_signed with a wrong one keeps the funding from being broadcast", async () => {
    const { pair, outcome } = await attempt("funding_signed", "b", bad);
    expect(outcome).toContain("funding_signed.signature");
    expect(pair.a.checking.commits).toBe(0);
    expect(pair.a.events("created")).toEqual([]);
    // Bob stored his half; the error lets him forget it.
    expect(pair.b.events("forgotten").length).toBe(1);
    expect(pair.b.node.channels()).toEqual([]);
  });

  test("channel_ready with a point off the curve is refused, and told again after a reconnect", async () => {
    const pair = await Pair.make();
    let lied = false;
    pair.b.tamper = (message) => {
      if (message.type !== "channel_ready" || lied) return [message];
      lied = true;
      return [{ ...message, secondPerCommitmentPoint: OFF_CURVE as never }];
    };
    await pair.open();
    expect(pair.a.events("violation")[0]?.tag).toBe("channel_ready.second_per_commitment_point");
    pair.reconnect();
    expect(pair.a.events("ready").length).toBe(1);
    expect(pair.b.events("ready").length).toBe(1);
  });
});

test("an opening that its opener gives up leaves no place taken at its peer", async () => {
  const pair = await Pair.make();
  for (let tries = 0; tries < 5; tries++) {
    const temporaryId = pair.a.node.open(request(pair));
    pair.cable.pump();
    pair.a.node.command(temporaryId, { type: "close", feeratePerKw: 0, reason: "no coins" });
    pair.cable.pump();
    expect(pair.a.events("openFailed").at(-1)?.reason).toContain("no coins");
    expect(pair.b.events("openFailed").length).toBe(tries + 1);
  }
  expect(pair.b.node.channels()).toEqual([]);
  const { id } = await fund(pair);
  pair.cable.pump();
  expect(pair.b.node.record(id)).toBeDefined();
});

test("an opening whose link is lost after funding_created leaves no place taken, and nothing is broadcast", async () => {
  const pair = await Pair.make();
  pair.b.tamper = (message) => (message.type === "funding_signed" ? [] : [message]);
  for (let tries = 0; tries < 4; tries++) {
    await expect(fund(pair, tries)).rejects.toThrow();
    expect(pair.b.node.channels()).toMatchObject([{ channel: { kind: "live" } }]);
    pair.reconnect();
    pair.cable.pump();
    expect(pair.b.events("forgotten").length).toBe(tries + 1);
  }
  // The opener has no record before the acceptor has signed: there is nothing that it could broadcast.
  expect(pair.a.node.channels()).toEqual([]);
  expect(pair.a.events("created")).toEqual([]);
  expect(pair.b.node.channels()).toEqual([]);
});

test("push_msat is the acceptor's from the start, and receipts know nothing of it", async () => {
  const { pair, id } = await open({ pushMsat: 123_456_789 });
  expect(pair.balances(id)).toEqual([876_543_211, 123_456_789, 876_543_211, 123_456_789]);
  pair.expectPeace();
});

test("a channel may be used before it confirms where the acceptor trusts the opener, and only there", async () => {
  const policyB = { ...hostPolicy, acceptsZeroConf: () => true };
  const pair = await Pair.make({ policyB });
  const { id } = await fund(pair);
  expect(pair.a.events("ready").length).toBe(1);
  pair.a.node.command(id, { type: "push", payments: payment(1_000) });
  pair.cable.pump();
  expect(pair.b.events("pushReceived").length).toBe(1);
  pair.expectPeace();
});

/** Opens without confirming; the funding transaction is returned. */
function request(pair: Pair) {
  return {
    remoteNodeId: pair.b.nodeId,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(1_000_000),
    pushMsat: milliSatoshi(0),
    feeratePerKw: 0,
  } as const;
}

async function fund(pair: Pair, salt = 1) {
  const failed = () => new Error(pair.a.events("openFailed").at(-1)?.reason ?? "no word");
  const asked = pair.a.events("fundingNeeded").length;
  const made = pair.a.events("created").length;
  const temporaryId = pair.a.node.open(request(pair));
  pair.cable.pump();
  const needed = pair.a.events("fundingNeeded")[asked];
  if (!needed) throw failed();
  const raw = fundingTransaction(needed, salt);
  const txid = transactionId(crypto, raw.transaction);
  pair.a.node.command(temporaryId, { type: "funded", outpoint: { txid, vout: 0 } });
  await pair.flow();
  const id = pair.a.events("created")[made]?.channelId;
  if (!id) throw failed();
  return { id, temporaryId, raw, needed, txid };
}

test("the link is lost at each step: the channel opens, or nothing is left of it", async () => {
  let opened = 0;
  for (let at = 0; at < 8; at++) {
    const pair = await Pair.make();
    const temporaryId = pair.a.node.open({
      remoteNodeId: pair.b.nodeId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(1_000_000),
      pushMsat: milliSatoshi(0),
      feeratePerKw: 0,
    });
    pair.cable.pump(at);
    const needed = pair.a.events("fundingNeeded").at(-1);
    const raw = needed && fundingTransaction(needed, at);
    if (raw) {
      const txid = transactionId(crypto, raw.transaction);
      pair.a.node.command(temporaryId, { type: "funded", outpoint: { txid, vout: 0 } });
      pair.cable.pump(at - 2);
    }
    pair.reconnect();
    const created = pair.a.events("created").length > 0;
    if (raw && created) pair.mine(3, [raw.bytes]);
    if (created) {
      opened++;
      expect(pair.a.events("ready").length).toBe(1);
      expect(pair.b.events("ready").length).toBe(1);
    } else {
      expect(pair.a.events("openFailed").length).toBe(1);
      expect(pair.a.node.channels()).toEqual([]);
      expect(pair.b.node.channels()).toEqual([]);
    }
    pair.expectPeace();
  }
  expect(opened).toBeGreaterThan(0);
});

test("a crash after the record and before the word that it exists does not keep the funding from being broadcast", async () => {
  const pair = await Pair.make();
  const { id } = await fund(pair);
  await pair.restart(pair.a);
  const told = pair.a.events("created").length;
  pair.connect();
  const again = pair.a.events("created").slice(told);
  expect(again).toEqual([{ type: "created", channelId: id, broadcastFunding: true }]);
  pair.expectPeace();
});

test("a funding transaction that does not pay what was agreed ends the channel", async () => {
  expect(await lie(await Pair.make())).toMatch(/does not pay what was agreed/);
});

/** Alice funds with a thousand satoshis less than she said. */
async function lie(pair: Pair): Promise<string | undefined> {
  const temporaryId = pair.a.node.open({
    remoteNodeId: pair.b.nodeId,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(1_000_000),
    pushMsat: milliSatoshi(0),
    feeratePerKw: 0,
  });
  pair.cable.pump();
  const [needed] = pair.a.events("fundingNeeded");
  if (!needed) return undefined;
  const raw = fundingTransaction({ script: needed.script, amountSatoshis: 999_000 }, 77);
  const txid = transactionId(crypto, raw.transaction);
  pair.a.node.command(temporaryId, { type: "funded", outpoint: { txid, vout: 0 } });
  pair.cable.pump();
  pair.mine(3, [raw.bytes]);
  expect(pair.b.events("ready")).toEqual([]);
  expect(pair.b.node.channels()).toEqual([]);
  return pair.b.events("violation")[0]?.text;
}

test("an acceptor forgets a channel that nobody funds for 2016 blocks, and not one block sooner", async () => {
  const pair = await Pair.make();
  const { id } = await fund(pair);
  pair.mine(2_015);
  expect(pair.b.node.record(id)).toBeDefined();
  pair.mine(1);
  expect(pair.b.node.record(id)).toBeUndefined();
  expect(pair.b.events("forgotten")[0]?.reason).toContain("2016 blocks");
  expect(pair.a.node.record(id)).toBeDefined();
});

test("an acceptor never forgets a channel that was funded once, also where a reorganisation removes the funding", async () => {
  const { pair, id } = await open({ pushMsat: 100_000_000 });
  pair.mine(2_100);
  pair.b.node.command(id, { type: "close", feeratePerKw: 253 });
  pair.disconnect();
  pair.b.node.rewind(101 as never);
  pair.b.node.reconsider();
  pair.mine(1);
  expect(pair.b.node.record(id)).toBeDefined();
  expect(pair.b.events("forgotten")).toEqual([]);
});

describe("what a peer may not do with its openings", () => {
  const openAs = (pair: Pair, side: TestNode, change: Partial<MessageNamed<"open_channel">>) => {
    const honest = pair.a.sent.find((message) => message.type === "open_channel");
    side.node.sendService(pair.b.nodeId, { ...(honest as Message), ...change } as Message);
    pair.cable.pump();
  };

  test("use a temporary id twice", async () => {
    const pair = await Pair.make();
    pair.a.node.open({
      remoteNodeId: pair.b.nodeId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(1_000_000),
      pushMsat: milliSatoshi(0),
      feeratePerKw: 0,
    });
    pair.cable.pump();
    openAs(pair, pair.a, {});
    expect(pair.b.alarms[0]).toContain("open_channel.temporary_channel_id");
    expect(pair.a.node.isConnected(pair.b.nodeId)).toBe(false);
    expectNothing(pair);
  });

  test("have more than two channels waiting for their funding", async () => {
    const pair = await Pair.make();
    await fund(pair, 1);
    await fund(pair, 2);
    await expect(fund(pair, 3)).rejects.toThrow(/no more channels can be opened here/);
    expect(pair.b.node.channels().length).toBe(2);
  });

  test("fund two channels with one output: the first one's record stays", async () => {
    const { pair, id } = await open({ pushMsat: 100_000_000 });
    const before = pair.b.node.record(id);
    const outpoint = before?.terms.fundingOutpoint;
    pair.a.tamper = (message) =>
      message.type === "funding_created"
        ? [{ ...message, fundingTxid: outpoint?.txid as never, fundingOutputIndex: 0 }]
        : [message];
    await expect(fund(pair, 9)).rejects.toThrow();
    expect(pair.b.alarms[0]).toContain("funds another channel here");
    expect(pair.b.node.record(id)).toBe(before);
    expect(pair.b.checking.stored(id)).toBe(before);
  });

  test("send funding messages that nobody waits for", async () => {
    const pair = await Pair.make();
    const nobody = channelId(new Uint8Array(32).fill(4));
    pair.a.node.sendService(pair.b.nodeId, {
      type: "funding_signed",
      channelId: nobody,
      signature: new Uint8Array(64) as never,
    });
    pair.cable.pump();
    expect(pair.b.node.channels()).toEqual([]);
    expectNothing(pair);
    pair.expectPeace();
  });
});
