/** A wallet pays BOLT 11 invoices through its gateway: amount and hash are its own choice, each hash is paid once, and what an earlier run began comes first. */
import { randomBytes } from "node:crypto";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { InvoiceNetwork } from "../../core/payments/invoice/invoice.ts";
import { InvoiceError } from "../../core/payments/invoice/invoice-error.ts";
import { parseInvoice } from "../../core/payments/invoice/parse-invoice.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  type ChannelId,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
} from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { Device } from "../../firmware/device.ts";
import { Attempts } from "../../gateway/payments/attempts.ts";
import type { ForwardTerms } from "../../gateway/payments/forward-policy.ts";
import { invoiceIn } from "../../gateway/payments/invoice-text.ts";
import type { Ledger, Payment } from "../../gateway/payments/ledger.ts";
import { directHop } from "../../gateway/payments/next-hop.ts";
import { Payer, type PaymentTarget, type PayOptions } from "../../gateway/payments/payer.ts";
import { gatewayRoute } from "../../gateway/payments/routes.ts";
import type { Wallet } from "./wallet.ts";

/** A gateway's where its operator sets no others; one that asks for more says so, and is paid that. */
const USUAL_TERMS: ForwardTerms = {
  feeBaseMsat: milliSatoshi(1_000),
  feeProportionalMillionths: 100,
  cltvExpiryDelta: 80,
};

export interface Ended {
  readonly payment: Payment;
  /** Why it failed, for people. */
  readonly reason?: string | undefined;
}

export interface InvoicePayerParts {
  readonly crypto: Crypto;
  readonly wallet: Pick<Wallet, "ledger">;
  readonly gatewayId: PublicKey;
  node(): Device["node"];
  nowSeconds(): number;
  onAlarm(text: string): void;
  onEnded(): void;
}

export class InvoicePayer {
  /** Payments that ended in this run, by hash in hexadecimal. */
  readonly ended = new Map<string, Ended>();
  /** What earlier runs began, and did not see the end of. */
  underWay: readonly Payment[] = [];
  private readonly attempts: Attempts;
  private readonly payer: Payer;
  private readonly ledger: Ledger;
  private readonly crypto: Crypto;

  constructor(parts: InvoicePayerParts) {
    const { crypto, wallet, gatewayId } = parts;
    const node = () => parts.node();
    this.ledger = wallet.ledger;
    this.crypto = crypto;
    this.attempts = new Attempts(node);
    this.payer = new Payer({
      node,
      crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      attempts: this.attempts,
      ledger: this.ledger,
      findRoute: gatewayRoute(directHop(node), gatewayId, USUAL_TERMS),
      nowSeconds: () => parts.nowSeconds(),
      onAlarm: (text) => parts.onAlarm(text),
      onPayment: (payment, reason) => {
        this.ended.set(toHex(payment.paymentHash), { payment, reason });
        parts.onEnded();
      },
    });
  }

  /** Once the node has read its channels, before it hears of a peer. */
  async start(): Promise<void> {
    this.underWay = await this.ledger.pending();
    this.payer.resume(this.underWay);
    this.attempts.checkAll();
  }

  tick(nowMs: number): void {
    this.payer.tick(nowMs);
  }

  channelEvent(id: ChannelId, event: ChannelEvent): void {
    this.attempts.channelEvent(id, event);
    if (event.type === "closed" || event.type === "forgotten") this.attempts.checkAll();
  }

  /** The chain was heard of. */
  tip(): void {
    this.attempts.checkAll();
  }

  /** An invoice that this wallet has paid, however old; undefined also where it is none. */
  async succeeded(text: string): Promise<Payment | undefined> {
    const hash = hashIn(this.crypto, text);
    const sent = hash && (await this.ledger.get("sent", hash));
    return sent?.status === "succeeded" ? sent : undefined;
  }

  /** Durable when it is told; its end is in `ended`, unless it had ended before. */
  pay(target: PaymentTarget, options: PayOptions): Promise<Payment> {
    return this.payer.pay(target, options);
  }
}

function hashIn(crypto: Crypto, text: string): PaymentHash | undefined {
  try {
    return parseInvoice(crypto, invoiceIn(text)).paymentHash;
  } catch (cause) {
    if (cause instanceof InvoiceError) return undefined;
    throw cause;
  }
}

/** BOLT 11's prefixes know one testnet. */
export function walletNetwork({ network }: Pick<Wallet, "network">): InvoiceNetwork {
  return network === "testnet4" ? "testnet" : network;
}
