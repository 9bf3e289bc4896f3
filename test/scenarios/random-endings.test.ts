/** Channels that end at random points, in random weather: empty blocks, reorganisations, restarts, slow stores (DESIGN §7). */
import { expect, it } from "vitest";
import { packPayments } from "../../core/payments/push.ts";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import type { ChainNode } from "../support/chain-node.ts";
import type { MadeHtlc, Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, type ScenarioLab, scenarios } from "../support/scenario-lab.ts";

/** The same on every run; more with PICOBOLT_SEEDS=<first>,<count>. */
const [FIRST = 1, COUNT = 4] = (process.env.PICOBOLT_SEEDS ?? "1,4").split(",").map(Number);
const SEEDS = Array.from({ length: COUNT }, (_, i) => FIRST + i);
const MAX_BLOCKS = 90;
const WEATHER_BLOCKS = 40;

/**
 * A commitment waits for a funding that a reorganisation took away, or the other side's pays more for longer; or a sweep
 * of our own from before a restart waits in the mempool and pays as much as the one made again.
 */
const EXPLAINED =
  /commitment:\w+: .*(truc-(spends-nontruc|ancestors)|insufficient fee)|sweep:\w+: insufficient fee/;

type Draw = (below: number) => number;

/** xorshift32. */
function drawing(seed: number): Draw {
  let state = Math.imul(seed, 2_654_435_761) >>> 0 || 1;
  return (below) => {
    state = (state ^ (state << 13)) >>> 0;
    state = (state ^ (state >>> 17)) >>> 0;
    state = (state ^ (state << 5)) >>> 0;
    return state % below;
  };
}

function sideOf(draw: Draw): "a" | "b" {
  return draw(2) === 0 ? "a" : "b";
}

/** HTLCs and pushes, some settled, the last update perhaps half signed. */
async function live(s: Scenario, draw: Draw): Promise<readonly MadeHtlc[]> {
  const htlcs: MadeHtlc[] = [];
  for (let i = draw(7); i > 0; i--) {
    const amountMsat = draw(4) === 0 ? 100_000 : 5_000_000 + draw(40) * 1_000_000;
    htlcs.push(await s.addHtlc({ from: sideOf(draw), amountMsat, expiresIn: 6 + draw(18) }));
    if (draw(3) === 0) s.push(sideOf(draw), 1_000_000 + draw(999));
    const settled = htlcs[draw(htlcs.length)];
    if (draw(3) === 0 && settled) s.fulfill(settled);
  }
  const half = draw(3);
  if (half === 1) s[sideOf(draw)].node.command(s.id, { type: "push", payments: somePush(draw) });
  if (half === 2) htlcs.push(await s.addHtlc({ from: sideOf(draw), expiresIn: 8 }, false));
  s.cable.pump(draw(7));
  s.disconnect();
  return htlcs;
}

function somePush(draw: Draw): Uint8Array {
  const reference = Uint8Array.from({ length: 16 }, () => draw(256));
  return packPayments([{ reference, amountMsat: milliSatoshi(2_000_000) }]);
}

/** Preimages that come to light now; then somebody closes, or an HTLC's expiry makes somebody. */
async function end(s: Scenario, draw: Draw, htlcs: readonly MadeHtlc[]): Promise<void> {
  for (const htlc of htlcs.filter(() => draw(2) === 0)) {
    const receiver = htlc.from === "a" ? s.b : s.a;
    const { htlcs: known } = receiver.record(s.id).base;
    if (known.some(({ offeredByLocal, id }) => !offeredByLocal && id === htlc.id)) s.fulfill(htlc);
  }
  const slow = draw(2) === 0;
  s.a.store.slow = slow;
  s.b.store.slow = slow;
  const first = sideOf(draw);
  const presses = (["a", "b"] as const).some((x) => s[x].record(s.id).base.htlcs.length > 0);
  if (draw(4) > 0 || !presses) await s.forceClose(first);
  if (draw(4) === 0) await s.forceClose(first === "a" ? "b" : "a");
}

async function weather(s: Scenario, draw: Draw, lab: ScenarioLab["lab"], block: number) {
  const what = block <= WEATHER_BLOCKS ? draw(14) : -1;
  if (what === 0) {
    await lab.mine(1, { only: [] });
    await s.rest();
  } else if (what === 1) {
    await s.reorg(Math.min(block, 1 + draw(3)), draw(2) === 0 ? { only: [] } : {});
  } else if (what === 2) {
    const side = s[sideOf(draw)];
    await side.stop();
    if (draw(2) === 0) await s.mine(1 + draw(2));
    await side.restart();
  } else {
    await s.mine(1);
  }
}

/** Every HTLC that was ours to lose has one outcome. */
function expectOutcomes({ events }: Pick<ChainNode, "events">): void {
  const fulfilled = events("htlcFulfilled").map(({ htlc }) => htlc.id);
  const failed = events("htlcFailed").map(({ htlcId }) => htlcId);
  const committed = events("htlcCommitted").map(({ htlc }) => htlc.id);
  const all = [...fulfilled, ...failed];
  expect(new Set(all).size).toBe(all.length);
  expect(committed.filter((id) => !all.includes(id))).toEqual([]);
}

scenarios("a random ending", (on) => {
  it.each(SEEDS)("of seed %i accounts for every satoshi and every HTLC", async (seed) => {
    const draw = drawing(seed);
    for (let i = 0; i < 5; i++) draw(2);
    const channelType = CHANNEL_TYPES[draw(3)] ?? "anchors";
    const s = await on.make(`random ${seed}`, { channelType });
    const htlcs = await live(s, draw);
    await end(s, draw, htlcs);
    const isOver = () => [s.a, s.b].every(({ node }) => node.channels().length === 0);
    for (let block = 1; block <= MAX_BLOCKS && !isOver(); block++) {
      await weather(s, draw, on.lab, block);
    }

    expect(isOver()).toBe(true);
    await s.account();
    for (const side of [s.a, s.b]) {
      expectOutcomes({ events: (type) => side.events(type) });
      expect(side.alarms).toEqual([]);
    }
    expect(s.troubles.filter((text) => !EXPLAINED.test(text))).toEqual([]);
  });
});
