/** When an HTLC that we offered counts as lost for good: only where the record of its channel is there, current, and without it. */
import { describe, expect, it } from "vitest";
import type { Node } from "../../../core/node/node.ts";
import {
  blockHeight,
  type ChannelId,
  channelId,
  milliSatoshi,
  type PaymentHash,
  paymentHash,
  preimage,
} from "../../../core/primitives/brands.ts";
import { Attempts } from "../../../gateway/payments/attempts.ts";

const id = channelId(new Uint8Array(32).fill(1));
const hash = paymentHash(new Uint8Array(32).fill(2));
const secret = preimage(new Uint8Array(32).fill(3));
const htlc = (change: object = {}) => ({
  offeredByLocal: true,
  id: 7,
  amountMsat: milliSatoshi(1_000),
  paymentHash: hash,
  cltvExpiry: blockHeight(500),
  onion: new Uint8Array(0),
  ...change,
});
const none = { localSigned: [], localAcked: [], remoteAcked: [], remoteSigned: [] };

/** What becomes of an attempt when the channel's record is this one. */
function outcome(record: object | undefined, isStored = false): string {
  const node = {
    record: (_: ChannelId) =>
      record && {
        outdated: false,
        failedOnChain: [],
        base: { htlcs: [] },
        pending: none,
        ...record,
      },
    isStored: () => isStored,
  } as unknown as Node;
  const told: string[] = [];
  const attempts = new Attempts(() => node);
  attempts.resume(id, hash, {
    fulfilled: () => told.push("fulfilled"),
    failed: () => told.push("failed"),
    refused: () => told.push("refused"),
  });
  attempts.checkAll();
  attempts.checkAll();
  expect(attempts.has(hash)).toBe(told.length === 0);
  return told.join() || "waits";
}

describe("an HTLC of a payment (rule failed-when-never-paid)", () => {
  const base = (...htlcs: object[]) => ({ base: { htlcs } });
  it.each<[string, string, object | undefined, boolean?]>([
    ["waits while it stands in the record", "waits", base(htlc())],
    [
      "waits while it is signed and not yet irrevocable",
      "waits",
      { pending: { ...none, localSigned: [{ type: "add", htlc: htlc() }] } },
    ],
    [
      "is fulfilled when the record knows its preimage",
      "fulfilled",
      base(htlc({ preimage: secret })),
    ],
    [
      "is fulfilled also where the chain revealed it of a half-signed commitment",
      "fulfilled",
      { pending: { ...none, localAcked: [{ type: "add", htlc: htlc({ preimage: secret }) }] } },
    ],
    ["failed when it is not in the record any more", "failed", base()],
    ["failed when the chain decided so", "failed", { ...base(htlc()), failedOnChain: [7] }],
    [
      "is fulfilled where the chain decided against it, and its preimage is known",
      "fulfilled",
      { ...base(htlc({ preimage: secret })), failedOnChain: [7] },
    ],
    ["failed when the channel is gone for good", "failed", undefined],
    ["waits while the channel is halted, or cannot be read", "waits", undefined, true],
    ["waits where the record is behind the store", "waits", base(), true],
    ["waits where our state is outdated", "waits", { ...base(), outdated: true }],
    ["waits where our state may be", "waits", { ...base(), suspect: true }],
    [
      "is not the one that the peer offers with this hash",
      "failed",
      base(htlc({ offeredByLocal: false })),
    ],
    [
      "is not the one with another hash",
      "failed",
      base(htlc({ paymentHash: new Uint8Array(32) as PaymentHash })),
    ],
  ])("%s", (_, expected, record, isStored) => {
    expect(outcome(record, isStored)).toBe(expected);
  });
});
