/** `picobolt settle`: what waits for the chain, and sweeps, openings and rebalancing as the gateway's settings allow. */
import type { AnswerOf, PicoboltClient } from "../../client/client.ts";
import { ACTION_KINDS } from "../../gateway/settlement/journal.ts";
import { oneOf, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { keyOf } from "../gateway/words.ts";
import { commandOf } from "../target/noun.ts";
import { type Column, shortId, textTable } from "../text-table.ts";

type Told = AnswerOf<"getSettlement">;

const QUEUE: readonly Column<Told["queue"][number]>[] = [
  { head: "what", of: (one) => one.what },
  { head: "channel", of: (one) => shortId(one.channel_id) },
  { head: "by block", isRight: true, of: (one) => one.deadline },
  { head: "sat/vB", of: (one) => one.feerate_sat_per_vb },
  { head: "state", of: (one) => one.state },
  { head: "waits for", of: (one) => one.waits_for },
];
const ACTIONS: readonly Column<Told["actions"][number]>[] = [
  { head: "what", of: (one) => one.kind },
  { head: "sat", of: (one) => one.amount_sat },
  { head: "fee sat", isRight: true, of: (one) => one.fee_sat },
  { head: "to", of: (one) => (/^[0-9a-f]{64,66}$/.test(one.to) ? shortId(one.to) : one.to) },
  { head: "because", of: (one) => one.reason },
  { head: "waits for", of: (one) => one.waits_for },
];

export const settle = commandOf("settle", {
  summary: "sweep, open and rebalance as your gateway's settings allow; or show what that would be",
  movesMoney: true,
  configure: (parser) =>
    void parser
      .option("--dry-run", "show what waits and what would be done, and do nothing")
      .addOption(oneOf("--only <kind>", "of these alone", ACTION_KINDS)),
  examples: [
    "picobolt settle --dry-run",
    "picobolt settle",
    "picobolt settle --only sweep",
    "picobolt settle --dry-run --json",
  ],
  prepare: (_words, options) => {
    const only = text(options, "only");
    if (only === undefined || ACTION_KINDS.some((one) => one === only)) return;
    throw new Failure(`--only is one of ${ACTION_KINDS.join(", ")}`, EXIT.usage);
  },
  gateway: async (client, { out }, _words, options) => {
    const kinds = ACTION_KINDS.filter((one) => [undefined, one].includes(only(options)));
    if (options.dryRun === true) {
      const told = await client.call("getSettlement", {});
      const actions = told.actions.filter(({ kind }) => kinds.includes(kind));
      out.text(dryRun({ ...told, actions }));
      out.result({ ...told, actions });
      return;
    }
    const done = await run(client, kinds, keyOf(options));
    out.table({ columns: ACTIONS, rows: done.done, none: "there was nothing to do" }, done);
  },
});

function only(options: Parameters<typeof text>[0]) {
  return ACTION_KINDS.find((one) => one === text(options, "only"));
}

function run(
  client: PicoboltClient,
  kinds: (typeof ACTION_KINDS)[number][],
  key: ReturnType<typeof keyOf>,
) {
  const idempotencyKey = key.idempotencyKey ?? crypto.randomUUID();
  return client.call("settle", { kinds }, { idempotencyKey });
}

function dryRun({ chain_problem, queue, actions, automatic }: Told): string {
  const chain =
    chain_problem === null ? [] : [`the Bitcoin node does not answer: ${chain_problem}`, ""];
  const queued = queue.length > 0 ? textTable(QUEUE, queue) : "nothing waits for the chain";
  const planned = actions.length > 0 ? textTable(ACTIONS, actions) : "nothing would be done";
  const by = automatic.length > 0 ? automatic.join(", ") : "nothing";
  return [...chain, queued, "", planned, "", `done at each block without being asked: ${by}`].join(
    "\n",
  );
}
