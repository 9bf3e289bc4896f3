/** The gateway's own invoices, and the HTLCs that pay them: settled once, for what was asked and no more than twice that (BOLT 4 "Requirements for the final node"). */
import type { Htlc } from "../../core/channel/record.ts";
import type { Node } from "../../core/node/node.ts";
import { openPayment, PAYMENT_SECRET_BYTES } from "../../core/payments/instructions.ts";
import {
  DEFAULT_EXPIRY_SECONDS,
  type InvoiceNetwork,
  type RouteHop,
} from "../../core/payments/invoice/invoice.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import {
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  paymentHash,
  preimage,
} from "../../core/primitives/brands.ts";
import { equalConstantTime, toHex } from "../../core/primitives/bytes.ts";
import { invoiceText } from "./bolt11.ts";
import type { Circular } from "./circular.ts";
import {
  fulfillIncoming,
  type IncomingHtlc,
  refuseIncoming,
  sameIncoming,
  unsettledHtlc,
} from "./incoming.ts";
import type { Ledger, Payment, StoredInvoice } from "./ledger.ts";
import { PaymentError } from "./payment-error.ts";

export interface InvoicesOptions {
  readonly node: () => Node;
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly signer: Pick<NodeSigner, "ecdh" | "nodeId" | "sign">;
  readonly network: InvoiceNetwork;
  readonly ledger: Ledger;
  /** In each invoice: the gateways that lead here, where nobody announces our channels. */
  readonly routes?: readonly (readonly RouteHop[])[];
  readonly circular?: Circular | undefined;
  nowSeconds(): number;
  /** It is durable: what was bought may be handed out. */
  onPayment(payment: Payment): void;
}

export interface InvoiceRequest {
  /** Absent: the payer chooses. */
  readonly amountMsat?: MilliSatoshi;
  /** At most 639 bytes, in the invoice unless there is a hash for it. */
  readonly memo?: string;
  readonly descriptionHash?: Uint8Array;
  readonly expirySeconds?: number;
}

export type MadeInvoice = StoredInvoice & { readonly text: string };

const MAX_EXPIRY_SECONDS = 365 * 86_400;
/**
 * What is paid and not settled with the peer is claimed on chain `fulfillSafetyBlocks` (18) before it expires: the rest, ten
 * hours, is how long a peer or a database may be away before that closes a channel. LND asks for as much.
 */
export const MIN_FINAL_CLTV_EXPIRY_DELTA = 80;
/** BOLT 4: a payer may add something against being traced, not more than this. */
const MOST_TIMES_OVERPAID = 2;

export class Invoices {
  /** HTLCs that are looked at right now, by payment hash: the second of two at once waits for its turn. */
  private readonly deciding = new Map<string, Promise<void>>();

  constructor(private readonly options: InvoicesOptions) {}

  /** Durable when it is told. @throws PaymentError, InvoiceError where no invoice can say it. */
  async create(request: InvoiceRequest): Promise<MadeInvoice> {
    const { crypto, entropy, ledger } = this.options;
    const {
      amountMsat,
      descriptionHash,
      memo = "",
      expirySeconds = DEFAULT_EXPIRY_SECONDS,
    } = request;
    if (amountMsat !== undefined && amountMsat <= 0) {
      throw new PaymentError("bad-amount", "An invoice asks for at least 1 msat, or for any sum.");
    }
    const isExpiry = Number.isSafeInteger(expirySeconds) && expirySeconds > 0;
    if (!isExpiry || expirySeconds > MAX_EXPIRY_SECONDS) {
      throw new PaymentError("bad-expiry", "An invoice holds from a second to a year.");
    }
    const secret = preimage(entropy.random(32));
    const createdAt = this.options.nowSeconds();
    const invoice: StoredInvoice = {
      paymentHash: paymentHash(crypto.sha256(secret)),
      preimage: secret,
      paymentSecret: entropy.random(PAYMENT_SECRET_BYTES),
      ...(amountMsat !== undefined && { amountMsat }),
      createdAt,
      expiresAt: createdAt + expirySeconds,
      minFinalCltvExpiryDelta: MIN_FINAL_CLTV_EXPIRY_DELTA,
      memo,
      ...(descriptionHash && { descriptionHash }),
    };
    const text = this.textOf(invoice);
    await ledger.putInvoice(invoice);
    return { ...invoice, text };
  }

  /** The same text as when it was made. */
  textOf(invoice: StoredInvoice): string {
    const { crypto, signer, network, routes } = this.options;
    return invoiceText(crypto, signer, invoice, { network, ...(routes && { routes }) });
  }

  /** An HTLC that ends here; told again after each reconnect until it is settled. */
  async received(
    at: IncomingHtlc,
    htlc: Htlc,
    sealed: Uint8Array,
    declined?: string,
  ): Promise<void> {
    const key = toHex(htlc.paymentHash);
    const before = this.deciding.get(key) ?? Promise.resolve();
    const turn = before.then(() => this.decide(at, htlc, sealed, declined));
    const quiet = turn.catch(() => {});
    this.deciding.set(key, quiet);
    try {
      await turn;
    } finally {
      if (this.deciding.get(key) === quiet) this.deciding.delete(key);
    }
  }

  private async decide(
    at: IncomingHtlc,
    htlc: Htlc,
    sealed: Uint8Array,
    declined?: string,
  ): Promise<void> {
    const { ledger } = this.options;
    const node = this.options.node();
    const hash = htlc.paymentHash;
    const invoice = await ledger.invoice(hash);
    const earlier = await ledger.get("received", hash);
    if (!unsettledHtlc(node, at, hash)) return;
    if (invoice && earlier) {
      if (sameIncoming(earlier.incoming, at)) fulfillIncoming(node, at, invoice.preimage);
      else refuseIncoming(node, at, "incorrectOrUnknownPaymentDetails");
      return;
    }
    const isAstray = this.options.circular?.isAstray(hash, at.channelId) ?? false;
    if (!invoice || isAstray || !this.pays(invoice, htlc, sealed)) {
      refuseIncoming(node, at, "incorrectOrUnknownPaymentDetails");
      return;
    }
    if (declined !== undefined) {
      refuseIncoming(node, at, "temporaryChannelFailure");
      return;
    }
    const now = this.options.nowSeconds();
    const payment: Payment = {
      kind: "received",
      paymentHash: hash,
      status: "succeeded",
      amountMsat: htlc.amountMsat,
      feeMsat: milliSatoshi(0),
      incoming: at,
      createdAt: now,
      resolvedAt: now,
      preimage: invoice.preimage,
    };
    // Rule `one-htlc-per-hash`: this HTLC and no other is settled for it, whatever is repeated or restarted.
    if (!(await ledger.claim(payment))) {
      refuseIncoming(node, at, "incorrectOrUnknownPaymentDetails");
      return;
    }
    fulfillIncoming(node, at, invoice.preimage);
    this.options.onPayment(payment);
  }

  private pays(invoice: StoredInvoice, htlc: Htlc, sealed: Uint8Array): boolean {
    const { crypto, signer, node, nowSeconds } = this.options;
    const opened = openPayment(crypto, signer, sealed, htlc.paymentHash);
    if (!opened || !equalConstantTime(opened.paymentSecret, invoice.paymentSecret)) return false;
    const asked = invoice.amountMsat ?? opened.totalMsat;
    const isEnough = opened.totalMsat >= asked && htlc.amountMsat >= opened.totalMsat;
    const isTooMuch = htlc.amountMsat > MOST_TIMES_OVERPAID * asked;
    const isInTime = htlc.cltvExpiry >= node().height + invoice.minFinalCltvExpiryDelta;
    return isEnough && !isTooMuch && isInTime && nowSeconds() <= invoice.expiresAt;
  }

  /** How an invoice stands: paid when its payment is in the ledger. */
  async state(hash: PaymentHash): Promise<"open" | "paid" | "expired" | undefined> {
    const invoice = await this.options.ledger.invoice(hash);
    if (!invoice) return undefined;
    if (await this.options.ledger.get("received", hash)) return "paid";
    return this.options.nowSeconds() <= invoice.expiresAt ? "open" : "expired";
  }
}
