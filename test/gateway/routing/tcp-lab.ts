/** Gateways and nodes behind them on one chain, joined by TCP on loopback; a clock of the lab's own, so that a second is a moment. */
import { setTimeout as pause } from "node:timers/promises";
import type { ChannelEvent } from "../../../core/channel/effects.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import type { Store } from "../../../core/ports/store.ts";
import { type ChannelId, milliSatoshi, satoshi } from "../../../core/primitives/brands.ts";
import { ascii } from "../../../core/primitives/bytes.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import { Gateway } from "../../../gateway/gateway.ts";
import { connectTcp, listenTcp, type TcpListener } from "../../../gateway/links/tcp.ts";
import type { Circular } from "../../../gateway/payments/circular.ts";
import type { ForwardPolicy } from "../../../gateway/payments/forward-policy.ts";
import type { Payment } from "../../../gateway/payments/ledger.ts";
import { MemoryLedger } from "../../../gateway/payments/memory-ledger.ts";
import { directHop } from "../../../gateway/payments/next-hop.ts";
import { gatewayRoute } from "../../../gateway/payments/routes.ts";
import type { Routing } from "../../../gateway/routing/routing.ts";
import type { ChainLab } from "../../support/chain-lab.ts";
import { BackupStore } from "../../support/chain-node.ts";
import { crypto } from "../../support/node-pair.ts";
import { PATIENCE_MS } from "../../support/patience.ts";
import { paymentPolicy, START_SECONDS } from "../../support/payment-lab.ts";

/** What a node behind a gateway believes that it asks for, before it is told. */
const guessed = {
  feeBaseMsat: milliSatoshi(1_000),
  feeProportionalMillionths: 1_000,
  cltvExpiryDelta: 40,
};
const PACE_MS = 5;

export type Terms = Pick<
  ForwardPolicy,
  "feeBaseMsat" | "feeProportionalMillionths" | "cltvExpiryDelta"
> &
  Partial<Pick<ForwardPolicy, "holdMs">> & { readonly circular?: Circular };

export class Member {
  gateway!: Gateway;
  listener!: TcpListener;
  readonly signer: SeedSigner;
  readonly alarms: string[] = [];
  readonly events: { id: ChannelId; event: ChannelEvent }[] = [];
  readonly payments: { payment: Payment; reason: string | undefined }[] = [];
  ledger = new MemoryLedger();
  store: Store = new BackupStore();
  private drawn = 0;

  constructor(
    readonly lab: TcpLab,
    readonly name: string,
    readonly terms: Terms,
    /** A device-like node: no table, no announcement; it pays through this gateway. */
    readonly behind?: Member,
  ) {
    this.signer = new SeedSigner(crypto, crypto.sha256(ascii(`${lab.title}/${name}`)));
  }

  get id() {
    return this.signer.nodeId;
  }

  get bank() {
    const { payments } = this.gateway;
    if (!payments) throw new Error("makes no payments");
    return payments;
  }

  get routing(): Routing {
    const { routing } = this.gateway;
    if (!routing) throw new Error("keeps no table");
    return routing;
  }

  async start(): Promise<this> {
    const { lab, behind } = this;
    const node = () => this.gateway.node;
    this.gateway = await Gateway.start({
      crypto,
      entropy: {
        random: (length) =>
          crypto.sha256(ascii(`${lab.title} ${this.name} ${++this.drawn}`)).slice(0, length),
      },
      store: this.store,
      signer: this.signer,
      source: await lab.chain.source(),
      wallet: await lab.chain.wallet(`${lab.title} ${this.name}`),
      payoutScript: p2wpkh(crypto, this.id),
      policy: paymentPolicy,
      nowMs: lab.nowMs,
      routing: !behind,
      payments: {
        ledger: this.ledger,
        network: "regtest",
        policy: { holdMs: 1_000, ...this.terms },
        circular: this.terms.circular,
        nowSeconds: () => lab.nowSeconds,
        onPayment: (payment, reason) => this.payments.push({ payment, reason }),
        ...(behind && {
          findRoute: gatewayRoute(directHop(node), behind.id, guessed),
          routes: [[{ nodeId: behind.id, shortChannelId: new Uint8Array(8), ...guessed }]],
        }),
      },
      events: {
        onChannelEvent: (id, event) => this.events.push({ id, event }),
        onPeer: () => {},
        onBlock: () => {},
        onPublished: () => {},
        onDeviceFunded: () => {},
        onAlarm: (text) => this.alarms.push(text),
      },
    });
    this.listener = await listenTcp({
      host: "127.0.0.1",
      port: 0,
      attach: (link) => this.gateway.attach(link),
    });
    return this;
  }

  /** Its process is gone, and starts again from what its store and ledger hold; nobody has called it yet. */
  async restart(): Promise<void> {
    await this.halt();
    await this.start();
  }

  /** Its process is gone; its store and ledger are not. */
  async halt(): Promise<void> {
    const { store } = this;
    const close = store.close.bind(store);
    store.close = () => {};
    await this.stop();
    store.close = close;
  }

  async dial(other: Member): Promise<void> {
    const link = await connectTcp({ host: "127.0.0.1", port: other.listener.port });
    this.gateway.attach(link, other.id);
    await this.lab.until("they are connected", () => this.gateway.node.isConnected(other.id));
  }

  /** Ours with `other`, the first. */
  channelWith(other: Member): ChannelId {
    const [found] = this.gateway.node.channels(other.id);
    if (!found) throw new Error(`${this.name} has no channel with ${other.name}`);
    return found.id;
  }

  /** Ours in all channels with `other`, in millisatoshi. */
  balance(other: Member): number {
    return this.gateway.node.record(this.channelWith(other))?.base.toLocalMsat ?? Number.NaN;
  }

  async invoice(amountMsat: number): Promise<string> {
    const made = await this.bank.invoices.create({ amountMsat: milliSatoshi(amountMsat) });
    return made.text;
  }

  /** How it ended. */
  async pay(text: string): Promise<Payment> {
    const { paymentHash } = await this.bank.payInvoice(text);
    return (await this.bank.news.end("sent", paymentHash)).payment;
  }

  async stop(): Promise<void> {
    await this.listener?.close();
    await this.gateway?.stop();
  }
}

export class TcpLab {
  readonly members: Member[] = [];
  nowMs = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(
    readonly chain: ChainLab,
    readonly title: string,
  ) {
    this.timer = setInterval(() => {
      this.nowMs += 50;
      for (const { gateway } of this.members) gateway?.tick(this.nowMs);
    }, PACE_MS);
  }

  get nowSeconds(): number {
    return START_SECONDS + Math.floor(this.nowMs / 1_000);
  }

  async add(name: string, terms: Terms = guessed, behind?: Member): Promise<Member> {
    const member = await new Member(this, name, terms, behind).start();
    this.members.push(member);
    return member;
  }

  /** A million satoshis, half of each; its funding waits for a block. */
  async openChannel(from: Member, to: Member): Promise<void> {
    await to.dial(from);
    const waiting = (await this.chain.mempool()).length;
    from.gateway.node.open({
      remoteNodeId: to.id,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(1_000_000),
      pushMsat: milliSatoshi(500_000_000),
      feeratePerKw: 0,
    });
    const isMade = () => from.events.some(({ event }) => event.type === "created");
    await this.until("the channel is made", () => isMade() && this.records(from, to) > 0);
    await this.until("it is funded", async () => (await this.chain.mempool()).length > waiting);
  }

  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      await this.chain.mine(1);
      const height = await this.chain.height();
      await this.until("all know the block", () =>
        this.members.every(({ gateway }) => gateway.node.height >= height),
      );
    }
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const giveUp = performance.now() + PATIENCE_MS;
    while (!(await isSo())) {
      if (performance.now() > giveUp) {
        const alarms = this.members.flatMap(({ name, alarms }) =>
          alarms.map((a) => `${name}: ${a}`),
        );
        throw new Error(`waited in vain until ${what}; ${alarms.join("; ")}`);
      }
      await pause(PACE_MS);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    for (const member of this.members) await member.stop();
  }

  private records(from: Member, to: Member): number {
    return from.gateway.node.channels(to.id).filter(({ channel }) => channel.kind === "live")
      .length;
  }
}
