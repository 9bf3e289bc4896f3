/** Waiting for a machine that is not ready to sell: one that was just switched on, or claimed, reads the chain first. */
import { CHAIN_UNSEEN } from "../../core/chain/offline-budget.ts";
import type { PayerNode } from "./payer-node.ts";
import type { Notes } from "./purchase.ts";

/** What a price list and a meter's quote say alike. */
interface Announced {
  readonly ready: boolean;
  readonly note?: string | undefined;
}

/** Headers of some days come in seconds. */
const READY_MS = 20_000;

type Waiter = Pick<PayerNode, "until">;

/** What it says last: when it is ready or not `worthWaiting` any more, or after 20 s; undefined where it is away then. */
export async function whenReady<One extends Announced>(
  payer: Waiter,
  announced: () => One | undefined,
  worthWaiting: (one: One) => boolean = () => true,
): Promise<One | undefined> {
  const settled = () => {
    const one = announced();
    return one && !one.ready && worthWaiting(one) ? undefined : one;
  };
  return (await payer.until(settled, READY_MS)) ?? announced();
}

/** The same for a person, who is told of it; the wire tells the reason in words alone. What jammed, or is sold out, does not mend itself meanwhile. */
export async function whenChainIsRead<One extends Announced>(
  payer: Waiter,
  announced: () => One | undefined,
  out: Notes,
): Promise<One | undefined> {
  const isReading = ({ ready, note }: Announced) => !ready && note?.includes(CHAIN_UNSEEN) === true;
  const now = announced();
  if (!now || !isReading(now)) return now;
  out.note("the machine has not seen the Bitcoin chain yet: waiting for it …");
  return whenReady(payer, announced, isReading);
}
