/** The cheapest way over the table's channels to any of some nodes: Dijkstra from the end, where the amount is known (BOLT 7 "Routing Example"). */
import { type MilliSatoshi, milliSatoshi } from "../../core/primitives/brands.ts";
import { forwardFee } from "../payments/forward-policy.ts";
import type { KnownChannel, RoutingTable } from "./table.ts";

/** What a node is to be given so that the payment goes on from it. */
export interface Demand {
  /** Hexadecimal node id. */
  readonly node: string;
  readonly amountMsat: MilliSatoshi;
  readonly cltvExpiry: number;
}

export interface PathRequest {
  readonly table: RoutingTable;
  /** Who asks: ways do not lead through it. */
  readonly self: string;
  /** Nor through this node. */
  readonly without?: string | undefined;
  readonly targets: readonly Demand[];
  /** Whether it can be given so much from here, without a hop between. */
  hasFirstHop(demand: Demand): boolean;
  readonly maxCltvExpiry: number;
  readonly nowSeconds: number;
}

export interface Path extends Demand {
  /** From the first hop, whose demand this is, to the target. */
  readonly nodes: readonly string[];
}

/** BOLT 4: an onion has room for so many. */
export const MAX_HOPS = 20;
/** As in the wide network: who said nothing for so long is gone (BOLT 7 "Pruning the Network View"). */
export const STALE_SECONDS = 14 * 86_400;
/** What a block of waiting costs, in parts of the amount: 15 billionths, as others have it. */
const RISK_BILLIONTHS = 15;

interface Label extends Demand {
  readonly cost: number;
  readonly next: Label | undefined;
  readonly hops: number;
}

/** Undefined: there is no way. */
export function findPath(request: PathRequest): Path | undefined {
  const { table, self, without, maxCltvExpiry } = request;
  const queue = new CheapestFirst();
  for (const target of request.targets) {
    queue.push({ ...target, cost: target.amountMsat, next: undefined, hops: 1 });
  }
  const done = new Set<string>([self]);
  if (without !== undefined) done.add(without);
  for (let label = queue.pop(); label; label = queue.pop()) {
    if (done.has(label.node) || label.cltvExpiry > maxCltvExpiry) continue;
    done.add(label.node);
    if (request.hasFirstHop(label)) return pathOf(label);
    if (label.hops >= MAX_HOPS) continue;
    for (const channel of table.channelsOf(label.node)) {
      const before = labelBefore(label, channel, request.nowSeconds);
      if (before && !done.has(before.node)) queue.push(before);
    }
  }
  return undefined;
}

/** What the channel's other node asks for, to give `label`'s node what it asks for. */
function labelBefore(label: Label, channel: KnownChannel, nowSeconds: number): Label | undefined {
  const side = channel.nodes[0] === label.node ? 1 : 0;
  const update = channel.updates[side]?.body;
  if (!update?.enabled || nowSeconds - update.sequence > STALE_SECONDS) return undefined;
  const { amountMsat } = label;
  const most = Math.min(update.htlcMaximumMsat, channel.body.capacity * 1_000);
  if (amountMsat < update.htlcMinimumMsat || amountMsat > most) return undefined;
  const demand = demandBefore(label, update);
  if (!demand) return undefined;
  const risk = (amountMsat * update.cltvExpiryDelta * RISK_BILLIONTHS) / 1_000_000_000;
  const cost = label.cost + (demand.amountMsat - amountMsat) + risk;
  return { node: channel.nodes[side], ...demand, cost, next: label, hops: label.hops + 1 };
}

interface Terms {
  readonly feeBaseMsat: number;
  readonly feeProportionalMillionths: number;
  readonly cltvExpiryDelta: number;
}

/** With the fee and the time of one hop more; undefined where no amount says it. */
export function demandBefore(
  { amountMsat, cltvExpiry }: Omit<Demand, "node">,
  terms: Terms,
): Omit<Demand, "node"> | undefined {
  const { feeProportionalMillionths } = terms;
  const fee = forwardFee(
    { feeBaseMsat: milliSatoshi(terms.feeBaseMsat), feeProportionalMillionths },
    amountMsat,
  );
  const sum = amountMsat + fee;
  if (!Number.isSafeInteger(sum)) return undefined;
  return { amountMsat: milliSatoshi(sum), cltvExpiry: cltvExpiry + terms.cltvExpiryDelta };
}

function pathOf(first: Label): Path {
  const nodes: string[] = [];
  for (let label: Label | undefined = first; label; label = label.next) nodes.push(label.node);
  const { node, amountMsat, cltvExpiry } = first;
  return { node, amountMsat, cltvExpiry, nodes };
}

/** A binary heap. */
class CheapestFirst {
  private readonly heap: Label[] = [];

  push(label: Label): void {
    const { heap } = this;
    let at = heap.length;
    for (; at > 0; at = (at - 1) >> 1) {
      const parent = heap[(at - 1) >> 1] as Label;
      if (parent.cost <= label.cost) break;
      heap[at] = parent;
    }
    heap[at] = label;
  }

  pop(): Label | undefined {
    const { heap } = this;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const right = heap[child + 1];
      if (right && right.cost < (heap[child] as Label).cost) child++;
      const lower = heap[child];
      if (!lower || lower.cost >= last.cost) break;
      heap[at] = lower;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
