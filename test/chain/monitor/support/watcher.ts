/** Alice's gateway in a test: looks at the chain through the monitor, and publishes what it says. */
import { closeLocally } from "../../../../core/chain/monitor/close-locally.ts";
import { resolve } from "../../../../core/chain/monitor/resolve.ts";
import type {
  Claim,
  MonitorPolicy,
  OutputReport,
  Resolution,
  WatchedChannel,
} from "../../../../core/chain/monitor/watched.ts";
import { type BlockHeight, blockHeight } from "../../../../core/primitives/brands.ts";
import type { Peers } from "./peers.ts";

export const POLICY: MonitorPolicy = {
  feeratesPerKw: { now: 5000, soon: 2000, economy: 500 },
  irrevocableDepth: 100,
};

export class Watcher {
  constructor(
    readonly peers: Peers,
    readonly record: WatchedChannel,
    readonly policy: MonitorPolicy = POLICY,
  ) {}

  look(): Resolution {
    return resolve(this.peers.context, this.record, this.peers.chain.facts, this.policy);
  }

  closing(since?: BlockHeight): readonly Claim[] {
    const { context, chain } = this.peers;
    return closeLocally(context, this.record, chain.facts, this.policy, since);
  }

  /** "kind[id]: status" of every output, anchors aside, in a stable order. */
  statuses(): readonly string[] {
    return this.look()
      .outputs.filter(({ kind }) => kind !== "anchor")
      .map((report) => `${nameOf(report)}: ${report.status}`)
      .sort();
  }

  report(name: string): OutputReport {
    const found = this.look().outputs.find((report) => nameOf(report) === name);
    if (found === undefined) throw new Error(`no output ${name}`);
    return found;
  }

  claims(purpose?: Claim["purpose"]): readonly Claim[] {
    return this.look().claims.filter((claim) => purpose === undefined || claim.purpose === purpose);
  }

  /** What can be broadcast: the claim, with a fee added where it needs one. */
  ready(claim: Claim): Uint8Array {
    return claim.needs?.type === "fee-inputs" ? this.peers.addFee(claim.raw) : claim.raw;
  }

  /** Mines all present claims into the next block; how many. */
  publish(purpose?: Claim["purpose"]): number {
    const claims = this.claims(purpose);
    this.peers.chain.confirm(...claims.map((claim) => this.ready(claim)));
    return claims.length;
  }

  /** Mines on, block by block, publishing whatever comes; the height at which all was resolved. */
  settle(maxBlocks = 500): BlockHeight {
    for (let block = 0; block < maxBlocks; block++) {
      if (this.look().complete) return blockHeight(this.peers.chain.tip);
      this.publish();
    }
    throw new Error(`unresolved after ${maxBlocks} blocks: ${this.statuses().join(", ")}`);
  }
}

export function nameOf({ kind, htlc }: OutputReport): string {
  if (htlc === undefined) return kind;
  const by = htlc.offeredByLocal ? "offered" : "received";
  return kind === "second-stage" ? `second-stage ${by} ${htlc.id}` : `${kind} ${htlc.id}`;
}
