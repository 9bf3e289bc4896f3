/** A node that comes back with an old record (BOLT 2 "Message Retransmission", data loss): it publishes nothing, and gets its balance. */
import { expect, it } from "vitest";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

/** Alice loses all that happened after an early backup. */
async function loseData(s: Scenario): Promise<void> {
  const backup = s.a.store.copy();
  s.push("b", 100_000_000);
  s.push("a", 30_000_000);
  await s.restore("a", backup);
  expect(s.a.record(s.id).base.toLocalMsat).toBe(500_000_000);
}

scenarios("an outdated node", (on) => {
  it.each(CHANNEL_TYPES)(
    "%s: asks its peer to publish, and gets its balance",
    async (channelType) => {
      const s = await on.make(`outdated ${channelType}`, { channelType });
      await loseData(s);

      s.connect();
      expect(s.a.events("outdated")[0]?.reason).toMatch(/nothing of ours is published/);
      expect(s.b.events("peerOutdated").length).toBe(1);
      expect(s.b.events("forceClosing")[0]?.reason).toMatch(/our state is outdated/);
      await s.forceClose("a");
      expect(s.a.steps).toEqual([]);
      await s.mine(1);

      expect(s.a.events("onChain").at(-1)).toMatchObject({
        ending: "future",
        warning: expect.stringMatching(/our data is outdated/),
      });
      const end = await s.toTheEnd();
      expect(s.a.stepsOf("published").map(({ purpose }) => purpose)).toEqual(["sweep"]);
      expect(end.b).toBe(430_000);
      expect(570_000 - end.a).toBeLessThan(channelType === "zero_fee_commitments" ? 1 : 2_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it("stays silent over a restart, with a peer that is away", async () => {
    const s = await on.make("outdated, restarted");
    await loseData(s);
    // Alice learns it, and bob dies before she can tell him.
    s.attach();
    s.flowUntil(() => s.a.events("outdated").length > 0);
    s.disconnect();
    await s.b.stop();
    await s.a.stop();
    await s.a.restart();
    await s.mine(2);
    expect(s.a.record(s.id).phase).toBe("outdated");
    expect(s.a.steps).toEqual([]);

    await s.b.restart();
    s.connect();
    await s.rest();
    const end = await s.toTheEnd();

    expect(end).toMatchObject({ a: 570_000, b: 430_000 });
  });

  it("that publishes before it knows is punished: a backup of keys is no backup of state", async () => {
    const s = await on.make("outdated, publishes");
    await loseData(s);

    await s.forceClose("a"); // not connected: it cannot know
    await s.mine(1);
    expect(s.b.events("onChain").at(-1)?.ending).toBe("revoked");
    const end = await s.toTheEnd();

    expect(end.a).toBe(0);
    expect(end.b).toBe(1_000_000);
  });
});
