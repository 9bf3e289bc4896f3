/** What the owners of a world pay each other: pushes, HTLCs, and HTLCs over a node that forwards them. */
import { encodeInstructions } from "../../core/payments/instructions.ts";
import { packPayments } from "../../core/payments/push.ts";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { forwardFee } from "../../gateway/payments/forward-policy.ts";
import type { Random } from "../random.ts";
import { FORWARD_POLICY } from "./actors/policies.ts";
import type { BookChannel, BookHtlc } from "./book.ts";
import type { World } from "./world.ts";

/** Blocks after which an offered HTLC runs out: later than faults last. */
const HTLC_BLOCKS = 110;
const NOT_ASKED = { asked: false, committed: false, released: false };
const FULFIL_OR_FAIL = ["fulfil", "fulfil", "fail"] as const;

export function channelOf(world: World, random: Random): BookChannel | undefined {
  const all = world.book.channels.filter(
    ({ id, opener, acceptor }) =>
      id && [opener, acceptor].some((n) => world.node(n).record(id)?.phase === "normal"),
  );
  return all.length > 0 ? random.oneOf(all) : undefined;
}

export function endsOf(channel: BookChannel, random: Random): { from: number; to: number } {
  const { opener, acceptor } = channel;
  return random.oneIn(2) ? { from: opener, to: acceptor } : { from: acceptor, to: opener };
}

export function push(world: World, random: Random): void {
  const channel = channelOf(world, random);
  if (!channel?.id) return;
  const { from, to } = endsOf(channel, random);
  if (!world.node(from).isUp) return;
  const payments = Array.from({ length: random.oneOf([1, 1, 2, 5]) }, (_, i) => ({
    reference: world.crypto
      .sha256(ascii(`${world.options.seed} push ${world.book.pushes.length} ${i}`))
      .slice(0, 16),
    amountMsat: milliSatoshi(random.oneOf([1, 999, 40_000, 3_000_000, 60_000_000])),
  }));
  const packed = packPayments(payments);
  world.book.pushes.push({
    channel,
    from,
    to,
    payments: packed,
    references: payments.map(({ reference }) => reference),
    amountsMsat: payments.map(({ amountMsat }) => amountMsat),
    asked: true,
    committed: false,
    receipted: false,
  });
  world.node(from).node?.command(channel.id, { type: "push", payments: packed });
}

/** An owner who forgot that it paid: it is refused, or the first try was not carried out. */
export function pushAgain(world: World, random: Random): void {
  const done = world.book.pushes.filter((one) => one.committed && world.node(one.from).isUp);
  if (done.length === 0) return;
  const { channel, from, payments } = random.oneOf(done);
  if (channel.id) world.node(from).node?.command(channel.id, { type: "push", payments });
}

export function htlc(world: World, random: Random): void {
  const channel = channelOf(world, random);
  if (!channel?.id) return;
  const { from, to } = endsOf(channel, random);
  const { htlcs } = world.book;
  const salt = ascii(`${world.options.seed} htlc ${htlcs.length}`);
  const secret = preimage(world.crypto.sha256(salt));
  const willEnd = world.has("forceCloses") || world.has("oldStates");
  const amountMsat = random.oneOf([1_000, 300_000, 20_000_000, 90_000_000]);
  const plan = random.oneOf(
    willEnd ? (["fulfil", "fulfil", "fail", "ignore"] as const) : FULFIL_OR_FAIL,
  );
  htlcs.push({
    channel,
    from,
    to,
    amountMsat,
    hash: paymentHash(world.crypto.sha256(secret)),
    secret,
    ...(world.has("deadlines") && random.oneIn(2)
      ? shortPlan(world, random)
      : { plan, cltvExpiry: world.height + world.blocksLeft + HTLC_BLOCKS }),
    ...NOT_ASKED,
  });
  world.applications[from]?.retry();
}

/** One that runs out while faults last, or soon after. */
function shortPlan(world: World, random: Random) {
  return {
    plan: random.oneOf(["fulfil", "fulfil", "fail", "ignore", "late", "hold"] as const),
    answerBlocks: random.between(10, 18),
    cltvExpiry: world.height + random.between(18, 50),
    isShort: true,
  };
}

interface Greed {
  offered(amountMsat: number): number;
  /** That who forwards has between the two expiries. */
  readonly blocks: number;
}

const HONEST: Greed = {
  offered: (amountMsat) => amountMsat,
  blocks: FORWARD_POLICY.cltvExpiryDelta,
};

/** An owner who would have more forwarded than it offers, or have it back before who forwards knows what became of it. */
function greedOf(random: Random): Greed {
  switch (random.oneOf(["none", "none", "money", "time"] as const)) {
    case "none":
      return HONEST;
    case "money":
      return { ...HONEST, offered: (amountMsat) => Math.ceil(amountMsat / 4) };
    case "time":
      return { ...HONEST, blocks: -random.between(0, 12) };
  }
}

/** From a node over another one to a third: what becomes of it on one side is carried to the other. */
export function forward(world: World, random: Random): void {
  const { book, crypto } = world;
  const open = book.channels.filter(({ id }) => id !== undefined);
  const ways = open.flatMap((first) =>
    open.flatMap((second) =>
      [first.opener, first.acceptor].flatMap((middle) => {
        const from = first.opener + first.acceptor - middle;
        const to = second.opener + second.acceptor - middle;
        const isWay = [second.opener, second.acceptor].includes(middle) && from !== to;
        return isWay ? [{ first, second, from, middle, to }] : [];
      }),
    ),
  );
  if (ways.length === 0) return;
  const { first, second, from, middle, to } = random.oneOf(ways);
  const greed = world.has("greed") ? greedOf(random) : HONEST;
  const secret = preimage(
    crypto.sha256(ascii(`${world.options.seed} forward ${book.htlcs.length}`)),
  );
  const common = { hash: paymentHash(crypto.sha256(secret)), secret };
  const amountMsat = milliSatoshi(random.oneOf([1_000, 300_000, 20_000_000, 90_000_000]));
  const short = world.has("deadlines") ? shortPlan(world, random) : undefined;
  const cltvExpiry = short?.cltvExpiry ?? world.height + world.blocksLeft + HTLC_BLOCKS;
  const plan = short?.plan ?? random.oneOf(FULFIL_OR_FAIL);
  const last = { ...common, amountMsat, isSecondHalf: true, ...short, cltvExpiry, plan };
  const next: BookHtlc = { ...last, channel: second, from: middle, to, ...NOT_ASKED };
  book.htlcs.push(
    {
      ...common,
      channel: first,
      from,
      to: middle,
      amountMsat: greed.offered(amountMsat + forwardFee(FORWARD_POLICY, amountMsat)),
      plan: "forward",
      cltvExpiry: cltvExpiry + greed.blocks,
      isShort: short !== undefined,
      onion: encodeInstructions({
        type: "forward",
        destination: world.node(to).nodeId,
        amountMsat,
        cltvExpiry: blockHeight(cltvExpiry),
        sealed: new Uint8Array(0),
        gateways: [],
      }),
      next,
      ...NOT_ASKED,
    },
    next,
  );
  world.applications[from]?.retry();
}
