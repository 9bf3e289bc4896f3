/** What is not negotiated is not used: the node with a second peer that lacks a feature (docs/PROTOCOL.md "Features"). */
import { expect, test } from "vitest";
import { InteropLab } from "./lab.ts";
import { OFFERED } from "./second-peer/peer.ts";

const PUSH_UPDATES = 211;
const ANCHORS = 23;
const ZERO_FEE_COMMITMENTS = 41;
const ZERO_RESERVE = 213;
const SIMPLE_CLOSE = 61;
const without = (bit: number) => OFFERED.filter((one) => one !== bit);

test("without push updates the node sends none: an odd message would be ignored, and the commitments differ", async () => {
  const lab = await InteropLab.make(without(PUSH_UPDATES));
  lab.connect("peer");
  await lab.open("node", { type: "anchors", fundingSatoshis: 100_000, pushMsat: 10_000_000 });
  lab.command({ type: "push", payments: lab.payments(1000) });
  await lab.flow();
  expect(lab.node.events("rejected")).toHaveLength(1);
  expect(lab.peer.heard.filter(({ type }) => type === "update_push")).toEqual([]);
});

test.each([
  ["anchors", ANCHORS],
  ["zero_fee_commitments", ZERO_FEE_COMMITMENTS],
] as const)("without %s the node opens no such channel", async (type, bit) => {
  const lab = await InteropLab.make(without(bit));
  lab.connect("peer");
  await expect(lab.open("node", { type, fundingSatoshis: 100_000 })).rejects.toThrow();
  expect(lab.peer.heard.filter((message) => message.type === "open_channel")).toEqual([]);
});

test("without simple close no channel is opened: the node knows no other mutual close", async () => {
  const lab = await InteropLab.make(without(SIMPLE_CLOSE));
  lab.connect("peer");
  await expect(lab.open("node", { type: "anchors", fundingSatoshis: 100_000 })).rejects.toThrow();
  await expect(lab.open("peer", { type: "anchors", fundingSatoshis: 100_000 })).rejects.toThrow();
});

test("without zero reserve the node refuses a reserve of zero", async () => {
  const lab = await InteropLab.make(without(ZERO_RESERVE));
  lab.connect("peer");
  const options = { type: "anchors", fundingSatoshis: 100_000, reserveSatoshis: 0 } as const;
  await expect(lab.open("peer", options)).rejects.toThrow(/channel_reserve/);
});
