/** The wallet's coins go to the operator's descriptor: in one transaction, one at a time, once, whatever crashes. */
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ChainSource } from "../../../core/ports/chain.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import { parseTransaction, transactionWeight } from "../../../core/transactions/transaction.ts";
import { addressOf } from "../../../gateway/api/address.ts";
import {
  AddressDescriptors,
  type OpenDescriptor,
} from "../../../gateway/settlement/descriptors.ts";
import { Sweeper, type SweepPolicy } from "../../../gateway/settlement/sweeper.ts";
import { SqliteJournal } from "../../../gateway/store/sqlite-settlement.ts";
import { openSqliteStore, type SqliteStore } from "../../../gateway/store/sqlite-store.ts";
import type { LabWallet } from "../../../host-sim/chain/lab.ts";
import { type ChainLab, createLab, describeOnChains } from "../../support/chain-lab.ts";
import { crypto } from "../../support/node-pair.ts";

const policy: SweepPolicy = {
  reserveSat: 70_000_000,
  reserveCoins: 1,
  minSat: 1_000_000,
  maxFeeratePerKw: 2_500,
  urgentSat: 2_000_000_000,
};

const BUMP_BLOCKS = 12;

describeOnChains("a sweep to the operator", (kind) => {
  let lab: ChainLab;
  let wallet: LabWallet;
  let source: ChainSource;
  let store: SqliteStore;
  let destination: OpenDescriptor;
  let alarms: string[];
  const operator = p2wpkh(crypto, crypto.publicKeyOf(crypto.sha256(Uint8Array.of(7)) as never));

  beforeEach(async () => {
    lab = await createLab({ chain: kind });
    source = await lab.source();
    wallet = await lab.wallet("rich");
    store = openSqliteStore(":memory:");
    alarms = [];
    destination = await new AddressDescriptors("sim").open(`addr(${addressOf(operator, "sim")})`);
  });
  afterEach(async () => {
    await store?.close();
    await lab?.close();
  });

  function sweeper(change: Partial<SweepPolicy> = {}): Sweeper {
    return new Sweeper({
      crypto,
      journal: new SqliteJournal(store),
      wallet,
      source,
      destination,
      policy: { ...policy, ...change },
      nowSeconds: () => 1_800_000_000,
      onAlarm: (text) => alarms.push(text),
    });
  }

  it("takes all coins above the reserve in one transaction, and says so before", async () => {
    const plan = await sweeper().plan();
    expect(plan).toMatchObject({ type: "sweep", keepSat: 20_000_000, amountSat: 930_000_000 });

    const swept = await sweeper().run();
    expect(swept?.body).toMatchObject({ coins: 19, index: 0 });
    const { amountSat = 0, feeSat = 0 } = swept?.body ?? {};
    expect(amountSat + feeSat).toBe(930_000_000);
    expect((await lab.mempool()).length).toBe(1);
    await lab.mine(1);
    expect(await lab.sumOfScripts([operator])).toBe(amountSat);
    expect(await wallet.balance()).toBe(70_000_000);
    expect(alarms).toEqual([]);
  });

  it("is one at a time: until it is in a block there is no other, also after a crash", async () => {
    await sweeper({ reserveSat: 900_000_000 }).run();
    const [sent] = await lab.mempool();
    expect(await sweeper().run()).toBeUndefined();
    expect(await sweeper().plan()).toMatchObject({ type: "wait" });
    await sweeper().tend();
    expect(await lab.mempool()).toEqual([sent]);

    await lab.mine(1);
    await sweeper().tend();
    expect((await sweeper().run())?.body.amountSat).toBeGreaterThan(0);
  });

  it("that was written and never sent is sent by whoever starts next", async () => {
    const real = source.broadcast.bind(source);
    source.broadcast = () => Promise.reject(new Error("the node is away"));
    await expect(sweeper().run()).rejects.toThrow("away");
    expect(await lab.mempool()).toEqual([]);
    source.broadcast = real;

    await sweeper().tend();
    const [row] = new SqliteJournal(store).list("sweep");
    expect(await lab.mempool()).toHaveLength(1);
    await lab.mine(1);
    await sweeper().tend();
    const paid = parseTransaction(fromHex(row?.body.raw ?? "")).outputs[0]?.amount;
    expect(await lab.sumOfScripts([operator])).toBe(paid);
    expect(new SqliteJournal(store).list("sweep")[0]?.state).toBe("succeeded");
  });

  it("waits where little is to spare, and where fees are high, until much has gathered", async () => {
    expect(await sweeper({ reserveSat: 999_500_000 }).plan()).toMatchObject({
      type: "wait",
      reason: expect.stringContaining("500000 sat are to spare of at least 1000000 sat"),
    });
    expect(await sweeper({ maxFeeratePerKw: 250 }).plan()).toMatchObject({
      type: "wait",
      reason: expect.stringContaining("are above 1 sat/vB"),
    });
    const urgent = { maxFeeratePerKw: 250, urgentSat: 900_000_000 };
    expect(await sweeper(urgent).plan()).toMatchObject({ type: "sweep" });
  });

  it("is given up, with an alarm, only when its coins stay gone", async () => {
    source.broadcast = () => Promise.reject(new Error("the node is away"));
    await expect(sweeper().run()).rejects.toThrow();
    source.broadcast = async () => ({ ok: false, reason: "bad-txns-inputs-missingorspent" });
    const same = sweeper();
    await same.tend();
    await lab.mine(1);
    await same.tend();
    expect(alarms).toEqual([]);
    await lab.mine(6);
    await same.tend();
    expect(alarms[0]).toContain("can no longer be sent");
    expect(new SqliteJournal(store).list("sweep")[0]?.state).toBe("failed");
  });

  /** Blocks that take nothing, as when all others pay more. */
  async function wait(blocks: number, fees: Partial<SweepPolicy> = {}): Promise<void> {
    for (let i = 0; i < blocks; i += BUMP_BLOCKS) {
      await lab.mine(BUMP_BLOCKS, { only: [] });
      await sweeper(fees).tend();
    }
  }

  it("that no block takes is replaced at a higher fee, and the block may take any version", async () => {
    const dear = { maxFeeratePerKw: 4_000 };
    const first = await sweeper(dear).run();
    const [cheap] = await lab.mempool();
    if (!cheap) throw new Error("it was not sent");
    const cheapRaw = await lab.mempoolTransaction(cheap);
    await lab.mine(BUMP_BLOCKS - 1, { only: [] });
    await sweeper(dear).tend();
    expect(await lab.mempool()).toEqual([cheap]);

    await wait(2 * BUMP_BLOCKS, dear);
    const [row] = new SqliteJournal(store).list("sweep");
    expect(await lab.mempool()).toHaveLength(1);
    expect(await lab.mempool()).not.toEqual([cheap]);
    expect(row?.body.feeSat).toBeGreaterThan(first?.body.feeSat ?? Infinity);
    expect((row?.body.feeSat ?? 0) + (row?.body.amountSat ?? 0)).toBe(930_000_000);
    expect(alarms).toEqual([]);

    await lab.mine(1, { only: [cheapRaw ?? new Uint8Array()] });
    await sweeper(dear).tend();
    const { txid, amountSat } = first?.body ?? {};
    expect(new SqliteJournal(store).list("sweep")[0]).toMatchObject({
      state: "succeeded",
      body: { txid, amountSat },
    });
    expect(await lab.sumOfScripts([operator])).toBe(amountSat);
    expect(await wallet.balance()).toBe(70_000_000);
  });

  it("is never made dearer than the operator lets a sweep be", async () => {
    const fee = async (most: number) => {
      await wait(BUMP_BLOCKS * 15, { maxFeeratePerKw: most });
      const [row] = new SqliteJournal(store).list("sweep");
      const { raw = "", feeSat = 0, replaced = [] } = row?.body ?? {};
      expect(replaced.length).toBeGreaterThan(0);
      return (feeSat * 1_000) / transactionWeight(parseTransaction(fromHex(raw)));
    };
    await sweeper({ maxFeeratePerKw: 2_000 }).run();
    expect(await fee(2_000)).toBeLessThanOrEqual(2_000);
    expect(await lab.mempool()).toHaveLength(1);
    await lab.mine(1);
    await sweeper().tend();
    expect(new SqliteJournal(store).list("sweep")[0]?.state).toBe("succeeded");
  });
});
