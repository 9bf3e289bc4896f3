/** The Ledger port: durable rows of payments and invoices, in order with the channel store's commits (issue 4). */
import type {
  ChannelId,
  MilliSatoshi,
  PaymentHash,
  Preimage,
  PublicKey,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";

/** Forwarded: through us. Sent: by this gateway. Received: on an invoice of this gateway. */
export type PaymentKind = "forwarded" | "sent" | "received";
export type PaymentStatus = "pending" | "succeeded" | "failed";

export interface Payment {
  readonly kind: PaymentKind;
  readonly paymentHash: PaymentHash;
  readonly status: PaymentStatus;
  /** What the payee gets. */
  readonly amountMsat: MilliSatoshi;
  /** Forwarded: earned. Sent: paid. Received: 0. */
  readonly feeMsat: MilliSatoshi;
  /** The HTLC offered to us. */
  readonly incoming?: { readonly channelId: ChannelId; readonly htlcId: number } | undefined;
  /** The channel in which we offered an HTLC; written before that is done. */
  readonly outgoing?: ChannelId | undefined;
  readonly destination?: PublicKey | undefined;
  readonly createdAt: number; // seconds since 1970
  readonly resolvedAt?: number | undefined;
  readonly preimage?: Preimage | undefined;
  /** BOLT 4 failure code, where it failed and a reason is known. */
  readonly failure?: number | undefined;
  /** What a retry of a pending payment needs; of a failed one, why it failed (gateway/payments/retry.ts). */
  readonly retry?: Uint8Array | undefined;
}

/** An invoice of this gateway; it is paid when there is a received payment of its hash. */
export interface StoredInvoice {
  readonly paymentHash: PaymentHash;
  readonly preimage: Preimage;
  readonly paymentSecret: Uint8Array;
  /** Absent: the payer chooses. */
  readonly amountMsat?: MilliSatoshi | undefined;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly minFinalCltvExpiryDelta: number;
  readonly memo: string;
  /** In the invoice instead of the memo: SHA-256 of a description that comes by other ways. */
  readonly descriptionHash?: Uint8Array | undefined;
}

/** Where an invoice stands in the list of all. */
export type InvoicePlace = Pick<StoredInvoice, "createdAt" | "paymentHash">;

export interface PaymentFilter {
  readonly kind?: PaymentKind;
  readonly status?: PaymentStatus;
  /** Of `createdAt`, in seconds since 1970: from is in, until is not. */
  readonly from?: number;
  readonly until?: number;
  /** A channel on either side, or the destination. */
  readonly party?: ChannelId | PublicKey;
  /** Only those made before this one (`sequence` of an earlier answer). */
  readonly before?: number;
  /** At most MAX_LISTED. */
  readonly limit?: number;
}

export type ListedPayment = Payment & { readonly sequence: number };

export interface PaymentTotals {
  readonly count: number;
  readonly amountMsat: number;
  readonly feeMsat: number;
}

type Awaitable<T> = T | Promise<T>;

/** Rule `one-htlc-per-hash`: whether what is known stands in the way of another of its kind and hash. */
export function isInTheWay(known: Payment | undefined, of: Payment): boolean {
  if (!known || known.status === "failed") return false;
  const { incoming } = of;
  const isSame = incoming !== undefined && isOver(known, [incoming.channelId]);
  const isFurther = known.status !== "pending" && known.status !== of.status;
  return isFurther || !isSame || known.incoming?.htlcId !== incoming.htlcId;
}

export function isOver({ incoming }: Payment, channels: readonly ChannelId[]): boolean {
  return incoming !== undefined && channels.some((id) => equal(id, incoming.channelId));
}

/** Rows of one answer. */
export const MAX_LISTED = 1_000;

export interface Ledger {
  /**
   * Adds a payment, or replaces that of the same kind and hash, which keeps its place. Durable when the promise is
   * fulfilled; and no commit of the channel store that is given after this call becomes durable without it, also where
   * the promise is rejected (disk full: it is written with the next).
   */
  put(payment: Payment): Promise<void>;
  /**
   * As `put`, where no payment of that kind and hash stands in its way: one that failed does not, nor one of the same
   * incoming HTLC that is no further. False, and nothing changes, where one does; whichever process it belongs to.
   */
  claim(payment: Payment): Promise<boolean>;
  /** This and all below see whatever was put before. */
  get(kind: PaymentKind, hash: PaymentHash): Awaitable<Payment | undefined>;
  /** Every pending payment, oldest first; with `incoming` forwarded ones alone that came over these channels. */
  pending(incoming?: readonly ChannelId[]): Awaitable<readonly Payment[]>;
  /** Pending payments of the gateway's own whose process is gone: this one's from now on. At a start also what was its own. */
  orphans(isStart: boolean): Awaitable<readonly Payment[]>;
  /** Newest first. */
  list(filter: PaymentFilter): Awaitable<readonly ListedPayment[]>;
  /** Sums over all that the filter names, without its `before` and `limit`. */
  totals(filter: PaymentFilter): Awaitable<PaymentTotals>;

  putInvoice(invoice: StoredInvoice): Promise<void>;
  invoice(hash: PaymentHash): Awaitable<StoredInvoice | undefined>;
  /** Newest first, of one second in the order of their hashes; those that come after `before` there. */
  invoices(options: {
    readonly limit?: number;
    readonly before?: InvoicePlace;
  }): Awaitable<readonly StoredInvoice[]>;
}
