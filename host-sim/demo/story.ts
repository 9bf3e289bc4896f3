/** The demo's story: two channels are opened, paid through, disturbed, closed and betrayed; every satoshi is found again. */
import type { Json, JsonObject } from "../processes/control.ts";
import type { Audit, Funding } from "./chain-desk.ts";
import { sat, shortId, type Timeline } from "./timeline.ts";
import { HTLC_PRODUCT, PRODUCTS, type Role, type World, type WorldEvent } from "./world.ts";

export interface StoryResult {
  readonly pushes: number;
  readonly htlcs: number;
  readonly penalties: number;
  readonly unaccounted: number;
}

const GATEWAY_CHANNEL = { fundingSatoshis: 500_000, pushMsat: 120_000_000 } as const;
const SHOP_CHANNEL = { fundingSatoshis: 400_000, pushMsat: 10_000_000 } as const;
const PUSHES = 100;
const PULL_AT = 40;
const KILL_AT = 70;
const MINE_AT_MOST = 60;

interface ChannelInfo {
  readonly channelId: string;
  readonly peer: string;
  readonly phase: string;
  readonly fundingTxid: string;
  readonly fundingVout: number;
  readonly capacitySat: number;
  readonly toLocalMsat: number;
  readonly toRemoteMsat: number;
}

export async function tellStory(world: World, timeline: Timeline): Promise<StoryResult> {
  const story = new Story(world, timeline);
  await story.openChannels();
  await story.shop();
  await story.closeMutually();
  await story.cheat();
  return story.account();
}

class Story {
  private pushes = 0;
  private htlcs = 0;
  private penalties = 0;
  private fundings: Funding[] = [];
  private shopId = "";
  private gatewayChannelId = "";
  private kept: { raw: string; number: number } | undefined;
  private paidMsat = 0;

  constructor(
    private readonly world: World,
    private readonly timeline: Timeline,
  ) {}

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
    await world.call("gateway", "open", { peer: buyer, ...GATEWAY_CHANNEL });
    this.gatewayChannelId = await this.ready("gateway", "buyer");
    timeline.say(
      "buyer",
      `opens a channel to the vending machine: ${sat(SHOP_CHANNEL.fundingSatoshis)}, funded by the gateway's wallet`,
    );
    await world.call("buyer", "open", { peer: world.ids.vending as string, ...SHOP_CHANNEL });
    this.shopId = await this.ready("buyer", "vending");
    this.kept = await world.call("buyer", "signedCommitment", { channel: this.shopId });
    await this.holdings();
  }

  private async connected(a: Role, b: Role): Promise<void> {
    const peer = this.world.ids[b];
    await this.world.until(`${a} to reach ${b}`, (e) => isPeer(e, a, peer, "connected"));
    this.timeline.say(a === "gateway" ? a : (a as "buyer"), `speaks with the ${b} over BOLT 8`);
  }

  /** Mines until both sides have seen channel_ready; the id of the channel. */
  private async ready(opener: Role, acceptor: Role): Promise<string> {
    const { world, timeline } = this;
    const created = await world.until(
      `${opener} to create its channel`,
      (e) => isChannel(e, opener, "created") && e.fields.broadcastFunding === true,
    );
    const id = created.fields.channelId as string;
    const info = await this.channel(opener, id);
    const funding = { txid: info.fundingTxid, vout: info.fundingVout, amount: info.capacitySat };
    this.fundings.push(funding);
    await world.chain("follow", { txid: funding.txid, vout: funding.vout });
    timeline.say("chain", `funding transaction ${shortId(funding.txid)}`, { txid: funding.txid });
    const proven = (role: Role) => (e: WorldEvent) =>
      e.from === role && e.event === "proven" && e.fields.txid === funding.txid;
    const isReady = (role: Role) => (e: WorldEvent) =>
      isChannel(e, role, "ready") && e.fields.id === id;
    await this.mineUntil(`${opener} and ${acceptor} to be ready`, () =>
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

  // Paying.

  async shop(): Promise<void> {
    const { world, timeline } = this;
    timeline.heading(`${PUSHES} purchases by push, one by HTLC`);
    const list = await world.call<{ products: readonly { name: string; priceMsat: number }[] }>(
      "buyer",
      "priceList",
      { peer: world.ids.vending as string },
    );
    const prices = list.products.map((p) => `${p.name} ${p.priceMsat / 1000} sat`);
    timeline.say("vending", `announces: ${prices.join(", ")}`);
    const bytes = world.cable("buyer-vending").bytes;
    const latencies: number[] = [];
    for (let n = 1; n <= PUSHES; n++) {
      if (n === PULL_AT) await this.buyWhile(n, latencies, () => this.pullCable());
      else if (n === KILL_AT) await this.buyWhile(n, latencies, () => this.killVending());
      else await this.buy(n, latencies);
      if (n === 1 || n === 10 || n % 25 === 0) this.progress(n, latencies);
    }
    const perPayment = Math.round((world.cable("buyer-vending").bytes - bytes) / PUSHES);
    const median = latencies.sort((a, b) => a - b)[latencies.length >> 1] ?? 0;
    timeline.say(
      "note",
      `${PUSHES} pushes: median ${median.toFixed(1)} ms from order to delivery, ${perPayment} bytes on the wire each, signed receipts included`,
      { medianMs: median, bytesPerPush: perPayment },
    );
    await this.buyByHtlc();
    await this.holdings();
  }

  private progress(n: number, latencies: readonly number[]): void {
    const { name, priceMsat } = product(n);
    const ms = latencies.at(-1) ?? 0;
    this.timeline.say(
      "vending",
      `push ${n}: paid ${priceMsat / 1000} sat, delivered one ${name} after ${ms.toFixed(1)} ms`,
      { push: n, ms },
    );
  }

  private async buy(n: number, latencies: number[]): Promise<void> {
    const started = performance.now();
    const params = { channel: this.shopId, product: product(n).id };
    const outcome = await this.buyOnce(params);
    latencies.push(performance.now() - started);
    this.pushes++;
    this.paidMsat += product(n).priceMsat;
    if (!outcome.delivered) throw new Error(`push ${n} was not delivered: ${outcome.note}`);
  }

  /** Buys; where the link was lost before anything was signed nothing was paid, and it is tried again. */
  private async buyOnce(params: JsonObject): Promise<{ delivered: boolean; note: string }> {
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await this.world.call<{ delivered: boolean; note: string }>(
          "buyer",
          "buy",
          params,
        );
        const unpaid = !outcome.delivered && outcome.note.includes("nothing was paid");
        const away = !outcome.delivered && outcome.note.includes("not connected");
        if (!unpaid && !away) return outcome;
        this.timeline.say("buyer", `nothing was paid (${outcome.note}): tries again`);
      } catch (cause) {
        if (attempt > 200) throw cause;
      }
      await new Promise((wake) => setTimeout(wake, 100));
    }
  }

  private async buyWhile(
    n: number,
    latencies: number[],
    disturb: () => Promise<void>,
  ): Promise<void> {
    const [bought] = await Promise.allSettled([this.buy(n, latencies), disturb()]);
    if (bought.status === "rejected") throw bought.reason;
    this.timeline.say(
      "buyer",
      `push ${n} was delivered all the same: paid once, ${((latencies.at(-1) ?? 0) / 1000).toFixed(1)} s later`,
    );
  }

  private async pullCable(): Promise<void> {
    const { world, timeline } = this;
    const cable = world.cable("buyer-vending");
    await bytesFlow(cable);
    cable.pulled = true;
    const since = world.log.length;
    timeline.say(
      "note",
      `the cable between buyer and vending machine is pulled in the middle of push ${PULL_AT}; a pty does not tell`,
    );
    const lost = await world.until(
      "the buyer to notice",
      (e) => isPeer(e, "buyer", world.ids.vending, "disconnected"),
      since,
    );
    timeline.say("buyer", `notices by itself: ${lost.fields.reason}`);
    cable.pulled = false;
    timeline.say("note", `the cable is put back; ${cable.lostBytes} bytes were lost`);
    await world.until(
      "buyer and vending machine to resume",
      (e) => isChannel(e, "buyer", "reestablished"),
      since,
    );
    timeline.say("buyer", "channel_reestablish: both sides agree on what was signed");
  }

  private async killVending(): Promise<void> {
    const { world, timeline } = this;
    await bytesFlow(world.cable("buyer-vending"));
    await world.kill("vending");
    const since = world.log.length;
    timeline.say(
      "note",
      `the vending machine loses power (SIGKILL) in the middle of push ${KILL_AT}`,
    );
    await world.startVending();
    const channels = world.started.vending?.channels;
    timeline.say(
      "vending",
      `starts again and finds ${channels} channel in its flash (${world.started.vending?.store})`,
    );
    await world.until(
      "the vending machine to resume",
      (e) => isChannel(e, "vending", "reestablished"),
      since,
    );
  }

  private async buyByHtlc(): Promise<void> {
    const { world, timeline } = this;
    const started = performance.now();
    const bytes = world.cable("buyer-vending").bytes;
    const outcome = await world.call<{ delivered: boolean; note: string; reference: string }>(
      "buyer",
      "buyByHtlc",
      { channel: this.shopId, product: HTLC_PRODUCT.id },
    );
    if (!outcome.delivered) throw new Error(`the HTLC was not delivered: ${outcome.note}`);
    this.htlcs++;
    this.paidMsat += HTLC_PRODUCT.priceMsat;
    const ms = performance.now() - started;
    const wire = world.cable("buyer-vending").bytes - bytes;
    timeline.say(
      "vending",
      `HTLC ${shortId(outcome.reference)}: ${HTLC_PRODUCT.priceMsat / 1000} sat for a ${HTLC_PRODUCT.name} in ${ms.toFixed(1)} ms, ${wire} bytes`,
      { ms, bytes: wire },
    );
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
      `closes its channel with the buyer and pays the fee it chose: ${shortId(closing.fields.txid as string)}`,
      { txid: closing.fields.txid as string },
    );
    await this.mineUntil("both sides to see the close buried", () =>
      (["gateway", "buyer"] as const).every((role) =>
        world.log
          .slice(since)
          .some((e) => isChannel(e, role, "closed") && e.fields.id === this.gatewayChannelId),
      ),
    );
    timeline.say("buyer", "has its balance on chain");
  }

  async cheat(): Promise<void> {
    const { world, timeline } = this;
    timeline.heading("A betrayal");
    const before = await this.channel("vending", this.shopId);
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
    timeline.say("cheat", `publishes it, with a child that pays for it: ${shortId(txid)}`, {
      txid,
    });
    await this.mineUntil("the vending machine to see the fraud", () =>
      world.log
        .slice(since)
        .some((e) => isChannel(e, "vending", "onChain") && e.fields.ending === "revoked"),
    );
    timeline.say(
      "vending",
      "proves that this commitment is revoked and signs the penalty; the gateway publishes it",
    );
    const closed = await this.mineUntilEvent(
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
    const scripts = {
      gateway: world.started.gateway?.payoutScript as string,
      buyer: ((await world.call<JsonObject>("buyer", "info")).payoutScript ?? "") as string,
      vending: ((await world.call<JsonObject>("vending", "info")).payoutScript ?? "") as string,
    };
    const audit = await world.chain<Audit>("audit", {
      fundings: this.fundings as unknown as Json,
      scripts: Object.values(scripts),
    });
    const rows: [string, number][] = [
      ["put into two channels", audit.funded],
      ["gateway", audit.held[scripts.gateway] ?? 0],
      ["buyer", audit.held[scripts.buyer] ?? 0],
      ["vending machine", audit.held[scripts.vending] ?? 0],
      ["fees of the closing transactions", audit.fees],
      ["anchors, spent for fees", audit.anchors],
      ["unaccounted for", audit.unaccounted],
    ];
    timeline.table(rows.map(([name, amount]) => `  ${name.padEnd(34)}${sat(amount).padStart(16)}`));
    timeline.say(
      "note",
      `${world.wireBytes} bytes went over three cables; ${audit.transactions.length} transactions ended two channels`,
      {
        held: audit.held as unknown as Json,
        fees: audit.fees,
        wireBytes: world.wireBytes,
      },
    );
    this.checkBalances(audit, scripts);
    return {
      pushes: this.pushes,
      htlcs: this.htlcs,
      penalties: this.penalties,
      unaccounted: audit.unaccounted,
    };
  }

  /** What the payments say must be what the chain says. */
  private checkBalances(audit: Audit, scripts: Record<Role, string>): void {
    const vending = audit.held[scripts.vending] ?? 0;
    const buyer = audit.held[scripts.buyer] ?? 0;
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

  private async holdings(): Promise<void> {
    const shop = await this.channel("vending", this.shopId);
    this.timeline.say(
      "note",
      `in their channel the buyer holds ${sat(shop.toRemoteMsat / 1000)}, the vending machine ${sat(shop.toLocalMsat / 1000)}`,
    );
    const expected = SHOP_CHANNEL.pushMsat + this.paidMsat;
    if (shop.toLocalMsat !== expected) {
      throw new Error(`the vending machine has ${shop.toLocalMsat} msat, paid were ${expected}`);
    }
  }

  private async channel(role: Role, id: string): Promise<ChannelInfo> {
    const channels = await this.world.call<readonly ChannelInfo[]>(role, "channels");
    const found = channels.find((one) => one.channelId === id);
    if (!found) throw new Error(`the ${role} has no channel ${shortId(id)}`);
    return found;
  }

  private async mineUntil(what: string, isDone: () => boolean): Promise<void> {
    for (let mined = 0; mined < MINE_AT_MOST; mined++) {
      if (isDone()) return;
      await this.world.chain("mine", { blocks: 1 });
      await this.settle(isDone);
    }
    throw new Error(`mined ${MINE_AT_MOST} blocks in vain for ${what}`);
  }

  private async mineUntilEvent(
    what: string,
    matches: (event: WorldEvent) => boolean,
    since: number,
  ): Promise<WorldEvent> {
    const found = () => this.world.log.slice(since).find(matches);
    await this.mineUntil(what, () => found() !== undefined);
    return found() as WorldEvent;
  }

  /** Until the devices know the tip; then a moment for what they publish. */
  private async settle(isDone: () => boolean): Promise<void> {
    const height = await this.world.chain<number>("height");
    const knows = (role: Role) =>
      this.world.log.some(
        (e) => e.from === role && e.event === "tip" && (e.fields.height as number) >= height,
      );
    const until = Date.now() + 5000;
    while (!isDone() && Date.now() < until && !(knows("buyer") && knows("vending"))) {
      await new Promise((wake) => setTimeout(wake, 10));
    }
    await new Promise((wake) => setTimeout(wake, isDone() ? 0 : 60));
  }
}

function product(n: number): (typeof PRODUCTS)[number] {
  return PRODUCTS[n % PRODUCTS.length] as (typeof PRODUCTS)[number];
}

/** Until the payment that was just begun is on the wire. */
async function bytesFlow(cable: { readonly bytes: number }): Promise<void> {
  const from = cable.bytes;
  const until = Date.now() + 2000;
  while (cable.bytes < from + 200 && Date.now() < until)
    await new Promise((wake) => setImmediate(wake));
}

function isPeer(e: WorldEvent, role: Role, peer: string | undefined, state: string): boolean {
  return (
    e.from === role && e.event === "peer" && e.fields.peer === peer && e.fields.state === state
  );
}

function isChannel(e: WorldEvent, role: Role, type: string): boolean {
  return e.from === role && e.event === "channel" && e.fields.type === type;
}
