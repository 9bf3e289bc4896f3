/** What goes on all day: invoices paid both ways between the gateways, pushes, gifts that devices give back, and purchases. */
import { GatewayProblem } from "../../client/errors.ts";
import type { GatewayPart } from "./gateway.ts";
import { GivenUp, pause, until } from "./programs.ts";
import type { PRICES, Shop, World } from "./world.ts";

/** One invoice that was paid in the end. */
export interface Paid {
  readonly hash: string;
  readonly from: GatewayPart;
  readonly to: GatewayPart;
  readonly msat: number;
  /** Payments that failed before one succeeded. */
  readonly failures: number;
}

export interface Pushed {
  readonly from: GatewayPart;
  readonly msat: number;
}

export interface Bought {
  readonly shop: Shop;
  readonly product: keyof typeof PRICES;
  readonly delivered: boolean;
}

/** Goes on by itself; `done` counts. */
export interface Path {
  readonly name: string;
  done: number;
  step(): Promise<void>;
}

const PAUSE_MS = 150;
const SETTLE_MS = 120_000;
const LATE_MS = 12_000;
const AGAIN_MS = 500;
const GIFT_SAT = 250;
const CUSTOMER_SAT = 60_000;

export class Traffic {
  readonly paid: Paid[] = [];
  readonly pushed: Pushed[] = [];
  readonly bought: Bought[] = [];
  readonly paths: Path[] = [];
  gifts = 0;
  private turn = 0;
  private isOver = false;
  private readonly running: Promise<void>[] = [];
  private failure: Error | undefined;

  constructor(
    private readonly world: World,
    /** Between the gateways. */
    private readonly channel: string,
  ) {
    const { a, b, shops } = world;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const name = `${from.name} to ${to.name}`;
      this.path(`invoices ${name}`, () => this.payInvoice(from, to));
      this.path(`pushes ${name}`, () => this.push(from));
    }
    for (const shop of shops) this.path(`gifts to ${shop.machine.name}`, () => this.gift(shop));
  }

  start(): void {
    for (const path of this.paths) this.running.push(this.walk(path));
  }

  /** What is under way comes to its end. */
  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.running);
    this.check();
  }

  /** Every path has been gone once more from beginning to end. */
  async flowing(onLate: (names: string) => void = () => {}): Promise<void> {
    const before = this.paths.map(({ done }) => done + 1);
    const late = () => this.paths.filter((path, at) => path.done <= (before[at] as number));
    const names = () =>
      late()
        .map(({ name }) => name)
        .join(", ");
    const timer = setTimeout(() => onLate(names()), LATE_MS);
    await until("all paths are gone again", () => late().length === 0 || this.failure, {
      ms: SETTLE_MS,
    }).catch((cause: Error) => {
      throw new GivenUp(`${cause.message}: ${names()}`);
    });
    clearTimeout(timer);
    this.check();
  }

  /** Until it is known whether the goods or the money came. */
  async buy(shop: Shop, product: keyof typeof PRICES, onBegun = () => {}): Promise<Bought> {
    const { world } = this;
    const end = Date.now() + SETTLE_MS;
    const what = `product ${product} at ${shop.machine.name}`;
    const words = ["--product", String(product), "--fund", String(CUSTOMER_SAT)];
    // Whoever comes without a product finishes what is under way, and buys nothing.
    let isUnderWay = false;
    let last = "";
    for (; Date.now() < end; await pause(AGAIN_MS)) {
      const ran = await world.customer(shop, isUnderWay ? [] : words, onBegun);
      const earlier = /^an earlier purchase: (delivered)?/m.exec(ran.stderr);
      if (earlier) return this.ended({ shop, product, delivered: earlier[1] !== undefined });
      const told = ran.json.find((one) => typeof one.delivered === "boolean");
      if (told) return this.ended({ shop, product, delivered: told.delivered === true });
      // It came to nothing: was something begun?
      isUnderWay = isUnderWay ? ran.code !== 0 : true;
      last = `${ran.code}: ${ran.stderr}`;
    }
    throw new GivenUp(`nobody knows what became of ${what}: ${last}`);
  }

  private ended(bought: Bought): Bought {
    this.bought.push(bought);
    return bought;
  }

  private path(name: string, step: () => Promise<void>): void {
    this.paths.push({ name, done: 0, step });
  }

  private async walk(path: Path): Promise<void> {
    try {
      while (!this.isOver && !this.failure) {
        await path.step();
        path.done++;
        await pause(PAUSE_MS);
      }
    } catch (cause) {
      this.failure ??= new Error(`${path.name}: ${(cause as Error).message}`, { cause });
    }
  }

  private check(): void {
    if (this.failure) throw this.failure;
  }

  /** Not whole satoshis: what is lost in rounding would show. */
  private amount(): number {
    return 5_000_000 + (++this.turn % 50) * 1_237;
  }

  private async payInvoice(from: GatewayPart, to: GatewayPart): Promise<void> {
    const msat = this.amount();
    const { invoice, payment_hash: hash } = await to.ask("createInvoice", (client) =>
      client.createInvoice({ amount_msat: msat, memo: "the day" }),
    );
    let failures = 0;
    const end = Date.now() + SETTLE_MS;
    for (let key = `${hash}-0`; Date.now() < end; await pause(AGAIN_MS)) {
      const payment = await from.ask("payInvoice", (client) =>
        client.payInvoice(invoice, { idempotencyKey: key, timeout_seconds: 10 }),
      );
      if (payment.status === "succeeded") {
        this.paid.push({ hash, from, to, msat, failures });
        return;
      }
      if (payment.status === "failed") key = `${hash}-${++failures}`;
    }
    throw new GivenUp(`the invoice ${hash} was not paid`);
  }

  private async push(from: GatewayPart): Promise<void> {
    const msat = this.amount();
    await this.pushOnce(from, this.channel, msat);
    this.pushed.push({ from, msat });
  }

  /** A machine gives back what buys nothing. */
  private async gift({ machine, gateway }: Shop): Promise<void> {
    const channel = () =>
      gateway.ask("listChannels", async (client) => {
        const all = await client.listChannels({ peer_node_id: machine.nodeId });
        return all.find(({ state }) => state === "normal");
      });
    const before = await until(`a channel with ${machine.name}`, channel);
    await this.pushOnce(gateway, before.channel_id, GIFT_SAT * 1_000);
    const isBack = async () => (await channel())?.local_balance_msat === before.local_balance_msat;
    await until(`${machine.name} gives ${GIFT_SAT} sat back`, isBack, {
      ms: SETTLE_MS,
      stepMs: 100,
    });
    this.gifts++;
  }

  /** Once, however often it takes to hear of it. */
  private async pushOnce(from: GatewayPart, channel_id: string, amount_msat: number) {
    const idempotencyKey = `push-${from.name}-${channel_id.slice(0, 8)}-${++this.turn}`;
    const end = Date.now() + SETTLE_MS;
    for (let last = ""; ; await pause(AGAIN_MS)) {
      if (Date.now() > end)
        throw new GivenUp(`a push of gateway ${from.name} did not end: ${last}`);
      try {
        const { state } = await from.ask("payChannel", (client) =>
          client.payChannel({ channel_id, amount_msat }, { idempotencyKey }),
        );
        if (state === "succeeded") return;
        last = state;
      } catch (cause) {
        // Its peer is away: nothing was paid.
        if (!(cause instanceof GatewayProblem)) throw cause;
        last = `${cause.problem}: ${cause.message}`;
      }
    }
  }
}
