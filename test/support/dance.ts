/** One life of a channel in which everything crosses: what the tests of lost messages and of crashes interrupt. */
import type { Store } from "../../core/ports/store.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { HonestPair } from "./honest-app.ts";
import { Pair, payment } from "./node-pair.ts";

export const CHANNEL_TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
const FUNDING_MSAT = 1_000_000_000;
const PUSHED_MSAT = 300_000_000;

export interface Life {
  readonly honest: HonestPair;
  /** Does the next `count` deliveries, or all. */
  pump(count?: number): Promise<void>;
}

/** Pushes and HTLCs that cross, a fulfilment, a failure, a fee, all half delivered when the next begins. */
export async function live({ honest, pump }: Life, channelType: ChannelType): Promise<void> {
  const { a, b } = honest;
  a.push(payment(1_000));
  b.push(payment(2_000, 3));
  await pump(3);
  a.offer(40_000_000, true);
  b.offer(30_000_000, false);
  await pump(4);
  a.push(payment(5_500));
  a.push(payment(100));
  if (channelType !== "zero_fee_commitments") {
    honest.pair.a.node.command(honest.id, { type: "updateFee", feeratePerKw: 1_500 });
  }
  await pump(5);
  b.push(payment(7));
  await pump();
  a.offer(200_000, false); // dust
  b.offer(20_000_000, true);
  await pump(6);
  b.push(payment(900));
  await pump();
}

export async function begin(
  channelType: ChannelType,
  disks: { readonly diskA?: Store; readonly diskB?: Store } = {},
): Promise<HonestPair> {
  const pair = await Pair.make(disks);
  const id = await pair.open({ channelType, pushMsat: PUSHED_MSAT });
  return new HonestPair(pair, id, { a: FUNDING_MSAT - PUSHED_MSAT, b: PUSHED_MSAT });
}
