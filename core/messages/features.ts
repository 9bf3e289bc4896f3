/** Feature bitmaps of `init` and of channel types (BOLT 9; BOLT 2 "Defined Channel Types"). */
import { equal, toHex } from "../primitives/bytes.ts";
import { demand, ProtocolViolation } from "../primitives/errors.ts";
import type { ChannelType } from "../transactions/terms.ts";

/** The even bit of each pair; the odd one (+1) offers the same without insisting. */
export const Feature = {
  upfrontShutdownScript: 4,
  staticRemotekey: 12,
  anchors: 22,
  shutdownAnysegwit: 26,
  zeroFeeCommitments: 40,
  /** Keeps a blob for peers that have a channel with it. */
  provideStorage: 42,
  channelType: 44,
  scidAlias: 46,
  zeroconf: 50,
  simpleClose: 60,
  /** picobolt: update_push and push_receipt. */
  pushUpdates: 210,
  /** picobolt: a channel reserve of zero is accepted. */
  zeroReserve: 212,
  /** picobolt: keeps the table of channels between gateways and tells it. */
  routingTable: 214,
} as const;
export type FeatureName = keyof typeof Feature;

/** Assumed of every node (BOLT 9 "ASSUMED"): never a reason to refuse a peer. */
const ASSUMED: readonly number[] = [0, 8, Feature.staticRemotekey, 14, Feature.channelType];
const dependencies: readonly (readonly [FeatureName, FeatureName])[] = [
  ["zeroconf", "scidAlias"],
  ["simpleClose", "shutdownAnysegwit"],
];
const names = Object.keys(Feature) as readonly FeatureName[];

/** The bitmap with exactly these bits: big-endian, no leading zero byte. */
export function bitmap(bits: readonly number[]): Uint8Array {
  const highest = bits.reduce((most, bit) => Math.max(most, bit), -1);
  const out = new Uint8Array((highest + 8) >> 3);
  for (const bit of bits) {
    const index = out.length - 1 - (bit >> 3);
    out[index] = (out[index] as number) | (1 << (bit & 7));
  }
  return out;
}

/** Bits above the bitmap's end are 0. */
export function testBit(features: Uint8Array, bit: number): boolean {
  const byte = features[features.length - 1 - (bit >> 3)];
  return byte !== undefined && ((byte >> (bit & 7)) & 1) === 1;
}

/** The feature is offered, as required (even) or as optional (odd). */
export function offers(features: Uint8Array, name: FeatureName): boolean {
  return testBit(features, Feature[name]) || testBit(features, Feature[name] + 1);
}

/** A bitmap of features by name. */
export function featureBitmap(features: {
  readonly required?: readonly FeatureName[];
  readonly optional?: readonly FeatureName[];
}): Uint8Array {
  return bitmap([
    ...(features.required ?? []).map((name) => Feature[name]),
    ...(features.optional ?? []).map((name) => Feature[name] + 1),
  ]);
}

/**
 * The features that both sides may use from now on (BOLT 1 "negotiated").
 * @throws ProtocolViolation `unknown-even-feature`, `missing-feature` (one that we require), `feature-dependency`.
 */
export function negotiate(local: Uint8Array, remote: Uint8Array): ReadonlySet<FeatureName> {
  const known = new Set<number>([...ASSUMED, ...names.map((name) => Feature[name])]);
  for (let bit = 0; bit < 8 * remote.length; bit += 2) {
    const understood = !testBit(remote, bit) || known.has(bit);
    demand(understood, "unknown-even-feature", `the peer requires feature ${bit}`);
  }
  for (const [name, needed] of dependencies) {
    const complete = !offers(remote, name) || offers(remote, needed);
    demand(complete, "feature-dependency", `the peer offers ${name} without ${needed}`);
  }
  const negotiated = new Set<FeatureName>();
  for (const name of names) {
    const both = offers(local, name) && offers(remote, name);
    const met = both || !testBit(local, Feature[name]);
    demand(met, "missing-feature", `the peer does not offer ${name}`);
    if (both) negotiated.add(name);
  }
  // What the peer requires and we know but do not offer would be taken for granted by it.
  for (const name of names) {
    const bit = Feature[name];
    const met = !testBit(remote, bit) || negotiated.has(name) || ASSUMED.includes(bit);
    demand(met, "unknown-even-feature", `the peer requires ${name}, which is switched off here`);
  }
  return negotiated;
}

/** What a channel type may have beside its basic kind (BOLT 2 "variations"). */
export interface ChannelTypeVariation {
  readonly zeroConf?: boolean;
  readonly scidAlias?: boolean;
}

const typeBits: Readonly<Record<ChannelType, readonly number[]>> = {
  zero_fee_commitments: [Feature.zeroFeeCommitments],
  anchors: [Feature.staticRemotekey, Feature.anchors],
  static_remotekey: [Feature.staticRemotekey],
};
const channelTypes = Object.keys(typeBits) as readonly ChannelType[];

/** The smallest bitmap that says so, for `channel_type`. */
export function channelTypeBits(
  channelType: ChannelType,
  variation: ChannelTypeVariation = {},
): Uint8Array {
  const bits = [...typeBits[channelType]];
  if (variation.scidAlias) bits.push(Feature.scidAlias);
  if (variation.zeroConf) bits.push(Feature.zeroconf);
  return bitmap(bits);
}

/** @throws ProtocolViolation `channel-type` where the bitmap is none that we know, or not the smallest. */
export function channelTypeOf(
  features: Uint8Array,
): { readonly channelType: ChannelType } & Required<ChannelTypeVariation> {
  const scidAlias = testBit(features, Feature.scidAlias);
  const zeroConf = testBit(features, Feature.zeroconf);
  for (const channelType of channelTypes) {
    if (equal(channelTypeBits(channelType, { scidAlias, zeroConf }), features)) {
      return { channelType, scidAlias, zeroConf };
    }
  }
  throw new ProtocolViolation("channel-type", `${toHex(features)} is no channel type known here`);
}
