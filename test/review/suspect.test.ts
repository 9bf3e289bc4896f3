/** outdated-never-broadcasts, where the flash is damaged: a record that may be old is not published until the peer confirms it. */
import { describe, expect, it } from "vitest";
import { MemoryStore } from "../../core/node/memory-store.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { Pair, payment } from "../support/node-pair.ts";

class DamagedStore extends MemoryStore {
  suspects: readonly ChannelId[] = [];
}

async function damaged() {
  const disk = new DamagedStore();
  const pair = await Pair.make({ diskB: disk });
  const id = await pair.open({ pushMsat: 400_000_000 });
  disk.suspects = [id];
  await pair.restart(pair.b);
  disk.suspects = [];
  return { pair, id };
}

describe("a channel whose newest record the flash may have lost", () => {
  it("is not published, neither when asked nor when the peer sends an error", async () => {
    const { pair, id } = await damaged();
    pair.b.node.command(id, { type: "forceClose" });
    expect(pair.b.events("rejected").at(-1)?.reason).toMatch(/may have lost/);
    pair.a.tamper = (message) =>
      message.type === "channel_reestablish"
        ? [{ type: "error", channelId: id, data: "please publish what you have" }]
        : [message];
    pair.connect();
    pair.settle();
    await pair.flow();
    pair.mine(3);
    expect(pair.b.claims).toEqual([]);
    expect(pair.b.node.record(id)?.phase).toBe("normal");
    expect(pair.b.events("outdated").length).toBeGreaterThan(0);
  });

  it("stays so over another restart, whatever was stored meanwhile", async () => {
    const { pair, id } = await damaged();
    pair.b.node.command(id, { type: "close", feeratePerKw: 1000 });
    await pair.restart(pair.b);
    expect(pair.b.checking.stored(id)?.suspect).toBe(true);
    pair.b.node.command(id, { type: "forceClose" });
    expect(pair.b.claims).toEqual([]);
  });

  it("is as any other once the peer's channel_reestablish fits", async () => {
    const { pair, id } = await damaged();
    pair.connect();
    pair.settle();
    await pair.flow();
    expect(pair.b.checking.stored(id)?.suspect).toBeUndefined();
    pair.a.node.command(id, { type: "push", payments: payment(1000) });
    await pair.flow();
    expect(pair.b.events("pushReceived")).toHaveLength(1);
    pair.b.node.command(id, { type: "forceClose" });
    expect(pair.b.claims).toHaveLength(1);
  });
});
