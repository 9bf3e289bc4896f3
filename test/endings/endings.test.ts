/** What ends on the simulated chain ends on a real node alike: every block is valid there, every coin is the same (BOLT 5). */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { SimBlock } from "../../host-sim/chain/sim-chain.ts";
import { bitcoindAbsence } from "../support/chain-lab.ts";
import { Mirror } from "./mirror.ts";
import { lived, type Replayed, replayWorld } from "./replay.ts";

const WORLDS = 6;
const START_TIMEOUT_MS = 330_000; // a first run may download the node
const absence = bitcoindAbsence();

describe.skipIf(absence)(`endings on bitcoind ${absence ?? ""}`, { timeout: 240_000 }, () => {
  let mirror: Mirror;
  beforeAll(async () => {
    mirror = await Mirror.start(chooseCrypto());
  }, START_TIMEOUT_MS);
  afterAll(() => mirror?.close());

  test(`the first ${WORLDS} worlds end there as they ended here`, async () => {
    const all: Replayed[] = [];
    for (let seed = 1; seed <= WORLDS; seed++) all.push(await replayWorld(seed, mirror));

    expect(all.filter(({ failure }) => failure !== undefined)).toEqual([]);
    const kinds = new Set(all.flatMap(({ endings }) => endings));
    kinds.delete("still open");
    expect(kinds.size).toBeGreaterThanOrEqual(2);
    expect(all.every(({ coins, satoshis }) => coins > 0 && satoshis > 0)).toBe(true);
  });

  test("a block that only the simulated chain would take is refused in the node's words", async () => {
    const { log } = await lived(1);
    const at = log.blocks.findLastIndex(({ transactions }) => transactions.length > 1);
    const block = log.blocks[at] as SimBlock;
    const forged = { ...block, transactions: block.transactions.map(withWrongSignature) };

    await expect(mirror.replay([...log.blocks.slice(0, at), forged])).rejects.toThrow(
      /refuses block \d+: .*script-verify/,
    );
  });
});

/** One bit of the first signature is another: the txid stays. */
function withWrongSignature(one: SimBlock["transactions"][number]) {
  const signature = one.parsed.inputs[0]?.witness.find(({ length }) => length > 60);
  if (!signature) return one;
  const raw = one.raw.slice();
  const at = Buffer.from(raw).indexOf(Buffer.from(signature)) + 20;
  raw[at] = (raw[at] as number) ^ 1;
  return { ...one, raw };
}
