/** Every kind of transaction that the core builds, in every channel type, is one for bitcoinjs-lib and for a real node too. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bitcoindAbsence, type ChainLab, createLab } from "../support/chain-lab.ts";
import { channelTypes } from "../support/channel-pair.ts";
import { Court } from "./court.ts";
import { EveryKind } from "./every-kind.ts";

const START_TIMEOUT_MS = 330_000; // a first run may download the node
const absence = bitcoindAbsence();

describe.skipIf(absence)(`judged by bitcoind and bitcoinjs-lib ${absence ?? ""}`, () => {
  let lab: ChainLab;
  let court: Court;
  beforeAll(async () => {
    lab = await createLab({ chain: "bitcoind" });
    court = new Court(lab);
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    court?.close();
    await lab?.close();
  });

  test.each(channelTypes)("all kinds of %s", async (channelType) => {
    await EveryKind.judge(court, channelType);
  });

  test("none was left out", () => {
    console.log(court.table(channelTypes));
    const judged = (type: string) => [...court.verdicts.values()].filter((row) => row.has(type));
    expect(channelTypes.map((type) => judged(type).length)).toEqual([18, 20, 17]);
  });
});
