/** Every message of the commitment dance lost, repeated or followed by a new link (BOLT 2 "Message Retransmission"). */
import { describe, expect, test } from "vitest";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { begin, CHANNEL_TYPES, live } from "../support/dance.ts";
import type { Pair } from "../support/node-pair.ts";

/** Runs the life with one fault at delivery `at`; how many deliveries there were. */
async function liveWithFault(
  channelType: ChannelType,
  at: number,
  fault: (pair: Pair) => void,
): Promise<number> {
  const honest = await begin(channelType);
  const { pair } = honest;
  let count = 0;
  const pump = async (most = Number.POSITIVE_INFINITY) => {
    for (let i = 0; i < most && (pair.cable.waiting > 0 || i === 0); i++) {
      if (count++ === at) fault(pair);
      else pair.cable.pump(1);
      honest.react();
    }
  };
  await live({ honest, pump }, channelType);
  await honest.settle();
  await honest.expectSettled();
  pair.expectPeace();
  return count;
}

const faults: Readonly<Record<string, (pair: Pair) => void>> = {
  "lost with all after it, then a new link": (pair) => pair.reconnect(),
  "delivered twice": (pair) => {
    pair.cable.repeat();
    pair.cable.pump(2);
  },
  "followed by a new link beside the old one": (pair) => {
    pair.cable.pump(1);
    pair.connect();
  },
};

describe.each(CHANNEL_TYPES)("%s", { timeout: 180_000 }, (channelType) => {
  test.each(Object.entries(faults))("every message of the dance %s", async (_, fault) => {
    const total = await liveWithFault(channelType, -1, () => {});
    expect(total).toBeGreaterThan(40);
    for (let at = 0; at < total; at++) await liveWithFault(channelType, at, fault);
  });
});
