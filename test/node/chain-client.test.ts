/** device-trusts-nobody: what a device believes of the chain, whatever its gateway says, repeats or keeps back. */
import { describe, expect, it } from "vitest";
import { blockHash, type Checkpoint, startHeaderChain } from "../../core/chain/headers.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import { HEADERS_PER_SUBSCRIPTION } from "../../core/messages/service.ts";
import { CHECKPOINT_DEPTH, CHECKPOINT_EVERY, MAX_WATCHED } from "../../core/node/chain-client.ts";
import type { Txid } from "../../core/primitives/brands.ts";
import { concat } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { crypto, mineHeader, mineHeaders } from "../chain/synthetic-headers.ts";
import { blockWith, Client, FEERATES, GENESIS, transactionOf } from "../support/chain-client.ts";

describe("catching up", () => {
  it("takes headers in batches, and asks for the rest when it has checked a window", () => {
    const device = new Client();
    device.client.gatewayConnected();
    expect(device.subscriptions).toEqual([1]);
    const chain = mineHeaders(GENESIS.header, 300);
    device.headers(1, chain.slice(0, HEADERS_PER_SUBSCRIPTION), 300);
    expect(device.subscriptions).toEqual([1, HEADERS_PER_SUBSCRIPTION + 1]);
    device.headers(121, chain.slice(120, 240), 300);
    device.headers(241, chain.slice(240), 300);
    expect(device.client.tipHeight).toBe(300);
    expect(device.subscriptions).toEqual([1, 121, 241]);
    expect(device.refused).toEqual([]);
  });

  it("names what it watches before it asks for headers", () => {
    const device = new Client();
    device.client.watch({ txid: new Uint8Array(32) as Txid, vout: 0 });
    device.sent.length = 0;
    device.client.gatewayConnected();
    expect(device.sent.map(({ type }) => type)).toEqual(["chain_watch", "chain_subscribe"]);
  });

  it("takes repeated headers in silence, and tells of a tip once", () => {
    const device = new Client();
    const chain = mineHeaders(GENESIS.header, 10);
    for (let i = 0; i < 3; i++) device.headers(1, chain);
    expect(device.tips).toEqual([10]);
    expect(device.refused).toEqual([]);
  });

  it("refuses half a header as a violation, and headers without work in words", () => {
    const device = new Client();
    const half = {
      type: "chain_headers",
      fromHeight: 1,
      tipHeight: 1,
      feeratesPerKw: FEERATES,
    } as const;
    expect(() => device.client.receive({ ...half, headers: new Uint8Array(81) })).toThrow(
      ProtocolViolation,
    );
    device.headers(1, [mineHeader(GENESIS.header, { miss: true })]);
    expect(device.client.tipHeight).toBe(0);
    expect(device.refused).toHaveLength(1);
  });
});

describe("a reorganisation", () => {
  it.each([1, 2, 6, 29, 31, 59, 100, 143])("of %i blocks is followed", (depth) => {
    const device = new Client();
    const chain = mineHeaders(GENESIS.header, 200);
    device.headers(1, chain);
    const fork = mineHeaders(chain[199 - depth] as Uint8Array, depth + 1, () => ({ salt: 7 }));
    device.headers(201 - depth, fork, 201);
    expect(device.client.tipHeight).toBe(201);
    expect(device.told).toContain(`rewind ${201 - depth}`);
    expect(device.refused).toEqual([]);
  });

  it("found after a reconnect is followed from wherever the batches are cut", () => {
    for (const depth of [3, 7, 25, 28, 60]) {
      const device = new Client();
      const chain = mineHeaders(GENESIS.header, 160);
      device.headers(1, chain);
      const fork = mineHeaders(chain[159 - depth] as Uint8Array, depth + 1, () => ({ salt: 9 }));
      const all = [...chain.slice(0, 160 - depth), ...fork];
      device.client.gatewayConnected();
      for (let i = 0; i < 5 && device.client.tipHeight < 161; i++) {
        const from = device.subscriptions.at(-1) as number;
        device.headers(from, all.slice(from - 1, from - 1 + HEADERS_PER_SUBSCRIPTION), 161);
      }
      expect(device.client.tipHeight, `depth ${depth}`).toBe(161);
    }
  });

  it("with less work is not, and one that is deeper than what is kept asks once and says so", () => {
    const device = new Client();
    const chain = mineHeaders(GENESIS.header, 200);
    device.headers(1, chain);
    device.headers(
      151,
      mineHeaders(chain[149] as Uint8Array, 40, () => ({ salt: 5 })),
      190,
    );
    expect(device.client.tipHeight).toBe(200);
    expect(device.told).not.toContain("rewind 151");
    const asked = device.subscriptions.length;
    const deep = mineHeaders(chain[20] as Uint8Array, 190, () => ({ salt: 6 }));
    for (let i = 0; i < 5; i++) device.headers(100, deep.slice(78), 211);
    expect(device.subscriptions.length - asked).toBe(1);
    expect(device.refused.length).toBeGreaterThan(0);
    expect(device.client.tipHeight).toBe(200);
  });
});

describe("a proof", () => {
  const setUp = (salts: readonly number[] = [1, 2, 3]) => {
    const device = new Client();
    const { header, all, proofOf } = blockWith(GENESIS.header, salts);
    for (const { txid } of all) device.client.watch({ txid, vout: 0 });
    return { device, header, all, proofOf };
  };

  it("is believed once, however often it is told", () => {
    const { device, header, proofOf } = setUp();
    device.headers(1, [header]);
    for (let i = 0; i < 3; i++) device.client.receive(proofOf(1, 1));
    expect(device.proven).toEqual(["1"]);
  });

  it("that comes before its header waits for it, and is told before the block", () => {
    const { device, header, proofOf } = setUp();
    device.client.receive(proofOf(0, 1));
    device.client.receive(proofOf(0, 1));
    expect(device.proven).toEqual([]);
    device.headers(1, [header]);
    // The first headers after a start: what was known from above the checkpoint is proven anew.
    expect(device.told).toEqual(["rewind 1", "tx 1", "block 1"]);
  });

  it("whose branch, place, transaction or height is a lie is refused", () => {
    const { header, proofOf, all } = setUp();
    const second = mineHeader(header);
    const good = proofOf(1, 1);
    const lies = [
      { ...good, index: 0 },
      { ...good, index: 9 },
      { ...good, height: 2 },
      { ...good, branch: good.branch.map((hash) => hash.map((byte) => byte ^ 1)) },
      { ...good, branch: good.branch.slice(1) },
      { ...good, raw: (all[2] as { raw: Uint8Array }).raw },
    ];
    for (const lie of lies) {
      const { device } = setUp();
      device.headers(1, [header, second]);
      device.client.receive(lie);
      expect(device.proven).toEqual([]);
      // It might have stood on a branch that was still to come.
      device.headers(3, [mineHeader(second)]);
      expect(device.proven).toEqual([]);
      expect(device.refused).toHaveLength(1);
      device.client.receive(good);
      expect(device.proven).toEqual(["1"]);
    }
  });

  it("of a branch whose headers have less work so far waits for the rest of them", () => {
    const { device, header, proofOf } = setUp([4]);
    device.headers(1, [header]);
    device.client.receive(proofOf(0, 1));
    // The same transaction, in the block that takes the place of its own: a gateway tells block by block.
    const rival = blockWith(GENESIS.header, [5, 4]);
    device.headers(1, [rival.header]);
    device.client.receive(rival.proofOf(1, 1));
    device.headers(2, [mineHeader(rival.header)]);
    expect(device.refused).toEqual([]);
    expect(device.proven).toEqual(["1", "1"]);
    expect(device.told.slice(-3)).toEqual(["rewind 1", "tx 1", "block 2"]);
  });

  it("that comes ahead of its branch, after a reconnect, waits for that branch", () => {
    const { device, header } = setUp([4]);
    device.headers(1, [header]);
    const rival = blockWith(GENESIS.header, [5, 4]);
    device.client.gatewayConnected();
    device.client.receive(rival.proofOf(1, 1));
    device.headers(1, [rival.header, mineHeader(rival.header)]);
    expect(device.refused).toEqual([]);
    expect(device.proven).toEqual(["1"]);
  });

  it("is told to the node after the proof of what it spends, in whatever order they came", () => {
    const { device } = setUp([1, 2]);
    const first = blockWith(GENESIS.header, [1]);
    const second = blockWith(first.header, [2]);
    device.client.receive(second.proofOf(0, 2));
    device.client.receive(first.proofOf(0, 1));
    device.headers(1, [first.header, second.header]);
    expect(device.told).toEqual(["rewind 1", "tx 1", "tx 2", "block 2"]);
  });

  it("of bytes that are no transaction is a violation, not a crash of another kind", () => {
    const { device, header, proofOf } = setUp();
    device.headers(1, [header]);
    const raw = new Uint8Array(64).fill(1);
    expect(() => device.client.receive({ ...proofOf(0, 1), raw })).toThrow(ProtocolViolation);
  });

  it("of what nobody asked for is not even looked at", () => {
    const { device, header } = setUp([1]);
    device.headers(1, [header]);
    const other = blockWith(header, [9]);
    device.headers(2, [other.header]);
    device.client.receive(other.proofOf(0, 2));
    expect(device.proven).toEqual([]);
    expect(device.refused).toEqual([]);
  });

  it("is told again at its new height after a reorganisation", () => {
    const { device, header, proofOf } = setUp([4]);
    device.headers(1, [header]);
    device.client.receive(proofOf(0, 1));
    const empty = mineHeader(GENESIS.header, { salt: 3 });
    const again = blockWith(empty, [4]);
    device.headers(1, [empty, again.header]);
    device.client.receive(again.proofOf(0, 2));
    expect(device.proven).toEqual(["1", "2"]);
    expect(device.told).toContain("rewind 1");
  });

  it("older than what is kept is refused in words", () => {
    const { device, header, proofOf } = setUp();
    device.headers(1, [header, ...mineHeaders(header, 200)]);
    device.client.receive(proofOf(0, 1));
    expect(device.refused.join()).toContain("too old");
  });
});

describe("bounds", () => {
  it("a gateway that sends proofs for blocks to come fills a little and pushes out its own", () => {
    const device = new Client();
    const { header, proofOf, all } = blockWith(GENESIS.header, [1]);
    device.client.watch({ txid: (all[0] as { txid: Txid }).txid, vout: 0 });
    for (let salt = 0; salt < 500; salt++) {
      const raw = concat(transactionOf(salt % 250, 1 + (salt % 100)).raw);
      device.client.receive({ type: "chain_transaction", raw, height: 9, index: 0, branch: [] });
    }
    const { waiting } = Reflect.get(device.client, "waiting") as {
      waiting: readonly { raw: Uint8Array }[];
    };
    expect(waiting.length).toBeLessThanOrEqual(32);
    expect(waiting.reduce((sum, { raw }) => sum + raw.length, 0)).toBeLessThanOrEqual(32_768);
    device.headers(1, [header]);
    device.client.receive(proofOf(0, 1));
    expect(device.proven).toEqual(["1"]);
  });

  it("watches are limited, and one more is told", () => {
    const device = new Client();
    for (let i = 0; i <= MAX_WATCHED; i++) {
      device.client.watch({ txid: new Uint8Array(32) as Txid, vout: i });
    }
    expect(device.refused).toHaveLength(1);
    expect(device.sent).toHaveLength(MAX_WATCHED);
  });

  it("every message of another kind is left to others", () => {
    const device = new Client();
    expect(device.client.receive({ type: "delivery_request", reference: new Uint8Array(16) })).toBe(
      false,
    );
  });
});

describe("checkpoints to be stored", () => {
  it("lie deep below the verified tip, come seldom, and a chain goes on from them", () => {
    const device = new Client();
    const chain = mineHeaders(GENESIS.header, 400);
    for (const [i, header] of chain.entries()) device.headers(1 + i, [header]);
    expect(device.checkpoints.length).toBe(Math.floor(400 / CHECKPOINT_EVERY));
    const newest = device.checkpoints.at(-1) as Checkpoint;
    expect(newest.height).toBe(Math.floor(400 / 12) * 12 - CHECKPOINT_DEPTH);
    const started = startHeaderChain(crypto, REGTEST, newest);
    expect(blockHash(crypto, chain[newest.height - 1] as Uint8Array)).toEqual(started.tip.hash);
    const again = new Client(newest);
    again.headers(newest.height + 1, chain.slice(newest.height));
    expect(again.client.tipHeight).toBe(400);
  });

  it("a start does not count as having heard of the chain (offline-budget)", () => {
    const device = new Client(GENESIS, 1_000);
    expect(device.client.freshness.tipVerifiedAtSeconds).toBe(1_000);
    device.now = 2_000;
    device.headers(
      1,
      mineHeaders(GENESIS.header, 1, () => ({ time: 1_296_688_700 })),
    );
    expect(device.client.tipHeight).toBe(0); // its time is far ahead of the clock
    device.now = 1_296_689_000;
    device.headers(
      1,
      mineHeaders(GENESIS.header, 1, () => ({ time: 1_296_688_700 })),
    );
    expect(device.client.freshness.tipVerifiedAtSeconds).toBe(1_296_689_000);
    expect(new Client().client.freshness.tipVerifiedAtSeconds).toBeUndefined();
  });
});
