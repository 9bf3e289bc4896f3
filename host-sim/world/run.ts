/** A world's life: channels open in peace, then steps with faults, then the faults stop and everything must settle. */

import { Random } from "../random.ts";
import { act, moodOf } from "./actions.ts";
import { keepOldState, publishOldState } from "./actors/old-states.ts";
import { type Narrowing, type WorldOptions, worldOptions } from "./options.ts";
import { isSettled, unsettled } from "./settled.ts";
import { type Failure, World } from "./world.ts";

export interface Verdict {
  readonly seed: number;
  readonly steps: number;
  /** Of the trace: two runs of one world have the same. */
  readonly digest: string;
  /** Pushes with a receipt and HTLCs fulfilled: a world in which nothing moves proves nothing. */
  readonly payments: number;
  readonly failure?: Failure;
}

const MAX_OPENING_ROUNDS = 40;
/** Rounds of a second, a block every few of them, in which everything must settle once the faults stopped. */
const MAX_SETTLING_ROUNDS = 400;
const QUIET_ROUNDS = 3;
/** The cheat of a world with a tower is busy: it keeps states, and publishes while its peer sleeps. */
const KEEP_STEPS = 4;
const OWNERS_LOOK_ROUNDS = 40;
/** After them there is a block in every round: what is left waits for the chain. */
const BUSY_ROUNDS = 60;

export async function runWorld(
  seed: number,
  narrowing: Narrowing = {},
  print?: (line: string) => void,
): Promise<Verdict> {
  const options = worldOptions(seed, narrowing);
  const world = await World.make(options, print);
  world.note(describe(options));
  try {
    await opening(world);
    await living(world);
    if (!world.failure) await settling(world);
    if (!world.failure) await world.finish();
  } catch (error) {
    world.fail("no-crash", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  world.close();
  const { failure, digest, currentStep: steps, payments } = world;
  return { seed, steps, digest, payments, ...(failure && { failure }) };
}

async function opening(world: World): Promise<void> {
  const random = Random.of("opening", world.options.seed);
  const wanted = world.options.edges.map((_, edge) => edge);
  await world.finishStep();
  for (let round = 0; round < MAX_OPENING_ROUNDS; round++) {
    world.tick(300);
    world.deliver(random, 50);
    await world.finishStep();
    for (const edge of [...wanted]) {
      if (!world.isTalking(edge) || !world.open(edge, random)) continue;
      wanted.splice(wanted.indexOf(edge), 1);
    }
    if (round % 4 === 3) world.mine(1);
    const { channels } = world.book;
    const isReady = ({ id, opener }: (typeof channels)[number]) =>
      id !== undefined && world.node(opener).record(id)?.readyReceived === true;
    if (wanted.length === 0 && channels.every(isReady)) return;
  }
  world.fail("liveness", "the first channels did not open");
}

async function living(world: World): Promise<void> {
  const { seed, steps, skipped } = world.options;
  const mood = moodOf(Random.of("mood", seed));
  if (world.options.plant) plant(world);
  const { linkFaults } = world;
  linkFaults.loses = world.has("linkLoss");
  linkFaults.corrupts = world.has("linkCorruption");
  linkFaults.repeats = world.has("duplicates");
  if (world.has("slowStores")) {
    for (const node of world.nodes) {
      node.faults.slow = Random.of("slow", seed, node.index).oneIn(2);
    }
  }
  for (let step = 1; step <= steps && !world.failure; step++) {
    world.currentStep = step;
    const random = Random.of("step", seed, step);
    if (world.roles && world.has("oldStates")) {
      const cheats = Random.of("cheat", seed, step);
      if (step % KEEP_STEPS === 0) keepOldState(world, cheats);
      if (world.sleep && step % KEEP_STEPS === 1) publishOldState(world, cheats);
    }
    world.sleepOn();
    world.chainLiar?.stepBegins();
    comeBack(world);
    if (!skipped.has(step)) act(world, Random.of("act", seed, step), mood);
    await pass(world, random);
    await world.finishStep();
  }
}

/** Some time passes, in which messages arrive and disks write. */
async function pass(world: World, random: Random): Promise<void> {
  const times = random.between(1, 4);
  const isLate = world.has("delays") && random.oneIn(2);
  for (let i = 0; i < times; i++) {
    world.tick(random.oneOf([20, 100, 300, 1_000]));
    await world.turn();
    world.deliver(random, random.below(isLate ? 2 : 24));
    for (const { disk } of world.nodes) disk?.release(random.below(8));
    await world.turn();
  }
}

/** Nodes and links whose time has come. */
function comeBack(world: World): void {
  for (const node of world.nodes) {
    if ((world.roomAt[node.index] ?? 0) <= world.currentStep) node.faults.full = false;
    const at = world.backAt[node.index];
    if (at === undefined || at > world.currentStep) continue;
    world.backAt[node.index] = undefined;
    world.note(`${node.name} starts`);
    node.start(world.nowMs).catch((error: Error) => world.fail("starts", error.message));
  }
  for (let edge = 0; edge < world.options.edges.length; edge++) {
    if (world.isConnected(edge) || (world.linkBackAt[edge] ?? 0) > world.currentStep) continue;
    world.connect(edge);
  }
}

async function settling(world: World): Promise<void> {
  const random = Random.of("settling", world.options.seed);
  world.note("faults stop");
  Object.assign(world.linkFaults, { loses: false, corrupts: false, repeats: false });
  Object.assign(world.lab.feerates, { now: 2_500, soon: 1_000, economy: 300 });
  for (const { gate, faults, disk } of world.nodes) {
    gate.open();
    faults.refusing = 0;
    faults.full = false;
    while (disk && disk.pending > 0) disk.release(disk.pending);
    faults.slow = false;
  }
  for (const htlc of world.book.htlcs) if (htlc.plan === "ignore") htlc.plan = "fail";
  if (world.sleep) world.wake(world.sleep);
  for (const { index, power } of world.nodes) if (!power.isOn) world.backAt[index] ??= 0;
  if (world.liars.length > 0) {
    for (const liar of world.liars) liar.stop();
    world.chainLiar?.stop();
    // What it withheld it says when it is asked for it anew.
    for (const wire of world.wires) wire?.cut("faults stop");
  }
  let quiet = 0;
  const from = world.currentStep;
  for (let round = 1; round <= MAX_SETTLING_ROUNDS; round++) {
    world.currentStep = from + round;
    world.tick(1_000);
    comeBack(world);
    for (let pass = 0; pass < 3; pass++) {
      world.deliver(random, 1_000);
      for (const { disk } of world.nodes) disk?.release(1_000);
      await world.turn();
    }
    if (world.liars.length > 0 && round === OWNERS_LOOK_ROUNDS) closeWedged(world);
    if (round % 3 === 0) for (const application of world.applications) application.retry();
    if (round % 4 === 0 || round > BUSY_ROUNDS) world.mine(1);
    await world.finishStep();
    if (world.failure) return;
    quiet = isSettled(world) ? quiet + 1 : 0;
    if (quiet > QUIET_ROUNDS) return;
  }
  world.fail("liveness", `not settled after ${MAX_SETTLING_ROUNDS} rounds: ${unsettled(world)}`);
}

/** An owner whose channel with a liar does not work any more ends it. */
function closeWedged(world: World): void {
  for (const { id, opener, acceptor, cheated } of world.book.channels) {
    if (!id || !cheated || !(world.isLiar(opener) || world.isLiar(acceptor))) continue;
    const ends = world.isLiar(opener) ? [acceptor, opener] : [opener, acceptor];
    for (const index of ends) {
      world.node(index).node?.command(id, { type: "forceClose" });
    }
  }
}

/** A bug of the world's own, to be caught. */
function plant({ options, nodes }: World): void {
  const [node] = nodes;
  if (!node) return;
  const random = Random.of("plant", options.seed);
  if (options.plant === "lost-commit") {
    let left = random.between(3, 12);
    node.faults.loses = () => left-- === 0;
  }
}

function describe({ seed, nodes, edges, steps, classes }: WorldOptions): string {
  const links = edges.map((one) => `${one.caller}-${one.callee} ${one.channelType} ${one.kind}`);
  return `seed ${seed}: ${nodes} nodes (${links.join(", ")}), ${steps} steps, ${[...classes].join(" ")}`;
}
