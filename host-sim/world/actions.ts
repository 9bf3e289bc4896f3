/** What may happen in a step: commands of owners, and faults; which of them do is drawn from the seed. */
import type { Random } from "../random.ts";
import { backUp, restoreBackup } from "./actors/backups.ts";
import { keepOldState, publishOldState } from "./actors/old-states.ts";
import { sleepLong } from "./actors/tower.ts";
import type { WorldClass } from "./options.ts";
import { channelOf, endsOf, forward, htlc, push, pushAgain } from "./payments.ts";
import type { World } from "./world.ts";

interface Action {
  readonly name: string;
  readonly weight: number;
  /** Absent: it may always happen. */
  readonly class?: WorldClass;
  run(world: World, random: Random): void;
}

const MAX_REORG = 6;

export const ACTIONS: readonly Action[] = [
  { name: "nothing", weight: 14, run: () => {} },
  { name: "push", weight: 30, run: push },
  { name: "pushAgain", weight: 2, run: pushAgain },
  { name: "htlc", weight: 20, class: "htlcs", run: htlc },
  { name: "retry", weight: 8, run: retry },
  { name: "fee", weight: 6, class: "fees", run: updateFee },
  { name: "open", weight: 2, class: "opens", run: openAny },
  { name: "reopen", weight: 10, run: reopen },
  { name: "close", weight: 1, class: "closes", run: close },
  { name: "forceClose", weight: 1, class: "forceCloses", run: forceClose },
  { name: "mine", weight: 6, run: (world, random) => mine(world, random, 1) },
  { name: "burst", weight: 2, class: "bursts", run: (w, r) => mine(w, r, r.between(2, 6)) },
  { name: "holdBlocks", weight: 3, class: "lateBlocks", run: holdBlocks },
  { name: "reorg", weight: 3, class: "reorgs", run: reorg },
  { name: "feeSpike", weight: 4, class: "feeSpikes", run: feeSpike },
  { name: "clockJump", weight: 4, class: "clockJumps", run: clockJump },
  { name: "cutLink", weight: 6, class: "linkCuts", run: cutLink },
  { name: "power", weight: 6, class: "powerCuts", run: powerCut },
  { name: "refuse", weight: 3, class: "refusals", run: refuse },
  { name: "away", weight: 2, class: "away", run: away },
  { name: "keepOld", weight: 6, class: "oldStates", run: keepOldState },
  { name: "publishOld", weight: 2, class: "oldStates", run: publishOldState },
  { name: "forward", weight: 18, class: "forwards", run: forward },
  { name: "backup", weight: 3, class: "backups", run: backUp },
  { name: "restore", weight: 3, class: "backups", run: restoreBackup },
  { name: "lie", weight: 8, class: "lies", run: lie },
  { name: "sleep", weight: 6, class: "tower", run: sleepLong },
  { name: "evict", weight: 4, class: "evictions", run: evict },
  { name: "stop", weight: 2, class: "weeks", run: stopForWeeks },
  { name: "torn", weight: 6, class: "torn", run: tearWrite },
  { name: "full", weight: 2, class: "fullDisks", run: fillDisk },
  {
    name: "carry",
    weight: 14,
    class: "carriers",
    run: (world, random) => world.carrier?.act(random),
  },
  { name: "gatewayAway", weight: 6, class: "devices", run: gatewayAway },
  {
    name: "lieOfChain",
    weight: 12,
    class: "devices",
    run: (world, random) => world.chainLiar?.act(random),
  },
];

export function act(world: World, random: Random, mood: readonly number[]): void {
  const able = ACTIONS.map((action, i) => {
    const isOn = action.class === undefined || world.has(action.class);
    return isOn ? action.weight * (mood[i] as number) : 0;
  });
  let at = random.below(able.reduce((sum, weight) => sum + weight, 0));
  const index = able.findIndex((weight) => {
    at -= weight;
    return at < 0;
  });
  const action = ACTIONS[index] as Action;
  world.note(`> ${action.name}`);
  action.run(world, random);
}

/** How fond a seed is of each action. */
export function moodOf(random: Random): readonly number[] {
  return ACTIONS.map(({ name }) => (name === "nothing" ? 1 : random.oneOf([1, 2, 2, 6])));
}

function lie({ liars }: World, random: Random): void {
  const [first] = liars;
  // Without an accomplice nothing is drawn: the world of a seed is what it was.
  (liars.length > 1 ? random.oneOf(liars) : first)?.act(random);
}

function retry(world: World): void {
  for (const application of world.applications) application.retry();
}

function updateFee(world: World, random: Random): void {
  const channel = channelOf(world, random);
  if (!channel?.id || channel.channelType === "zero_fee_commitments") return;
  const feeratePerKw = random.between(500, 2_500);
  world.node(channel.opener).node?.command(channel.id, { type: "updateFee", feeratePerKw });
}

function openAny(world: World, random: Random): void {
  world.open(random.below(world.options.edges.length), random);
}

/** Where the last channel has ended or is about to. */
function reopen(world: World, random: Random): void {
  const edges = world.options.edges.map((_, edge) => edge);
  const without = edges.filter((edge) =>
    world.book.channels.every(({ edge: of, id, opener, acceptor }) => {
      const phases = [opener, acceptor].map((n) => id && world.node(n).record(id)?.phase);
      return of !== edge || !phases.some((phase) => phase === "normal");
    }),
  );
  if (without.length > 0) world.open(random.oneOf(without), random);
}

function close(world: World, random: Random): void {
  const channel = channelOf(world, random);
  if (!channel?.id || !random.oneIn(3)) return;
  const { from } = endsOf(channel, random);
  const feeratePerKw = random.between(300, 3_000);
  world.node(from).node?.command(channel.id, { type: "close", feeratePerKw });
}

function forceClose(world: World, random: Random): void {
  const channel = channelOf(world, random);
  if (!channel?.id || !random.oneIn(3)) return;
  const { from } = endsOf(channel, random);
  channel.forceAsked = true;
  world.node(from).node?.command(channel.id, { type: "forceClose" });
}

function mine(world: World, random: Random, wanted: number): void {
  const blocks = Math.min(wanted, world.blocksAllowed());
  world.blocksLeft -= blocks;
  world.mine(blocks, world.has("feeSpikes") && random.oneIn(3));
  for (const { gate } of world.nodes) if (gate.isClosed && random.oneIn(3)) gate.open();
}

function holdBlocks(world: World, random: Random): void {
  random.oneOf(world.nodes).gate.close();
}

function reorg(world: World, random: Random): void {
  const depth = random.between(1, MAX_REORG);
  if (world.blocksAllowed() < 1) return;
  world.blocksLeft -= 1;
  const only = random.oneIn(2) ? [] : undefined;
  world.chain.reorg(depth, { script: world.minerScript, blocks: depth + 1, only });
  world.note(`reorg ${depth} to ${world.height}`);
}

function feeSpike(world: World, random: Random): void {
  const now = random.oneOf([500, 2_500, 10_000, 40_000]);
  Object.assign(world.lab.feerates, { now, soon: Math.ceil(now / 2), economy: 300 });
}

function clockJump(world: World, random: Random): void {
  // Forwards alone: a process that was stopped. The clocks that programs read never go back.
  const jump = random.oneOf([7_000, 60_000, 3_600_000]);
  random.oneOf(world.nodes).skewMs += jump;
}

function cutLink(world: World, random: Random): void {
  const edge = random.below(world.options.edges.length);
  world.wires[edge]?.cut("the cable was pulled");
  world.linkBackAt[edge] = world.currentStep + random.between(0, 12);
}

function powerCut(world: World, random: Random): void {
  const { power } = random.oneOf(world.nodes);
  power.cutAfter(random.below(14));
}

function refuse(world: World, random: Random): void {
  random.oneOf(world.nodes).faults.refusing = random.between(1, 3);
}

function away(world: World, random: Random): void {
  const { index } = random.oneOf(world.nodes);
  world.cutPower(index, random.between(5, 25));
}

/** Power fails in the middle of one of the next writes. */
function tearWrite(world: World, random: Random): void {
  const node = random.oneOf(world.nodes);
  const isTorn = node.memory.cutIn(random.below(24), random.below(1_000_000));
  if (!isTorn) node.power.cutAfter(random.below(14));
}

/** A device is without its gateway, or the gateway without the chain. */
function gatewayAway(world: World, random: Random): void {
  const { gateways, edges } = world.options;
  const devices = world.nodes.filter(({ index }) => gateways[index] !== undefined);
  if (devices.length === 0) return;
  const { index } = random.oneOf(devices);
  const gateway = world.node(gateways[index] as number);
  const until = random.between(1, 8);
  switch (random.oneOf(["held back", "restarted", "out of reach"] as const)) {
    case "held back":
      gateway.gate.close();
      break;
    case "restarted":
      world.cutPower(gateway.index, until);
      break;
    case "out of reach": {
      const edge = edges.findIndex((one) => one.caller === index || one.callee === index);
      world.wires[edge]?.cut("the gateway is out of reach");
      world.linkBackAt[edge] = world.currentStep + until;
    }
  }
}

/** Until somebody makes room. */
function fillDisk(world: World, random: Random): void {
  const { faults, index } = random.oneOf(world.nodes);
  faults.full = true;
  world.roomAt[index] = world.currentStep + random.between(2, 10);
}

/** Nodes of the chain forget what pays little: whoever needs it sends it again. */
function evict(world: World, random: Random): void {
  const gone = world.chain.mempool.evictBelow(random.oneOf([2, 10, 1_000]));
  world.note(`${gone} transactions leave the mempool`);
}

/** By its own clock weeks have gone by when it comes back; the chain waited. */
function stopForWeeks(world: World, random: Random): void {
  const node = random.oneOf(world.nodes);
  world.cutPower(node.index, random.between(3, 20));
  node.skewMs += random.between(3, 30) * 86_400_000;
}
