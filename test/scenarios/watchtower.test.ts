/** A victim that is gone, a cheater with a revoked commitment, and a gateway that watches for the victim (rule `tower-checks-kit`). */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { transactionId } from "../../core/transactions/transaction.ts";
import type { ChainNode } from "../support/chain-node.ts";
import { crypto } from "../support/node-pair.ts";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, type ScenarioLab, scenarios } from "../support/scenario-lab.ts";
import { TowerLab } from "../support/tower-lab.ts";

interface Watched {
  readonly s: Scenario;
  readonly tower: TowerLab;
}

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Alice has a channel with bob, and a tower. */
async function watched(
  on: ScenarioLab,
  title: string,
  channelType: ChannelType = "zero_fee_commitments",
  penaltyFeeratePerKwA?: number,
): Promise<Watched> {
  const folder = mkdtempSync(join(tmpdir(), "picobolt-tower-"));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const tower = await TowerLab.start(on.lab, join(folder, "tower.sqlite"));
  cleanups.push(() => tower.stop());
  const s = await on.make(`${title} ${channelType}`, {
    channelType,
    towerA: TowerLab.nodeId,
    ...(penaltyFeeratePerKwA === undefined ? {} : { penaltyFeeratePerKwA }),
  });
  tower.connect({ node: s.a.node, tick: () => s.tick() });
  await tower.flow();
  return { s, tower };
}

/** All that was revoked is with the tower; then alice is gone for good. */
async function victimGone({ s, tower }: Watched): Promise<void> {
  await tower.flow();
  expect(s.a.watching.protected?.protection()).toMatchObject({
    waitingStates: 0,
    lostStates: 0,
    unseenStates: 0,
    exposureMsat: 0,
  });
  tower.disconnect();
  await s.a.stop();
}

async function cheat(s: Scenario, ghost: ChainNode): Promise<void> {
  ghost.node.command(s.id, { type: "forceClose" });
  await ghost.publisher.idle();
  expect(ghost.stepsOf("published").length).toBe(1);
}

async function mine({ s, tower }: Watched, blocks: number): Promise<void> {
  for (let i = 0; i < blocks; i++) {
    await s.lab.mine(1);
    if (tower.isRunning) await tower.idle();
  }
}

/** What is on chain under alice's payout script, and under bob's. */
async function payouts(s: Scenario): Promise<{ alice: number; bob: number }> {
  return {
    alice: await s.lab.sumOfScripts([s.a.payoutScript]),
    bob: await s.lab.sumOfScripts([s.b.payoutScript]),
  };
}

scenarios("a watchtower", (on) => {
  it.each(CHANNEL_TYPES)("%s: punishes while the victim is gone", async (channelType) => {
    const both = await watched(on, "tower", channelType);
    const { s, tower } = both;
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    await victimGone(both);

    await cheat(s, ghost);
    await mine(both, 1);
    expect(tower.events("breach")).toMatchObject([{ penalties: 1, faults: [] }]);
    await mine(both, 8); // longer than to_self_delay

    const { alice, bob } = await payouts(s);
    expect(bob).toBe(0);
    expect(alice).toBeGreaterThan(495_000); // the cheater's balance there
    expect(tower.events("penalty").map(({ result }) => result)).toEqual(["punished"]);
    expect(tower.alarms).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s: takes the HTLCs too", async (channelType) => {
    const both = await watched(on, "tower htlcs", channelType);
    const { s, tower } = both;
    const ghost = await htlcsOfTheDead(s);
    await victimGone(both);

    await cheat(s, ghost);
    await ghost.stop(); // it does not even try
    await mine(both, 3);

    expect(tower.events("breach")[0]?.faults).toEqual([]);
    expect(tower.events("penalty").map(({ result }) => result)).toEqual(Array(3).fill("punished"));
    const { alice, bob } = await payouts(s);
    expect(bob).toBe(0);
    expect(alice).toBeGreaterThan(535_000); // to_local of 470,000, HTLCs of 50,000 and 30,000, less fees
    await victimComesBack(both);
  });

  it.each(CHANNEL_TYPES)("%s: adds its own coins where the fee is too low", async (channelType) => {
    const both = await watched(on, "tower fee", channelType, 1); // far below what nodes relay
    const { s, tower } = both;
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    await victimGone(both);

    await cheat(s, ghost);
    await mine(both, 4);

    const [penalty] = tower.events("penalty");
    expect(penalty?.result).toBe("punished");
    expect((await payouts(s)).alice).toBe(500_000 - (penalty?.penalty.feeSatoshis ?? 0));
    expect(penalty?.penalty.feeSatoshis).toBeLessThan(5);
    expect(penalty?.by).not.toEqual(transactionId(crypto, penalty?.penalty.transaction as never));
  });

  it("static_remotekey: follows the cheater into the second stage", async () => {
    const both = await watched(on, "tower second stage", "static_remotekey");
    const { s, tower } = both;
    const ghost = await htlcsOfTheDead(s);
    await victimGone(both);
    await mine(both, 6); // what the cheater offered has expired

    await tower.stop(); // while the cheater takes them
    await cheat(s, ghost);
    await mine(both, 2);
    await tower.start();
    await mine(both, 2);

    const penalties = tower.events("penalty");
    expect(penalties.map(({ penalty }) => penalty.kind).sort()).toEqual([
      "second-stage",
      "second-stage",
      "to-local",
    ]);
    expect(penalties.every(({ result }) => result === "punished")).toBe(true);
    await mine(both, 8);
    expect((await payouts(s)).bob).toBe(0);
  });

  it.each(["zero_fee_commitments", "anchors"] as const)(
    "%s: cannot follow into the second stage, and says so; the victim still can",
    async (channelType) => {
      const both = await watched(on, "tower escaped", channelType);
      const { s, tower } = both;
      const ghost = await htlcsOfTheDead(s);
      await victimGone(both);
      await mine(both, 6);

      await tower.stop();
      await cheat(s, ghost);
      await mine(both, 2);
      await tower.start();
      await mine(both, 1);

      const results = tower.events("penalty").map(({ penalty, result }) => [penalty.kind, result]);
      expect(results.sort()).toEqual([
        ["htlc", "escaped"],
        ["htlc", "escaped"],
        ["to-local", "punished"],
      ]);
      await s.a.restart(); // within to_self_delay
      await s.toTheEnd([s.a]);
      expect((await payouts(s)).bob).toBe(0);
    },
  );

  it("punishes after a restart between sight and confirmation", async () => {
    const both = await watched(on, "tower restarted");
    const { s, tower } = both;
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    await victimGone(both);

    await cheat(s, ghost);
    await mine(both, 1);
    expect(tower.events("breach").length).toBe(1);
    await tower.stop();
    await s.lab.mine(2, { only: [] }); // the penalty waits in the mempool, or is gone from it
    await tower.start();
    await mine(both, 6);

    expect((await payouts(s)).bob).toBe(0);
    expect(tower.events("penalty").at(-1)?.result).toBe("punished");
  });

  it("punishes anew after a reorganisation", async () => {
    const both = await watched(on, "tower reorganised");
    const { s, tower } = both;
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    await victimGone(both);
    await cheat(s, ghost);
    await mine(both, 2);
    expect(tower.events("penalty").length).toBe(1);

    await s.lab.reorg(2);
    await tower.idle();
    await mine(both, 3);

    expect((await payouts(s)).bob).toBe(0);
  });

  it("is told of every state of a long life, and finds the one that is published", async () => {
    const both = await watched(on, "tower long life");
    const { s, tower } = both;
    const live = async (payments: number) => {
      for (let i = 0; i < payments; i++) {
        s.push("b", 1_000_000);
        if (i % 4 === 0) await tower.flow(2);
      }
    };
    await live(20);
    const ghost = await s.ghost("b");
    await live(20);
    await victimGone(both);
    expect(tower.gateway.watching.server?.totals().slots).toBeGreaterThanOrEqual(40);

    await cheat(s, ghost);
    await mine(both, 8);

    expect((await payouts(s)).bob).toBe(0);
    expect(tower.events("breach").length).toBe(1);
  });

  it("does nothing where the peer closes with its newest commitment", async () => {
    const both = await watched(on, "tower, honest close");
    const { s, tower } = both;
    s.push("b", 400_000_000);
    await victimGone(both);

    await s.forceClose("b");
    await mine(both, 9);

    expect(tower.events("breach")).toEqual([]);
    expect(tower.steps).toEqual([]);
  });
});

/** Old state with HTLCs both ways, all of them settled in the newest one; the cheater knows what it needs to claim them. */
async function htlcsOfTheDead(s: Scenario): Promise<ChainNode> {
  const toBob = await s.addHtlc({ from: "a", expiresIn: 30 });
  const toAlice = await s.addHtlc({ from: "b", amountMsat: 30_000_000, expiresIn: 6 });
  const ghost = await s.ghost("b");
  ghost.node.command(s.id, { type: "fulfillHtlc", htlcId: toBob.id, preimage: toBob.preimage });
  s.fulfill(toBob);
  s.fulfill(toAlice);
  s.push("b", 300_000_000);
  return ghost;
}

/** It finds its money where the tower sent it, and everything accounted for. */
async function victimComesBack({ s }: Watched): Promise<void> {
  await s.a.restart();
  const end = await s.toTheEnd([s.a]);
  expect(end.b).toBe(0);
  expect(s.a.events("closed")[0]?.ending).toBe("revoked");
  expect(s.a.alarms).toEqual([]);
}
