/** `picobolt alerts`: what of a gateway, its channels and its devices needs a person now. */
import type { AnswerOf } from "../../client/client.ts";
import { commandOf } from "../target/noun.ts";
import type { Column } from "../text-table.ts";

type Alerts = AnswerOf<"listAlerts">;

const COLUMNS: readonly Column<Alerts["alerts"][number]>[] = [
  { head: "since", of: ({ since }) => timeText(since) },
  { head: "alarm", of: ({ name }) => name },
  { head: "what to do", of: ({ text }) => text },
];

export const alerts = commandOf("alerts", {
  summary: "what of your gateway, its channels and its devices needs a person now",
  configure: (parser) =>
    void parser.option("--notices", "also what was told once: refused claims, lost brokers"),
  examples: ["picobolt alerts", "picobolt alerts --notices", "picobolt alerts --json"],
  gateway: async (client, { out }, _words, options) => {
    const told = await client.call("listAlerts", {});
    out.table({ columns: COLUMNS, rows: told.alerts, none: "nothing needs you" }, told);
    if (options.notices !== true) return;
    for (const { at, text } of told.notices) out.text(`${timeText(at)}  ${text}`);
  },
});

function timeText(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")} UTC`;
}
