/** Which pairs of updates are explored in which channels: a few in each run of the tests, all of them by `npm run exhaustive -- --all`. */

import type { ChannelType } from "../../core/transactions/terms.ts";
import { CHANNEL_TYPES } from "../support/dance.ts";
import { allPairs, type Plan } from "./plan.ts";

export interface Case {
  readonly channelType: ChannelType;
  readonly plan: Plan;
}

/** Each kind beside each other kind, from one side and from both. */
export const someCases: readonly Case[] = [
  { channelType: "zero_fee_commitments", plan: pair("a push", "a push") },
  { channelType: "zero_fee_commitments", plan: pair("a push", "b push") },
  { channelType: "zero_fee_commitments", plan: pair("a fulfil", "b fail") },
  { channelType: "anchors", plan: pair("b push", "a fulfil") },
  { channelType: "anchors", plan: pair("a push", "a fail") },
  { channelType: "anchors", plan: pair("b push", "a fee") },
  { channelType: "static_remotekey", plan: pair("b fulfil", "a fee") },
  { channelType: "static_remotekey", plan: pair("a fee", "a fee") },
];

export const allCases: readonly Case[] = CHANNEL_TYPES.flatMap((channelType) =>
  allPairs(channelType !== "zero_fee_commitments").map((plan) => ({ channelType, plan })),
);

function pair(...words: readonly string[]): Plan {
  return words.map((word) => {
    const [by, kind] = word.split(" ");
    return { by, kind } as Plan[number];
  });
}
