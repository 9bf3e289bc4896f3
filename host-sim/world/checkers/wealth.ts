/** When everything has settled, no honest node has less than its payments say, but for the fees and the dust of its own transactions. */
import { toHex } from "../../../core/primitives/bytes.ts";
import { outpointKey } from "../../../core/transactions/transaction.ts";
import type { World } from "../world.ts";
import type { MakeChecker } from "./checker.ts";

/** Outputs that nobody spends: anchors, and what costs more than it is worth. */
const MAX_DUST_SATOSHIS = 1_100;

export const wealth: MakeChecker = (world, complain) => {
  const initial: number[] = [];
  return {
    step: () => {
      if (initial.length > 0) return;
      for (const { index } of world.nodes) initial.push(onChain(world, index));
    },
    end: () => {
      const costs = costsOf(world);
      for (const { index, name, isByzantine } of world.nodes) {
        if (isByzantine || world.chainLiar?.deceived.has(index)) continue;
        const expected = (initial[index] as number) * 1000 + paidMsat(world, index);
        const actual = onChain(world, index) * 1000 + inChannels(world, index);
        const lost = Math.ceil((expected - actual) / 1000);
        const cost = (costs[index] as number) + unknownAfterRestore(world, index);
        world.note(`${name} lost ${lost} sat of ${cost} that fees explain`);
        if (lost > cost) complain(`${name} lost ${lost} sat, of which fees explain ${cost}`);
      }
    },
  };
};

/** Satoshis under a node's keys. */
function onChain(world: World, index: number): number {
  const { wallet, payoutScript } = world.node(index);
  const payout = toHex(payoutScript);
  let sum = 0;
  for (const [, { output }] of world.chain.coins()) {
    if (wallet.owns(output.script) || toHex(output.script) === payout) sum += output.amount;
  }
  return sum;
}

function inChannels(world: World, index: number): number {
  let sum = 0;
  for (const { id } of world.book.channels) {
    const record = id && world.node(index).record(id);
    if (record?.phase === "normal") sum += record.base.toLocalMsat;
  }
  return sum;
}

/** What came in less what went out, as far as the node knows for certain. */
function paidMsat(world: World, index: number): number {
  let sum = 0;
  for (const channel of world.book.channels) {
    if (!isFunded(world, channel.funding)) continue;
    if (channel.opener === index) sum -= channel.pushMsat;
    if (channel.acceptor === index) sum += channel.pushMsat;
  }
  for (const { from, to, references, amountsMsat } of world.book.pushes) {
    const payer = world.node(from).memory;
    const payee = world.node(to).memory;
    references.forEach((reference, i) => {
      const amount = amountsMsat[i] as number;
      if (from === index && payer.wasDebited(reference)) sum -= amount;
      if (to === index && payee.wasCredited(reference)) sum += amount;
    });
  }
  for (const { from, to, amountMsat, released, outcome, next, isSecondHalf } of world.book.htlcs) {
    // Who forwards never loses: what it pays it gets.
    if (from === index && released && !isSecondHalf) sum -= amountMsat;
    if (to === index && outcome === "fulfilled" && !next) sum += amountMsat;
  }
  return sum;
}

/** Satoshis in HTLCs that a node's older image may know nothing of. */
function unknownAfterRestore(world: World, index: number): number {
  if (!world.node(index).isRestored) return 0;
  const own = world.book.htlcs.filter(({ from, to }) => from === index || to === index);
  return own.reduce((sum, { amountMsat }) => sum + Math.ceil(amountMsat / 1000), 0);
}

function isFunded(world: World, raw: Uint8Array | undefined): boolean {
  if (!raw) return false;
  const hex = toHex(raw);
  for (let height = 0; height <= world.height; height++) {
    const found = world.chain.block(height)?.transactions.some((one) => toHex(one.raw) === hex);
    if (found) return true;
  }
  return false;
}

/** By node: fees of confirmed transactions that it or its channels took part in, and dust that they left. */
function costsOf(world: World): readonly number[] {
  const { chain, nodes } = world;
  const costs = nodes.map(() => 0);
  const owners = new Map<string, ReadonlySet<number>>();
  const ownerOf = (script: Uint8Array) =>
    nodes.find(
      ({ wallet, payoutScript }) => wallet.owns(script) || toHex(payoutScript) === toHex(script),
    )?.index;
  const fundings = new Map(
    world.book.channels.flatMap(({ funding, opener, acceptor }) =>
      funding ? [[toHex(funding), new Set([opener, acceptor])] as const] : [],
    ),
  );
  for (let height = 1; height <= chain.height; height++) {
    const block = chain.block(height);
    const spent = new Map(block?.spent ?? []);
    for (const { raw, parsed, spends, txid } of block?.transactions.slice(1) ?? []) {
      const inside = spends.reduce((sum, key) => sum + (spent.get(key)?.output.amount ?? 0), 0);
      const outside = parsed.outputs.reduce((sum, { amount }) => sum + amount, 0);
      const all = new Set(spends.flatMap((key) => [...(owners.get(key) ?? [])]));
      for (const index of fundings.get(toHex(raw)) ?? []) all.add(index);
      for (const index of all) costs[index] = (costs[index] as number) + inside - outside;
      parsed.outputs.forEach(({ script, amount }, vout) => {
        const key = outpointKey({ txid, vout });
        const owner = ownerOf(script);
        owners.set(key, owner === undefined ? all : new Set([owner]));
        const isLeft = owner === undefined && chain.coin({ txid, vout }) !== undefined;
        if (!isLeft || amount > MAX_DUST_SATOSHIS) return;
        for (const index of all) costs[index] = (costs[index] as number) + amount;
      });
    }
  }
  return costs;
}
