/** Invoices of the gateway as BOLT 11 texts, and what a text asks to be paid. */

import { MAX_GATEWAY_HINTS } from "../../core/payments/instructions.ts";
import {
  type InvoiceNetwork,
  isExpired,
  type RouteHop,
} from "../../core/payments/invoice/invoice.ts";
import { parseInvoice } from "../../core/payments/invoice/parse-invoice.ts";
import { writeInvoice } from "../../core/payments/invoice/write-invoice.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import { type MilliSatoshi, milliSatoshi } from "../../core/primitives/brands.ts";
import type { StoredInvoice } from "./ledger.ts";
import type { PaymentTarget } from "./payer.ts";
import { PaymentError } from "./payment-error.ts";

/** The same text whenever it is asked for. @throws InvoiceError where no invoice can say it. */
export function invoiceText(
  crypto: Crypto,
  signer: Pick<NodeSigner, "nodeId" | "sign">,
  invoice: StoredInvoice,
  place: { readonly network: InvoiceNetwork; readonly routes?: readonly (readonly RouteHop[])[] },
): string {
  const { paymentHash, paymentSecret, amountMsat, minFinalCltvExpiryDelta } = invoice;
  return writeInvoice(crypto, signer, {
    network: place.network,
    ...(amountMsat !== undefined && { amountMsat }),
    timestamp: invoice.createdAt,
    paymentHash,
    paymentSecret,
    ...(invoice.descriptionHash
      ? { descriptionHash: invoice.descriptionHash }
      : { description: invoice.memo }),
    expirySeconds: invoice.expiresAt - invoice.createdAt,
    minFinalCltvExpiryDelta,
    ...(place.routes && { routes: place.routes }),
  });
}

/**
 * What is to be paid for this text. @throws InvoiceError where it is none, PaymentError where it should not be paid:
 * expired, of another network, or with another amount than the payer names.
 */
export function targetOfInvoice(
  crypto: Crypto,
  text: string,
  payer: {
    readonly network: InvoiceNetwork;
    readonly nowSeconds: number;
    readonly amountMsat?: MilliSatoshi | undefined;
  },
): PaymentTarget {
  const invoice = parseInvoice(crypto, text);
  const { network, nowSeconds } = payer;
  if (invoice.network !== network) {
    const where = `This invoice is for ${invoice.network}; this gateway is on ${network}.`;
    throw new PaymentError("wrong-network", where);
  }
  if (isExpired(invoice, nowSeconds)) {
    throw new PaymentError("expired", "This invoice has expired: ask the receiver for a new one.");
  }
  if (invoice.metadata !== undefined) {
    const text = "This invoice wants its metadata back with the payment, which is not done here.";
    throw new PaymentError("unsupported", text);
  }
  const { paymentHash, paymentSecret, minFinalCltvExpiryDelta, routes } = invoice;
  const gateways = routes.flatMap((route) => route.at(-1)?.nodeId ?? []);
  return {
    paymentHash,
    paymentSecret,
    destination: invoice.payee,
    amountMsat: amountToPay(invoice.amountMsat, payer.amountMsat),
    finalCltvDelta: minFinalCltvExpiryDelta,
    gateways: gateways.slice(0, MAX_GATEWAY_HINTS),
  };
}

function amountToPay(asked?: MilliSatoshi, told?: MilliSatoshi): MilliSatoshi {
  if (asked === undefined && told === undefined) {
    throw new PaymentError("bad-amount", "This invoice leaves the amount open: say how much.");
  }
  if (asked !== undefined && told !== undefined && (told < asked || told > 2 * asked)) {
    const text = `This invoice asks for ${asked} msat: pay that, or at most twice of it.`;
    throw new PaymentError("bad-amount", text);
  }
  return milliSatoshi(told ?? asked ?? 0);
}
