/** `picobolt payment`: pays invoices from a gateway, and lists what was sent, received and forwarded. */
import { Option } from "commander";
import type { Payment } from "../../client/client.ts";
import { csvOf } from "../../gateway/api/csv.ts";
import {
  PAYMENT_KINDS,
  PAYMENT_STATUSES,
  paymentShapes,
} from "../../gateway/api/shapes/payments.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { countOf, keyOf, satOf, startingWith, wordOf } from "../gateway/words.ts";
import { fieldsOf } from "../owner/fields.ts";
import { noun } from "../target/noun.ts";
import { type Column, satText, shortId, timeText } from "../text-table.ts";

const COLUMNS: readonly Column<Payment>[] = [
  { head: "time (UTC)", of: (one) => timeText(one.created_at) },
  { head: "kind", of: (one) => one.kind },
  { head: "sat", isRight: true, of: (one) => satText(one.amount_msat) },
  { head: "fee sat", isRight: true, of: (one) => satText(one.fee_msat) },
  { head: "status", of: (one) => one.status },
  { head: "payment", of: (one) => shortId(one.payment_hash) },
  { head: "why", of: (one) => one.failure },
];
/** An id's beginning is looked for among so many. */
const RECENT = 1_000;

export const payment = noun("payment", {
  send: {
    summary: "pay an invoice",
    movesMoney: true,
    configure: (parser) =>
      void parser
        .argument("<invoice>", "lnbc…, lightning:lnbc…")
        .option("--amount <sat>", "where the invoice leaves it open")
        .option("--max-fee <sat>", "default: half a percent, and 5 satoshi at least"),
    examples: ["picobolt payment send lnbc20u1…", "picobolt payment send lnbc1… --amount 1500"],
    gateway: async (client, { out }, words, options) => {
      const [amount, fee] = [text(options, "amount"), text(options, "maxFee")];
      out.note("paying …");
      const paid = await client.payInvoice(wordOf(words, 0, "the invoice"), {
        ...(amount && { amount_msat: satOf(amount, "--amount") * 1000 }),
        ...(fee && { max_fee_msat: satOf(fee, "--max-fee") * 1000 }),
        ...keyOf(options),
      });
      if (paid.status === "failed") throw new Failure(`not paid: ${paid.failure}`, EXIT.failed);
      const about = `${satText(paid.amount_msat)} sat, fee ${satText(paid.fee_msat)} sat`;
      out.text(`${paid.status}: ${about}, preimage ${paid.preimage ?? "not there yet"}`);
      out.result(paid);
    },
  },
  list: {
    summary: "what was sent, received and forwarded, newest first",
    configure: (parser) =>
      void parser
        .addOption(new Option("--kind <kind>", "only those").choices(PAYMENT_KINDS))
        .addOption(new Option("--status <status>", "only those").choices(PAYMENT_STATUSES))
        .option("--from <day>", "not before, as 2026-01-31 or 2026-01-31T12:00:00Z")
        .option("--until <day>", "before that moment")
        .option("--party <id>", "through this channel, or to this node; ids are whole")
        .option("--limit <count>", "at most so many (default: 100)")
        .option("--csv", "as a table for spreadsheets"),
    examples: [
      "picobolt payment list",
      "picobolt payment list --kind forwarded --limit 20",
      "picobolt payment list --status pending --json",
      "picobolt payment list --from 2026-01-01 --until 2026-02-01 --limit 1000 --csv",
    ],
    gateway: async (client, { out }, _words, options) => {
      const kind = PAYMENT_KINDS.find((one) => one === options.kind);
      const status = PAYMENT_STATUSES.find((one) => one === options.status);
      const [from, until] = [text(options, "from"), text(options, "until")];
      const party = text(options, "party");
      const found = await client.listPayments({
        ...(kind && { kind }),
        ...(status && { status }),
        ...(from !== undefined && { from }),
        ...(until !== undefined && { until }),
        ...(party !== undefined && { party }),
        limit: countOf(options, "limit") ?? 100,
      });
      if (options.csv === true && !out.isJson) {
        out.text(csvOf(found.payments, paymentShapes.listPayments.csv.columns).trimEnd());
        if (found.next_before !== null) out.note("there are older ones: --limit, or --until");
        return;
      }
      const table = { columns: COLUMNS, rows: found.payments, none: "no payments" };
      out.table(table, found);
      const { count, amount_msat, fee_msat } = found.totals;
      if (count > 0) {
        const sums = `${satText(amount_msat)} sat, fees ${satText(fee_msat)} sat`;
        out.text(`${count} in all: ${sums}`);
      }
    },
  },
  show: {
    summary: "all that is known of one payment",
    configure: (parser) => void parser.argument("<payment>", "its hash, or the beginning of it"),
    examples: ["picobolt payment show 462264ede7e1"],
    gateway: async (client, { out }, words) => {
      const { payments } = await client.listPayments({ limit: RECENT });
      const naming = { what: "payment", id: (one: Payment) => one.payment_hash };
      const found = startingWith(payments, wordOf(words, 0, "the payment"), naming);
      for (const line of fieldsOf(found)) out.text(line);
      out.result(found);
    },
  },
});
