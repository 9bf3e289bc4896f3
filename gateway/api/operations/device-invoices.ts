/** Invoices that devices make, asked for by the gateway: signed by the device, and looked at before they are passed on. */
import { isExpired } from "../../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../../core/payments/invoice/parse-invoice.ts";
import { milliSatoshi, publicKey } from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { NoInvoice } from "../../service/invoice-relay.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, type Input, serve } from "../operation.ts";
import { timeOf } from "../payment-json.ts";
import { ApiProblem } from "../problem.ts";
import { paymentShapes } from "../shapes/payments.ts";

type Shape = typeof paymentShapes.createDeviceInvoice;

export function deviceInvoiceOperations(host: ApiHost): readonly AnyOperation[] {
  return [
    serve(
      paymentShapes.createDeviceInvoice,
      (input) => create(host, input),
      ({ node_id }) => publicKey(fromHex(node_id)),
    ),
  ];
}

async function create(host: ApiHost, input: Input<Shape>): Promise<Answer<Shape>> {
  const { node_id, product, amount_msat: amount, description_hash: hash } = input;
  const invoice = await asked(() =>
    host.gateway.invoiceRelay.ask(publicKey(fromHex(node_id)), {
      product,
      amountMsat: amount === undefined ? undefined : milliSatoshi(amount),
      descriptionHash: hash === undefined ? undefined : fromHex(hash),
    }),
  );
  const said = parseInvoice(host.crypto, invoice);
  const isTheirs = toHex(said.payee) === node_id;
  if (!isTheirs || isExpired(said, Date.now() / 1_000)) {
    const what = isTheirs ? "has expired already: its clock is wrong" : "is of another node";
    throw new ApiProblem("refused", `the invoice that the device gave ${what}`);
  }
  return {
    payment_hash: toHex(said.paymentHash),
    invoice,
    node_id,
    amount_msat: said.amountMsat ?? null,
    memo: said.description ?? "",
    created_at: timeOf(said.timestamp),
    expires_at: timeOf(said.timestamp + said.expirySeconds),
  };
}

async function asked(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof NoInvoice) throw new ApiProblem("refused", cause.message);
    throw cause;
  }
}
