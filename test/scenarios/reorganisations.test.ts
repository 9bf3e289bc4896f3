/** Blocks that are taken back (BOLT 5 "General Nodes"): what they confirmed is undone, and done again. */
import { expect, it } from "vitest";
import { equal } from "../../core/primitives/bytes.ts";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

scenarios("a reorganisation", (on) => {
  it("of the funding stops new payments until it is back", async () => {
    const s = await on.make("reorg funding");
    s.push("a", 10_000_000);

    await s.reorg(1, { only: [] });
    expect(s.a.events("fundingReorganised").length).toBe(1);
    s.push("a", 10_000_000);
    expect(s.a.events("rejected").at(-1)?.reason).toMatch(/left the chain/);

    await on.lab.mine(1, { only: [s.funding] });
    await s.rest();
    s.push("a", 10_000_000);
    expect(s.b.events("pushReceived").length).toBe(2);
    s.a.node.command(s.id, { type: "close", feeratePerKw: 500 });
    await s.rest();
    const end = await s.toTheEnd();
    expect(end.b).toBe(520_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)(
    "%s: of a commitment brings it or the other one back",
    async (channelType) => {
      const s = await on.make(`reorg commitment ${channelType}`, { channelType });
      s.disconnect();
      await s.forceClose("b");
      await s.mine(2);
      expect(s.a.events("onChain").at(-1)?.ending).toBe("remote");

      await s.reorg(2, { only: [] });
      expect(s.a.record(s.id).phase).toBe("force-closing");
      expect(s.b.record(s.id).phase).toBe("force-closing");

      const end = await s.toTheEnd();
      expect(end.b).toBe(500_000);
      expect(s.troubles).toEqual([]);
    },
  );

  it("of a commitment lets the other one win", async () => {
    const s = await on.make("reorg to the other commitment", { channelType: "static_remotekey" });
    s.disconnect();
    const [mine, theirs] = await bothCommitments(s);
    await on.lab.mine(1, { only: [theirs] });
    await s.mine(1);
    expect(s.a.events("onChain").at(-1)?.ending).toBe("remote");

    await s.reorg(2, { only: [mine] });

    expect(s.a.events("onChain").at(-1)?.ending).toBe("local");
    expect(s.b.events("onChain").at(-1)?.ending).toBe("remote");
    const end = await s.toTheEnd();
    expect(end.b).toBe(500_000);
    expect(s.troubles).toEqual([]);
  });

  it.each(CHANNEL_TYPES)("%s: of a penalty publishes it again", async (channelType) => {
    const s = await on.make(`reorg penalty ${channelType}`, { channelType });
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    ghost.node.command(s.id, { type: "forceClose" });
    await ghost.publisher.idle();
    await s.mine(2);
    const penalty = () =>
      s.auditor.transactions.some(({ transaction }) =>
        transaction.outputs.every(({ script }) => equal(script, s.a.payoutScript)),
      );
    expect(penalty()).toBe(true);

    await s.reorg(1, { only: [] });
    expect(penalty()).toBe(false);
    expect(s.a.events("onChain").at(-1)?.ending).toBe("revoked");
    const end = await s.toTheEnd([s.a]);

    expect(penalty()).toBe(true);
    expect(end.b).toBe(0);
    expect(s.troubles).toEqual([]);
  });

  it("of a cheat and its penalty together starts anew", async () => {
    const s = await on.make("reorg cheat");
    const ghost = await s.ghost("b");
    s.push("b", 400_000_000);
    ghost.node.command(s.id, { type: "forceClose" });
    await ghost.publisher.idle();
    await s.mine(2);

    await s.reorg(2, { only: [] });
    expect(s.a.record(s.id).phase).toBe("force-closing");
    const end = await s.toTheEnd([s.a]);

    // The cheater's commitment came again and was punished, or alice's own was first.
    const ending = s.a.events("closed")[0]?.ending;
    expect(ending === "revoked" ? end.b === 0 : end.b <= 100_000).toBe(true);
    expect(end.a).toBeGreaterThanOrEqual(900_000);
    expect(s.troubles).toEqual([]);
  });

  it("of a mutual close publishes that again", async () => {
    const s = await on.make("reorg mutual");
    s.a.node.command(s.id, { type: "close", feeratePerKw: 500 });
    await s.rest();
    await s.mine(1);
    expect(s.a.events("onChain").at(-1)?.ending).toBe("mutual");

    await s.reorg(1, { only: [] });
    expect(s.a.record(s.id).phase).toBe("closing");
    const end = await s.toTheEnd();

    expect(end.b).toBe(500_000);
    expect(s.a.events("closed")[0]?.ending).toBe("mutual");
    expect(s.troubles).toEqual([]);
  });

  it("while a node is away is found at its next start", async () => {
    const s = await on.make("reorg while away", { channelType: "static_remotekey" });
    s.disconnect();
    const [mine, theirs] = await bothCommitments(s);
    await on.lab.mine(1, { only: [theirs] });
    await s.rest();
    await s.a.stop();
    await s.reorg(1, { only: [mine] });

    await s.a.restart();

    expect(s.a.events("onChain").at(-1)?.ending).toBe("local");
    const end = await s.toTheEnd();
    expect(end.b).toBe(500_000);
    expect(s.troubles).toEqual([]);
  });
});

/** Alice's and bob's, without any of them in the mempool of a block to come. */
async function bothCommitments(s: Scenario) {
  return [await s.commitmentOf("a"), await s.commitmentOf("b")] as const;
}
