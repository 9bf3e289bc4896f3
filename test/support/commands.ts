/** Short ways to command a channel and to learn why it refused; and how a cheat goes around its own node. */
import { expect } from "vitest";
import type { Command } from "../../core/channel/inputs.ts";
import type { Message } from "../../core/messages/message.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
} from "../../core/primitives/brands.ts";
import { crypto, Pair, type PairOptions, payment, type TestNode } from "./node-pair.ts";

export const HASH = paymentHash(crypto.sha256(new Uint8Array(32)));

type Options = PairOptions & Parameters<Pair["open"]>[0];

export async function open(options: Options = {}): Promise<{ pair: Pair; id: ChannelId }> {
  const pair = await Pair.make(options);
  return { pair, id: await pair.open(options) };
}

export function push(side: TestNode, id: ChannelId, amountMsat: number): string | undefined {
  return commanded(side, () =>
    side.node.command(id, { type: "push", payments: payment(amountMsat) }),
  );
}

/** So many of so many payments each, to be given in one command: they share a signature. */
export function pushes(count: number, payments: number): Extract<Command, { type: "push" }>[] {
  return Array.from({ length: count }, () => ({ type: "push", payments: payment(1, payments) }));
}

export function add(side: TestNode, id: ChannelId, amountMsat: number): string | undefined {
  return commanded(side, () =>
    side.node.command(id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(amountMsat),
      paymentHash: HASH,
      cltvExpiry: blockHeight(500),
    }),
  );
}

/** The reason for which a command was rejected; undefined where it was not. */
export function commanded(side: TestNode, command: () => void): string | undefined {
  const before = side.events("rejected").length;
  command();
  return side.events("rejected")[before]?.reason;
}

/** Bob's node sends what an honest one would not; alice must warn, drop the link and change nothing. */
export function cheat(
  pair: Pair,
  id: ChannelId,
  ...messages: readonly Message[]
): string | undefined {
  pair.cable.pump();
  const before = pair.a.node.record(id);
  const told = pair.a.events("violation").length;
  for (const message of messages) pair.b.node.sendService(pair.a.nodeId, message);
  pair.cable.pump();
  expect(pair.a.node.record(id)).toBe(before);
  expect(pair.a.node.isConnected(pair.b.nodeId)).toBe(false);
  expect(pair.a.events("forceClosing")).toEqual([]);
  expect(pair.b.events("peerSaid").at(-1)?.severity).toBe("warning");
  pair.reconnect();
  return pair.a.events("violation")[told]?.tag;
}

export function cheatPush(id: ChannelId, amountMsat: number): Message {
  return {
    type: "update_push",
    channelId: id,
    id: 0,
    payments: payment(amountMsat),
    receiptsBelow: 0,
  };
}

export function cheatAdd(id: ChannelId, htlcId: number, amountMsat: number): Message {
  return {
    type: "update_add_htlc",
    channelId: id,
    id: htlcId,
    amountMsat: milliSatoshi(amountMsat),
    paymentHash: HASH,
    cltvExpiry: 500,
    onionRoutingPacket: new Uint8Array(0),
  };
}
