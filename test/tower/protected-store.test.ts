/** Every state that a peer revokes is stored with its revocation, until a tower has it; and counted where it cannot be (rule `revoked-state-counted`). */
import { expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { StoreCommit } from "../../core/ports/store.ts";
import { milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { decodeBacklog, encodeBacklog, stakeOf } from "../../core/tower/backlog.ts";
import type { CommitmentSpec } from "../../core/transactions/terms.ts";
import { RevokedLab } from "../support/revoked.ts";
import { SlowStore } from "../support/slow-store.ts";

const KEYS_OF_VALUES = "tw/";

it("stores each revoked state as the peer's commitment showed it", async () => {
  const lab = await RevokedLab.make();
  const seen: CommitmentSpec[] = [];
  for (const work of [
    () => lab.pay(1_000_000),
    () => lab.offerHtlc(30_000_000),
    () => lab.pay(2_500_000),
    () => lab.offerHtlc(2_000_000, "b"),
    () => lab.pay(1),
  ]) {
    seen.push(lab.spec);
    await work();
  }
  const { waiting, unseenStates, lostStates } = lab.channel.backlog;

  for (const spec of seen) expect(waiting).toContainEqual(spec);
  expect(waiting.map(({ number }) => number)).toEqual(waiting.map((_, i) => i));
  expect(waiting.length).toBe(lab.record.remoteNumber);
  expect({ unseenStates, lostStates }).toEqual({ unseenStates: 0, lostStates: 0 });
  lab.pair.expectPeace();
});

it("does so with a store that takes its time as well", async () => {
  const lab = await RevokedLab.make({ disk: new SlowStore(new MemoryStore()) });
  for (let i = 0; i < 5; i++) await lab.pay(1_000_000);
  expect(lab.channel.backlog.waiting.length).toBe(lab.record.remoteNumber);
  const before = lab.channel.backlog;

  await lab.restart();

  expect(lab.channel.backlog).toEqual(before);
  lab.pair.expectPeace();
});

it("knows them again after a crash, from what was committed with the revocation", async () => {
  const lab = await RevokedLab.make();
  await lab.pay(1_000_000);
  await lab.offerHtlc(30_000_000);
  await lab.pay(1_000_000);
  const before = lab.channel.backlog;

  await lab.restart();

  expect(lab.channel.backlog).toEqual(before);
  await lab.pay(1_000_000);
  expect(lab.channel.backlog.waiting.length).toBe(before.waiting.length + 1);
});

it("keeps nothing of a commit that failed", async () => {
  class Failing extends MemoryStore {
    fails = false;
    override commit(change: StoreCommit) {
      if (this.fails) throw new Error("the disk is full");
      return super.commit(change);
    }
  }
  const disk = new Failing();
  const lab = await RevokedLab.make({ disk });
  await lab.pay(1_000_000);
  const { backlog } = lab.channel;
  disk.fails = true;

  await lab.pay(1_000_000).catch(() => undefined);

  expect(lab.channel.backlog).toEqual(backlog);
});

it("counts what was revoked while no tower was to be told", async () => {
  const disk = new MemoryStore();
  const lab = await RevokedLab.make({ disk });
  await lab.pay(1_000_000);
  const { next } = lab.channel.backlog;
  lab.pair.b.use(disk); // a run without a tower
  await lab.pair.restart(lab.pair.b);
  lab.pair.connect();
  await lab.pay(1_000_000);
  await lab.pay(1_000_000);

  await lab.restart();

  const { unseenStates, waiting } = lab.channel.backlog;
  expect(unseenStates).toBe(lab.record.remoteNumber - next);
  expect(unseenStates).toBeGreaterThanOrEqual(2);
  expect(waiting.length).toBe(next);
  expect(lab.store.protection().unseenStates).toBe(unseenStates);
});

it("gives up the states from which a cheater gains least, and says what that may cost", async () => {
  const lab = await RevokedLab.make({ maxWaiting: 3 });
  const stakes: number[] = [];
  for (let i = 0; i < 10; i++) {
    stakes.push(stakeOf(lab.spec));
    await lab.pay(10_000_000);
  }

  const { waiting, lostStates, lostStakeMsat } = lab.channel.backlog;
  expect(waiting.length).toBe(3);
  expect(Math.max(...waiting.map(stakeOf))).toBe(1_000_000_000);
  expect(lostStates + waiting.length).toBe(lab.record.remoteNumber);
  for (const spec of waiting) expect(stakeOf(spec)).toBeGreaterThanOrEqual(lostStakeMsat);
  expect(lab.store.protection().exposureMsat).toBe(100_000_000); // from the very first one

  const kept = { ...lab.channel.backlog, waiting: [] };
  lab.store.setBacklog(lab.id, kept); // the tower has the three
  expect(lab.store.protection().exposureMsat).toBe(lostStakeMsat - 900_000_000);
});

it("is small: 13 bytes for a state without HTLCs, and it reads back to the same", async () => {
  const lab = await RevokedLab.make();
  await lab.pay(1_000_000);
  const one = encodeBacklog(lab.channel.backlog).length;
  const states = lab.channel.backlog.waiting.length;
  for (let i = 0; i < 10; i++) await lab.pay(1_000_000);
  const { backlog } = lab.channel;
  const bytes = encodeBacklog(backlog);

  expect(bytes.length - one).toBeLessThanOrEqual(13 * (backlog.waiting.length - states));
  expect(decodeBacklog(bytes, satoshi(1_000_000))).toEqual(backlog);
});

it("writes no value in commits that revoke nothing", async () => {
  const values: string[] = [];
  class Looking extends MemoryStore {
    override commit(change: StoreCommit) {
      values.push(...(change.values ?? []).map(({ key }) => key));
      return super.commit(change);
    }
  }
  const lab = await RevokedLab.make({ disk: new Looking() });
  const before = lab.record.remoteNumber;
  expect(values).toEqual([]);

  await lab.pay(milliSatoshi(1_000_000));

  expect(values.length).toBe(lab.record.remoteNumber - before);
  expect(values.every((key) => key.startsWith(KEYS_OF_VALUES))).toBe(true);
});
