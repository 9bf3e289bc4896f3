/** The channel that can pay a machine now: after a start its funding is proven anew, and that is worth a wait. */
import { fundingLost } from "../../core/channel/funding.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { ChainClient } from "../../core/node/chain-client.ts";
import type { Node } from "../../core/node/node.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import type { PayerNode } from "./payer-node.ts";

/** What it needs of a PayerNode. */
export interface ChannelHolder extends Pick<PayerNode, "channelsWith" | "until"> {
  readonly device: {
    readonly node: Pick<Node, "isConnected" | "isIdle">;
    readonly chain: Pick<ChainClient, "isReread">;
  };
}

export interface PaymentTo {
  readonly machine: PublicKey;
  readonly amountMsat: number;
  /** It tells of blocks; without it the channel goes by what it knew. */
  readonly gateway: PublicKey | undefined;
}

/** A channel of an earlier run is ready a moment after its session. */
const REESTABLISH_MS = 1000;
/** A gateway that is there comes about as soon as the machine. */
const GATEWAY_MS = 2_000;
/** The gateway proves the funding again: that is worth a wait, before another one is funded. */
const PROVEN_MS = 15_000;

/** With the first headers after a start blocks are read again; a payment in between would be refused. */
export function payableChannel(payer: ChannelHolder, to: PaymentTo): ChannelRecord | undefined {
  const { node, chain } = payer.device;
  const isTold = isAway(payer, to) || (chain.isReread && node.isIdle);
  return isTold ? knownChannel(payer, to) : undefined;
}

/** Of those that there are; waits for it where one of them has the money. */
export async function waitForPayable(
  payer: ChannelHolder,
  to: PaymentTo,
): Promise<ChannelRecord | undefined> {
  const all = payer.channelsWith(to.machine);
  if (all.length === 0) return undefined;
  const isPromising = to.gateway !== undefined && all.some((one) => hasMoney(one, to));
  if (isPromising) await payer.until(() => !isAway(payer, to) || undefined, GATEWAY_MS);
  const patienceMs = isPromising ? PROVEN_MS : REESTABLISH_MS;
  const ready = await payer.until(() => payableChannel(payer, to), patienceMs);
  // A gateway that says nothing keeps nobody from paying.
  return ready ?? knownChannel(payer, to);
}

function isAway({ device }: ChannelHolder, { gateway }: PaymentTo): boolean {
  return gateway === undefined || !device.node.isConnected(gateway);
}

function knownChannel(payer: ChannelHolder, to: PaymentTo): ChannelRecord | undefined {
  const all = payer.channelsWith(to.machine);
  return all.find((record) => hasMoney(record, to) && fundingLost(record) === undefined);
}

function hasMoney({ phase, base }: ChannelRecord, { amountMsat }: PaymentTo): boolean {
  return phase === "normal" && base.toLocalMsat >= amountMsat;
}
