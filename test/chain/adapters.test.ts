/** The simulated chain and a real node behave alike: the same stories, word for word, on both. */
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  extendHeaderChain,
  genesisCheckpoint,
  type HeaderChain,
  startHeaderChain,
} from "../../core/chain/headers.ts";
import { verifyInclusion } from "../../core/chain/merkle.ts";
import { REGTEST } from "../../core/chain/networks.ts";
import type {
  BlockEvent,
  BroadcastResult,
  ChainSource,
  ChainWallet,
  ChildRequest,
} from "../../core/ports/chain.ts";
import { blockHeight, satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionVsize,
} from "../../core/transactions/transaction.ts";
import { type ChainLab, createLab, describeOnChains } from "../support/chain-lab.ts";
import * as s from "./lab-scripts.ts";
import { crypto } from "./synthetic-headers.ts";

const START_TIMEOUT_MS = 330_000; // a first run may download the node
const RATE = 1000;
const raw = serializeTransaction;

describeOnChains("a chain adapter", (kind) => {
  let lab: ChainLab;
  let wallet: ChainWallet;
  let source: ChainSource;

  beforeAll(async () => {
    lab = await createLab({ chain: kind });
    wallet = await lab.wallet("gateway");
    source = await lab.source();
  }, START_TIMEOUT_MS);
  afterAll(() => lab?.close());

  /** Pays `amount` to `script` and mines it. */
  async function pay(script: Uint8Array, amount: number) {
    const paid = await wallet.fund([{ script, amount: satoshi(amount) }], RATE);
    await accepted(source.broadcast(paid));
    await lab.mine(1);
    return s.outputOf(paid, script);
  }

  /** A P2WSH output of one key, and how to spend it. */
  async function coin(seed: number, amount = 1_000_000, script = s.keyScript(seed)) {
    const { outpoint, output } = await pay(s.wsh(script), amount);
    return { outpoint, script, seed, spent: output };
  }

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

  it("refuses what the rules refuse, in words", async () => {
    const funded = await coin(9);
    const to = (amount: number) => s.transaction([funded], [[P2WPKH_NOBODY, amount]]);
    const signed = (amount: number) => raw(s.sign(to(amount), 0, funded));
    expect(await reason(source.broadcast(signed(1_000_001)))).toMatch(/in-belowout/);
    expect(await reason(source.broadcast(signed(1_000_000)))).toMatch(/min relay fee not met/);
    expect(await reason(source.broadcast(signed(100)))).toMatch(/dust/);
    expect(await reason(source.broadcast(raw(to(990_000))))).toMatch(/script-verify-flag/);
    const stranger = s.sign(to(990_000), 0, { ...funded, seed: 99 });
    expect(await reason(source.broadcast(raw(stranger)))).toMatch(/script-verify-flag/);
    const lied = s.sign(to(990_000), 0, { ...funded, spent: { amount: satoshi(999_999) } });
    expect(await reason(source.broadcast(raw(lied)))).toMatch(/script-verify-flag/);
    const missing = s.transaction(
      [{ outpoint: { txid: funded.outpoint.txid, vout: 77 } }],
      [[P2WPKH_NOBODY, 990_000]],
    );
    expect(await reason(source.broadcast(raw(missing)))).toMatch(/missingorspent/);
    expect(await reason(source.broadcast(new Uint8Array([1, 2, 3])))).toMatch(/decode/i);
    await accepted(source.broadcast(signed(990_000)));
  });

  it("refuses a second spend that pays no more, lets a better one replace it, and keeps one", async () => {
    const funded = await coin(10);
    const spend = (amount: number) =>
      raw(s.sign(s.transaction([funded], [[P2WPKH_NOBODY, amount]]), 0, funded));
    await accepted(source.broadcast(spend(990_000)));
    expect(await reason(source.broadcast(spend(989_999)))).toMatch(/insufficient fee/);
    expect(await reason(source.broadcast(spend(995_000)))).toMatch(/insufficient fee/);
    await accepted(source.broadcast(spend(980_000)));
    await lab.mine(1);
    expect(await reason(source.broadcast(spend(900_000)))).toMatch(/missingorspent/);
    expect((await lab.utxo({ txid: s.idOf(spend(980_000)), vout: 0 }))?.amount).toBe(980_000);
  });

  it("refuses a locktime before its height, in the transaction and in the script", async () => {
    const height = (await lab.height()) + 4;
    const script = s.afterHeight(11, height);
    const funded = await coin(11, 1_000_000, script);
    const spend = (locktime: number) =>
      raw(s.sign(s.transaction([funded], [[P2WPKH_NOBODY, 990_000]], { locktime }), 0, funded));
    expect(await reason(source.broadcast(spend(height)))).toMatch(/non-final/);
    expect(await reason(source.broadcast(spend(height - 4)))).toMatch(/script-verify-flag/);
    await lab.mine(2);
    expect(await reason(source.broadcast(spend(height)))).toMatch(/non-final/);
    await lab.mine(1);
    await accepted(source.broadcast(spend(height)));
  });

  it("refuses a relative delay before its time, in the transaction and in the script", async () => {
    const script = s.afterDelay(12, 4);
    const funded = await coin(12, 1_000_000, script);
    const spend = (sequence: number) =>
      raw(s.sign(s.transaction([{ ...funded, sequence }], [[P2WPKH_NOBODY, 990_000]]), 0, funded));
    expect(await reason(source.broadcast(spend(4)))).toMatch(/non-BIP68-final/);
    expect(await reason(source.broadcast(spend(1)))).toMatch(/script-verify-flag/);
    await lab.mine(2);
    expect(await reason(source.broadcast(spend(4)))).toMatch(/non-BIP68-final/);
    await lab.mine(1);
    await accepted(source.broadcast(spend(4)));
    await lab.mine(1);
    expect(await lab.utxo({ txid: s.idOf(spend(4)), vout: 0 })).toBeDefined();
  });

  /** A version 3 parent with no fee and a P2A anchor, as a zero-fee commitment is. */
  async function trucParent(seed: number, anchorAmount = 240) {
    const funded = await coin(seed);
    const parent = raw(
      s.sign(
        s.transaction(
          [funded],
          [
            [P2WPKH_NOBODY, 1_000_000 - anchorAmount],
            [s.P2A, anchorAmount],
          ],
          { version: 3 },
        ),
        0,
        funded,
      ),
    );
    return { parent, request: childOf(parent, s.P2A, 3) };
  }

  it.each([240, 17, 0])(
    "mines a TRUC package whose parent pays nothing, with an anchor of %i sat",
    async (anchor) => {
      const { parent, request } = await trucParent(20 + (anchor % 7), anchor);
      expect(await reason(source.broadcast(parent))).toMatch(/min relay fee not met|dust/);
      const child = await wallet.fundChild(request);
      const parsed = parseTransaction(child);
      expect(parsed.version).toBe(3);
      expect(parsed.inputs[0]).toMatchObject({ outpoint: request.anchor, witness: [] });
      expect(transactionVsize(parsed)).toBeLessThanOrEqual(1000);
      const rate =
        (await feeOf(lab, child, [request.anchorOutput.amount])) / packageVsize(parent, child);
      expect(rate).toBeGreaterThanOrEqual((RATE * 4) / 1000);
      expect(rate).toBeLessThan((RATE * 4) / 1000 + 0.1);
      await accepted(source.broadcastPackage([parent, child]));
      expect(await lab.mempool()).toHaveLength(2);
      await accepted(source.broadcastPackage([parent, child]));
      await lab.mine(1);
      expect(await lab.mempool()).toHaveLength(0);
      expect(await lab.utxo({ txid: s.idOf(child), vout: 0 })).toBeDefined();
      await accepted(source.broadcastPackage([parent, child]));
    },
  );

  it("refuses a package that pays too little", async () => {
    const { parent, request } = await trucParent(30);
    const child = await wallet.fundChild({ ...request, feeratePerKw: 1 });
    expect(await reason(source.broadcastPackage([parent, child]))).toMatch(/min relay fee not met/);
    await wallet.release(child);
  });

  it("lets anyone bump: a second wallet's better child takes the place of the first", async () => {
    const { parent, request } = await trucParent(31);
    const neighbour = await lab.wallet("neighbour");
    const first = await wallet.fundChild(request);
    await accepted(source.broadcastPackage([parent, first]));
    const better = await neighbour.fundChild({ ...request, feeratePerKw: 5 * RATE });
    await accepted(source.broadcastPackage([parent, better]));
    const pool = (await lab.mempool()).map(toHex).sort();
    expect(pool).toEqual([s.idOf(parent), s.idOf(better)].map(toHex).sort());
    await lab.mine(1);
    expect(await lab.mempool()).toHaveLength(0);
  });

  it("bumps its own child with the same coins, again and again", async () => {
    const { parent, request } = await trucParent(32);
    let child = await wallet.fundChild(request);
    const coins = parseTransaction(child).inputs.length;
    await accepted(source.broadcastPackage([parent, child]));
    for (const feeratePerKw of [RATE, 2 * RATE, 10 * RATE]) {
      const next = await wallet.fundChild({ ...request, feeratePerKw, replaces: child });
      await accepted(source.broadcastPackage([parent, next]));
      expect(await lab.mempool()).toHaveLength(2);
      expect(parseTransaction(next).inputs).toHaveLength(coins);
      child = next;
    }
    await lab.mine(1);
    expect(await lab.utxo({ txid: s.idOf(child), vout: 0 })).toBeDefined();
  });

  it("holds TRUC transactions to one child that is small", async () => {
    const { parent, request } = await trucParent(33);
    const child = await wallet.fundChild(request);
    await accepted(source.broadcastPackage([parent, child]));
    const spends = [{ outpoint: { txid: s.idOf(child), vout: 0 } }];
    const { amount } = parseTransaction(child).outputs[0]!;
    const outputs = [[P2WPKH_NOBODY, amount - 5000]] as const;
    const grandchild = s.transaction(spends, outputs, { version: 3 });
    expect(await reason(source.broadcast(raw(grandchild)))).toMatch(/truc-ancestors-toomany/);
    const elder = s.transaction(spends, outputs);
    expect(await reason(source.broadcast(raw(elder)))).toMatch(/truc-spent-by-nontruc/);
    await lab.mine(1);
  });

  it("bumps a keyed anchor with a child of version 2", async () => {
    const funded = await coin(40);
    const anchorScript = s.keyScript(41);
    const outputs = [
      [P2WPKH_NOBODY, 999_670 - 500],
      [s.wsh(anchorScript), 330],
    ] as const;
    const parent = raw(s.sign(s.transaction([funded], outputs), 0, funded));
    const bare = childOf(parent, s.wsh(anchorScript), 2);
    const keyedAnchor = {
      witnessWeight: 1 + 1 + 72 + 1 + anchorScript.length,
      sign: (unsigned: Uint8Array, index: number) => {
        const spent = { script: anchorScript, seed: 41, spent: bare.anchorOutput };
        return s.sign(parseTransaction(unsigned), index, spent).inputs[index]!.witness;
      },
    };
    const request = { ...bare, parentsFee: satoshi(500), keyedAnchor };
    const child = await wallet.fundChild(request);
    expect(parseTransaction(child).version).toBe(2);
    await accepted(source.broadcastPackage([parent, child]));
    const bumped = await wallet.fundChild({ ...request, feeratePerKw: 3 * RATE, replaces: child });
    await accepted(source.broadcastPackage([parent, bumped]));
    await lab.mine(1);
    expect(await lab.utxo({ txid: s.idOf(bumped), vout: 0 })).toBeDefined();
  });

  it.each([2, 3])(
    "adds the fee to a version %i transaction that is signed SINGLE|ANYONECANPAY",
    async (version) => {
      const funded = await coin(50 + version);
      const unsigned = s.transaction([funded], [[P2WPKH_NOBODY, 1_000_000]], { version });
      const bare = raw(s.sign(unsigned, 0, { ...funded, type: s.SINGLE_ANYONECANPAY }));
      const paid = await wallet.addFee(bare, [funded.spent], RATE);
      const parsed = parseTransaction(paid);
      expect(parsed.version).toBe(version);
      expect(parsed.inputs[0]).toEqual(parseTransaction(bare).inputs[0]);
      expect(parsed.outputs[0]).toEqual(parseTransaction(bare).outputs[0]);
      expect(await reason(source.broadcast(bare))).toMatch(/min relay fee not met/);
      await accepted(source.broadcast(paid));
      const more = await wallet.addFee(bare, [funded.spent], 4 * RATE);
      await accepted(source.broadcast(more));
      await lab.mine(1);
      expect((await lab.utxo({ txid: s.idOf(more), vout: 0 }))?.amount).toBe(1_000_000);
    },
  );

  it("refuses a SINGLE|ANYONECANPAY input whose own output was changed", async () => {
    const funded = await coin(54);
    const unsigned = s.transaction([funded], [[P2WPKH_NOBODY, 999_000]]);
    const signed = s.sign(unsigned, 0, { ...funded, type: s.SINGLE_ANYONECANPAY });
    const stolen = {
      ...signed,
      outputs: [{ script: s.wsh(s.keyScript(98)), amount: satoshi(999_000) }],
    };
    expect(await reason(source.broadcast(raw(stolen)))).toMatch(/script-verify-flag/);
  });

  it("gives a transaction that pays enough back as it is", async () => {
    const funded = await coin(55);
    const unsigned = s.transaction([funded], [[P2WPKH_NOBODY, 900_000]]);
    const signed = raw(s.sign(unsigned, 0, { ...funded, type: s.SINGLE_ANYONECANPAY }));
    expect(await wallet.addFee(signed, [funded.spent], RATE)).toEqual(signed);
  });

  it("mines what it is told, past the mempool, and drops what conflicts", async () => {
    const funded = await coin(56);
    const spend = (amount: number) =>
      raw(s.sign(s.transaction([funded], [[P2WPKH_NOBODY, amount]]), 0, funded));
    await accepted(source.broadcast(spend(950_000)));
    await lab.mine(1, { only: [spend(999_999)] });
    expect(await lab.mempool()).toHaveLength(0);
    expect((await lab.utxo({ txid: s.idOf(spend(999_999)), vout: 0 }))?.amount).toBe(999_999);
  });
});

const P2WPKH_NOBODY = Uint8Array.from([0, 20, ...new Uint8Array(20).fill(7)]);

function childOf(parent: Uint8Array, anchorScript: Uint8Array, version: 2 | 3): ChildRequest {
  const { outpoint, output } = s.outputOf(parent, anchorScript);
  return {
    parents: [parent],
    parentsFee: satoshi(0),
    anchor: outpoint,
    anchorOutput: output,
    version,
    feeratePerKw: RATE,
  };
}

async function accepted(result: Promise<BroadcastResult>): Promise<void> {
  expect(await result).toMatchObject({ ok: true });
}

async function reason(result: Promise<BroadcastResult>): Promise<string> {
  const outcome = await result;
  return outcome.ok ? "accepted" : outcome.reason;
}

/** What its inputs hold beyond its outputs; `known` are the first inputs' amounts where they are unconfirmed. */
async function feeOf(lab: ChainLab, bytes: Uint8Array, known: number[] = []): Promise<number> {
  const parsed = parseTransaction(bytes);
  let fee = 0;
  for (const [i, input] of parsed.inputs.entries()) {
    fee += known[i] ?? (await lab.utxo(input.outpoint))!.amount;
  }
  for (const output of parsed.outputs) fee -= output.amount;
  return fee;
}

function packageVsize(...raws: Uint8Array[]): number {
  return raws.reduce((sum, bytes) => sum + transactionVsize(parseTransaction(bytes)), 0);
}

function deviceChain(headers: readonly Uint8Array[]): HeaderChain {
  const start = startHeaderChain(crypto, REGTEST, genesisCheckpoint(REGTEST), 2000);
  const outcome = extendHeaderChain(crypto, start, headers);
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.chain;
}

function headerOf(chain: HeaderChain, height: number): Uint8Array {
  return chain.headers.subarray((height - 1) * 80, height * 80);
}

/** A listener that notes everything. */
async function follow(lab: ChainLab, fromHeight?: number) {
  const source = await lab.source();
  const blocks: BlockEvent[] = [];
  const log: string[] = [];
  const seen: string[] = [];
  source.subscribe(
    {
      blockConnected: (block) => {
        blocks.push(block);
        log.push(`+${block.height}`);
      },
      blockDisconnected: (height) => {
        log.push(`-${height}`);
      },
      transactionSeen: (bytes) => {
        seen.push(toHex(bytes));
      },
    },
    blockHeight(fromHeight ?? (await lab.height()) + 1),
  );
  await lab.settle();
  return { source, blocks, log, seen, transactions: () => blocks.flatMap((b) => b.transactions) };
}
