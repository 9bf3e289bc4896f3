/** Whether a Bitcoin node is on the chain that everybody else is on: by what it says of itself, and by a second source of the chain's tip. */
import type { BitcoindRpc } from "./bitcoind/rpc.ts";

/** `getchaintips`, of which the fields that are read. */
export interface ChainTip {
  readonly height: number;
  readonly hash: string;
  /** Blocks since it left the chain that the node follows. */
  readonly branchlen: number;
  readonly status: string;
}

/** Somebody else who knows the chain; hashes as people read them. */
export interface SecondSource {
  /** Without a password. */
  readonly name: string;
  height(): Promise<number>;
  hashAt(height: number): Promise<string>;
}

/** Above it, and above each other, tips may differ for a while: blocks are on their way, and are found at the same time. */
const SETTLED_BLOCKS = 3;
/** A branch that is longer by so much is not a race of two blocks. */
const LONGER_BLOCKS = 2;
/** The other one is ahead by so many: ours stands still. */
const BEHIND_BLOCKS = 6;
/** Words of Core and Knots about the chain itself; the others (a test build, unknown version bits) are no fork. */
const ABOUT_FORKS = /agree with our peers|invalid chain|large[- ]work|fork/i;

/** What a node says of itself; undefined: it sees no chain but its own. */
export async function ownFork(rpc: BitcoindRpc): Promise<string | undefined> {
  const [info, tips] = await Promise.all([
    rpc.call<{ readonly warnings?: string | readonly string[] }>("getblockchaininfo"),
    rpc.call<readonly ChainTip[]>("getchaintips"),
  ]);
  const warnings = [info.warnings ?? []].flat();
  return longerBranch(tips) ?? warnings.find((one) => ABOUT_FORKS.test(one));
}

/** Headers that only wait for their blocks continue the node's own chain, and leave it nowhere. */
export function longerBranch(tips: readonly ChainTip[]): string | undefined {
  const active = tips.find(({ status }) => status === "active");
  if (!active) return undefined;
  const longer = tips.find(({ height, branchlen, status }) => {
    const ahead = height - active.height;
    // What it refuses may well go on from its own newest block.
    return ahead >= LONGER_BLOCKS && (branchlen > ahead || status === "invalid");
  });
  if (!longer) return undefined;
  const { height, branchlen, hash, status } = longer;
  return (
    `there is a longer chain (${status}) up to block ${height}, ${hash}, which left the node's own ` +
    `${branchlen} blocks before, and the node is at ${active.height}`
  );
}

/** Compares hashes at one height, some blocks deep; undefined: the two agree. */
export async function differsFrom(
  second: SecondSource,
  own: Pick<SecondSource, "height" | "hashAt">,
): Promise<string | undefined> {
  const [ours, theirs] = await Promise.all([own.height(), second.height()]);
  const at = Math.max(0, Math.min(ours, theirs) - SETTLED_BLOCKS);
  const [hash, other] = await Promise.all([own.hashAt(at), second.hashAt(at)]);
  if (hash !== other) return `block ${at} is ${hash} here and ${other} at ${second.name}`;
  if (theirs - ours < BEHIND_BLOCKS) return undefined;
  return `the node is at block ${ours}, and ${second.name} at ${theirs}`;
}
