/** What a world is made of: everything is drawn from its seed, and each seed turns whole classes of faults on or off (swarm testing). */
import type { ChannelType } from "../../core/transactions/terms.ts";
import { Random } from "../random.ts";

/** Classes that a seed turns on or off, and that `--without` turns off. */
export const CLASSES = [
  "htlcs",
  "fees",
  "opens",
  "closes",
  "forceCloses",
  "linkCuts",
  "linkLoss",
  "linkCorruption",
  "datagrams",
  "duplicates",
  "delays",
  "powerCuts",
  "slowStores",
  "refusals",
  "away",
  "bursts",
  "lateBlocks",
  "reorgs",
  "feeSpikes",
  "clockJumps",
  "oldStates",
  "flash",
  "torn",
  "fullDisks",
  "deadlines",
  "forwards",
  "backups",
  "lies",
  "tower",
  "evictions",
  "weeks",
  "crowd",
  "carriers",
  "devices",
  "policies",
  "accomplices",
  "greed",
] as const;
/** Those that came after the first worlds, whose seeds are kept (test/sim). */
export const LATER: ReadonlySet<WorldClass> = new Set(CLASSES.slice(CLASSES.indexOf("flash")));
export type WorldClass = (typeof CLASSES)[number];

/** With these alone an honest node answers in time. */
const CALM: ReadonlySet<WorldClass> = new Set<WorldClass>([
  "htlcs",
  "fees",
  "opens",
  "closes",
  "datagrams",
  "duplicates",
  "flash",
  "deadlines",
  "forwards",
  "backups",
  "tower",
  "evictions",
  "weeks",
  "crowd",
  "policies",
  "greed",
]);
export const DISTURBING: ReadonlySet<WorldClass> = new Set(
  CLASSES.filter((name) => !CALM.has(name)),
);

/** Deliberate bugs of the world's own parts, to see that the checkers bite. */
export type Plant = "lost-commit";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Pairs of nodes with a link and a channel: the first calls the second, and opens. */
  readonly edges: readonly Edge[];
  readonly steps: number;
  readonly classes: ReadonlySet<WorldClass>;
  /** Steps in which nothing is done; time and messages go on. */
  readonly skipped: ReadonlySet<number>;
  readonly plant?: Plant;
  /** Nodes whose words and signatures are nobody's promise. */
  readonly liars: readonly number[];
  /** By node: of the flash that its store is on; a file where undefined. */
  readonly flashBytes: readonly (number | undefined)[];
  /** By node: the one that tells it of the chain; undefined where it sees the chain itself. */
  readonly gateways: readonly (number | undefined)[];
}

export interface Edge {
  readonly caller: number;
  readonly callee: number;
  readonly channelType: ChannelType;
  readonly kind: "stream" | "datagram";
}

/** What is changed of what the seed draws: to make a failure small, or to look at one. */
export interface Narrowing {
  readonly without?: readonly WorldClass[];
  readonly steps?: number | undefined;
  readonly skipped?: readonly number[];
  readonly plant?: Plant | undefined;
}

const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;

/** The node that lies, where a world has one: the one that cheats too, and as a gateway lies of the chain. */
export const LIAR = 0;
/** Lies at the other end of a node that forwards between the two; they have no channel with each other. */
const ACCOMPLICE = 2;
const BETWEEN = 1;

/** Large worlds take seconds each. */
const ONE_CROWD_IN = 12;

/** A small one is compacted often. */
const FLASH_BYTES = [192 * 1024, 256 * 1024, 512 * 1024];

export function worldOptions(seed: number, narrowing: Narrowing = {}): WorldOptions {
  const random = Random.of("options", seed);
  const { without = [], skipped = [], plant } = narrowing;
  const drawn = CLASSES.filter((name) => {
    // Later ones have a stream each: without them the world of a seed is what it was.
    const stream = LATER.has(name) ? Random.of("class", name, seed) : random;
    return stream.below(5) < 2;
  });
  const classes = new Set(drawn.filter((name) => !without.includes(name)));
  // A tower has work where somebody cheats.
  if (classes.has("tower") && !without.includes("oldStates")) classes.add("oldStates");
  const few = random.oneOf([2, 2, 2, 3, 3, 4]);
  const crowd = Random.of("crowd", seed);
  const isCrowd = classes.has("crowd") && crowd.oneIn(ONE_CROWD_IN);
  const hasAccomplice = classes.has("lies") && classes.has("accomplices");
  const least = hasAccomplice ? ACCOMPLICE + 1 : 0;
  const nodes = Math.max(isCrowd ? crowd.between(5, 12) : few, least);
  const edges: Edge[] = [];
  for (let node = 1; node < nodes; node++) {
    const drawn = random.below(node);
    const ends = [hasAccomplice && node === ACCOMPLICE ? BETWEEN : drawn, node] as const;
    const [caller, callee] = random.oneIn(2) ? ends : ([ends[1], ends[0]] as const);
    const channelType = random.oneOf(CHANNEL_TYPES);
    const isDatagram = random.oneIn(2) && classes.has("datagrams");
    edges.push({ caller, callee, channelType, kind: isDatagram ? "datagram" : "stream" });
  }
  const steps = narrowing.steps ?? random.between(60, 200);
  const liars = !classes.has("lies") ? [] : hasAccomplice ? [LIAR, ACCOMPLICE] : [LIAR];
  const gateways = classes.has("devices") ? gatewaysOf(seed, nodes, edges, liars) : [];
  const isDevices = ({ caller, callee }: Edge) =>
    gateways[caller] !== undefined || gateways[callee] !== undefined;
  return {
    seed,
    nodes,
    // Nobody could pay for another type's commitment in a device's place.
    edges: edges.map((edge) =>
      isDevices(edge) ? { ...edge, channelType: "zero_fee_commitments" } : edge,
    ),
    steps,
    classes,
    liars,
    skipped: new Set(skipped),
    ...(plant && { plant }),
    flashBytes: Array.from({ length: nodes }, (_, node) => {
      const of = Random.of("flash", seed, node);
      const isOnFlash = classes.has("flash") && !of.oneIn(3);
      const isDevice = gateways[node] !== undefined;
      // What a gateway keeps of its devices has no place on a device.
      if (gateways.includes(node)) return undefined;
      return isOnFlash || isDevice ? of.oneOf(FLASH_BYTES) : undefined;
    }),
    gateways,
  };
}

/**
 * Devices are leaves: whoever they are linked to shows them the chain. Node 0 is the one that cheats, and never a device;
 * its accomplice is neither a device nor a gateway.
 */
function gatewaysOf(
  seed: number,
  nodes: number,
  edges: readonly Edge[],
  liars: readonly number[],
): readonly (number | undefined)[] {
  const random = Random.of("devices", seed);
  const neighbours = Array.from({ length: nodes }, (_, node) =>
    edges.flatMap(({ caller, callee }) =>
      caller === node ? [callee] : callee === node ? [caller] : [],
    ),
  );
  const isFit = (node: number) => node === LIAR || !liars.includes(node);
  const able = neighbours.map((of, node) => {
    const [gateway] = of;
    const isLeaf = node > 0 && of.length === 1 && gateway !== undefined;
    return isLeaf && isFit(node) && isFit(gateway) ? gateway : undefined;
  });
  return able.map((gateway) => (random.oneIn(3) ? undefined : gateway));
}
