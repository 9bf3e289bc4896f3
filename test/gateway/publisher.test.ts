/** The publisher against a node and a wallet that do what the test says: what it sends, when it pays again, what it tells. */
import { describe, expect, it } from "vitest";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import type { BroadcastResult, ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { blockHeight, channelId, publicKey, satoshi, txid } from "../../core/primitives/brands.ts";
import { p2aScript, p2wpkh } from "../../core/transactions/script.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { InsufficientFunds } from "../../gateway/chain/insufficient-funds.ts";
import { ChainPublisher, type PublisherStep } from "../../gateway/chain/publisher.ts";
import { crypto } from "../support/node-pair.ts";

const CHANNEL = channelId(new Uint8Array(32).fill(9));
const DEVICE = new Uint8Array(33).fill(2);
const ANCHOR_SATOSHIS = satoshi(240);

/** A version 3 transaction with an anchor, unlike any other. */
function commitment(salt: number): Uint8Array {
  return serializeTransaction({
    version: 3,
    inputs: [input(salt, 0)],
    outputs: [
      { script: p2wpkh(crypto, publicKey(new Uint8Array(33).fill(3))), amount: satoshi(1_000) },
      { script: p2aScript(), amount: ANCHOR_SATOSHIS },
    ],
    locktime: 0,
  });
}

function input(salt: number, vout: number) {
  return {
    outpoint: { txid: txid(new Uint8Array(32).fill(salt)), vout },
    sequence: 0xfffffffd,
    scriptSig: new Uint8Array(0),
    witness: [new Uint8Array(8)],
  };
}

function idOf(raw: Uint8Array) {
  return transactionId(crypto, parseTransaction(raw));
}

function plainClaim(id: string, salt: number, feeratePerKw = 500): Claim {
  const raw = commitment(salt);
  const deadline = blockHeight(200);
  return { id, purpose: "sweep", raw, txid: idOf(raw), deadline, feeratePerKw };
}

function anchoredClaim(feeratePerKw: number, salt = 7): Claim {
  const plain = plainClaim("commitment", salt, feeratePerKw);
  const anchor = { txid: plain.txid, vout: 1 };
  return {
    ...plain,
    purpose: "commitment",
    needs: {
      type: "anchor-child",
      anchor,
      keyed: false,
      amount: ANCHOR_SATOSHIS,
      feeSatoshis: satoshi(0),
    },
  };
}

/** Notes what it is asked, answers what it is told. */
class World {
  readonly sent: (readonly Uint8Array[])[] = [];
  readonly children: { feeratePerKw: number; replaces: boolean; raw: Uint8Array }[] = [];
  readonly released: Uint8Array[] = [];
  readonly steps: PublisherStep[] = [];
  answer: (raws: readonly Uint8Array[]) => BroadcastResult | Error = (raws) => ({
    ok: true,
    txid: idOf(raws.at(-1) as Uint8Array),
  });
  fundingFails: Error | undefined;
  feerateNow = 1_000;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();
  readonly publisher = new ChainPublisher({
    crypto,
    source: this.source(),
    wallet: this.wallet(),
    signerOf: () => undefined,
    onStep: (step) => this.steps.push(step),
  });

  refuse(reason: string): void {
    this.answer = () => ({ ok: false, reason });
  }

  /** A block after which the node asks for `claims`. */
  async block(...claims: readonly Claim[]): Promise<void> {
    for (const claim of claims) this.publisher.publish(CHANNEL, claim);
    this.publisher.blockDone();
    await this.publisher.idle();
  }

  private source(): ChainSource {
    const send = async (raws: readonly Uint8Array[]): Promise<BroadcastResult> => {
      this.sent.push(raws);
      await this.gate;
      const answer = this.answer(raws);
      if (answer instanceof Error) throw answer;
      return answer;
    };
    return {
      broadcast: (raw: Uint8Array) => send([raw]),
      broadcastPackage: send,
      watchOutpoint: () => {},
      watchScript: () => {},
      feeratePerKw: async () => this.feerateNow,
    } as Partial<ChainSource> as ChainSource;
  }

  private wallet(): ChainWallet {
    return {
      fundChild: async ({ feeratePerKw, replaces }) => {
        if (this.fundingFails) throw this.fundingFails;
        const raw = commitment(100 + this.children.length);
        this.children.push({ feeratePerKw, replaces: replaces !== undefined, raw });
        return raw;
      },
      release: async (raw) => {
        this.released.push(raw);
      },
    } as Partial<ChainWallet> as ChainWallet;
  }
}

describe("the publisher", () => {
  it("sends a claim again at every block, and tells of it once", async () => {
    const world = new World();
    const claim = plainClaim("sweep", 1);
    for (let i = 0; i < 3; i++) await world.block(claim);

    expect(world.sent).toEqual([[claim.raw], [claim.raw], [claim.raw]]);
    expect(world.steps.map(({ type }) => type)).toEqual(["published"]);
  });

  it("makes one child, and another only where a later version asks for more", async () => {
    const world = new World();
    for (const rate of [500, 500, 400, 800, 800]) await world.block(anchoredClaim(rate));

    expect(world.children).toMatchObject([
      { feeratePerKw: 500, replaces: false },
      { feeratePerKw: 800, replaces: true },
    ]);
    expect(world.steps.map(({ type, feeratePerKw }) => [type, feeratePerKw])).toEqual([
      ["published", 500],
      ["bumped", 800],
    ]);
    expect(world.sent.every((raws) => raws.length === 2)).toBe(true);
  });

  it("works on one version at a time: the newest that was asked for meanwhile", async () => {
    const world = new World();
    let open = () => {};
    world.gate = new Promise((resolve) => {
      open = resolve;
    });
    for (const rate of [500, 800, 1_100]) world.publisher.publish(CHANNEL, anchoredClaim(rate));
    open();
    await world.publisher.idle();

    expect(world.children.map(({ feeratePerKw }) => feeratePerKw)).toEqual([500, 1_100]);
  });

  it("gives coins back when the claim is no longer asked for", async () => {
    const world = new World();
    await world.block(anchoredClaim(500));
    expect(world.released).toEqual([]);
    await world.block();

    expect(world.released).toEqual([world.children[0]?.raw]);
    await world.block();
    expect(world.released.length).toBe(1);
  });

  it("keeps the first child where its replacement is refused, and gives the other's coins back", async () => {
    const world = new World();
    await world.block(anchoredClaim(500));
    world.answer = (raws) =>
      raws[1] === world.children[0]?.raw
        ? { ok: true, txid: idOf(raws[1] as Uint8Array) }
        : { ok: false, reason: "insufficient fee, rejecting replacement" };
    await world.block(anchoredClaim(800));

    expect(world.released).toEqual([world.children[1]?.raw]);
    expect(world.sent.at(-1)).toEqual([anchoredClaim(500).raw, world.children[0]?.raw]);
    expect(world.steps.map(({ type }) => type)).toEqual(["published"]);
  });

  it("takes another coin where its own is gone", async () => {
    const world = new World();
    await world.block(anchoredClaim(500));
    world.answer = (raws) =>
      raws[1] === world.children[0]?.raw
        ? { ok: false, reason: "transaction failed; bad-txns-inputs-missingorspent" }
        : { ok: true, txid: idOf(raws.at(-1) as Uint8Array) };
    await world.block(anchoredClaim(500));

    expect(world.released).toEqual([world.children[0]?.raw]);
    expect(world.sent.at(-1)?.[1]).toBe(world.children[1]?.raw);
  });

  it("tells of a refusal once, in the node's words, and again when the words change", async () => {
    const world = new World();
    const claim = plainClaim("sweep", 1);
    world.refuse("non-BIP68-final");
    for (let i = 0; i < 3; i++) await world.block(claim);
    world.refuse("scriptpubkey");
    await world.block(claim);

    expect(world.steps).toMatchObject([
      { type: "refused", reason: "non-BIP68-final", claimId: "sweep", channelId: CHANNEL },
      { type: "refused", reason: "scriptpubkey" },
    ]);
  });

  it.each([
    "txn-already-in-mempool",
    "txn-already-known",
    "Transaction outputs already in utxo set",
  ])("takes %j for success", async (reason) => {
    const world = new World();
    world.refuse(reason);
    await world.block(plainClaim("sweep", 1));

    expect(world.steps.map(({ type }) => type)).toEqual(["published"]);
  });

  it("is quiet about what blocks explain, unless they do not", async () => {
    const world = new World();
    const claim = plainClaim("sweep", 1);
    world.refuse("bad-txns-inputs-missingorspent");
    for (let i = 0; i < 3; i++) await world.block(claim);
    expect(world.steps).toEqual([]);
    await world.block(claim);

    expect(world.steps.map(({ type }) => type)).toEqual(["refused"]);
  });

  it("is content where somebody else's child pays for our commitment already", async () => {
    const world = new World();
    world.answer = (raws) =>
      raws.length === 1
        ? { ok: true, txid: idOf(raws[0] as Uint8Array) }
        : { ok: false, reason: "insufficient fee, rejecting replacement" };
    for (let i = 0; i < 6; i++) await world.block(anchoredClaim(500));

    expect(world.steps).toEqual([]);
    expect(world.released.length).toBe(world.children.length);
  });

  it("sends the commitment alone where the wallet has no coins, and tells the wallet's words once", async () => {
    const world = new World();
    world.fundingFails = new InsufficientFunds("no coins");
    for (let i = 0; i < 3; i++) await world.block(anchoredClaim(500));

    expect(world.sent.every((raws) => raws.length === 1)).toBe(true);
    expect(world.steps).toMatchObject([{ type: "refused", reason: "no coins" }]);
    world.fundingFails = undefined;
    await world.block(anchoredClaim(500));
    expect(world.steps.at(-1)).toMatchObject({ type: "published" });
  });

  it("survives a node that does not answer", async () => {
    const world = new World();
    world.answer = () => new Error("connection refused");
    for (let i = 0; i < 2; i++) await world.block(plainClaim("sweep", 1));

    expect(world.steps).toMatchObject([{ type: "refused", reason: "connection refused" }]);
  });

  it("sends nothing while old blocks are read again, then what was asked for last", async () => {
    const world = new World();
    world.publisher.hold();
    await world.block(plainClaim("sweep", 1), plainClaim("penalty", 2));
    await world.block(plainClaim("sweep", 1));
    expect(world.sent).toEqual([]);
    world.publisher.resume();
    await world.publisher.idle();

    expect(world.sent).toEqual([[plainClaim("sweep", 1).raw]]);
  });

  it("is not idle while it asks what an entrusted claim may cost", async () => {
    const world = new World();
    const publishing = world.publisher.entrusted(DEVICE).publish(CHANNEL, plainClaim("sweep", 1));
    await world.publisher.idle();
    expect(world.sent.length).toBe(1);
    expect(await publishing).toMatchObject({ ok: true });
  });

  it("goes on with what a device entrusted, unasked, until its input is spent in a block", async () => {
    const world = new World();
    const claim = anchoredClaim(500);
    expect(await world.publisher.entrusted(DEVICE).publish(CHANNEL, claim)).toMatchObject({
      ok: true,
    });
    await world.block();
    await world.block();
    expect(world.sent.length).toBe(3);

    const rival = commitment(7);
    const confirmed = {
      raw: rival,
      txid: idOf(rival),
      height: blockHeight(5),
      index: 1,
      branch: [],
    };
    world.publisher.blockDone([confirmed]);
    await world.publisher.idle();
    await world.block();
    expect(world.sent.length).toBe(3);
    expect(world.released.length).toBe(1);
  });

  it("does not take up again what a block has settled and the device has not yet heard of, until that block is undone", async () => {
    const world = new World();
    const device = world.publisher.entrusted(DEVICE);
    const claim = plainClaim("sweep", 1);
    await device.publish(CHANNEL, claim);
    const [raw, id, height] = [claim.raw, claim.txid, blockHeight(5)];
    world.publisher.blockDone([{ raw, txid: id, height, index: 1, branch: [] }]);
    await world.publisher.idle();

    expect(await device.publish(CHANNEL, claim)).toMatchObject({ ok: false });
    expect(world.publisher.queue()).toEqual([]);
    world.publisher.blockUndone(6);
    expect(await device.publish(CHANNEL, claim)).toMatchObject({ ok: false });
    world.publisher.blockUndone(5);
    expect(await device.publish(CHANNEL, claim)).toMatchObject({ ok: true });
    expect(world.publisher.queue().length).toBe(1);
  });

  it("gives up after a day what the node has in a block that was not told", async () => {
    const world = new World();
    world.refuse("Transaction outputs already in utxo set");
    const device = world.publisher.entrusted(DEVICE);
    expect(await device.publish(CHANNEL, plainClaim("sweep", 1))).toMatchObject({ ok: true });
    for (let blocks = 0; blocks < 144; blocks++) await world.block();
    expect(world.publisher.queue().length).toBe(1);
    await world.block();
    await world.block();
    expect(world.publisher.queue()).toEqual([]);

    // In the mempool it waits for as long as it takes.
    world.refuse("txn-already-in-mempool");
    await device.publish(CHANNEL, plainClaim("sweep", 2));
    for (let blocks = 0; blocks < 200; blocks++) await world.block();
    expect(world.publisher.queue().length).toBe(1);
  });

  it("pays for a device no more than twice what the next blocks take", async () => {
    const world = new World();
    await world.publisher.entrusted(DEVICE).publish(CHANNEL, anchoredClaim(1_000_000));

    expect(world.children[0]?.feeratePerKw).toBe(2_000);
  });

  it("takes a bounded number of claims from one device, and no garbage", async () => {
    const world = new World();
    const device = world.publisher.entrusted(DEVICE);
    const garbage = { ...plainClaim("sweep", 1), raw: new Uint8Array(5) };
    expect(await device.publish(CHANNEL, garbage)).toMatchObject({ ok: false });
    expect(await device.publishClose(CHANNEL, new Uint8Array(3))).toMatchObject({ ok: false });
    const outcomes: BroadcastResult[] = [];
    for (let i = 0; i < 130; i++) {
      outcomes.push(await device.publish(CHANNEL, plainClaim(`sweep ${i}`, 1)));
    }

    expect(outcomes.filter(({ ok }) => ok).length).toBe(128);
    expect(outcomes.at(-1)).toMatchObject({ reason: expect.stringMatching(/too many claims/) });
    const other = world.publisher.entrusted(new Uint8Array(33).fill(3));
    expect(await other.publish(CHANNEL, plainClaim("sweep", 1))).toMatchObject({ ok: true });
  });
});
