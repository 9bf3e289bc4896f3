/** picobolt's own messages beside channels: what a gateway tells a device of the chain, and what a machine sells. */
import {
  amountMsat,
  amountSat,
  bytes,
  flag,
  group,
  list,
  message,
  optional,
  paymentHashField,
  safeUint,
  text,
  txidField,
  u16,
  u32,
} from "./schema.ts";

const MAX_HEADERS = 30; // 2400 bytes: fits a device's message
const MAX_BRANCH = 24;
/** Largest transaction that the chain service carries to or from a device, in bytes. */
export const MAX_SERVICE_TRANSACTION_BYTES = 60_000;
const rawTransaction = bytes(60, MAX_SERVICE_TRANSACTION_BYTES);

/** Device → gateway: send block headers from this height on, then each new one. */
export const chainSubscribe = message(32801, "chain_subscribe", { fromHeight: u32 });
/** Gateway → device: consecutive headers of 80 bytes; `fromHeight` is the first one's height. */
export const chainHeaders = message(32803, "chain_headers", {
  fromHeight: u32,
  headers: bytes(80, 80 * MAX_HEADERS),
  /** The gateway's word for its tip, so that a device knows whether it is still catching up. */
  tipHeight: u32,
  feeratesPerKw: group("feerates", { now: u32, soon: u32, economy: u32 }),
});
/** Device → gateway: tell me of confirmed transactions that create or spend this outpoint. */
export const chainWatch = message(32805, "chain_watch", {
  txid: txidField,
  vout: u16,
  script: optional(bytes(1, 83)),
});
/** Gateway → device: a confirmed transaction with its merkle branch. */
export const chainTransaction = message(32807, "chain_transaction", {
  raw: rawTransaction,
  height: u32,
  index: u32,
  branch: list(bytes(32, 32), MAX_BRANCH),
});
/** Device → gateway: publish these (a package where there are several); `request` is echoed in the answer. */
export const chainBroadcast = message(32809, "chain_broadcast", {
  request: safeUint,
  raws: list(rawTransaction, 4),
});
export const chainBroadcastResult = message(32811, "chain_broadcast_result", {
  request: safeUint,
  accepted: flag,
  reason: text(256),
});
/** Device → gateway: pay for this commitment's confirmation by a child that spends its shared (P2A) anchor. */
export const chainBump = message(32813, "chain_bump", {
  raw: rawTransaction,
  anchorVout: u16,
  feeSatoshis: safeUint,
  deadline: u32,
});

/** Device → gateway: make (and hold back) a funding transaction that pays this output. */
export const fundingRequest = message(32815, "funding_request", {
  temporaryChannelId: bytes(32, 32),
  script: bytes(34, 34),
  amountSatoshis: amountSat,
});
/** Gateway → device: the outpoint, or why there is none. */
export const fundingOutpoint = message(32817, "funding_outpoint", {
  temporaryChannelId: bytes(32, 32),
  txid: optional(txidField),
  vout: u16,
  reason: text(256),
});
/** Device → gateway: the peer has signed: broadcast it (`broadcast`), or give its coins back. */
export const fundingRelease = message(32819, "funding_release", {
  txid: txidField,
  broadcast: flag,
});

/** Payee → payer: what can be bought and delivered right now (an empty list: nothing). */
export const priceList = message(32833, "price_list", {
  machine: text(64),
  ready: flag,
  products: list(group("product", { id: u16, name: text(48), priceMsat: amountMsat }), 64),
});
/** Payer → payee: asks for a payment hash to pay by HTLC. */
export const invoiceRequest = message(32835, "invoice_request", {
  request: safeUint,
  product: u16,
});
export const invoice = message(32837, "invoice", {
  request: safeUint,
  amountMsat,
  paymentHash: paymentHashField,
  cltvExpiryDelta: u16,
});
/** Payee → payer: what became of a paid reference. */
export const delivery = message(32839, "delivery", {
  reference: bytes(16, 32),
  delivered: flag,
  note: text(128),
});

export const serviceMessages = [
  chainSubscribe,
  chainHeaders,
  chainWatch,
  chainTransaction,
  chainBroadcast,
  chainBroadcastResult,
  chainBump,
  fundingRequest,
  fundingOutpoint,
  fundingRelease,
  priceList,
  invoiceRequest,
  invoice,
  delivery,
] as const;
