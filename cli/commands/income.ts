/** `picobolt income`: what each device got and gave by day, off chain and on. */
import type { AnswerOf } from "../../client/client.ts";
import { csvOf } from "../../gateway/api/csv.ts";
import { settlementShapes } from "../../gateway/api/shapes/settlement.ts";
import { text } from "../command.ts";
import { commandOf } from "../target/noun.ts";
import { type Column, satText, shortId } from "../text-table.ts";

const COLUMNS: readonly Column<AnswerOf<"getIncome">["days"][number]>[] = [
  { head: "day (UTC)", of: (one) => one.day },
  { head: "device", of: (one) => shortId(one.node_id) },
  { head: "received sat", isRight: true, of: (one) => satText(one.received_msat) },
  { head: "paid sat", isRight: true, of: (one) => satText(one.paid_msat) },
  { head: "on chain sat", of: (one) => one.on_chain_sat },
];

export const income = commandOf("income", {
  summary: "what your gateway's devices got and gave, by day",
  configure: (parser) =>
    void parser
      .option("--from <day>", "first day, as 2026-01-31 (default: 30 days before the last)")
      .option("--to <day>", "last day (default: today)")
      .option("--node <id>", "of this device alone")
      .option("--gateways", "also of other gateways")
      .option("--csv", "as a table for spreadsheets"),
  examples: [
    "picobolt income",
    "picobolt income --from 2026-01-01 --to 2026-01-31 --csv",
    "picobolt income --json",
  ],
  gateway: async (client, { out }, _words, options) => {
    const [from, to, node] = [text(options, "from"), text(options, "to"), text(options, "node")];
    const told = await client.call("getIncome", {
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
      ...(node !== undefined && { node_id: node }),
      ...(options.gateways === true && { gateways: true }),
    });
    if (options.csv === true && !out.isJson) {
      out.text(csvOf(told.days, settlementShapes.getIncome.csv.columns).trimEnd());
      return;
    }
    out.table({ columns: COLUMNS, rows: told.days, none: "nothing was received or paid" }, told);
    const { received_msat, paid_msat, on_chain_sat } = told.totals;
    const sums = `received ${satText(received_msat)} sat, paid ${satText(paid_msat)} sat`;
    if (told.days.length > 0) out.text(`in all: ${sums}, on chain ${on_chain_sat} sat`);
  },
});
