/** What the simulated mempool refuses is what a node refuses: TRUC, ephemeral dust, replacement and script rules on both. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { BroadcastResult, ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { type Satoshi, satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  serializeTransaction as raw,
  type Transaction,
  withWitness,
} from "../../core/transactions/transaction.ts";
import { type ChainLab, createLab, describeOnChains } from "../support/chain-lab.ts";
import * as s from "./lab-scripts.ts";

const NOBODY = Uint8Array.from([0, 20, ...new Uint8Array(20).fill(9)]);
const OP = { ZERO: 0x00, ONE: 0x51, IF: 0x63, ENDIF: 0x68, CHECKMULTISIG: 0xae };

interface Coin {
  readonly outpoint: { readonly txid: ReturnType<typeof s.idOf>; readonly vout: number };
  readonly script: Uint8Array;
  readonly seed: number;
  readonly spent: { readonly amount: Satoshi };
}

describeOnChains("the mempool", (kind) => {
  let lab: ChainLab;
  let wallet: ChainWallet;
  let source: ChainSource;
  let nextSeed = 100;

  beforeAll(async () => {
    lab = await createLab({ chain: kind });
    wallet = await lab.wallet("tester");
    source = await lab.source();
  }, 330_000);
  afterAll(() => lab?.close());

  /** A confirmed output of one million satoshi under a script of one key. */
  async function coin(script?: Uint8Array): Promise<Coin> {
    const seed = nextSeed++;
    const own = script ?? s.keyScript(seed);
    const paid = await wallet.fund([{ script: s.wsh(own), amount: satoshi(1_000_000) }], 500);
    expect(await answer(source.broadcast(paid))).toBe("accepted");
    await lab.mine(1);
    const { outpoint, output } = s.outputOf(paid, s.wsh(own));
    return { outpoint, script: own, seed, spent: output };
  }

  const signed = (unsigned: Transaction, coins: readonly (Coin | undefined)[]): Uint8Array => {
    let done = unsigned;
    coins.forEach((one, index) => {
      if (one) done = s.sign(done, index, one);
    });
    return raw(done);
  };

  /** Version 3: one output for its seed's key, and an anchor. */
  async function truc(fee: number, anchor: number, from?: Coin) {
    const spent = from ?? (await coin());
    const change = 1_000_000 - fee - anchor;
    const script = s.keyScript(spent.seed);
    const outputs: [Uint8Array, number][] = [
      [s.wsh(script), change],
      [s.P2A, anchor],
    ];
    const bytes = signed(s.transaction([spent], outputs, { version: 3 }), [spent]);
    const id = s.idOf(bytes);
    const main: Coin = {
      ...spent,
      outpoint: { txid: id, vout: 0 },
      spent: { amount: satoshi(change) },
    };
    return { bytes, id, main, anchor: { outpoint: { txid: id, vout: 1 } } };
  }

  const pool = async () => (await lab.mempool()).map(toHex).sort();
  const inPool = async (...raws: Uint8Array[]) =>
    expect(await pool()).toEqual(raws.map((bytes) => toHex(s.idOf(bytes))).sort());

  it("evicts a TRUC sibling for a child that pays more, and not for less", async () => {
    const parent = await truc(2000, 240);
    expect(await answer(source.broadcast(parent.bytes))).toBe("accepted");
    const payer = await wallet.fundChild({
      parents: [parent.bytes],
      parentsFee: satoshi(2000),
      anchor: parent.anchor.outpoint,
      anchorOutput: { script: s.P2A, amount: satoshi(240) },
      version: 3,
      feeratePerKw: 5000,
    });
    expect(await answer(source.broadcast(payer))).toBe("accepted");
    const sibling = (fee: number) => {
      const amount = parent.main.spent.amount - fee;
      return signed(s.transaction([parent.main], [[NOBODY, amount]], { version: 3 }), [
        parent.main,
      ]);
    };
    expect(await answer(source.broadcast(sibling(1500)))).toMatch(/insufficient fee/);
    expect(await answer(source.broadcast(sibling(60_000)))).toBe("accepted");
    await inPool(parent.bytes, sibling(60_000));
    await lab.mine(1);
  });

  it("replaces a package of a TRUC parent and child by a better one with another parent", async () => {
    const contested = await coin();
    const theirs = await truc(0, 240, contested);
    const ours = await truc(0, 0, contested);
    const child = (parent: typeof theirs, anchor: number, feeratePerKw: number) =>
      wallet.fundChild({
        parents: [parent.bytes],
        parentsFee: satoshi(0),
        anchor: parent.anchor.outpoint,
        anchorOutput: { script: s.P2A, amount: satoshi(anchor) },
        version: 3,
        feeratePerKw,
      });
    const first = await child(theirs, 240, 1000);
    expect(await answer(source.broadcastPackage([theirs.bytes, first]))).toBe("accepted");
    const poor = await child(ours, 0, 900);
    expect(await answer(source.broadcastPackage([ours.bytes, poor]))).toMatch(/insufficient|RBF/);
    const rich = await child(ours, 0, 4000);
    expect(await answer(source.broadcastPackage([ours.bytes, rich]))).toBe("accepted");
    await inPool(ours.bytes, rich);
    await lab.mine(1);
    expect(await lab.utxo(theirs.main.outpoint)).toBeUndefined();
    expect(await lab.utxo(ours.main.outpoint)).toBeDefined();
  });

  it("wants ephemeral dust spent by the child, and no fee from the parent that has it", async () => {
    const paying = await truc(1000, 0);
    expect(await answer(source.broadcast(paying.bytes))).toMatch(/dust/);
    const parent = await truc(0, 0);
    const besides = s.transaction([parent.main], [[NOBODY, parent.main.spent.amount - 5000]], {
      version: 3,
    });
    const leaving = source.broadcastPackage([parent.bytes, signed(besides, [parent.main])]);
    expect(await answer(leaving)).toMatch(/missing-ephemeral-spends|unspent-dust/);
    const both = s.transaction(
      [parent.main, parent.anchor],
      [[NOBODY, parent.main.spent.amount - 5000]],
      { version: 3 },
    );
    const spending = signed(both, [parent.main]);
    expect(await answer(source.broadcastPackage([parent.bytes, spending]))).toBe("accepted");
    await lab.mine(1);
  });

  it("refuses a TRUC child that is large, and one that spends an unconfirmed elder", async () => {
    const parent = await truc(2000, 240);
    expect(await answer(source.broadcast(parent.bytes))).toBe("accepted");
    const many = Array.from({ length: 40 }, () => [NOBODY, 20_000] as const);
    const large = s.transaction([parent.main], many, { version: 3 });
    expect(await answer(source.broadcast(signed(large, [parent.main])))).toMatch(
      /truc-child-toobig/,
    );

    const own = await coin();
    const elder = signed(s.transaction([own], [[s.wsh(own.script), 990_000]]), [own]);
    expect(await answer(source.broadcast(elder))).toBe("accepted");
    const out: Coin = {
      ...own,
      outpoint: { txid: s.idOf(elder), vout: 0 },
      spent: { amount: satoshi(990_000) },
    };
    const young = signed(s.transaction([out], [[NOBODY, 980_000]], { version: 3 }), [out]);
    expect(await answer(source.broadcast(young))).toMatch(/truc-spends-nontruc/);
    await lab.mine(1);
  });

  it("lets anyone spend a P2A output, with an empty witness alone", async () => {
    const parent = await truc(2000, 5000);
    expect(await answer(source.broadcast(parent.bytes))).toBe("accepted");
    await lab.mine(1);
    const spend = s.transaction([parent.anchor], [[NOBODY, 4000]]);
    const stuffed = raw(withWitness(spend, 0, [new Uint8Array([1])]));
    expect(await answer(source.broadcast(stuffed))).toMatch(/witness|script-verify/);
    expect(await answer(source.broadcast(raw(spend)))).toBe("accepted");
  });

  it("holds scripts to the standard rules: minimal IF, empty dummy, DER with a known sighash", async () => {
    const branch = Uint8Array.from([OP.IF, OP.ONE, OP.ENDIF]);
    const conditional = await coin(branch);
    const chosen = (word: number[]) =>
      raw(
        withWitness(s.transaction([conditional], [[NOBODY, 990_000]]), 0, [
          Uint8Array.from(word),
          branch,
        ]),
      );
    expect(await answer(source.broadcast(chosen([2])))).toMatch(/script-verify/);
    expect(await answer(source.broadcast(chosen([1])))).toBe("accepted");

    const seed = nextSeed++;
    const keys = [s.keyOf(seed), s.keyOf(seed)].flatMap((key) => [33, ...key]);
    const multi = Uint8Array.from([0x52, ...keys, 0x52, OP.CHECKMULTISIG]);
    const shared = await coin(multi);
    const unsigned = s.transaction([shared], [[NOBODY, 990_000]]);
    const [signature] = s.sign(unsigned, 0, { ...shared, script: multi, seed }).inputs[0]!.witness;
    const witness = (dummy: number[], one = signature!) =>
      raw(withWitness(unsigned, 0, [Uint8Array.from(dummy), one, one, multi]));
    expect(await answer(source.broadcast(witness([1])))).toMatch(/script-verify/);
    const other = signature!.slice();
    other[other.length - 1] = 0x03; // SINGLE, but it signs ALL
    expect(await answer(source.broadcast(witness([], other)))).toMatch(/script-verify/);
    expect(await answer(source.broadcast(witness([])))).toBe("accepted");
    await lab.mine(1);
  });

  it("refuses a replacement that pays more in all and less for its size", async () => {
    const own = await coin();
    const small = signed(s.transaction([own], [[NOBODY, 990_000]]), [own]);
    expect(await answer(source.broadcast(small))).toBe("accepted");
    const many = Array.from({ length: 40 }, () => [NOBODY, 24_000] as const);
    const large = signed(s.transaction([own], many), [own]);
    expect(await answer(source.broadcast(large))).toMatch(/insufficient fee.*feerate/);
    await lab.mine(1);
  });

  it("forgets what a lost block made and spent, and mines it again from the mempool", async () => {
    const own = await coin();
    const mid = s.wsh(own.script);
    const first = signed(s.transaction([own], [[mid, 990_000]]), [own]);
    const hop = {
      ...own,
      outpoint: { txid: s.idOf(first), vout: 0 },
      spent: { amount: satoshi(990_000) },
    };
    const second = signed(s.transaction([hop], [[NOBODY, 980_000]]), [hop]);
    expect(await answer(source.broadcast(first))).toBe("accepted");
    expect(await answer(source.broadcast(second))).toBe("accepted");
    await lab.mine(1);
    expect(await lab.sumOfScripts([mid])).toBe(0);
    await lab.reorg(1, { only: [] });
    expect(await lab.sumOfScripts([mid])).toBe(1_000_000);
    expect(await lab.utxo(hop.outpoint)).toBeUndefined();
    await inPool(first, second);
    await lab.mine(1);
    expect(await lab.utxo({ txid: s.idOf(second), vout: 0 })).toBeDefined();
  });

  it("keeps a chain of transactions whole through a reorganisation, and drops what became too early", async () => {
    const delayed = s.afterDelay(90, 2);
    const own = await coin(delayed);
    const first = { ...own, seed: 90, sequence: 2 };
    await lab.mine(1);
    const spend = signed(s.transaction([first], [[NOBODY, 990_000]]), [first]);
    expect(await answer(source.broadcast(spend))).toBe("accepted");
    await lab.reorg(2, { only: [], blocks: 3 });
    // The coin is unconfirmed again: its spend, two blocks after it, is too early even for the mempool.
    expect(await pool()).toContain(toHex(own.outpoint.txid));
    expect(await pool()).not.toContain(toHex(s.idOf(spend)));
    await lab.mine(2);
    expect(await answer(source.broadcast(spend))).toBe("accepted");
    await lab.mine(1);
  });
});

async function answer(result: Promise<BroadcastResult>): Promise<string> {
  const outcome = await result;
  return outcome.ok ? "accepted" : outcome.reason;
}
