/** What the operations about channels do; payments inside a channel are in channel-payments.ts. */
import {
  channelId,
  milliSatoshi,
  publicKey,
  satoshi,
  toMilliSatoshi,
} from "../../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { type ChannelJson, channelOf, channelsOf, peerOf } from "../channel-json.ts";
import type { ApiHost } from "../host.ts";
import type { Once } from "../idempotency.ts";
import { type AnyOperation, type Call, type Input, serve } from "../operation.ts";
import { ApiProblem } from "../problem.ts";
import { channelShapes } from "../shapes/channels.ts";
import { until } from "../until.ts";
import { PER_KW_OF_SAT_PER_VB } from "./wallet.ts";

const OPEN_MS = 30_000;
const CLOSE_MS = 15_000;

type ToldEvent = { readonly type: string; readonly [field: string]: unknown };

export function channelOperations(host: ApiHost): readonly AnyOperation[] {
  const { node } = host.gateway;
  const deviceOf = (input: { readonly channel_id: string }) => peerOf(node, input.channel_id);
  const nodeIn = (input: { readonly peer_node_id?: string }) =>
    input.peer_node_id === undefined ? undefined : publicKey(fromHex(input.peer_node_id));
  return [
    serve(
      channelShapes.listChannels,
      ({ peer_node_id, state }) => ({
        channels: channelsOf(node).filter(
          (one) =>
            (peer_node_id === undefined || one.peer_node_id === peer_node_id) &&
            (state === undefined || one.state === state),
        ),
      }),
      nodeIn,
    ),
    serve(channelShapes.getChannel, ({ channel_id }) => channelOf(node, channel_id), deviceOf),
    serve(channelShapes.openChannel, (input, call) => open(host, input, call), nodeIn),
    serve(channelShapes.closeChannel, (input, call) => close(host, input, call), deviceOf),
  ];
}

async function open(
  host: ApiHost,
  input: Input<typeof channelShapes.openChannel>,
  { once, grant, signal }: Call,
): Promise<ChannelJson> {
  const { node } = host.gateway;
  const { peer_node_id: peer, capacity, push = 0 } = input;
  const begun = once && openedSince(host, input, once);
  if (begun) {
    if (begun.state === "opening") once?.leaveOpen();
    return begun;
  }
  await demandPossible(host, input);
  const pushMsat = toMilliSatoshi(satoshi(push));
  const spent = await grant.spend(pushMsat);
  await once?.note({ known: channelsOf(node).map(({ channel_id }) => channel_id) });
  let temporaryId = "";
  // What is refused at once is told before its id is known.
  const early = new Map<unknown, ToldEvent>();
  const outcome = await until(
    host.events,
    { timeoutMs: OPEN_MS, signal },
    (event) => {
      if (event.type !== "channel") return undefined;
      const told = event.event as ToldEvent;
      if (!["created", "openFailed", "rejected"].includes(told.type)) return undefined;
      if (temporaryId === "") early.set(event.channel_id, told);
      return event.channel_id === temporaryId ? told : undefined;
    },
    () => {
      temporaryId = toHex(
        node.open({
          remoteNodeId: publicKey(fromHex(peer)),
          channelType: "zero_fee_commitments",
          fundingSatoshis: satoshi(capacity),
          pushMsat: milliSatoshi(pushMsat),
          feeratePerKw: 0,
        }),
      );
      return early.get(temporaryId);
    },
  );
  if (outcome && outcome.type !== "created") {
    await spent.giveBack();
    throw new ApiProblem("refused", `the channel was not opened: ${outcome.reason}`);
  }
  if (outcome) return channelOf(node, outcome.channelId as string);
  once?.leaveOpen();
  return channelOf(node, temporaryId);
}

/** What an earlier try of the same call made. */
function openedSince(
  { gateway: { node } }: ApiHost,
  { peer_node_id, capacity }: Input<typeof channelShapes.openChannel>,
  { noted }: Once,
): ChannelJson | undefined {
  if (noted === undefined) return undefined;
  const { known } = noted as { readonly known: readonly string[] };
  return channelsOf(node).find(
    (one) =>
      one.opened_by_us &&
      one.peer_node_id === peer_node_id &&
      one.capacity_sat === capacity &&
      !known.includes(one.channel_id),
  );
}

async function demandPossible(
  { gateway: { node }, chain: { wallet } }: ApiHost,
  { peer_node_id, capacity, push = 0 }: Input<typeof channelShapes.openChannel>,
): Promise<void> {
  if (push > capacity) {
    const detail = `${push} sat cannot be pushed in a channel of ${capacity} sat`;
    throw new ApiProblem("invalid-request", detail, [{ pointer: "/push", detail }]);
  }
  if (!node.isConnected(publicKey(fromHex(peer_node_id)))) {
    const detail = `${peer_node_id} is not connected: POST /api/peers connects it`;
    throw new ApiProblem("not-connected", detail);
  }
  const balance = await wallet.balance();
  if (balance < capacity) {
    const detail = `the wallet has ${balance} sat on chain, and the channel needs ${capacity} sat and a fee`;
    throw new ApiProblem("not-enough-money", detail);
  }
}

async function close(
  host: ApiHost,
  { channel_id: id, force, feerate_sat_per_vb: feerate }: Input<typeof channelShapes.closeChannel>,
  { signal }: Call,
) {
  const { node } = host.gateway;
  const before = channelOf(node, id);
  const done = (state: ChannelJson["state"] | "closed", txid?: unknown) => ({
    channel_id: id,
    state,
    closing_txid: typeof txid === "string" ? txid : null,
  });
  const hasEnded = force ? ["force-closing", "on-chain"] : ["on-chain"];
  if (hasEnded.includes(before.state)) return done(before.state);
  const perKw = feerate === undefined ? await usualFeerate(host) : feerate * PER_KW_OF_SAT_PER_VB;
  const isLonely = !force && !before.connected && before.state !== "opening";
  const outcome = await until(
    host.events,
    // Nobody answers who is away: the close is kept, and done when the peer is back.
    { timeoutMs: isLonely ? 100 : CLOSE_MS, signal },
    (event) => {
      if (event.type !== "channel" || event.channel_id !== id) return undefined;
      const told = event.event as ToldEvent;
      return ENDINGS.includes(told.type) ? told : undefined;
    },
    () => {
      const command = { type: "close", feeratePerKw: Math.ceil(perKw) } as const;
      node.command(channelId(fromHex(id)), force ? { type: "forceClose" } : command);
      return undefined;
    },
  );
  if (outcome?.type === "rejected") throw new ApiProblem("refused", String(outcome.reason));
  const now = channelsOf(node).find(({ channel_id }) => channel_id === id);
  return done(now?.state ?? "closed", outcome?.txid);
}

/** While the Bitcoin node is away, as it was last: a close is agreed on all the same, and sent when it is back. */
async function usualFeerate({ chain, gateway }: ApiHost): Promise<number> {
  try {
    return await chain.source.feeratePerKw("soon");
  } catch (cause) {
    const { feerates } = gateway;
    if (feerates === undefined) throw cause;
    return feerates.soon;
  }
}

const ENDINGS = ["closing", "forceClosing", "rejected", "openFailed", "forgotten", "onChain"];
