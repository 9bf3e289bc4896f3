/** What the operations about pushes inside one channel do. */
import type { ChannelRecord, Update } from "../../../core/channel/record.ts";
import { packPayments, unpackPayments } from "../../../core/payments/push.ts";
import {
  channelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
} from "../../../core/primitives/brands.ts";
import { equal, fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { assert } from "../../../core/primitives/errors.ts";
import { AskedPushes } from "../asked-pushes.ts";
import { channelOf, peerOf } from "../channel-json.ts";
import type { ApiHost } from "../host.ts";
import { type AnyOperation, type Call, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { type PushJson, PushLog } from "../push-log.ts";
import { channelShapes } from "../shapes/channels.ts";
import { until } from "../until.ts";

const PUSH_MS = 15_000;
const REFERENCE_BYTES = 16;
const USUAL_LIMIT = 100;

export function channelPaymentOperations(host: ApiHost): readonly AnyOperation[] {
  const { node } = host.gateway;
  const log = new PushLog(host.events);
  const asked = new AskedPushes(host.events);
  const deviceOf = ({ channel_id }: { readonly channel_id: string }) => peerOf(node, channel_id);
  return [
    serve(channelShapes.payChannel, (input, call) => push(host, asked, input, call), deviceOf),
    serve(
      channelShapes.listChannelPayments,
      ({ channel_id, limit = USUAL_LIMIT }) => {
        channelOf(node, channel_id);
        return { payments: [...log.list(channel_id, limit)] };
      },
      deviceOf,
    ),
  ];
}

async function push(
  host: ApiHost,
  asked: AskedPushes,
  input: Input<typeof channelShapes.payChannel>,
  { once, grant, signal }: Call,
): Promise<PushJson> {
  assert(once, "a push has a key");
  const { node } = host.gateway;
  const { channel_id: id } = input;
  const amountMsat = amountOf(input);
  // The store pays a reference once, whoever asks how often.
  const reference = once.id.slice(0, REFERENCE_BYTES);
  const push = { reference, amountMsat };
  const noted = once.noted as { readonly at: string } | undefined;
  const at = noted?.at ?? new Date().toISOString();
  const told = (state: PushJson["state"]): PushJson => {
    if (state === "pending") once.leaveOpen();
    const amount_msat: number = amountMsat;
    return { reference: toHex(reference), direction: "sent", amount_msat, state, at };
  };
  const stored = async () => {
    if (!(await host.store.isDebited(reference))) return undefined;
    const record = node.record(channelId(fromHex(id)));
    return told(isUnderWay(record, reference) ? "pending" : "succeeded");
  };
  const before = await stored();
  if (before) return before;
  // Of what may be on its way to the disk nobody says that it was not paid.
  const peer = asked.has(toHex(reference)) ? peerOf(node, id) : demandOpen(host, id);
  const peerId = peer && toHex(peer);
  const spent = noted ? undefined : await grant.spend(amountMsat);
  await once.note({ at });
  const outcome = await until(
    host.events,
    { timeoutMs: PUSH_MS, signal },
    (event) => {
      if (event.type === "peer" && event.node_id === peerId && event.state !== "connected") {
        return { type: "lost", reason: "" };
      }
      if (event.type !== "channel" || event.channel_id !== id) return undefined;
      return outcomeOf(event.event as ToldEvent, toHex(reference));
    },
    () => {
      const payments = packPayments([push]);
      const give = () => node.command(channelId(fromHex(id)), { type: "push", payments });
      const isGiven = asked.once(toHex(reference), give);
      return isGiven ? undefined : { type: "rejected", reason: "the channel has gone" };
    },
  );
  if (outcome?.type === "rejected") {
    // Refused for having been made is made.
    const after = await stored();
    if (after) return after;
    await spent?.giveBack();
    throw new ApiProblem("refused", `nothing was paid: ${outcome.reason}`);
  }
  return told(outcome?.type === "pushSettled" ? "succeeded" : "pending");
}

interface ToldEvent {
  readonly type: string;
  readonly reason?: string;
  readonly command?: { readonly type: string; readonly payments?: string };
  readonly payments?: readonly { readonly reference: string }[];
}

function outcomeOf(
  told: ToldEvent,
  reference: string,
): { type: string; reason: string } | undefined {
  const isOurs =
    told.type === "pushSettled"
      ? told.payments?.some((one) => one.reference === reference)
      : told.type === "rejected" && told.command?.payments?.startsWith(reference);
  return isOurs ? { type: told.type, reason: told.reason ?? "" } : undefined;
}

function amountOf(input: Input<typeof channelShapes.payChannel>): MilliSatoshi {
  const { amount, amount_msat: msat } = input;
  if ((amount === undefined) === (msat === undefined)) {
    const detail = "say either amount (satoshi) or amount_msat";
    throw new ApiProblem("invalid-request", detail, [{ pointer: "/amount", detail }]);
  }
  return milliSatoshi(msat ?? (amount as number) * 1000);
}

function demandOpen({ gateway: { node } }: ApiHost, id: string): PublicKey {
  const { state, connected } = channelOf(node, id);
  const peer = peerOf(node, id);
  if (state !== "normal" || !peer) {
    throw new ApiProblem("refused", `the channel is ${state}: it carries no payments`);
  }
  if (!connected) {
    throw new ApiProblem("not-connected", `${toHex(peer)} is away: nothing was paid`);
  }
  return peer;
}

/** Durable here, and not yet irrevocable on both sides. */
function isUnderWay(record: ChannelRecord | undefined, reference: Uint8Array): boolean {
  if (!record) return false;
  return holds([...record.pending.localSigned, ...record.pending.localAcked], reference);
}

function holds(updates: readonly Update[], reference: Uint8Array): boolean {
  return updates.some(
    (update) =>
      update.type === "push" &&
      unpackPayments(update.payments).some((one) => equal(one.reference, reference)),
  );
}
