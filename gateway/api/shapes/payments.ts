/** Operations about invoices and what pays them, as callers see them. */
import { Type } from "@sinclair/typebox";
import type { OperationShape } from "../operation.ts";
import {
  Count,
  Given,
  Limit,
  Msat,
  NodeId,
  Nullable,
  OneOf,
  PaymentHashHex,
  PreimageHex,
  Sat,
  Time,
} from "../schemas.ts";

const InvoiceText = Type.String({
  minLength: 8,
  maxLength: 7_200,
  description: "BOLT 11, also as lightning:… or bitcoin:…?lightning=…",
});
const Before = Type.Optional(
  Type.Integer({ minimum: 0, description: "Those made before: next_before of the last answer" }),
);
const NextBefore = Nullable(Type.Integer({ minimum: 0, description: "null: there are no more" }));
/** Of an invoice among all: several may be made within a second. */
const PLACE = "^[0-9]{1,12}\\.[0-9a-f]{64}$";
const Moment = Type.String({
  pattern: "^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,9})?)?(Z|[+-]\\d\\d:\\d\\d))?$",
  description: "RFC 3339, or a day of UTC",
});

export const Invoice = Type.Object(
  {
    payment_hash: PaymentHashHex,
    invoice: Type.String({ description: "BOLT 11: what is given to the payer" }),
    state: OneOf(["open", "paid", "expired"], "How it stands"),
    amount_msat: Nullable(Msat("What is asked for; null: the payer chooses")),
    memo: Type.String(),
    created_at: Time("When it was made"),
    expires_at: Time("Until when it can be paid"),
    received_msat: Nullable(Msat("What was paid")),
    paid_at: Nullable(Time("When")),
  },
  { title: "Invoice" },
);

export const DeviceInvoice = Type.Object(
  {
    payment_hash: PaymentHashHex,
    invoice: Type.String({ description: "BOLT 11, signed by the device" }),
    node_id: NodeId,
    amount_msat: Nullable(Msat("What is asked for")),
    memo: Type.String(),
    created_at: Time("When it was made"),
    expires_at: Time("Until when it can be paid"),
  },
  { title: "DeviceInvoice" },
);

export const PAYMENT_KINDS = ["sent", "received", "forwarded"] as const;
export const PAYMENT_STATUSES = ["pending", "succeeded", "failed"] as const;

export const Payment = Type.Object(
  {
    sequence: Nullable(Count("Order among all payments")),
    kind: OneOf(PAYMENT_KINDS, "Seen from the gateway"),
    payment_hash: PaymentHashHex,
    status: OneOf(PAYMENT_STATUSES, "How it stands; a failed one moved nothing"),
    amount_msat: Msat("What the payee gets"),
    fee_msat: Msat("Sent: paid; forwarded: earned"),
    destination: Nullable(NodeId),
    preimage: Nullable(PreimageHex),
    failure: Nullable(Type.String({ description: "Why it failed" })),
    created_at: Time("When it was begun"),
    resolved_at: Nullable(Time("When it succeeded or failed")),
  },
  { title: "Payment" },
);

const OneInvoice = Given({ payment_hash: PaymentHashHex });

export const paymentShapes = {
  createInvoice: {
    name: "createInvoice",
    group: "invoice",
    method: "POST",
    path: "/api/invoices",
    tag: "Invoices",
    summary: "Make an invoice",
    body: Given({
      amount: Type.Optional(Sat("Satoshi; without an amount the payer chooses", 1)),
      amount_msat: Type.Optional(Msat("Millisatoshi, instead of amount", 1)),
      memo: Type.Optional(Type.String({ maxLength: 639, description: "What it is for" })),
      description_hash: Type.Optional(
        Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256 of a longer description" }),
      ),
      expiry_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 31_536_000 })),
    }),
    answer: Invoice,
  },
  createDeviceInvoice: {
    name: "createDeviceInvoice",
    group: "invoice",
    method: "POST",
    path: "/api/devices/{node_id}/invoices",
    tag: "Invoices",
    summary: "Have a device make an invoice",
    description:
      "For a product, or an amount where its app sells by amount. The device delivers before it takes the money; where it cannot, the payer has it back. Nothing is kept of the invoice: its payment is in the history of payments.",
    parameters: Given({ node_id: NodeId }),
    body: Given({
      product: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
      amount_msat: Type.Optional(Msat("Where no product says it", 1)),
      description_hash: Type.Optional(
        Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256 of your own description" }),
      ),
    }),
    processes: "holder",
    answer: DeviceInvoice,
  },
  getInvoice: {
    name: "getInvoice",
    group: "invoice",
    alsoFor: ["read"],
    method: "GET",
    path: "/api/invoices/{payment_hash}",
    tag: "Invoices",
    summary: "One invoice",
    parameters: OneInvoice,
    answer: Invoice,
  },
  waitInvoice: {
    name: "waitInvoice",
    group: "invoice",
    alsoFor: ["read"],
    method: "GET",
    path: "/api/invoices/{payment_hash}/wait",
    tag: "Invoices",
    summary: "One invoice, once it is paid or expired, or when the time is over",
    parameters: OneInvoice,
    query: Given({
      timeout_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 300, default: 60 })),
    }),
    answer: Invoice,
  },
  listInvoices: {
    name: "listInvoices",
    group: "invoice",
    alsoFor: ["read"],
    method: "GET",
    path: "/api/invoices",
    tag: "Invoices",
    summary: "Invoices of the gateway, newest first",
    query: Given({
      limit: Limit,
      before: Type.Optional(
        Type.String({ pattern: PLACE, description: "next_before of the last answer" }),
      ),
    }),
    answer: Type.Object({
      invoices: Type.Array(Invoice),
      next_before: Nullable(Type.String({ description: "null: there are no more" })),
    }),
  },
  payInvoice: {
    name: "payInvoice",
    group: "pay",
    method: "POST",
    path: "/api/payments",
    tag: "Payments",
    summary: "Pay an invoice",
    description:
      "Answers when it succeeded or failed, or after half a minute with the status pending. One invoice is paid once, whatever the key.",
    body: Given({
      invoice: InvoiceText,
      amount_msat: Type.Optional(Msat("Where the invoice leaves it open", 1)),
      max_fee_msat: Type.Optional(Msat("Default: half a percent, and 5 satoshi at least")),
      timeout_seconds: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 3_600, default: 60, description: "To begin attempts" }),
      ),
    }),
    answer: Payment,
    movesMoney: true,
  },
  getPayment: {
    name: "getPayment",
    group: "pay",
    alsoFor: ["read"],
    method: "GET",
    path: "/api/payments/{payment_hash}",
    tag: "Payments",
    summary: "One payment",
    parameters: OneInvoice,
    query: Given({ kind: Type.Optional(OneOf(PAYMENT_KINDS, "Default: sent")) }),
    answer: Payment,
  },
  listPayments: {
    name: "listPayments",
    group: "read",
    method: "GET",
    path: "/api/payments",
    tag: "Payments",
    summary: "Payments sent, received and forwarded, newest first; also as text/csv",
    query: Given({
      kind: Type.Optional(OneOf(PAYMENT_KINDS, "Only those")),
      status: Type.Optional(OneOf(PAYMENT_STATUSES, "Only those")),
      from: Type.Optional(Moment),
      until: Type.Optional(Moment),
      party: Type.Optional(
        Type.String({
          pattern: "^(0[23][0-9a-f]{64}|[0-9a-f]{64})$",
          description: "A channel on either side, or the destination",
        }),
      ),
      limit: Limit,
      before: Before,
    }),
    answer: Type.Object({
      payments: Type.Array(Payment),
      next_before: NextBefore,
      totals: Type.Object({ count: Count(), amount_msat: Count(), fee_msat: Count() }),
    }),
    csv: {
      list: "payments",
      columns: [
        ...["sequence", "kind", "payment_hash", "status", "amount_msat", "fee_msat"],
        ...["destination", "failure", "created_at", "resolved_at"],
      ],
    },
  },
} as const satisfies Record<string, OperationShape>;
