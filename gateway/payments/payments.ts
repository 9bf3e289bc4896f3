/** Payments of a gateway: what comes by HTLC is forwarded, or settles its invoices; what it owes it pays. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Node } from "../../core/node/node.ts";
import { decodeInstructions, type Instructions } from "../../core/payments/instructions.ts";
import type { InvoiceNetwork, RouteHop } from "../../core/payments/invoice/invoice.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import type {
  ChannelId,
  MilliSatoshi,
  PaymentHash,
  PublicKey,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { Attempts, type Entrusting } from "./attempts.ts";
import { targetOfInvoice } from "./bolt11.ts";
import type { Circular } from "./circular.ts";
import {
  defaultForwardPolicy,
  type ForwardPolicy,
  minimumCltvExpiryDelta,
} from "./forward-policy.ts";
import { Forwarder } from "./forwarder.ts";
import { fulfillIncoming, type IncomingHtlc, refuseIncoming, sameIncoming } from "./incoming.ts";
import { invoiceIn } from "./invoice-text.ts";
import { Invoices } from "./invoices.ts";
import type { Ledger, Payment } from "./ledger.ts";
import { PaymentNews } from "./news.ts";
import { directHop, type FindNextHop, type Router } from "./next-hop.ts";
import { Payer, type PayOptions } from "./payer.ts";
import { PaymentError } from "./payment-error.ts";
import { directRoute, type FindRoute, routedRoute } from "./routes.ts";

/** Questions to the ledger, which may take them together. */
const ASKED_TOGETHER = 1_000;

export interface PaymentsOptions {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly signer: Pick<NodeSigner, "ecdh" | "nodeId" | "sign">;
  readonly ledger: Ledger;
  readonly network: InvoiceNetwork;
  readonly policy?: Partial<ForwardPolicy>;
  /** The node to whose channels this belongs; asked for when it has started. */
  node(): Node;
  nowSeconds(): number;
  /** Where an HTLC for another node goes; default: channels with that node itself. */
  readonly nextHop?: FindNextHop;
  /** The first HTLC of a payment of ours; default: channels with the destination itself. */
  readonly findRoute?: FindRoute;
  /** In our invoices: the gateways that lead here, where nobody announces our channels. */
  readonly routes?: readonly (readonly RouteHop[])[];
  /** Ways over other gateways; without it there are none. */
  readonly router?: Router | undefined;
  /** Payments of ours to ourselves; without it there are none. */
  readonly circular?: Circular | undefined;
  /** Why no HTLC is begun, forwarded or taken now; undefined: it is. What is under way goes on. */
  chainRefusal?(): string | undefined;
  /** Other processes run other channels of the same node, and write into the same ledger. */
  readonly entrusting?: Entrusting | undefined;
  /** A payment succeeded or failed; `reason` is for people. */
  onPayment?(payment: Payment, reason?: string): void;
  onAlarm(text: string): void;
}

export class Payments {
  readonly invoices: Invoices;
  readonly payer: Payer;
  readonly ledger: Ledger;
  readonly policy: ForwardPolicy;
  readonly news: PaymentNews;
  private readonly forwarder: Forwarder;
  private readonly attempts: Attempts;
  private height = 0;
  private halted = false;

  constructor(private readonly options: PaymentsOptions) {
    const { ledger } = options;
    const node = () => options.node();
    const nowSeconds = () => options.nowSeconds();
    const onAlarm = (text: string) => options.onAlarm(text);
    this.news = new PaymentNews(ledger);
    const onPayment = (payment: Payment, reason?: string) => {
      options.onPayment?.(payment, reason);
      this.news.tell(payment, reason);
    };
    const nextHop = options.nextHop ?? directHop(node);
    const { router } = options;
    const direct = directRoute(nextHop);
    const findRoute = options.findRoute ?? (router ? routedRoute(direct, router) : direct);
    this.ledger = ledger;
    this.policy = { ...defaultForwardPolicy, ...options.policy };
    this.attempts = new Attempts(node, options.entrusting);
    options.entrusting?.serve(this.attempts, nextHop);
    const common = { ...options, node, nowSeconds, onAlarm, onPayment, attempts: this.attempts };
    this.forwarder = new Forwarder({ ...common, policy: this.policy, nextHop });
    this.payer = new Payer({ ...common, findRoute });
    this.invoices = new Invoices(common);
  }

  /** After the node has read its channels, before it hears of peers or blocks. */
  async start(): Promise<void> {
    const node = this.options.node();
    const { policy } = node.options;
    const least = minimumCltvExpiryDelta(policy);
    if (this.policy.cltvExpiryDelta < least) {
      const text = `cltvExpiryDelta must be at least ${least} blocks: a payment that ends on chain takes as long to be settled.`;
      throw new PaymentError("bad-policy", text);
    }
    if (this.options.entrusting) {
      await this.adopt(node.channels().map(({ id }) => id));
      this.payer.resume(await this.ledger.orphans(true));
    } else {
      const pending = await this.ledger.pending();
      this.forwarder.resume([...pending, ...(await this.unsettled())]);
      this.payer.resume(pending);
    }
    this.attempts.checkAll();
  }

  /** Channels that another process ran until now; before their peers are heard. */
  async adopt(channels: readonly ChannelId[]): Promise<void> {
    if (channels.length === 0) return;
    await this.options.entrusting?.adopt(channels);
    const pending = await this.ledger.pending(channels);
    this.forwarder.resume([...pending, ...(await this.unsettled(channels))]);
    this.payer.resume(await this.ledger.orphans(false));
  }

  /** These channels begin to go to another process. */
  leave(channels: readonly ChannelId[]): void {
    this.attempts.leave(channels);
  }

  /** Nothing of them is under way any more; others can take them up when it resolves. */
  async handOver(channels: readonly ChannelId[]): Promise<void> {
    this.forwarder.drop(channels);
    await this.attempts.handOver(channels);
  }

  /** Another process may have taken all of it up. */
  halt(): void {
    this.halted = true;
    this.attempts.halt();
  }

  /** Resolved here, not yet in the channel that they came from. */
  private async unsettled(of?: readonly ChannelId[]): Promise<readonly Payment[]> {
    const node = this.options.node();
    const ids = of ?? node.channels().map(({ id }) => id);
    const open = ids.flatMap((channelId) =>
      (node.record(channelId)?.base.htlcs ?? [])
        .filter(({ offeredByLocal, preimage }) => !offeredByLocal && !preimage)
        .map(({ id, paymentHash }) => ({ at: { channelId, htlcId: id }, paymentHash })),
    );
    const found: Payment[] = [];
    for (let from = 0; from < open.length; from += ASKED_TOGETHER) {
      const some = open.slice(from, from + ASKED_TOGETHER);
      const all = await Promise.all(some.map(({ at, paymentHash }) => this.ended(at, paymentHash)));
      found.push(...all.flatMap((forward) => forward ?? []));
    }
    return found;
  }

  /** A forwarded payment that has ended, and its incoming HTLC does not know; one to ourselves is fulfilled. */
  private async ended(at: IncomingHtlc, hash: PaymentHash): Promise<Payment | undefined> {
    const [forward, own] = await Promise.all([
      this.ledger.get("forwarded", hash),
      this.ledger.get("received", hash),
    ]);
    if (own?.preimage && sameIncoming(own.incoming, at)) {
      fulfillIncoming(this.options.node(), at, own.preimage);
    }
    if (!forward || forward.status === "pending") return undefined;
    return sameIncoming(forward.incoming, at) ? forward : undefined;
  }

  tick(nowMs: number): void {
    if (this.halted) return;
    this.forwarder.tick(nowMs);
    this.payer.tick(nowMs);
    const { height } = this.options.node();
    if (height === this.height) return;
    this.height = height;
    this.attempts.checkAll();
    this.forwarder.sweep();
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    if (this.halted) return;
    this.attempts.channelEvent(id, event);
    if (event.type === "reestablished" || event.type === "ready") {
      this.forwarder.awake();
      this.options.entrusting?.look();
    }
    if (event.type === "htlcSettled") {
      this.forwarder.settled({ channelId: id, htlcId: event.htlcId }, event.paymentHash);
    }
    if (event.type === "htlcReceived") this.run(this.received(id, event));
  }

  private async received(
    channelId: ChannelId,
    told: Extract<ChannelEvent, { type: "htlcReceived" }>,
  ): Promise<void> {
    const { htlc } = told;
    const declined = told.declined ?? this.options.chainRefusal?.();
    const at: IncomingHtlc = { channelId, htlcId: htlc.id };
    const instructions = this.instructionsOf(htlc.onion);
    switch (instructions?.type) {
      case undefined:
        refuseIncoming(this.options.node(), at, "invalidOnionPayload");
        return;
      case "onion":
        refuseIncoming(this.options.node(), at, "invalidOnionVersion");
        return;
      case "forward":
        if (this.isOurs(instructions.destination)) {
          await this.invoices.received(at, htlc, instructions.sealed, declined);
        } else await this.forwarder.received(at, htlc, instructions, declined);
        return;
      case "final":
        await this.invoices.received(at, htlc, instructions.sealed, declined);
    }
  }

  private instructionsOf(onion: Uint8Array): Instructions | undefined {
    try {
      return decodeInstructions(this.options.crypto, onion);
    } catch (cause) {
      if (cause instanceof ProtocolViolation) return undefined;
      throw cause;
    }
  }

  private isOurs(destination: PublicKey): boolean {
    return equal(destination, this.options.signer.nodeId);
  }

  /** Pays a BOLT 11 invoice, as people paste it. @throws InvoiceError, PaymentError before anything is written or moves. */
  async payInvoice(
    text: string,
    options: PayOptions & { readonly amountMsat?: MilliSatoshi } = {},
  ): Promise<Payment> {
    const { crypto, network } = this.options;
    const refusal = this.options.chainRefusal?.();
    if (refusal !== undefined)
      throw new PaymentError("stale-chain", `Nothing was paid: ${refusal}.`);
    const nowSeconds = this.options.nowSeconds();
    const { amountMsat } = options;
    const target = targetOfInvoice(crypto, invoiceIn(text), { network, nowSeconds, amountMsat });
    return this.payer.pay(target, options);
  }

  /** How a payment of ours stands; undefined: it was never begun. */
  async payment(hash: PaymentHash): Promise<Payment | undefined> {
    return this.ledger.get("sent", hash);
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) =>
      this.options.onAlarm(cause instanceof Error ? cause.message : String(cause)),
    );
  }
}
