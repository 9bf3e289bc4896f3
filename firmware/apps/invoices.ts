/** The HTLC invoices of a machine: few, kept over restarts, and asked for as often as anybody likes without wearing the flash. */
import type { ChannelRecord } from "../../core/channel/record.ts";
import {
  type ChannelId,
  channelId,
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  type Preimage,
  type PublicKey,
  paymentHash,
  preimage,
  publicKey,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";

/** Invoices that may be open at a time, and those of one payer. */
export const MAX_INVOICES = 16;
export const MAX_INVOICES_OF_ONE = 4;
/** An invoice that nobody paid for so long makes room. */
export const INVOICE_BLOCKS = 6;

export interface Invoice {
  readonly payer: PublicKey;
  readonly product: number;
  /** As quoted: it holds as long as the invoice does, whatever the price list says by then. */
  readonly amountMsat: MilliSatoshi;
  readonly preimage: Preimage;
  readonly paymentHash: PaymentHash;
  readonly madeAtHeight: number;
  /** The HTLC for which the preimage was given away: stored before it is. */
  readonly taken?: { readonly channelId: ChannelId; readonly htlcId: number } | undefined;
}

/** The one that this payer already has for the product at this price. */
export function openInvoice(
  invoices: readonly Invoice[],
  payer: PublicKey,
  product: number,
  amountMsat: MilliSatoshi,
): Invoice | undefined {
  return invoices.find(
    (one) =>
      equal(one.payer, payer) &&
      one.product === product &&
      one.amountMsat === amountMsat &&
      one.taken === undefined,
  );
}

/** The list with `invoice`; undefined where there is no room. */
export function withInvoice(
  invoices: readonly Invoice[],
  invoice: Invoice,
): readonly Invoice[] | undefined {
  const isStale = (one: Invoice) =>
    one.taken === undefined && one.madeAtHeight + INVOICE_BLOCKS <= invoice.madeAtHeight;
  const kept = invoices.filter((one) => !isStale(one));
  const theirs = kept.filter(({ payer }) => equal(payer, invoice.payer));
  if (theirs.length >= MAX_INVOICES_OF_ONE || kept.length >= MAX_INVOICES) return undefined;
  return [...kept, invoice];
}

/** It stands in the channel: it may still be failed. */
export function isUnderWay({ base }: ChannelRecord, htlcId: number): boolean {
  return base.htlcs.some((one) => !one.offeredByLocal && one.id === htlcId);
}

/** The peer's updates that are not yet irrevocable. */
export function hasUnsettled({ pending }: ChannelRecord): boolean {
  return pending.remoteAcked.length + pending.remoteSigned.length > 0;
}

/** What a machine keeps beside its inbox. */
export interface Notes {
  /** Products that had fallen when the last one was settled. */
  readonly fallen: number;
  readonly invoices: readonly Invoice[];
}

const VERSION = 1;

export function encodeNotes({ fallen, invoices }: Notes): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(VERSION);
  writer.u32(fallen);
  for (const { payer, product, preimage: secret, madeAtHeight, taken, ...rest } of invoices) {
    writer.raw(payer);
    writer.u32(product);
    writer.varint(rest.amountMsat);
    writer.raw(secret);
    writer.raw(rest.paymentHash);
    writer.u32(madeAtHeight);
    writer.u8(taken ? 1 : 0);
    if (taken) {
      writer.raw(taken.channelId);
      writer.u64(taken.htlcId);
    }
  }
  return writer.bytes();
}

export function decodeNotes(bytes: Uint8Array): Notes {
  if (bytes.length === 0) return { fallen: 0, invoices: [] };
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) throw new Error("the invoices were stored by another firmware");
  const fallen = reader.u32();
  const invoices: Invoice[] = [];
  while (reader.remaining > 0) {
    const payer = publicKey(reader.raw(33).slice());
    const product = reader.u32();
    const amountMsat = milliSatoshi(reader.varint());
    const secret = preimage(reader.raw(32).slice());
    const hash = paymentHash(reader.raw(32).slice());
    const madeAtHeight = reader.u32();
    const taken =
      reader.u8() === 1
        ? { channelId: channelId(reader.raw(32).slice()), htlcId: reader.u64() }
        : undefined;
    invoices.push({
      payer,
      product,
      amountMsat,
      preimage: secret,
      paymentHash: hash,
      madeAtHeight,
      taken,
    });
  }
  return { fallen, invoices };
}
