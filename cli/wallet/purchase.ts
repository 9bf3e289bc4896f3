/** One purchase from beginning to end: what is under way is finished first, a channel is opened where there is none, then it pays and waits. */
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import { METER_UNITS } from "../../core/messages/service.ts";
import type { Store } from "../../core/ports/store.ts";
import { milliSatoshi, type PublicKey, satoshi } from "../../core/primitives/brands.ts";
import { Purchases } from "../../firmware/apps/purchases.ts";
import { type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import type { Output } from "../output.ts";
import { moneyIsBack } from "./money-back.ts";
import { type PaymentTo, payableChannel, waitForPayable } from "./payable-channel.ts";
import type { PayerNode } from "./payer-node.ts";
import { whenChainIsRead } from "./readiness.ts";

/** A machine answers in a second or two; a session of somebody who vanished keeps its link for 15 s. */
const CONNECT_TIMEOUT_MS = 25_000;
const UNDER_WAY_TIMEOUT_MS = 60_000;
const OPENING_TIMEOUT_MS = 30_000;
const TELL_WAITING_MS = 30_000;
/** Rounds on a slow link, a motor that turns, a refund after a jam. */
const DELIVERY_TIMEOUT_MS = 120_000;
/** Blocks come when they come. */
const FUNDING_TIMEOUT_MS = 24 * 3600 * 1000;
const DEFAULT_CAPACITY_SAT = 100_000;
/** A channel pays for so many purchases of this kind, if the default does not. */
const PURCHASES_PER_CHANNEL = 20;

/** Where it tells how far it is. */
export type Notes = Pick<Output, "note">;

export interface Finished {
  readonly reference: string;
  readonly delivered: boolean;
  readonly note: string;
}

export async function connected(payer: PayerNode, machine: PublicKey, name: string): Promise<void> {
  const isThere = () => payer.device.node.isConnected(machine) || undefined;
  if (await payer.until(isThere, CONNECT_TIMEOUT_MS)) return;
  throw new Failure(
    `no session with ${name}: it answers, but not as the node ${hex(machine)}; check its node id`,
    EXIT.noAnswer,
  );
}

export type PriceList = MessageNamed<"price_list">;

export async function priceListOf(payer: PayerNode, machine: PublicKey): Promise<PriceList> {
  const list = await payer.until(() => payer.app.priceList(machine), CONNECT_TIMEOUT_MS);
  if (list) return list;
  throw new Failure(
    "the machine announces no price list: it is not set up to sell, ask its owner",
    EXIT.refused,
  );
}

export async function meterOf(
  payer: PayerNode,
  machine: PublicKey,
  out: Notes,
): Promise<MessageNamed<"meter_quote">> {
  const announced = () => payer.app.meterQuote(machine);
  const first = await payer.until(announced, CONNECT_TIMEOUT_MS);
  const quote = first && ((await whenChainIsRead(payer, announced, out)) ?? first);
  if (!quote) throw new Failure("this machine is no meter; nothing was paid", EXIT.refused);
  if (!quote.ready) {
    const why = quote.note ?? "it does not say why";
    throw new Failure(`the meter is not ready: ${why}; nothing was paid`, EXIT.refused);
  }
  if (quote.unitKind === METER_UNITS.seconds) return quote;
  throw new Failure("this meter counts watt-hours, not seconds; nothing was paid", EXIT.refused);
}

/** References of what an earlier run began and did not see the end of; to be asked before the payer starts. */
export async function underWay(store: Store): Promise<readonly string[]> {
  return (await Purchases.load(store)).all().map(({ reference }) => hex(reference));
}

/** Waits for their ends: nothing is bought twice. */
export async function finishUnderWay(
  payer: PayerNode,
  references: readonly string[],
  out: Notes,
): Promise<readonly Finished[]> {
  if (references.length === 0) return [];
  out.note(`${references.length} purchase(s) of an earlier run are under way: these first`);
  const isOver = () => references.every((one) => payer.ended.has(one)) || undefined;
  await payer.until(isOver, UNDER_WAY_TIMEOUT_MS);
  const open = references.filter((one) => !payer.ended.has(one));
  if (open.length > 0) {
    throw new Failure(
      `what became of the purchase ${open.join(", ")} is not known yet: the machine does not say; nothing more was bought, run the command again when it is back`,
    );
  }
  const ended = references.map((reference) => ({
    reference,
    ...(payer.ended.get(reference) ?? { delivered: false, note: "" }),
  }));
  await moneyIsBack(
    payer,
    ended.filter(({ delivered }) => !delivered).map(({ reference }) => reference),
  );
  return ended;
}

/** A channel that can pay so much: the one there is, or a new one that the gateway funds. */
export async function channelFor(
  payer: PayerNode,
  machine: PublicKey,
  amountMsat: number,
  options: {
    readonly out: Notes;
    readonly fundSat: number | undefined;
    readonly gateway?: PublicKey;
  },
): Promise<ChannelRecord> {
  const { out, gateway } = options;
  const payment = { machine, amountMsat, gateway };
  const ready = await waitForPayable(payer, payment);
  if (ready) return ready;
  const isOpening = payer.channelsWith(machine).some(({ phase }) => phase === "awaiting-funding");
  if (!gateway) {
    throw new Failure(
      isOpening
        ? "the channel with this machine is not confirmed yet; connect your gateway with --gateway <link> and run the command again"
        : "there is no channel with this machine that can pay; name your gateway with --gateway <link>, it funds one",
      EXIT.refused,
    );
  }
  if (!isOpening) await open(payer, machine, amountMsat, options);
  return untilConfirmed(payer, payment, out);
}

async function open(
  payer: PayerNode,
  machine: PublicKey,
  amountMsat: number,
  { out, fundSat, gateway }: { out: Notes; fundSat: number | undefined; gateway?: PublicKey },
): Promise<void> {
  const { node, chain } = payer.device;
  if (gateway) await connected(payer, gateway, "the gateway");
  await payer.until(() => chain.tipHeight > 0 || undefined, OPENING_TIMEOUT_MS);
  const needed = Math.ceil((amountMsat * PURCHASES_PER_CHANNEL) / 1000);
  const capacity = fundSat ?? Math.max(DEFAULT_CAPACITY_SAT, needed);
  out.note(`opening a channel of ${capacity} sat with the machine …`);
  let problem = "";
  let isCreated = false;
  const stop = payer.on((told) => {
    if (told.type === "alarm") problem ||= told.text;
    if (told.type !== "channel") return;
    if (told.event.type === "openFailed") problem ||= told.event.reason;
    if (told.event.type === "created") isCreated = true;
  });
  node.open({
    remoteNodeId: machine,
    channelType: "zero_fee_commitments",
    fundingSatoshis: satoshi(capacity),
    pushMsat: milliSatoshi(0),
    feeratePerKw: 0,
  });
  await payer.until(() => isCreated || problem !== "" || undefined, OPENING_TIMEOUT_MS);
  stop();
  if (isCreated) return;
  throw new Failure(
    `no channel could be opened: ${problem || "the machine or the gateway does not answer"}; nothing was paid`,
    EXIT.refused,
  );
}

async function untilConfirmed(
  payer: PayerNode,
  payment: PaymentTo,
  out: Notes,
): Promise<ChannelRecord> {
  let told = "";
  const tell = () => {
    const [record] = payer
      .channelsWith(payment.machine)
      .filter(({ phase }) => phase === "awaiting-funding");
    if (!record) return;
    const height = payer.device.node.height;
    const { fundingHeight, minimumDepth } = record;
    const depth = fundingHeight === undefined ? 0 : height - fundingHeight + 1;
    const words = `the channel's funding has ${Math.max(0, depth)} of ${minimumDepth} confirmations`;
    if (words !== told) out.note(words);
    told = words;
  };
  const timer = setInterval(tell, 100);
  const late = setTimeout(() => {
    out.note("waiting for blocks; it is safe to stop with Ctrl-C and run the command again later");
  }, TELL_WAITING_MS);
  try {
    const ready = await payer.until(() => payableChannel(payer, payment), FUNDING_TIMEOUT_MS);
    if (ready) return ready;
    throw new Failure("the channel's funding does not confirm; run the command again later");
  } finally {
    clearInterval(timer);
    clearTimeout(late);
  }
}

/** Pays and waits until the machine says what became of it. */
export async function buy(
  payer: PayerNode,
  channel: ChannelRecord,
  product: number,
  maxMsat: number,
): Promise<Finished> {
  const late = new Promise<undefined>((wake) => {
    setTimeout(() => wake(undefined), DELIVERY_TIMEOUT_MS).unref();
  });
  const outcome = await Promise.race([
    payer.app.buy(channel.channelId, product, { maxMsat }),
    late,
  ]);
  if (!outcome) {
    throw new Failure(
      "paid, and the machine has not said what became of it; nothing is lost: run the same command again, it finishes this purchase first",
    );
  }
  const { delivered, note, reference } = outcome;
  return { delivered, note, reference: hex(reference) };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** An option that is a whole number, where it is given. */
export function numberOf(options: Options, name: string): number | undefined {
  const words = text(options, name);
  if (words === undefined) return undefined;
  const value = Number(words);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Failure(`--${name} must be a whole number, not "${words}"`, EXIT.usage);
}
