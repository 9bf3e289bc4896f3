/** What the operations about invoices do. */
import { milliSatoshi, type PaymentHash, paymentHash } from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import type { InvoicePlace, StoredInvoice } from "../../payments/ledger.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, type Input, serve } from "../operation.ts";
import { onlyOne, paymentsOf, timeOf, told } from "../payment-json.ts";
import { ApiProblem } from "../problem.ts";
import { paymentShapes } from "../shapes/payments.ts";
import { until } from "../until.ts";
import { deviceInvoiceOperations } from "./device-invoices.ts";

type InvoiceJson = Answer<typeof paymentShapes.getInvoice>;

const USUAL_LIMIT = 100;
const USUAL_WAIT_SECONDS = 60;

export function invoiceOperations(host: ApiHost): readonly AnyOperation[] {
  return [
    serve(paymentShapes.createInvoice, (input) => create(host, input)),
    ...deviceInvoiceOperations(host),
    serve(paymentShapes.getInvoice, ({ payment_hash }) => invoiceOf(host, payment_hash)),
    serve(paymentShapes.waitInvoice, async (input, { signal }) => {
      const { payment_hash: hash, timeout_seconds: seconds = USUAL_WAIT_SECONDS } = input;
      const before = await invoiceOf(host, hash);
      if (before.state !== "open") return before;
      const leftMs = Date.parse(before.expires_at) - Date.now();
      const timeoutMs = Math.max(0, Math.min(seconds * 1_000, leftMs + 1_000));
      await until(host.events, { timeoutMs, signal }, (event) =>
        event.type === "payment" && event.payment_hash === hash && event.kind === "received"
          ? true
          : undefined,
      );
      return invoiceOf(host, hash);
    }),
    serve(paymentShapes.listInvoices, async ({ limit = USUAL_LIMIT, before }) => {
      const { ledger } = paymentsOf(host);
      const place = before === undefined ? {} : { before: placeOf(before) };
      const found = await ledger.invoices({ limit, ...place });
      const invoices = await Promise.all(found.map((one) => invoiceJson(host, one)));
      const last = found.length === limit ? found.at(-1) : undefined;
      return {
        invoices,
        next_before: last ? `${last.createdAt}.${toHex(last.paymentHash)}` : null,
      };
    }),
  ];
}

async function create(
  host: ApiHost,
  input: Input<typeof paymentShapes.createInvoice>,
): Promise<InvoiceJson> {
  const { amount, amount_msat, memo, description_hash: hash, expiry_seconds: expiry } = input;
  const amountMsat = onlyOne(amount, amount_msat);
  const made = await told(() =>
    paymentsOf(host).invoices.create({
      ...(amountMsat !== undefined && { amountMsat: milliSatoshi(amountMsat) }),
      ...(memo !== undefined && { memo }),
      ...(hash !== undefined && { descriptionHash: fromHex(hash) }),
      ...(expiry !== undefined && { expirySeconds: expiry }),
    }),
  );
  return invoiceJson(host, made);
}

async function invoiceOf(host: ApiHost, hash: string): Promise<InvoiceJson> {
  const found = await paymentsOf(host).ledger.invoice(hashOf(hash));
  if (found) return invoiceJson(host, found);
  throw new ApiProblem("not-found", `this gateway made no invoice ${hash}`);
}

async function invoiceJson(host: ApiHost, invoice: StoredInvoice): Promise<InvoiceJson> {
  const { invoices, ledger } = paymentsOf(host);
  const received = await ledger.get("received", invoice.paymentHash);
  return {
    payment_hash: toHex(invoice.paymentHash),
    invoice: invoices.textOf(invoice),
    state: (await invoices.state(invoice.paymentHash)) ?? "expired",
    amount_msat: invoice.amountMsat ?? null,
    memo: invoice.memo,
    created_at: timeOf(invoice.createdAt),
    expires_at: timeOf(invoice.expiresAt),
    received_msat: received?.amountMsat ?? null,
    paid_at: received?.resolvedAt === undefined ? null : timeOf(received.resolvedAt),
  };
}

/** As `next_before` has it: second, and hash within the second. */
function placeOf(before: string): InvoicePlace {
  const [seconds = "", hash = ""] = before.split(".");
  return { createdAt: Number(seconds), paymentHash: hashOf(hash) };
}

function hashOf(hash: string): PaymentHash {
  return paymentHash(fromHex(hash));
}
