/** Payer, gateway and payee on one chain: alice and bob are nodes of their own, each with a channel with the gateway between them. */

import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { hostPolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Store } from "../../core/ports/store.ts";
import { type ChannelId, milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { ascii, equal } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { Gateway } from "../../gateway/gateway.ts";
import type { ForwardPolicy } from "../../gateway/payments/forward-policy.ts";
import type { Ledger, Payment, StoredInvoice } from "../../gateway/payments/ledger.ts";
import { MemoryLedger } from "../../gateway/payments/memory-ledger.ts";
import { directHop } from "../../gateway/payments/next-hop.ts";
import type { PaymentTarget } from "../../gateway/payments/payer.ts";
import { gatewayRoute } from "../../gateway/payments/routes.ts";
import { Cable } from "./cable.ts";
import type { ChainLab } from "./chain-lab.ts";
import { BackupStore } from "./chain-node.ts";
import { InFlight } from "./in-flight.ts";
import { crypto } from "./node-pair.ts";

/** Few blocks to an end; an HTLC that expires has room for it. */
export const paymentPolicy: ChannelPolicy = {
  ...hostPolicy,
  toSelfDelay: 6,
  minimumDepth: 1,
  fulfillSafetyBlocks: 6,
  timeoutGraceBlocks: 1,
  irrevocableDepth: 8,
};

export const labTerms = {
  feeBaseMsat: milliSatoshi(1_000),
  feeProportionalMillionths: 2_500,
  cltvExpiryDelta: 40,
};

export const START_SECONDS = 1_800_000_000;

/** One whole gateway; as payer or payee it is what a host's node would be. */
export class Party {
  gateway!: Gateway;
  readonly signer: SeedSigner;
  readonly told: { id: ChannelId; event: ChannelEvent }[] = [];
  readonly alarms: string[] = [];
  readonly payments: { payment: Payment; reason: string | undefined }[] = [];
  policy: Partial<ForwardPolicy> = { ...labTerms, holdMs: 5_000 };
  store: Store = new BackupStore();
  ledger: Ledger = new MemoryLedger();
  private lives = 0;

  constructor(
    readonly lab: PaymentLab,
    readonly name: string,
    /** Whom it pays through, where it has one. */
    readonly through?: Party,
  ) {
    this.signer = new SeedSigner(crypto, crypto.sha256(ascii(`${lab.title}/${name}`)));
  }

  get id() {
    return this.signer.nodeId;
  }

  get node() {
    return this.gateway.node;
  }

  get bank() {
    const { payments } = this.gateway;
    if (!payments) throw new Error("this party makes no payments");
    return payments;
  }

  async start(): Promise<this> {
    const life = ++this.lives;
    let drawn = 0;
    const node = () => this.gateway.node;
    const { through } = this;
    this.gateway = await Gateway.start({
      crypto,
      entropy: {
        random: (length) =>
          crypto
            .sha256(ascii(`${this.lab.title} ${this.name} ${life} ${++drawn}`))
            .slice(0, length),
      },
      store: this.store,
      signer: this.signer,
      source: this.lab.inFlight.watch(await this.lab.chain.source()),
      wallet: this.lab.inFlight.watch(
        await this.lab.chain.wallet(`${this.lab.title} ${this.name}`),
      ),
      payoutScript: p2wpkh(crypto, this.id),
      policy: paymentPolicy,
      nowMs: this.lab.nowMs,
      payments: {
        ledger: this.ledger,
        network: "regtest",
        policy: this.policy,
        nowSeconds: () => this.lab.nowSeconds,
        onPayment: (payment, reason) => this.payments.push({ payment, reason }),
        ...(through && { findRoute: gatewayRoute(directHop(node), through.id, labTerms) }),
      },
      events: {
        onChannelEvent: (id, event) => this.told.push({ id, event }),
        onPeer: () => {},
        onBlock: () => {},
        onPublished: () => {},
        onDeviceFunded: () => {},
        onAlarm: (text) => this.alarms.push(text),
      },
    });
    return this;
  }

  events<T extends ChannelEvent["type"]>(type: T): Extract<ChannelEvent, { type: T }>[] {
    return this.told.flatMap(({ event }) => (event.type === type ? [event as never] : []));
  }

  channelWith(other: Party): ChannelId {
    const [found] = this.node.channels(other.id);
    if (!found) throw new Error(`${this.name} has no channel with ${other.name}`);
    return found.id;
  }

  /** Ours in the channel with `other`, in millisatoshi. */
  balance(other: Party): number {
    return this.node.record(this.channelWith(other))?.base.toLocalMsat ?? Number.NaN;
  }

  last(status: Payment["status"]) {
    return this.payments.filter(({ payment }) => payment.status === status).at(-1);
  }
}

export class PaymentLab {
  readonly gateway: Party;
  readonly alice: Party;
  readonly bob: Party;
  /** What the chain's node was asked; it answers in its own time. */
  readonly inFlight = new InFlight();
  nowMs = 0;
  private cables = new Map<string, Cable>();

  private constructor(
    readonly chain: ChainLab,
    readonly title: string,
  ) {
    this.gateway = new Party(this, "gateway");
    this.alice = new Party(this, "alice", this.gateway);
    this.bob = new Party(this, "bob", this.gateway);
  }

  /** Both channels are funded by the gateway's side, half of each is the other's. */
  static async make(chain: ChainLab, title: string, prepare?: (lab: PaymentLab) => void) {
    const lab = new PaymentLab(chain, title);
    prepare?.(lab);
    for (const party of lab.parties) await party.start();
    for (const other of [lab.alice, lab.bob]) {
      lab.connect(other);
      await lab.flow();
      lab.gateway.node.open({
        remoteNodeId: other.id,
        channelType: "zero_fee_commitments",
        fundingSatoshis: satoshi(1_000_000),
        pushMsat: milliSatoshi(500_000_000),
        feeratePerKw: 0,
      });
      await lab.flow();
    }
    await lab.mine(3);
    return lab;
  }

  get parties(): readonly Party[] {
    return [this.gateway, this.alice, this.bob];
  }

  get nowSeconds(): number {
    return START_SECONDS + Math.floor(this.nowMs / 1000);
  }

  /** A new cable from the gateway. */
  connect(other: Party): void {
    const cable = new Cable();
    this.gateway.gateway.attach(cable.ends[0], other.id);
    other.gateway.attach(cable.ends[1]);
    this.cables.set(other.name, cable);
  }

  disconnect(other: Party): void {
    const cable = this.cables.get(other.name);
    this.cables.delete(other.name);
    if (!cable) return;
    cable.lose();
    cable.cut = true;
    for (const end of cable.ends) end.onClosed("the cable was pulled");
  }

  /** The gateway's process is gone, and starts again from what its store and ledger hold. */
  async restartGateway(reconnect = true): Promise<void> {
    await this.stop(this.gateway);
    await this.gateway.start();
    if (!reconnect) return;
    for (const other of [this.alice, this.bob]) this.connect(other);
    await this.flow();
  }

  /** Without closing what outlives it. */
  async stop(party: Party): Promise<void> {
    const others = party === this.gateway ? [this.alice, this.bob] : [party];
    for (const other of others) this.disconnect(other);
    const { store } = party;
    const close = store.close.bind(store);
    store.close = () => {};
    await party.gateway.stop();
    store.close = close;
  }

  /** Until nothing moves. */
  async flow(): Promise<void> {
    for (let quiet = 0; quiet < 10; quiet++) {
      const isAnswered = await this.inFlight.wait();
      if ((await this.step(50)) > 0 || isAnswered) quiet = Math.min(quiet, 2);
    }
  }

  async pass(seconds: number): Promise<void> {
    for (let i = 0; i < seconds * 10; i++) await this.step(100);
  }

  async step(ms: number): Promise<number> {
    this.nowMs += ms;
    for (const { gateway } of this.parties) gateway.tick(this.nowMs);
    let moved = 0;
    for (const cable of this.cables.values()) moved += cable.pump();
    await new Promise((wake) => setImmediate(wake));
    return moved;
  }

  async mine(blocks: number): Promise<void> {
    for (let i = 0; i < blocks; i++) {
      await this.chain.mine(1);
      await this.flow();
    }
  }

  /** What bob's invoice asks alice for. */
  target(invoice: StoredInvoice, change: Partial<PaymentTarget> = {}): PaymentTarget {
    return {
      paymentHash: invoice.paymentHash,
      destination: this.bob.id,
      amountMsat: invoice.amountMsat ?? milliSatoshi(0),
      paymentSecret: invoice.paymentSecret,
      finalCltvDelta: invoice.minFinalCltvExpiryDelta,
      ...change,
    };
  }

  async invoice(amountMsat = 10_000_000): Promise<StoredInvoice> {
    return this.bob.bank.invoices.create({ amountMsat: milliSatoshi(amountMsat), memo: "tea" });
  }

  /** Nothing halted, nobody broke the protocol. */
  get troubles(): readonly string[] {
    return this.parties.flatMap((party) => [
      ...party.alarms,
      ...party.events("violation").map(({ text }) => text),
    ]);
  }

  async close(): Promise<void> {
    for (const party of this.parties) await this.stop(party).catch(() => {});
  }
}

export function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && equal(a, b);
}
