/** Operations about settlement, as callers see them. */
import { Type } from "@sinclair/typebox";
import { ACTION_KINDS } from "../../settlement/journal.ts";
import type { OperationShape } from "../operation.ts";
import {
  ChannelIdHex,
  Count,
  Given,
  Msat,
  NodeId,
  Nullable,
  OneOf,
  Sat,
  Time,
  TxidHex,
} from "../schemas.ts";

const Kind = OneOf(ACTION_KINDS, "What is done");
const Waits = (description: string) => Nullable(Type.String({ description }));

export const SettlementAction = Type.Object(
  {
    kind: Kind,
    amount_sat: Type.Number({ minimum: 0, description: "That moves" }),
    fee_sat: Nullable(Type.Number({ minimum: 0, description: "An estimate; null: not known" })),
    to: Type.String({ description: "The operator, the device, or the channel that gets it" }),
    reason: Type.String(),
    waits_for: Waits("Null: a run does it now"),
  },
  { title: "SettlementAction" },
);

export const QueuedClaim = Type.Object(
  {
    what: OneOf(
      [
        "commitment",
        "penalty",
        "htlc-success",
        "htlc-timeout",
        "sweep",
        "mutual-close",
        "closing",
      ] as const,
      "Closing: agreed here, not yet with the peer",
    ),
    channel_id: Nullable(ChannelIdHex),
    txid: Nullable(TxidHex),
    deadline: Nullable(
      Count("Block by which it must be in the chain; null: waiting loses nothing"),
    ),
    feerate_sat_per_vb: Type.Number({ minimum: 0 }),
    state: OneOf(["sent", "waiting"] as const, "Sent: the Bitcoin node has it"),
    waits_for: Waits("Why the node does not have it"),
  },
  { title: "QueuedClaim" },
);

const Done = Type.Object(
  {
    kind: Kind,
    state: OneOf(["pending", "succeeded", "failed"] as const, "Of what was begun"),
    at: Time("When it was begun"),
    amount_sat: Type.Number({ minimum: 0 }),
    reason: Nullable(Type.String({ description: "Why it failed" })),
    txid: Nullable(TxidHex),
  },
  { title: "SettlementDone" },
);

const Day = (description: string) =>
  Type.Optional(Type.String({ pattern: "^\\d{4}-\\d{2}-\\d{2}$", description }));

const IncomeDay = Type.Object(
  {
    day: Type.String({ description: "UTC" }),
    node_id: NodeId,
    received_msat: Msat("By pushes and HTLCs"),
    paid_msat: Msat("By pushes and HTLCs; fees and roundings of its channels' ends"),
    net_msat: Type.Integer({ description: "Received less paid" }),
    on_chain_sat: Sat("Of what it had in channels, paid to it by the chain"),
  },
  { title: "IncomeDay" },
);

export const settlementShapes = {
  getSettlement: {
    name: "getSettlement",
    group: "read",
    method: "GET",
    path: "/api/settlement",
    tag: "Settlement",
    summary: "What waits for the chain, and what a run would do",
    answer: Type.Object(
      {
        chain_problem: Waits("Null: the Bitcoin node answers"),
        automatic: Type.Array(Kind),
        queue: Type.Array(QueuedClaim, { description: "The most urgent first" }),
        actions: Type.Array(SettlementAction),
        recent: Type.Array(Done, { description: "The newest first" }),
      },
      { title: "Settlement" },
    ),
  },
  settle: {
    name: "settle",
    group: "channel",
    method: "POST",
    path: "/api/settlement/run",
    tag: "Settlement",
    summary: "Sweep, open and rebalance what the settings allow",
    description: "Of all kinds, or of those that are named; what was begun is told.",
    body: Given({ kinds: Type.Optional(Type.Array(Kind, { maxItems: ACTION_KINDS.length })) }),
    answer: Type.Object({ done: Type.Array(SettlementAction) }, { title: "Settled" }),
    movesMoney: true,
  },
  getIncome: {
    name: "getIncome",
    group: "read",
    method: "GET",
    path: "/api/settlement/income",
    tag: "Settlement",
    summary: "What devices got and gave over the gateway's channels with them, by day",
    description:
      "Opened, and received less paid, and less what the chain paid, is the balance: to the millisatoshi.",
    query: Given({
      from: Day("First day (UTC); default: 30 days before the last"),
      to: Day("Last day; default: today"),
      node_id: Type.Optional(NodeId),
      gateways: Type.Optional(Type.Boolean({ description: "Also of gateways, not devices alone" })),
    }),
    answer: Type.Object(
      {
        days: Type.Array(IncomeDay),
        totals: Type.Object({
          received_msat: Msat("Of these days"),
          paid_msat: Msat("Of these days"),
          on_chain_sat: Sat("Of these days"),
        }),
        channels: Type.Array(
          Type.Object({
            channel_id: ChannelIdHex,
            node_id: NodeId,
            opened_msat: Msat("The device's when it was opened"),
            balance_msat: Msat("The device's now; 0 where it is closed"),
            closed: Type.Boolean(),
          }),
        ),
      },
      { title: "Income" },
    ),
    csv: {
      list: "days",
      columns: ["day", "node_id", "received_msat", "paid_msat", "net_msat", "on_chain_sat"],
    },
  },
} as const satisfies Record<string, OperationShape>;
