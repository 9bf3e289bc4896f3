/** A byzantine node: it keeps its own commitments, and gives a revoked one straight to a miner. */
import { closeLocally } from "../../../core/chain/monitor/close-locally.ts";
import { watchedChannel } from "../../../core/channel/on-chain.ts";
import { blockHeight } from "../../../core/primitives/brands.ts";
import { outpointKey, parseTransaction } from "../../../core/transactions/transaction.ts";
import type { Random } from "../../random.ts";
import { LIAR } from "../options.ts";
import type { World } from "../world.ts";

const POLICY = {
  feeratesPerKw: { now: 2000, soon: 1000, economy: 500 },
  irrevocableDepth: 3,
};
/** The node that cheats, where a world has one. */
export const CHEAT = LIAR;

export function keepOldState(world: World, random: Random): void {
  const cheat = world.node(CHEAT);
  const own = world.book.channels.filter(
    ({ id, opener, acceptor }) => id && (opener === CHEAT || acceptor === CHEAT),
  );
  if (own.length === 0 || !cheat.isUp) return;
  const channel = random.oneOf(own);
  const record = channel.id && cheat.record(channel.id);
  if (record?.phase !== "normal" || record.outdated) return;
  // Not the signer of its run: that one would refuse to sign what is revoked.
  const signer = cheat.signer.channel(record.terms.keyIndex);
  const { localNumber, remoteNumber, outdated, remoteNodeId } = record;
  signer.stored({ localNumber, remoteNumber, outdated });
  const context = cheat.node?.context({ signer, remoteNodeId });
  if (!context) return;
  const facts = { tipHeight: blockHeight(world.height), confirmed: [] };
  const [claim] = closeLocally(context, watchedChannel(context, record), facts, POLICY);
  if (!claim) return;
  world.book.oldStates.push({
    channel,
    by: CHEAT,
    number: localNumber,
    raw: claim.raw,
    isPunishable: false,
  });
}

export function publishOldState(world: World, random: Random): void {
  const cheat = world.node(CHEAT);
  const revoked = world.book.oldStates.filter(({ channel, number, raw }) => {
    const record = channel.id && cheat.checking.stored(channel.id);
    const [input] = parseTransaction(raw).inputs;
    const isUnspent = input && world.chain.coin(input.outpoint) !== undefined;
    return record && number < record.localNumber && isUnspent;
  });
  if (revoked.length === 0 || world.blocksAllowed() < 1) return;
  const chosen = random.oneOf(revoked);
  const { channel, raw } = chosen;
  const other = world.node(channel.opener === CHEAT ? channel.acceptor : channel.opener);
  const known = channel.id && other.checking.stored(channel.id);
  chosen.isPunishable = known !== undefined && known.remoteNumber > chosen.number;
  const spends = new Set(parseTransaction(raw).inputs.map((input) => outpointKey(input.outpoint)));
  world.note(`n${CHEAT} publishes an old state that spends ${[...spends].join()}`);
  cheat.isByzantine = true;
  for (const one of world.book.channels) {
    if (one.opener === CHEAT || one.acceptor === CHEAT) one.cheated = true;
  }
  channel.cheated = true;
  world.blocksLeft--;
  world.chain.mineBlock(world.minerScript, [raw]);
}
