/** Finds the way of one payment over the table, remembers for a while what did not lead there, and says what the first hop gets. */
import { encodeInstructions } from "../../core/payments/instructions.ts";
import {
  type BlockHeight,
  blockHeight,
  type ChannelId,
  type MilliSatoshi,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { Router, Way, WayRequest } from "../payments/next-hop.ts";
import type { UsableChannel } from "./own-channels.ts";
import { type Demand, demandBefore, findPath } from "./paths.ts";
import type { RoutingTable } from "./table.ts";

export interface TableRouterOptions {
  readonly table: RoutingTable;
  /** Our own node id, hexadecimal. */
  readonly self: string;
  /** Our channels with this gateway over which a payment can leave now. */
  usable(peer: string): readonly UsableChannel[];
  height(): BlockHeight;
  nowSeconds(): number;
  /** Blocks that a payment of ours, or one that we forward, may be locked up for. */
  readonly maxBlocksToExpiry: number;
}

/** How long a channel that did not lead to a destination is the last one to be tried for it. */
const FAILED_SECONDS = 60;
const MAX_FAILED = 10_000;

interface Failed {
  readonly untilSeconds: number;
  readonly amountMsat: MilliSatoshi;
}

export class TableRouter implements Router {
  private readonly failures = new Map<string, Failed>();

  constructor(private readonly options: TableRouterOptions) {}

  /** What failed lately is tried again where nothing else is left: it may have been the destination, not the way. */
  way(request: WayRequest): ReturnType<Router["way"]> {
    const targets = this.targets(request);
    if (targets.length === 0) return { type: "none" };
    const way = this.search(request, targets, true) ?? this.search(request, targets, false);
    return way ?? { type: "no-room" };
  }

  failed({ destination, amountMsat }: WayRequest, channelId: ChannelId): void {
    const key = failureKey(channelId, destination);
    const untilSeconds = this.options.nowSeconds() + FAILED_SECONDS;
    this.failures.delete(key);
    this.failures.set(key, { untilSeconds, amountMsat });
    const [oldest] = this.failures.keys();
    if (this.failures.size > MAX_FAILED && oldest !== undefined) this.failures.delete(oldest);
  }

  private search(
    request: WayRequest,
    targets: readonly Demand[],
    avoidFailed: boolean,
  ): Way | undefined {
    const { table, self, height, nowSeconds, maxBlocksToExpiry } = this.options;
    const { from, destination, sealed } = request;
    let first: UsableChannel | undefined;
    const path = findPath({
      table,
      self,
      without: from && toHex(from),
      targets,
      hasFirstHop: (demand) => {
        first = this.firstHop(request, demand, avoidFailed);
        return first !== undefined;
      },
      maxCltvExpiry: height() + maxBlocksToExpiry,
      nowSeconds: nowSeconds(),
    });
    if (!path || !first) return undefined;
    const { amountMsat, cltvExpiry, gateways } = request;
    const onion = equal(first.peer, destination)
      ? encodeInstructions({ type: "final", sealed })
      : encodeInstructions({
          type: "forward",
          destination,
          amountMsat,
          cltvExpiry,
          sealed,
          gateways,
        });
    return {
      type: "way",
      channelId: first.id,
      amountMsat: path.amountMsat,
      cltvExpiry: blockHeight(path.cltvExpiry),
      onion,
      nodes: path.nodes,
    };
  }

  /** The destination where it is a gateway itself, and the gateways that it is behind. */
  private targets(request: WayRequest): readonly Demand[] {
    const { table, self } = this.options;
    const { destination, amountMsat, cltvExpiry, gateways } = request;
    const itself = toHex(destination);
    const targets: Demand[] = [];
    if (table.channelsOf(itself).length > 0) targets.push({ node: itself, amountMsat, cltvExpiry });
    for (const node of new Set(gateways.map(toHex))) {
      const terms = table.newestUpdateOf(node);
      if (node === self || node === itself || !terms) continue;
      const demand = demandBefore({ amountMsat, cltvExpiry }, terms);
      if (demand) targets.push({ node, ...demand });
    }
    return targets;
  }

  private firstHop(
    { destination, tried, amountMsat: toDestination }: WayRequest,
    { node, amountMsat }: Demand,
    avoidFailed: boolean,
  ): UsableChannel | undefined {
    return this.options.usable(node).find(({ id, spendableMsat }) => {
      if (spendableMsat < amountMsat) return false;
      if (tried?.some((one) => equal(one, id))) return false;
      if (!avoidFailed) return true;
      const failed = this.failures.get(failureKey(id, destination));
      if (!failed || failed.untilSeconds <= this.options.nowSeconds()) return true;
      return toDestination < failed.amountMsat;
    });
  }
}

function failureKey(channelId: ChannelId, destination: Uint8Array): string {
  return `${toHex(channelId)}/${toHex(destination)}`;
}
