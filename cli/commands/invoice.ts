/** `picobolt invoice`: a gateway's invoices; and what any BOLT 11 invoice says, and its QR code. */
import type { Invoice } from "../../client/client.ts";
import { text } from "../command.ts";
import { countOf, satOf, startingWith, wordOf } from "../gateway/words.ts";
import { fieldsOf } from "../owner/fields.ts";
import { noun } from "../target/noun.ts";
import { type Column, satText, shortId, timeText } from "../text-table.ts";

const COLUMNS: readonly Column<Invoice>[] = [
  { head: "made (UTC)", of: (one) => timeText(one.created_at) },
  { head: "sat", isRight: true, of: (one) => amountText(one.amount_msat) },
  { head: "state", of: (one) => one.state },
  { head: "invoice", of: (one) => shortId(one.payment_hash) },
  { head: "memo", of: (one) => one.memo },
];
/** An id's beginning is looked for among so many. */
const RECENT = 1_000;
const NAMING = { what: "invoice", id: (one: Invoice) => one.payment_hash };

export const invoice = noun("invoice", {
  create: {
    summary: "make an invoice",
    configure: (parser) =>
      void parser
        .argument("[sat]", "what is asked for; without it the payer chooses")
        .option("--memo <text>", "what it is for")
        .option("--expiry <seconds>", "how long it can be paid")
        .option("--qr", "draw its QR code in the terminal")
        .option("--qr-file <file.svg>", "write its QR code to a file"),
    examples: [
      "picobolt invoice create 1500 --memo espresso --qr",
      "picobolt invoice create --memo tip",
    ],
    gateway: async (client, { out }, [amount], options) => {
      const memo = text(options, "memo");
      const expiry_seconds = countOf(options, "expiry");
      const made = await client.createInvoice({
        ...(amount !== undefined && { amount: satOf(amount, "the amount") }),
        ...(memo !== undefined && { memo }),
        ...(expiry_seconds !== undefined && { expiry_seconds }),
      });
      const { drawQr } = await import("../invoice/decode-command.ts");
      await drawQr(out, made.invoice, options);
      out.text(`${made.invoice}\n  payment hash ${made.payment_hash}`);
      out.result(made);
    },
  },
  ask: {
    summary: "have a machine make an invoice for one of its products",
    configure: (parser) =>
      void parser
        .argument("<node id>", "the machine's, as `picobolt device list` shows it")
        .argument("<product>", "its number")
        .option("--qr", "draw its QR code in the terminal")
        .option("--qr-file <file.svg>", "write its QR code to a file"),
    examples: ["picobolt invoice ask 02ab… 1 --qr"],
    gateway: async (client, { out }, words, options) => {
      const product = Number(wordOf(words, 1, "the product's number"));
      const nodeId = wordOf(words, 0, "the machine's node id");
      const made = await client.createDeviceInvoice(nodeId, { product });
      const { drawQr } = await import("../invoice/decode-command.ts");
      await drawQr(out, made.invoice, options);
      out.text(`${made.invoice}\n  payment hash ${made.payment_hash}`);
      out.result(made);
    },
  },
  list: {
    summary: "the gateway's invoices, newest first",
    configure: (parser) => void parser.option("--limit <count>", "at most so many (default: 100)"),
    examples: ["picobolt invoice list", "picobolt invoice list --limit 5 --json"],
    gateway: async (client, { out }, _words, options) => {
      const found = await client.call("listInvoices", { limit: countOf(options, "limit") ?? 100 });
      out.table({ columns: COLUMNS, rows: found.invoices, none: "no invoices" }, found);
    },
  },
  show: {
    summary: "one invoice of the gateway, and whether it is paid",
    configure: (parser) =>
      void parser.argument("<invoice>", "its payment hash, or the beginning of it"),
    examples: ["picobolt invoice show 462264ede7e1"],
    gateway: async (client, { out }, words) => {
      const { invoices } = await client.call("listInvoices", { limit: RECENT });
      const found = startingWith(invoices, wordOf(words, 0, "the payment hash"), NAMING);
      for (const line of fieldsOf(found)) out.text(line);
      out.result(found);
    },
  },
  wait: {
    summary: "until an invoice is paid or expired",
    configure: (parser) => void parser.argument("<payment hash>", "whole"),
    examples: ["picobolt invoice wait 462264ede7e1…"],
    gateway: async (client, { out, signal }, words) => {
      const hash = wordOf(words, 0, "the payment hash");
      out.note("waiting for it to be paid; Ctrl-C stops waiting, not the invoice …");
      const one = await client.waitForInvoicePayment(hash, { signal });
      const received = one.received_msat === null ? "" : `: ${satText(one.received_msat)} sat`;
      out.text(`${one.state}${received}`);
      out.result(one);
    },
  },
  decode: {
    summary: "what an invoice says; nobody is asked",
    configure: (parser) =>
      void parser
        .argument("<invoice>", "lnbc…, lightning:lnbc…, bitcoin:…?lightning=lnbc…")
        .option("--qr", "draw its QR code in the terminal")
        .option("--qr-file <file.svg>", "write its QR code to a file"),
    examples: [
      "picobolt invoice decode lnbc20m1pvjluez…",
      "picobolt invoice decode lnbc20m1pvjluez… --qr",
      "picobolt invoice decode lnbc20m1pvjluez… --json --qr-file coffee.svg",
    ],
    here: async (...given) => (await import("../invoice/decode-command.ts")).decode(...given),
  },
});

function amountText(msat: number | null): string {
  return msat === null ? "any" : satText(msat);
}
