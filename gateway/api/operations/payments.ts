/** What the operations about payments do. */
import type { Invoice } from "../../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import {
  channelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
  paymentHash,
  publicKey,
} from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { assert } from "../../../core/primitives/errors.ts";
import { invoiceIn } from "../../payments/invoice-text.ts";
import type { Payment, PaymentFilter } from "../../payments/ledger.ts";
import type { ApiHost } from "../host.ts";
import { type AnyOperation, type Call, type Input, serve } from "../operation.ts";
import { type PaymentJson, paymentJson, paymentsOf, told } from "../payment-json.ts";
import { ApiProblem } from "../problem.ts";
import { paymentShapes } from "../shapes/payments.ts";
import { until } from "../until.ts";

const PAY_MS = 30_000;
const USUAL_LIMIT = 100;

export function paymentOperations(host: ApiHost): readonly AnyOperation[] {
  return [
    serve(
      paymentShapes.payInvoice,
      (input, call) => pay(host, input, call),
      ({ invoice }) => payeeOf(host, invoice),
    ),
    serve(paymentShapes.getPayment, async ({ payment_hash, kind = "sent" }) => {
      const found = await paymentsOf(host).ledger.get(kind, paymentHash(fromHex(payment_hash)));
      if (found) return paymentJson(found);
      throw new ApiProblem("not-found", `no payment ${payment_hash} was ${kind}`);
    }),
    serve(paymentShapes.listPayments, async (input) => {
      const { ledger } = paymentsOf(host);
      const { limit = USUAL_LIMIT } = input;
      const filter = filterOf(input);
      const found = await ledger.list({ ...filter, limit });
      const totals = await ledger.totals(filter);
      const last = found.length === limit ? found.at(-1) : undefined;
      return {
        payments: found.map(paymentJson),
        next_before: last?.sequence ?? null,
        totals: {
          count: totals.count,
          amount_msat: totals.amountMsat,
          fee_msat: totals.feeMsat,
        },
      };
    }),
  ];
}

async function pay(
  host: ApiHost,
  input: Input<typeof paymentShapes.payInvoice>,
  { once, grant, signal }: Call,
): Promise<PaymentJson> {
  assert(once, "a payment has a key");
  const payments = paymentsOf(host);
  const text = invoiceIn(input.invoice);
  const invoice = await told(() => parseInvoice(host.crypto, text));
  const { paymentHash: hash } = invoice;
  const known = await payments.payment(hash);
  // Under way or paid it is told as it stands, whatever the key; one that failed is tried anew under a new key.
  const isTold = known && (known.status !== "failed" || once.noted !== undefined);
  if (isTold) return outcome(host, known, once, signal);
  const { amount_msat: amount, max_fee_msat: maxFee, timeout_seconds: seconds } = input;
  const amountMsat = amount === undefined ? undefined : milliSatoshi(amount);
  const spent = once.noted ? undefined : await grant.spend(amountOf(invoice, amountMsat));
  await once.note({ begun: true });
  let begun: Payment;
  try {
    begun = await told(() =>
      payments.payInvoice(text, {
        ...(amountMsat !== undefined && { amountMsat }),
        ...(maxFee !== undefined && { maxFeeMsat: milliSatoshi(maxFee) }),
        ...(seconds !== undefined && { timeoutSeconds: seconds }),
      }),
    );
  } catch (cause) {
    await spent?.giveBack();
    throw cause;
  }
  const ended = await outcome(host, begun, once, signal);
  if (ended.status === "failed") await spent?.giveBack();
  return ended;
}

/** As it stands when it is resolved, or when the time is over: then the key stays open. */
async function outcome(
  host: ApiHost,
  payment: Payment,
  once: NonNullable<Call["once"]>,
  signal: AbortSignal,
): Promise<PaymentJson> {
  const payments = paymentsOf(host);
  const hash = toHex(payment.paymentHash);
  const isEnd = (one: Payment | undefined) => one !== undefined && one.status !== "pending";
  if (!isEnd(await payments.payment(payment.paymentHash))) {
    const cut = new AbortController();
    const waiting = until(
      host.events,
      { timeoutMs: PAY_MS, signal: AbortSignal.any([signal, cut.signal]) },
      (event) =>
        event.type === "payment" && event.payment_hash === hash && event.kind === "sent"
          ? true
          : undefined,
    );
    // It may have ended between the two looks.
    if (isEnd(await payments.payment(payment.paymentHash))) cut.abort();
    await waiting;
  }
  const now = (await payments.payment(payment.paymentHash)) ?? payment;
  if (!isEnd(now)) once.leaveOpen();
  return paymentJson(now);
}

/** Zero where neither says it: then it is refused before anything is paid. */
function amountOf(invoice: Invoice, given: MilliSatoshi | undefined): MilliSatoshi {
  return given ?? invoice.amountMsat ?? milliSatoshi(0);
}

function payeeOf({ crypto }: ApiHost, text: string): PublicKey | undefined {
  try {
    return parseInvoice(crypto, invoiceIn(text)).payee;
  } catch {
    return undefined; // `pay` says why
  }
}

function filterOf(input: Input<typeof paymentShapes.listPayments>): PaymentFilter {
  const { kind, status, from, until: end, party, before } = input;
  return {
    ...(kind && { kind }),
    ...(status && { status }),
    ...(from !== undefined && { from: secondsOf("from", from) }),
    ...(end !== undefined && { until: secondsOf("until", end) }),
    ...(party !== undefined && { party: partyOf(party) }),
    ...(before !== undefined && { before }),
  };
}

function partyOf(hex: string) {
  const bytes = fromHex(hex);
  return bytes.length === 33 ? publicKey(bytes) : channelId(bytes);
}

function secondsOf(name: string, time: string): number {
  const ms = Date.parse(time);
  if (!Number.isNaN(ms)) return Math.floor(ms / 1_000);
  const detail = `${time} is no time`;
  throw new ApiProblem("invalid-request", detail, [{ pointer: `/${name}`, detail }]);
}
