/** The demo's busiest scene: a hundred purchases by push, through a pulled cable and a power cut, and one by HTLC. */
import type { JsonObject } from "../../gateway/api/event-json.ts";
import { isChannel, isPeer, type Stage } from "./stage.ts";
import { sat } from "./timeline.ts";
import { HTLC_PRODUCT, PRODUCTS } from "./world.ts";

const PUSHES = 100;
const PULL_AT = 40;
const KILL_AT = 70;
const SETTLE_MS = 60_000;

interface Outcome {
  readonly delivered: boolean;
  readonly note: string;
  readonly reference: string;
}

export class Shopping {
  pushes = 0;
  htlcs = 0;
  private paidMsat = 0;

  constructor(
    private readonly stage: Stage,
    private readonly channelId: string,
    /** What the vending machine held at first. */
    private readonly startMsat: number,
  ) {}

  async shop(): Promise<void> {
    const { world, timeline } = this.stage;
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
    this.stage.timeline.say(
      "vending",
      `push ${n}: paid ${priceMsat / 1000} sat, delivered one ${name} after ${ms.toFixed(1)} ms`,
      { push: n, ms },
    );
  }

  private async buy(n: number, latencies: number[]): Promise<void> {
    const started = performance.now();
    const params = { channel: this.channelId, product: product(n).id };
    const outcome = await this.buyOnce("buy", params);
    latencies.push(performance.now() - started);
    this.pushes++;
    this.paidMsat += product(n).priceMsat;
    if (!outcome.delivered) throw new Error(`push ${n} was not delivered: ${outcome.note}`);
  }

  /** Buys; where the link was lost before anything was signed nothing was paid, and it is tried again. */
  private async buyOnce(method: "buy" | "buyByHtlc", params: JsonObject): Promise<Outcome> {
    for (let attempt = 1; ; attempt++) {
      try {
        const outcome = await this.stage.world.call<Outcome>("buyer", method, params);
        const unpaid = !outcome.delivered && outcome.note.includes("nothing was paid");
        const away = !outcome.delivered && outcome.note.includes("not connected");
        if (!unpaid && !away) return outcome;
        this.stage.timeline.say("buyer", `nothing was paid (${outcome.note}): tries again`);
      } catch (cause) {
        if (attempt > 200 || this.stage.world.isClosed) throw cause;
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
    this.stage.timeline.say(
      "buyer",
      `push ${n} was delivered all the same: paid once, ${((latencies.at(-1) ?? 0) / 1000).toFixed(1)} s later`,
    );
  }

  private async pullCable(): Promise<void> {
    const { world, timeline } = this.stage;
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
    const { world, timeline } = this.stage;
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
    const { world, timeline } = this.stage;
    const started = performance.now();
    const bytes = world.cable("buyer-vending").bytes;
    const params = { channel: this.channelId, product: HTLC_PRODUCT.id };
    const outcome = await this.buyOnce("buyByHtlc", params);
    if (!outcome.delivered) throw new Error(`the HTLC was not delivered: ${outcome.note}`);
    this.htlcs++;
    this.paidMsat += HTLC_PRODUCT.priceMsat;
    const ms = performance.now() - started;
    const wire = world.cable("buyer-vending").bytes - bytes;
    timeline.say(
      "vending",
      `HTLC ${outcome.reference}: ${HTLC_PRODUCT.priceMsat / 1000} sat for a ${HTLC_PRODUCT.name} in ${ms.toFixed(1)} ms, ${wire} bytes`,
      { ms, bytes: wire },
    );
  }

  async holdings(): Promise<void> {
    const expected = this.startMsat + this.paidMsat;
    const shop = await this.settledAt(expected);
    this.stage.timeline.say(
      "note",
      `in their channel the buyer holds ${sat(shop.toRemoteMsat / 1000)}, the vending machine ${sat(shop.toLocalMsat / 1000)}`,
    );
    if (shop.toLocalMsat !== expected) {
      throw new Error(`the vending machine has ${shop.toLocalMsat} msat, paid were ${expected}`);
    }
  }

  /** The buyer has the preimage of an HTLC a round before the vending machine has its money. */
  private async settledAt(expectedMsat: number) {
    for (const until = Date.now() + SETTLE_MS; ; ) {
      const shop = await this.stage.channel("vending", this.channelId);
      if (shop.toLocalMsat === expectedMsat || Date.now() > until) return shop;
      await new Promise((wake) => setTimeout(wake, 20));
    }
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
