/** What the operations about settlement do. */
import { publicKey } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { DAY_SECONDS } from "../../settlement/income.ts";
import { ACTION_KINDS, type Action } from "../../settlement/journal.ts";
import type { PlannedAction, QueuedItem, Settlement } from "../../settlement/settlement.ts";
import type { ApiHost } from "../host.ts";
import { type Answer, type AnyOperation, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { settlementShapes } from "../shapes/settlement.ts";

const USUAL_DAYS = 30;
const PER_KW_OF_SAT_PER_VB = 250;
const MSAT_PER_SAT = 1_000;

export function settlementOperations(host: ApiHost): readonly AnyOperation[] {
  return [
    serve(settlementShapes.getSettlement, async () => {
      const settlement = settlementOf(host);
      const { chainProblem, queue, actions, recent } = await settlement.view();
      return {
        chain_problem: chainProblem,
        automatic: [...settlement.automatic],
        queue: queue.map(queuedJson),
        actions: actions.map(actionJson),
        recent: recent.map(doneJson),
      };
    }),
    serve(settlementShapes.settle, async ({ kinds = ACTION_KINDS }, { grant }) => {
      const settlement = settlementOf(host);
      if (grant.isLimited) {
        const detail = "what a run moves is known when it is done: no amount a day can allow it";
        throw new ApiProblem("refused", detail);
      }
      return { done: (await settlement.run(kinds)).map(actionJson) };
    }),
    serve(
      settlementShapes.getIncome,
      (input) => income(host, input),
      ({ node_id }) => (node_id === undefined ? undefined : publicKey(fromHex(node_id))),
    ),
  ];
}

async function income(
  host: ApiHost,
  { from, to, node_id, gateways = false }: Input<typeof settlementShapes.getIncome>,
): Promise<Answer<typeof settlementShapes.getIncome>> {
  const { income: book } = settlementOf(host);
  const last = to === undefined ? book.today() : dayOf("to", to);
  const first = from === undefined ? last - USUAL_DAYS : dayOf("from", from);
  if (first > last) {
    const detail = "the first day is after the last";
    throw new ApiProblem("invalid-request", detail, [{ pointer: "/from", detail }]);
  }
  const isAsked = (one: { readonly nodeId: string; readonly isGateway: boolean }) =>
    (node_id === undefined || one.nodeId === node_id) && (gateways || !one.isGateway);
  const days = (await book.days(first, last + 1)).filter(isAsked);
  const sum = (of: "receivedMsat" | "paidMsat" | "onChainSat") =>
    days.reduce((total, one) => total + one[of], 0);
  return {
    days: days.map(({ day, nodeId, receivedMsat, paidMsat, onChainSat }) => ({
      day: dayText(day),
      node_id: nodeId,
      received_msat: receivedMsat,
      paid_msat: paidMsat,
      net_msat: receivedMsat - paidMsat,
      on_chain_sat: onChainSat,
    })),
    totals: {
      received_msat: sum("receivedMsat"),
      paid_msat: sum("paidMsat"),
      on_chain_sat: sum("onChainSat"),
    },
    channels: book
      .channels()
      .filter(isAsked)
      .map(({ channelId, nodeId, openedMsat, balanceMsat, isClosed }) => ({
        channel_id: channelId,
        node_id: nodeId,
        opened_msat: openedMsat,
        balance_msat: balanceMsat,
        closed: isClosed,
      })),
  };
}

function settlementOf({ settlement }: ApiHost): Settlement {
  if (settlement) return settlement;
  const detail = "settlement keeps its journal in SQLite, and this gateway's records are elsewhere";
  throw new ApiProblem("unavailable", detail);
}

function dayOf(name: string, text: string): number {
  const ms = Date.parse(`${text}T00:00:00Z`);
  if (!Number.isNaN(ms)) return Math.floor(ms / 1_000 / DAY_SECONDS);
  const detail = `${text} is no day`;
  throw new ApiProblem("invalid-request", detail, [{ pointer: `/${name}`, detail }]);
}

function dayText(day: number): string {
  return new Date(day * DAY_SECONDS * 1_000).toISOString().slice(0, 10);
}

function actionJson({ kind, amountSat, feeSat, to, reason, waitsFor }: PlannedAction) {
  return { kind, amount_sat: amountSat, fee_sat: feeSat, to, reason, waits_for: waitsFor };
}

function queuedJson({
  what,
  channelId,
  txid,
  deadline,
  feeratePerKw,
  state,
  waitsFor,
}: QueuedItem) {
  return {
    what,
    channel_id: channelId,
    txid,
    deadline,
    feerate_sat_per_vb: feeratePerKw / PER_KW_OF_SAT_PER_VB,
    state,
    waits_for: waitsFor,
  };
}

function doneJson({ kind, state, createdAt, body }: Action) {
  const amount_sat =
    "amountMsat" in body
      ? body.amountMsat / MSAT_PER_SAT
      : "capacitySat" in body
        ? body.capacitySat
        : body.amountSat;
  const reason = "reason" in body ? (body.reason ?? null) : null;
  const txid = "txid" in body ? body.txid : null;
  const at = new Date(createdAt * 1_000).toISOString();
  return { kind, state, at, amount_sat, reason, txid };
}
