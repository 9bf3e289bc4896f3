/** Fees until it confirms (BOLT 5, BIP 125, BIP 431): children and fee inputs are replaced by dearer ones, and by nobody else's coins. */
import { expect, it } from "vitest";
import type { ChainWallet } from "../../core/ports/chain.ts";
import { InsufficientFunds } from "../../gateway/chain/insufficient-funds.ts";
import type { PublisherStep } from "../../gateway/chain/publisher.ts";
import { scenarios } from "../support/scenario-lab.ts";

/** A device's: it has no coins at all. */
const EMPTY_WALLET: ChainWallet = {
  newScript: () => Promise.reject(new InsufficientFunds("no coins here")),
  balance: () => Promise.resolve(0 as never),
  freeCoins: () => Promise.resolve(0),
  fund: () => Promise.reject(new InsufficientFunds("no coins here")),
  fundChild: () => Promise.reject(new InsufficientFunds("no coins here")),
  addFee: () => Promise.reject(new InsufficientFunds("no coins here")),
  release: () => Promise.resolve(),
};

function ratesOf(steps: readonly PublisherStep[], purpose: PublisherStep["purpose"]) {
  return steps.filter((step) => step.purpose === purpose && step.type !== "confirmed");
}

scenarios("the fee", (on) => {
  it.each(["zero_fee_commitments", "anchors"] as const)(
    "%s: of a commitment's child rises until a block takes it",
    async (channelType) => {
      const s = await on.make(`bump commitment ${channelType}`, {
        channelType,
        policyA: { timeoutGraceBlocks: 60 },
      });
      await s.addHtlc({ from: "a", expiresIn: 12 });
      s.disconnect();
      await s.forceClose("a");
      for (let i = 0; i < 5; i++) {
        await on.lab.mine(1, { only: [] }); // dearer transactions fill it
        await s.rest();
      }
      expect((await on.lab.mempool()).length).toBe(2); // one child, however often it was replaced

      const steps = ratesOf(s.a.steps, "commitment");
      expect(steps.map(({ type }) => type)).toEqual([
        "published",
        ...steps.slice(1).map(() => "bumped"),
      ]);
      expect(steps.length).toBeGreaterThanOrEqual(3);
      const rates = steps.map(({ feeratePerKw }) => feeratePerKw);
      expect(rates).toEqual([...rates].sort((x, y) => x - y));
      const newest = steps.at(-1)?.childTxid;
      expect(newest && (await on.lab.mempoolTransaction(newest))).toBeDefined();

      const end = await s.toTheEnd();
      expect(end.b).toBe(500_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it("of the same claim is paid once, however often it is asked for", async () => {
    const s = await on.make("idempotent");
    s.disconnect();
    await s.forceClose("a");
    const first = await on.lab.mempool();
    for (let i = 0; i < 5; i++) s.a.node.reconsider();
    await s.rest();

    expect(await on.lab.mempool()).toEqual(first);
    expect(s.a.steps.length).toBe(1);
    const end = await s.toTheEnd();
    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
  });

  it.each(["zero_fee_commitments", "anchors"] as const)(
    "%s: of an HTLC transaction rises until a block takes it",
    async (channelType) => {
      const s = await on.make(`bump htlc ${channelType}`, { channelType });
      const htlc = await s.addHtlc({ from: "a", expiresIn: 16 });
      s.disconnect();
      s.fulfill(htlc);
      await s.forceClose("b");
      await s.mine(1);
      for (let i = 0; i < 5; i++) {
        await on.lab.mine(1, { only: [] });
        await s.rest();
      }

      const steps = ratesOf(s.b.steps, "htlc-success");
      expect(steps.length).toBeGreaterThanOrEqual(3);
      expect(steps.slice(1).every(({ type }) => type === "bumped")).toBe(true);
      expect(new Set(steps.map(({ txid }) => txid.join())).size).toBe(steps.length);
      const end = await s.toTheEnd();
      expect(end.b).toBe(550_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it("of a penalty rises towards the end of the cheater's delay", async () => {
    const s = await on.make("bump penalty");
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    ghost.node.command(s.id, { type: "forceClose" });
    await ghost.publisher.idle();
    await s.mine(1);
    for (let i = 0; i < 4; i++) {
      await on.lab.mine(1, { only: [] });
      await s.rest();
    }

    const steps = ratesOf(s.a.steps, "penalty");
    expect(steps.length).toBeGreaterThanOrEqual(4);
    expect((await on.lab.mempool()).length).toBe(1);
    const end = await s.toTheEnd([s.a]);
    expect(end.b).toBe(0);
    expect(s.troubles).toEqual([]);
  });

  it("of a commitment can be paid by anyone, without its keys", async () => {
    const s = await on.make("anyone", { walletA: EMPTY_WALLET });
    s.disconnect();
    await s.forceClose("a");
    expect(s.a.stepsOf("refused")[0]?.reason).toMatch(/no coins here/);
    expect(await on.lab.mempool()).toEqual([]);

    const commitment = await s.commitmentOf("a");
    expect(await s.b.publisher.bumpByAnyone(commitment, 400)).toMatchObject({ ok: true });
    const first = await on.lab.mempool();
    expect(first.length).toBe(2);
    await s.b.publisher.bumpByAnyone(commitment, 400);
    expect(await on.lab.mempool()).toEqual(first);
    await s.b.publisher.bumpByAnyone(commitment, 2_000);
    expect((await on.lab.mempool()).length).toBe(2);
    expect(await on.lab.mempool()).not.toEqual(first);

    const end = await s.toTheEnd();
    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
    expect(s.a.events("closed")[0]?.ending).toBe("local");
    expect(s.a.stepsOf("refused").length).toBe(1);
  });

  it("is refused for what is no zero-fee commitment", async () => {
    const s = await on.make("anyone, refused", { channelType: "anchors" });
    const commitment = await s.commitmentOf("a");
    const { publisher } = s.b;
    expect(await publisher.bumpByAnyone(commitment, 500)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/no zero-fee commitment/),
    });
    expect(await publisher.bumpByAnyone(new Uint8Array(9), 500)).toMatchObject({ ok: false });
  });

  it("goes back to the wallet where another commitment confirmed", async () => {
    const s = await on.make("coins back");
    const wallet = await on.lab.wallet("alice");
    s.disconnect();
    const before = await wallet.balance();
    await s.forceClose("a");
    await on.lab.mine(1, { only: [] });
    const theirs = await s.commitmentOf("b");
    const child = await s.childOf(theirs);
    await on.lab.mine(1, { only: [theirs, child] });
    await s.rest();

    expect(await wallet.balance()).toBe(before);
    const end = await s.toTheEnd();
    expect(end).toMatchObject({ a: 500_000, b: 500_000 });
    expect(s.troubles).toEqual([]);
  });
});
