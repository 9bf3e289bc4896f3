/** picobolt's own messages beside channels: what a gateway tells a device of the chain, and what a machine sells. */
import {
  amountMsat,
  amountSat,
  byte,
  bytes,
  channelIdField,
  flag,
  group,
  list,
  message,
  optional,
  paymentHashField,
  point,
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

/** Headers that one chain_subscribe brings: a device that is further behind asks for the rest once it has checked these. */
export const HEADERS_PER_SUBSCRIPTION = 120;

/** Device → gateway: send block headers from this height on; where they reach the tip, each new one too. */
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
/** What a transaction still needs from whoever has coins: nothing, a child on its anchor, or inputs for its fee. */
export const PUBLISH_NEEDS = { nothing: 0, anchorChild: 1, feeInputs: 2 } as const;
/** Inputs of one second-stage transaction that may lack their fee. */
const MAX_FEE_INPUTS = 8;

/** Device → gateway: publish this, and pay for its confirmation where it cannot pay itself (core/chain/monitor `Claim`). */
export const chainPublish = message(32809, "chain_publish", {
  /** Whose claim it is; no message of the channel itself. */
  channel: channelIdField,
  /** Stable over blocks: a later, dearer version replaces the earlier one. */
  id: text(96),
  purpose: text(24),
  raw: rawTransaction,
  feeratePerKw: u32,
  deadline: u32,
  needs: byte,
  anchorVout: u16,
  anchorSatoshis: amountSat,
  feeSatoshis: amountSat,
  /** What the inputs spend, where fee inputs are needed. */
  spent: list(group("spent-output", { amount: amountSat, script: bytes(1, 83) }), MAX_FEE_INPUTS),
});
/** Gateway → device: what became of it, once for each new outcome. */
export const chainPublished = message(32811, "chain_published", {
  channel: channelIdField,
  id: text(96),
  accepted: flag,
  reason: text(256),
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

/** Products of one page of a price list: the longest names and prices fit into a device's message. */
export const PRODUCTS_PER_PAGE = 32;
const product = group("product", {
  id: u16,
  name: text(48),
  priceMsat: amountMsat,
  /** It can come out now. */
  ready: flag,
});
/**
 * Payee → payer: what can be bought and delivered right now (an empty list: nothing). A long list comes in pages: the first
 * by itself, the others when asked for; `version` is that of the whole list.
 */
export const priceList = message(32833, "price_list", {
  machine: text(64),
  ready: flag,
  products: list(product, PRODUCTS_PER_PAGE),
  version: u32,
  /** Of `pages`, from 0. */
  page: u16,
  pages: u16,
  /** Products in all pages. */
  total: u16,
  /** Why nothing can be bought, for people. */
  note: optional(text(96)),
  /** Of the request that it answers. */
  request: optional(safeUint),
});
/** Payer → payee: one page, or the page that holds a product (or would); answered by `price_list`. */
export const priceListRequest = message(32843, "price_list_request", {
  request: safeUint,
  page: optional(u16),
  product: optional(u16),
});
/** Payee → payer: whether the machine is ready, and products that can come out again or cannot any more. */
export const availability = message(32845, "availability", {
  version: u32,
  ready: flag,
  note: optional(text(96)),
  products: list(group("product-ready", { id: u16, ready: flag }), 64),
});

/** What a meter counts. */
export const METER_UNITS = { seconds: 0, wattHours: 1 } as const;
/** Payee → payer: what a meter takes, and whether it is free and able. */
export const meterQuote = message(32855, "meter_quote", {
  machine: text(64),
  ready: flag,
  /** For one unit of `unitSize` seconds or watt-hours. */
  priceMsat: amountMsat,
  unitKind: byte,
  unitSize: u32,
  /** Paid and unused units that a payer may have here at most. */
  maxAheadUnits: u16,
  /** Why it is not ready, for people. */
  note: optional(text(96)),
});
/** Payer → payee: begins a session at the price that was quoted; its pushes name it in their references. */
export const meterStart = message(32857, "meter_start", {
  session: bytes(8, 8),
  priceMsat: amountMsat,
  unitKind: byte,
  unitSize: u32,
  /** Tell me when fewer paid units than this are left. */
  lowUnits: u16,
});
export const METER_STATES = { refused: 0, waiting: 1, running: 2, ended: 3 } as const;
/** Payee → payer: how a session stands, told when that changes, at each payment, and when little is left. */
export const meterState = message(32859, "meter_state", {
  session: bytes(8, 8),
  state: byte,
  /** Units begun since the session began. */
  usedUnits: u32,
  /** Credited to the session since it began. */
  paidMsat: amountMsat,
  /** Paid and not used; of an ended session, what goes back. */
  leftMsat: amountMsat,
  note: optional(text(96)),
});
/** Payer → payee: enough; what is paid and unused goes back. Repeated until the end is told. */
export const meterStop = message(32861, "meter_stop", { session: bytes(8, 8) });

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
/** Characters of an invoice that a device writes: with the longest description, and one gateway that leads there. */
const MAX_INVOICE_TEXT = 800;
/**
 * Asks a machine for a BOLT 11 invoice. Where `payee` names another node than the one that hears this, that one asks it
 * and passes on what it says: who is asked can refuse and delay, and is found out where it writes another invoice.
 */
export const bolt11Request = message(32847, "bolt11_request", {
  request: safeUint,
  payee: optional(point),
  product: optional(u16),
  /** Where no product says it. */
  amountMsat: optional(amountMsat),
  /** In place of the machine's own words: SHA-256 of a description that the payer has. */
  descriptionHash: optional(bytes(32, 32)),
});
/** The answer: an invoice, or why there is none. */
export const bolt11 = message(32849, "bolt11", {
  request: safeUint,
  invoice: optional(text(MAX_INVOICE_TEXT)),
  note: optional(text(96)),
});
/** Payee → payer: what became of a paid reference. */
export const delivery = message(32839, "delivery", {
  reference: bytes(16, 32),
  delivered: flag,
  note: text(128),
});

/** Payer → payee: what became of this paid reference? Asked after a reconnect; it is delivered now if it was not. */
export const deliveryRequest = message(32841, "delivery_request", { reference: bytes(16, 32) });

export const serviceMessages = [
  chainSubscribe,
  chainHeaders,
  chainWatch,
  chainTransaction,
  chainPublish,
  chainPublished,
  fundingRequest,
  fundingOutpoint,
  fundingRelease,
  priceList,
  priceListRequest,
  availability,
  meterQuote,
  meterStart,
  meterState,
  meterStop,
  invoiceRequest,
  invoice,
  bolt11Request,
  bolt11,
  delivery,
  deliveryRequest,
] as const;
