/** A wallet with one large coin can pay for one close per block; with a reserve it pays for many at once. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ChainSource, ChainWallet } from "../../core/ports/chain.ts";
import { satoshi } from "../../core/primitives/brands.ts";
import { CoinReserve } from "../../gateway/chain/coin-reserve.ts";
import { type ChainLab, createLab, describeOnChains } from "../support/chain-lab.ts";

describeOnChains("the reserve of coins", (kind) => {
  let lab: ChainLab;
  let wallet: ChainWallet;
  let source: ChainSource;
  beforeAll(async () => {
    lab = await createLab({ chain: kind });
    source = await lab.source();
    wallet = await lab.wallet("rich");
  }, 330_000);
  afterAll(() => lab?.close());

  it("splits one coin once, and is content then", async () => {
    const all = await wallet.balance();
    const gathered = await wallet.fund(
      [{ script: await wallet.newScript(), amount: satoshi(all - 1_000_000) }],
      1_000,
    );
    expect(await source.broadcast(gathered)).toMatchObject({ ok: true });
    await lab.mine(1);
    expect(await wallet.freeCoins()).toBeLessThanOrEqual(2);

    const splits: number[] = [];
    const reserve = new CoinReserve({ wallet, source, onSplit: (coins) => splits.push(coins) });
    await Promise.all(Array.from({ length: 30 }, () => reserve.tend(200))); // a burst of blocks
    await reserve.tend(201); // it is not confirmed yet
    expect((await lab.mempool()).length).toBe(1);
    await lab.mine(1);
    await reserve.tend(202);

    expect(splits.length).toBe(1);
    expect(await wallet.freeCoins()).toBeGreaterThanOrEqual(10);
    expect(await lab.mempool()).toEqual([]);
  });

  it("leaves a small balance alone", async () => {
    const reserve = new CoinReserve({ wallet, source, coins: 1_000, satoshisEach: 50_000_000 });
    await reserve.tend(200);
    expect(await lab.mempool()).toEqual([]);
  });
});
