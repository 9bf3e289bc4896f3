/** The simulated chain and a real node accept, refuse and replace the same transactions and packages: the same stories on both. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionVsize } from "../../core/transactions/transaction.ts";
import { type ChainLab, describeOnChains } from "../support/chain-lab.ts";
import {
  accepted,
  childOf,
  coin as coinOf,
  feeOf,
  P2WPKH_NOBODY,
  packageVsize,
  RATE,
  raw,
  reason,
  START_TIMEOUT_MS,
  startLab,
} from "./adapter-stories.ts";
import * as s from "./lab-scripts.ts";

describeOnChains("a chain adapter's policy", (kind) => {
  let lab: ChainLab;
  let wallet: ChainWallet;
  let source: ChainSource;

  beforeAll(async () => {
    ({ lab, wallet, source } = await startLab(kind));
  }, START_TIMEOUT_MS);
  afterAll(() => lab?.close());

  const coin = (seed: number, amount?: number, script?: Uint8Array) =>
    coinOf({ lab, wallet, source }, seed, amount, script);

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
