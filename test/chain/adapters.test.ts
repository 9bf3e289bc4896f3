/** The simulated chain and a real node tell of blocks, payments and reorganisations alike: the same stories on both. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { verifyInclusion } from "../../core/chain/merkle.ts";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionVsize } from "../../core/transactions/transaction.ts";
import { type ChainLab, describeOnChains } from "../support/chain-lab.ts";
import {
  accepted,
  coin as coinOf,
  deviceChain,
  feeOf,
  follow,
  headerOf,
  P2WPKH_NOBODY,
  pay as payTo,
  RATE,
  raw,
  START_TIMEOUT_MS,
  startLab,
} from "./adapter-stories.ts";
import * as s from "./lab-scripts.ts";
import { crypto } from "./synthetic-headers.ts";

describeOnChains("a chain adapter", (kind) => {
  let lab: ChainLab;
  let wallet: ChainWallet;
  let source: ChainSource;

  beforeAll(async () => {
    ({ lab, wallet, source } = await startLab(kind));
  }, START_TIMEOUT_MS);
  afterAll(() => lab?.close());

  const pay = (script: Uint8Array, amount: number) =>
    payTo({ lab, wallet, source }, script, amount);
  const coin = (seed: number, amount?: number, script?: Uint8Array) =>
    coinOf({ lab, wallet, source }, seed, amount, script);

  it("says where it is", async () => {
    const { height, hash } = await source.tip();
    expect(height).toBe(await lab.height());
    expect(hash).toHaveLength(32);
    expect(toHex(source.genesisHash)).toBe(
      "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f",
    );
    expect(await source.feeratePerKw("now")).toBeGreaterThanOrEqual(253);
    expect(await wallet.balance()).toBeGreaterThan(5_000_000_00);
  });

  it("gives headers that a device accepts from genesis on", async () => {
    const tip = await lab.height();
    const headers = await source.headers(blockHeight(1), tip + 10);
    expect(headers).toHaveLength(tip);
    const grown = deviceChain(headers);
    expect(toHex(grown.tip.hash)).toBe(toHex((await source.tip()).hash));
  });

  it("funds with segwit inputs alone at the feerate that was asked", async () => {
    const script = s.wsh(s.keyScript(1));
    const paid = await wallet.fund([{ script, amount: satoshi(77_777) }], 2500);
    const parsed = parseTransaction(paid);
    expect(parsed.inputs.every((input) => input.witness.length > 0)).toBe(true);
    const fee = await feeOf(lab, paid);
    expect(Math.abs(fee - (2500 * transactionVsize(parsed) * 4) / 1000)).toBeLessThan(20);
    await wallet.release(paid);
  });

  it("sets coins aside for what is not broadcast yet, and takes them back", async () => {
    const small = await lab.wallet("twice");
    const all = satoshi((await small.balance()) - 100_000);
    const output = { script: s.wsh(s.keyScript(2)), amount: all };
    const first = await small.fund([output], RATE);
    await expect(small.fund([output], RATE)).rejects.toMatchObject({ name: "InsufficientFunds" });
    await small.release(first);
    expect(parseTransaction(await small.fund([output], RATE)).outputs.length).toBeGreaterThan(0);
  });

  it("gives no coin back that whoever asked for the transaction had named", async () => {
    const small = await lab.wallet("named");
    const all = satoshi((await small.balance()) - 100_000);
    const output = { script: s.wsh(s.keyScript(2)), amount: all };
    const held = await small.fund([output], RATE);
    const named = parseTransaction(held).inputs.map(({ outpoint }) => outpoint);
    await small.release(held, named);
    await expect(small.fund([output], RATE)).rejects.toMatchObject({ name: "InsufficientFunds" });
    await small.release(held);
    expect(parseTransaction(await small.fund([output], RATE)).outputs.length).toBeGreaterThan(0);
  });

  it("tells of a watched script and outpoint, provably, and of their descendants in the block", async () => {
    const watcher = await follow(lab);
    const { script, seed } = { script: s.keyScript(3), seed: 3 };
    watcher.source.watchScript(s.wsh(script));
    const funded = await coin(seed, 500_000, script);
    const [payment] = watcher.transactions();
    expect(payment?.txid).toEqual(funded.outpoint.txid);

    const other = s.keyScript(4);
    watcher.source.watchOutpoint(funded.outpoint);
    const first = s.sign(s.transaction([funded], [[s.wsh(other), 490_000]]), 0, funded);
    const hop = { ...s.outputOf(raw(first), s.wsh(other)), script: other, seed: 4 };
    const second = s.sign(s.transaction([hop], [[await wallet.newScript(), 480_000]]), 0, {
      ...hop,
      spent: hop.output,
    });
    await accepted(source.broadcast(raw(first)));
    await accepted(source.broadcast(raw(second)));
    await lab.settle();
    expect(watcher.seen).toContain(toHex(raw(first)));
    await lab.mine(1);

    const ids = watcher.transactions().map((found) => toHex(found.txid));
    expect(ids).toEqual(
      [payment?.txid, s.idOf(raw(first)), s.idOf(raw(second))].map((id) => toHex(id!)),
    );
    const device = deviceChain(await source.headers(blockHeight(1), 2000));
    for (const { header, height, transactions } of watcher.blocks) {
      expect(toHex(header)).toBe(toHex(headerOf(device, height)));
      for (const found of transactions) {
        const proof = verifyInclusion(crypto, { ...found, header });
        expect(proof).toEqual({ ok: true, txid: found.txid });
      }
    }
  });

  it("catches a late listener up from any height, block by block", async () => {
    const tip = await lab.height();
    const watcher = await follow(lab, tip - 20);
    expect(watcher.blocks.map((block) => block.height as number)).toEqual(
      Array.from({ length: 21 }, (_, i) => tip - 20 + i),
    );
  });

  it("waits for a listener that takes its time, and looks for what it began to watch meanwhile", async () => {
    const first = await coin(60);
    const mid = s.keyScript(61);
    const height = await lab.height();
    const one = s.sign(s.transaction([first], [[s.wsh(mid), 900_000]]), 0, first);
    await accepted(source.broadcast(raw(one)));
    await lab.mine(1);
    const hop = { ...s.outputOf(raw(one), s.wsh(mid)), script: mid, seed: 61 };
    const two = s.sign(s.transaction([hop], [[P2WPKH_NOBODY, 800_000]]), 0, {
      ...hop,
      spent: hop.output,
    });
    await accepted(source.broadcast(raw(two)));
    await lab.mine(1);

    const slow = await lab.source();
    const found: string[] = [];
    slow.watchOutpoint(first.outpoint);
    slow.subscribe(
      {
        blockConnected: async (block) => {
          await new Promise((wake) => setTimeout(wake, 5));
          for (const transaction of block.transactions) {
            found.push(toHex(transaction.txid));
            slow.watchOutpoint({ txid: transaction.txid, vout: 0 });
          }
        },
        blockDisconnected: () => undefined,
      },
      blockHeight(height),
    );
    await lab.settle();
    expect(found).toEqual([s.idOf(raw(one)), s.idOf(raw(two))].map(toHex));
  });

  it("reports a reorganisation from the tip down and the new branch up, and loses no transaction", async () => {
    const script = s.keyScript(5);
    const watcher = await follow(lab);
    watcher.source.watchScript(s.wsh(script));
    const funded = await coin(5, 400_000, script);
    await lab.mine(2);
    const tip = await lab.height();
    watcher.log.length = 0;
    await lab.reorg(3, { only: [] });
    expect(watcher.log).toEqual([
      `-${tip}`,
      `-${tip - 1}`,
      `-${tip - 2}`,
      `+${tip - 2}`,
      `+${tip - 1}`,
      `+${tip}`,
      `+${tip + 1}`,
    ]);
    expect(await lab.utxo(funded.outpoint)).toBeUndefined();
    expect((await lab.mempool()).map(toHex)).toContain(toHex(funded.outpoint.txid));
    await lab.mine(1);
    expect(watcher.transactions().at(-1)).toMatchObject({
      txid: funded.outpoint.txid,
      height: tip + 2,
    });
    expect((await lab.utxo(funded.outpoint))?.amount).toBe(400_000);
    const device = deviceChain(await source.headers(blockHeight(1), 2000));
    expect(device.tip.height).toBe(tip + 2);
  });

  it("finds a transaction again, with its proof, and says when there is none", async () => {
    const { outpoint } = await coin(6);
    const found = await source.transaction(outpoint.txid);
    const height = await lab.height();
    const [header] = await source.headers(height, 1);
    expect(found?.height).toBe(height);
    expect(verifyInclusion(crypto, { ...found!, header: header! }).ok).toBe(true);
    expect(await source.transaction(outpoint.txid, blockHeight(height - 1))).toBeUndefined();
    expect(await source.transaction(outpoint.txid, blockHeight(height + 5))).toBeUndefined();
    expect(
      await source.transaction(s.idOf(raw(s.transaction([{ outpoint }], [])))),
    ).toBeUndefined();
  });

  it("knows an output until a confirmed transaction spends it", async () => {
    const funded = await coin(8);
    const height = await lab.height();
    const { script, amount } = funded.spent;
    expect(await source.unspentOutput(funded.outpoint)).toEqual({ script, amount, height });
    const spend = s.sign(s.transaction([funded], [[P2WPKH_NOBODY, 990_000]]), 0, funded);
    await accepted(source.broadcast(raw(spend)));
    expect(await source.unspentOutput(funded.outpoint)).toBeDefined();
    await lab.mine(1);
    expect(await source.unspentOutput(funded.outpoint)).toBeUndefined();
    expect(await source.unspentOutput({ ...funded.outpoint, vout: 99 })).toBeUndefined();
  });

  it("counts what lies under scripts", async () => {
    const script = s.wsh(s.keyScript(7));
    await pay(script, 123_456);
    await pay(script, 1_000);
    expect(await lab.sumOfScripts([script, s.wsh(s.keyScript(200))])).toBe(124_456);
  });

  it("takes the same broadcast twice, in the mempool and after", async () => {
    const funded = await coin(8);
    const spend = raw(s.sign(s.transaction([funded], [[P2WPKH_NOBODY, 990_000]]), 0, funded));
    await accepted(source.broadcast(spend));
    await accepted(source.broadcast(spend));
    await lab.mine(1);
    await accepted(source.broadcast(spend));
  });
});
