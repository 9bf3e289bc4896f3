/** The demo's story: two channels are opened, paid through, disturbed, closed and betrayed; every satoshi is found again. */
import type { Json, JsonObject } from "../../gateway/api/event-json.ts";
import type { Audit, Funding } from "./chain-desk.ts";
import { Shopping } from "./shopping.ts";
import { isChannel, isPeer, Stage } from "./stage.ts";
import { sat, shortId, type Timeline } from "./timeline.ts";
import type { Role, World, WorldEvent } from "./world.ts";

export interface StoryResult {
  readonly pushes: number;
  readonly htlcs: number;
  readonly penalties: number;
  readonly unaccounted: number;
}

const GATEWAY_CHANNEL = { fundingSatoshis: 500_000, pushMsat: 120_000_000 } as const;
const SHOP_CHANNEL = { fundingSatoshis: 400_000, pushMsat: 10_000_000 } as const;

const OPENINGS_AT_MOST = 5;

export async function tellStory(world: World, timeline: Timeline): Promise<StoryResult> {
  const story = new Story(world, timeline);
  await story.openChannels();
  await story.shop();
  await story.closeMutually();
  await story.cheat();
  return story.account();
}

class Story {
  private penalties = 0;
  private fundings: Funding[] = [];
  private shopId = "";
  private shopping: Shopping | undefined;
  private gatewayChannelId = "";
  private kept: { raw: string; number: number } | undefined;

  private readonly stage: Stage;

  constructor(
    private readonly world: World,
    private readonly timeline: Timeline,
  ) {
    this.stage = new Stage(world, timeline);
  }

  // Opening.

  async openChannels(): Promise<void> {
    const { world, timeline } = this;
    timeline.heading("Two channels");
    await this.connected("buyer", "gateway");
    await this.connected("vending", "gateway");
    await this.connected("buyer", "vending");
    timeline.say(
      "gateway",
      `opens a channel to the buyer: ${sat(GATEWAY_CHANNEL.fundingSatoshis)}, of which it gives ${sat(GATEWAY_CHANNEL.pushMsat / 1000)}`,
    );
    const buyer = world.ids.buyer as string;
    this.gatewayChannelId = await this.ready(
      "gateway",
      "buyer",
      await this.opened("gateway", { peer: buyer, ...GATEWAY_CHANNEL }),
    );
    timeline.say(
      "buyer",
      `opens a channel to the vending machine: ${sat(SHOP_CHANNEL.fundingSatoshis)}, funded by the gateway's wallet`,
    );
    const vending = world.ids.vending as string;
    this.shopId = await this.ready(
      "buyer",
      "vending",
      await this.opened("buyer", { peer: vending, ...SHOP_CHANNEL }),
    );
    this.kept = await world.call("buyer", "signedCommitment", { channel: this.shopId });
    this.shopping = new Shopping(this.stage, this.shopId, SHOP_CHANNEL.pushMsat);
    await this.shopping.holdings();
  }

  private async connected(a: Role, b: Role): Promise<void> {
    const peer = this.world.ids[b];
    await this.world.until(`${a} to reach ${b}`, (e) => isPeer(e, a, peer, "connected"));
    this.timeline.say(a === "gateway" ? a : (a as "buyer"), `speaks with the ${b} over BOLT 8`);
  }

  /** On a busy machine a link may be taken for dead in the middle of it: then nothing was paid, and it is tried again. */
  private async opened(opener: Role, params: JsonObject): Promise<string> {
    const { world, timeline } = this;
    for (let attempt = 1; ; attempt++) {
      const since = world.log.length;
      try {
        await world.call(opener, "open", params);
        const outcome = await world.until(
          `${opener} to create its channel`,
          (e) =>
            isChannel(e, opener, "openFailed") ||
            (isChannel(e, opener, "created") && e.fields.broadcastFunding === true),
          since,
        );
        if (outcome.fields.type === "created") return outcome.fields.channelId as string;
        if (attempt >= OPENINGS_AT_MOST) throw new Error(`${outcome.fields.reason}`);
        timeline.say(opener, `tries again: ${outcome.fields.reason}`);
      } catch (cause) {
        if (attempt >= OPENINGS_AT_MOST || world.isClosed) throw cause;
      }
      await new Promise((wake) => setTimeout(wake, 500));
    }
  }

  /** Mines until both sides have seen channel_ready; the id of the channel. */
  private async ready(opener: Role, acceptor: Role, id: string): Promise<string> {
    const { world, timeline } = this;
    const info = await this.stage.channel(opener, id);
    const funding = { txid: info.fundingTxid, vout: info.fundingVout, amount: info.capacitySat };
    this.fundings.push(funding);
    await world.chain("follow", { txid: funding.txid, vout: funding.vout });
    timeline.say("chain", `funding transaction ${funding.txid}`, { txid: funding.txid });
    const proven = (role: Role) => (e: WorldEvent) =>
      e.from === role && e.event === "proven" && e.fields.txid === funding.txid;
    const isReady = (role: Role) => (e: WorldEvent) =>
      isChannel(e, role, "ready") && e.fields.id === id;
    await this.stage.mineUntil(`${opener} and ${acceptor} to be ready`, () =>
      [opener, acceptor].every((role) => world.log.some(isReady(role))),
    );
    for (const role of [opener, acceptor]) {
      const proof = world.log.find(proven(role));
      if (role !== "gateway" && !proof)
        throw new Error(`the ${role} used the channel without a proof`);
      const how = proof
        ? `checked the merkle proof of block ${proof.fields.height}`
        : "saw it in its own node";
      timeline.say(role, `${how}; channel ${shortId(id)} is ready`, { channel: id });
    }
    return id;
  }

  async shop(): Promise<void> {
    await this.shopping?.shop();
  }

  // Ending.

  async closeMutually(): Promise<void> {
    const { world, timeline } = this;
    timeline.heading("A friendly end");
    const since = world.log.length;
    await world.call("gateway", "close", { channel: this.gatewayChannelId, feeratePerKw: 1500 });
    const closing = await world.until(
      "the mutual close",
      (e) => isChannel(e, "gateway", "closing"),
      since,
    );
    timeline.say(
      "gateway",
      `closes its channel with the buyer and pays the fee it chose: ${closing.fields.txid}`,
      { txid: closing.fields.txid as string },
    );
    await this.stage.mineUntil("both sides to see the close buried", () =>
      (["gateway", "buyer"] as const).every((role) =>
        world.log
          .slice(since)
          .some((e) => isChannel(e, role, "closed") && e.fields.id === this.gatewayChannelId),
      ),
    );
    const { held } = await this.audit(this.fundings.slice(0, 1));
    timeline.say(
      "note",
      `on chain the gateway has ${sat(held.gateway)} of it, the buyer ${sat(held.buyer)}`,
      { held },
    );
  }

  async cheat(): Promise<void> {
    const { world, timeline } = this;
    timeline.heading("A betrayal");
    const before = await this.stage.channel("vending", this.shopId);
    const newest = await world.call<{ number: number }>("buyer", "signedCommitment", {
      channel: this.shopId,
    });
    const { raw, number } = this.kept as { raw: string; number: number };
    timeline.say(
      "cheat",
      `the buyer kept its commitment ${number}, from before it bought anything; now both are at ${newest.number}`,
    );
    const since = world.log.length;
    const { txid } = await world.chain<{ txid: string }>("cheat", { raw });
    timeline.say("cheat", `publishes it, with a child that pays for it: ${txid}`, {
      txid,
    });
    await this.stage.mineUntil("the vending machine to see the fraud", () =>
      world.log
        .slice(since)
        .some((e) => isChannel(e, "vending", "onChain") && e.fields.ending === "revoked"),
    );
    timeline.say(
      "vending",
      "proves that this commitment is revoked and signs the penalty; the gateway publishes it",
    );
    const closed = await this.stage.mineUntilEvent(
      "the penalty to be buried",
      (e) => isChannel(e, "vending", "closed") && e.fields.id === this.shopId,
      since,
    );
    const outputs = closed.fields.outputs as unknown as readonly {
      kind: string;
      status: string;
      amount: number;
    }[];
    const claimed = outputs.filter((o) => o.status === "claimed" && o.kind !== "anchor");
    const taken = claimed.reduce((sum, { amount }) => sum + amount, 0);
    const lost = outputs.filter((o) => o.status === "theirs" && o.kind !== "anchor");
    if (claimed.length === 0 || lost.length > 0)
      throw new Error("the penalty did not take everything");
    this.penalties++;
    const penalty = world.log
      .slice(since)
      .findLast((e) => e.event === "published" && e.fields.purpose === "penalty" && e.fields.txid);
    timeline.say(
      "chain",
      `the penalty is buried: ${penalty?.fields.txid ?? "(of another's coins)"}`,
      {
        txid: penalty?.fields.txid ?? "",
      },
    );
    timeline.say(
      "vending",
      `took everything: ${sat(taken)} instead of its ${sat(before.toLocalMsat / 1000)}`,
      { taken },
    );
  }

  // Accounting.

  async account(): Promise<StoryResult> {
    const { world, timeline } = this;
    timeline.heading("Who holds what");
    const { audit, held } = await this.audit(this.fundings);
    const rows: [string, number][] = [
      ["put into two channels", audit.funded],
      ["gateway", held.gateway],
      ["buyer", held.buyer],
      ["vending machine", held.vending],
      ["fees of the closing transactions", audit.fees],
      ["anchors, spent for fees", audit.anchors],
      ["unaccounted for", audit.unaccounted],
    ];
    timeline.table(rows.map(([name, amount]) => `  ${name.padEnd(34)}${sat(amount).padStart(16)}`));
    timeline.say(
      "note",
      `${world.wireBytes} bytes went over three cables; ${audit.transactions.length} transactions ended two channels`,
      {
        held,
        fees: audit.fees,
        wireBytes: world.wireBytes,
      },
    );
    this.checkBalances(held);
    return {
      pushes: this.shopping?.pushes ?? 0,
      htlcs: this.shopping?.htlcs ?? 0,
      penalties: this.penalties,
      unaccounted: audit.unaccounted,
    };
  }

  /** By the chain's own set of unspent outputs. */
  private async audit(fundings: readonly Funding[]) {
    const { world } = this;
    const scriptOf = async (role: Role): Promise<string> =>
      (await world.call<{ payoutScript: string }>(role, "info")).payoutScript;
    const gateway = world.started.gateway?.payoutScript as string;
    const [buyer, vending] = [await scriptOf("buyer"), await scriptOf("vending")];
    const audit = await world.chain<Audit>("audit", {
      fundings: fundings as unknown as Json,
      scripts: [gateway, buyer, vending],
    });
    const of = (script: string) => audit.held[script] ?? 0;
    return { audit, held: { gateway: of(gateway), buyer: of(buyer), vending: of(vending) } };
  }

  /** What the payments say must be what the chain says. */
  private checkBalances({ vending, buyer }: Readonly<Record<Role, number>>): void {
    if (buyer !== GATEWAY_CHANNEL.pushMsat / 1000) {
      throw new Error(
        `the buyer holds ${buyer} sat, its first channel had ${GATEWAY_CHANNEL.pushMsat / 1000}`,
      );
    }
    if (vending < SHOP_CHANNEL.fundingSatoshis * 0.97) {
      throw new Error(
        `the vending machine holds ${vending} sat of ${SHOP_CHANNEL.fundingSatoshis}`,
      );
    }
  }
}
