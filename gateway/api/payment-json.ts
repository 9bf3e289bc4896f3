/** Payments as the API tells of them, and their errors as problems. */
import type { Static } from "@sinclair/typebox";
import { FAILURE_CODES } from "../../core/payments/failure.ts";
import { InvoiceError } from "../../core/payments/invoice/invoice-error.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import type { Payment } from "../payments/ledger.ts";
import { PaymentError } from "../payments/payment-error.ts";
import type { Payments } from "../payments/payments.ts";
import { reasonOf } from "../payments/retry.ts";
import type { ApiHost } from "./host.ts";
import { ApiProblem } from "./problem.ts";
import type { Payment as PaymentSchema } from "./shapes/payments.ts";

export type PaymentJson = Static<typeof PaymentSchema>;

export function paymentsOf({ gateway }: ApiHost): Payments {
  if (gateway.payments) return gateway.payments;
  throw new ApiProblem("unavailable", "this gateway makes no payments");
}

export function paymentJson(payment: Payment & { readonly sequence?: number }): PaymentJson {
  const { failure, destination, preimage, resolvedAt } = payment;
  const named = Object.entries(FAILURE_CODES).find(([, code]) => code === failure)?.[0];
  const hasFailed = payment.status === "failed";
  return {
    sequence: payment.sequence ?? null,
    kind: payment.kind,
    payment_hash: toHex(payment.paymentHash),
    status: payment.status,
    amount_msat: payment.amountMsat,
    fee_msat: payment.feeMsat,
    destination: destination ? toHex(destination) : null,
    preimage: preimage ? toHex(preimage) : null,
    failure: hasFailed ? (reasonOf(payment) ?? named ?? UNKNOWN) : null,
    created_at: timeOf(payment.createdAt),
    resolved_at: resolvedAt === undefined ? null : timeOf(resolvedAt),
  };
}

const UNKNOWN = "no way to the receiver was found in time";

/** What is wrong with an invoice or a wish is the caller's to know. */
export async function told<T>(work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof InvoiceError) {
      const errors = [{ pointer: "/invoice", detail: cause.message }];
      throw new ApiProblem("invalid-request", cause.message, errors);
    }
    if (cause instanceof PaymentError) {
      const isBusy = cause.code === "too-many" || cause.code === "stale-chain";
      throw new ApiProblem(isBusy ? "unavailable" : "refused", cause.message);
    }
    throw cause;
  }
}

/** Of an amount in satoshi and one in millisatoshi; both is one too many. */
export function onlyOne(sat: number | undefined, msat: number | undefined): number | undefined {
  if (sat !== undefined && msat !== undefined) {
    const detail = "say either amount (satoshi) or amount_msat";
    throw new ApiProblem("invalid-request", detail, [{ pointer: "/amount", detail }]);
  }
  return sat === undefined ? msat : sat * 1_000;
}

export function timeOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
