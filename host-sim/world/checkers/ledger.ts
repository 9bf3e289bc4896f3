/** After every step a side of a channel has, to the millisatoshi, what it began with and what it was paid, less what it paid and what lies in HTLCs (rule `value-conserved`). */
import { type ChannelRecord, isOpen, type Update } from "../../../core/channel/record.ts";
import type { ChannelId } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import type { WorldNode } from "../actors/world-node.ts";
import type { BookChannel } from "../book.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";
import { DurableRecords, hearRecords } from "./kept-records.ts";

interface SeenHtlc {
  readonly offeredByLocal: boolean;
  readonly id: number;
  readonly amountMsat: number;
}

/** How the receivers of HTLCs answered: by channel, receiver and id. */
type Answers = Map<string, "fulfilled" | "failed">;

export const ledger: MakeChecker = (world, complain) => {
  const durable = new DurableRecords();
  const watched = new Set<WorldNode>();
  const counted = new Map<string, ChannelRecord>();
  const answers: Answers = new Map();
  /** By node and channel: HTLCs that were ever irrevocable there. */
  const seen = new Map<string, Map<string, SeenHtlc>>();
  return {
    sent: (node, id, message) => {
      const isFulfil = message.type === "update_fulfill_htlc";
      const isFail =
        message.type === "update_fail_htlc" || message.type === "update_fail_malformed_htlc";
      if (!isFulfil && !isFail) return;
      answers.set(answerKey(id, node.index, message.id), isFulfil ? "fulfilled" : "failed");
    },
    step: () => {
      hearRecords(world, watched, (node, { channelId, base }) => {
        const key = `${node.name}/${toHex(channelId)}`;
        const all = seen.get(key) ?? new Map<string, SeenHtlc>();
        seen.set(key, all);
        for (const htlc of base.htlcs) all.set(`${htlc.offeredByLocal}/${htlc.id}`, htlc);
      });
      for (const channel of world.book.channels) {
        const { id, opener, acceptor } = channel;
        // What a liar says is not looked at, and what it says to itself is its own business.
        if ([opener, acceptor].some((index) => world.node(index).isByzantine)) continue;
        for (const index of id && world.isSound(channel) ? [opener, acceptor] : []) {
          const node = world.node(index);
          const record = durable.of(node, id as ChannelId);
          const key = `${node.name}/${toHex(id as ChannelId)}`;
          if (!record || !isOpen(record.phase) || counted.get(key) === record) continue;
          counted.set(key, record);
          const htlcs = [...(seen.get(key)?.values() ?? [])];
          const due = dueMsat(world, channel, { node, record, htlcs, answers });
          const { toLocalMsat: has } = record.base;
          if (has !== due) complain(`${node.name} has ${has} msat, its payments make ${due}`);
        }
      }
    },
  };
};

interface Side {
  readonly node: WorldNode;
  readonly record: ChannelRecord;
  readonly htlcs: readonly SeenHtlc[];
  readonly answers: Answers;
}

function dueMsat(world: World, channel: BookChannel, side: Side): number {
  const { node, record, htlcs, answers } = side;
  const { index } = node;
  const isOpener = index === channel.opener;
  const { pushMsat, fundingSatoshis } = channel;
  let due = isOpener ? fundingSatoshis * 1000 - pushMsat : pushMsat;
  due += pushedMsat(world, channel, side);
  const isInBase = ({ offeredByLocal, id }: SeenHtlc) =>
    record.base.htlcs.some((one) => one.id === id && one.offeredByLocal === offeredByLocal);
  for (const htlc of htlcs) {
    const { offeredByLocal, id, amountMsat } = htlc;
    const receiver = offeredByLocal ? channel.opener + channel.acceptor - index : index;
    if (isInBase(htlc)) due -= offeredByLocal ? amountMsat : 0;
    else if (answers.get(answerKey(record.channelId, receiver, id)) === "fulfilled") {
      due += offeredByLocal ? -amountMsat : amountMsat;
    }
  }
  return due;
}

/** What pushes brought, less those that are irrevocable of its own. */
function pushedMsat(world: World, channel: BookChannel, { node, record }: Side): number {
  const { localSigned, localAcked } = record.pending;
  const underWay = [...localSigned, ...localAcked];
  let sum = 0;
  for (const push of world.book.pushes) {
    if (push.channel !== channel) continue;
    const isOurs = push.from === node.index;
    const isUnderWay = ({ type, ...rest }: Update) =>
      type === "push" && "payments" in rest && equal(rest.payments, push.payments);
    if (isOurs && underWay.some(isUnderWay)) continue;
    push.references.forEach((reference, i) => {
      const amountMsat = push.amountsMsat[i] as number;
      if (isOurs && node.memory.isDebited(reference)) sum -= amountMsat;
      if (!isOurs && node.memory.isCredited(reference)) sum += amountMsat;
    });
  }
  return sum;
}

function answerKey(id: ChannelId, receiver: number, htlcId: number): string {
  return `${toHex(id)}/${receiver}/${htlcId}`;
}
