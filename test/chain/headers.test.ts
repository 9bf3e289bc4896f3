/** A device follows the chain by headers: it takes what has the work, and says why it refuses the rest. */
import { describe, expect, it } from "vitest";
import { decodeCheckpoint, encodeCheckpoint } from "../../core/chain/checkpoint-codec.ts";
import {
  blockHash,
  type Checkpoint,
  checkpointAt,
  extendHeaderChain,
  genesisCheckpoint,
  type HeaderChain,
  headerAt,
  headerBits,
  headerTime,
  startHeaderChain,
} from "../../core/chain/headers.ts";
import { MAINNET, networkNamed, REGTEST, SIGNET, TESTNET4 } from "../../core/chain/networks.ts";
import { retargetedBits, targetOf, workOf } from "../../core/chain/work.ts";
import { blockHeight } from "../../core/primitives/brands.ts";
import { concat, fromHex, reversed, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import * as mainnet from "./mainnet-headers.ts";
import {
  crypto,
  EASY_MAINNET,
  EASY_TESTNET4,
  type HeaderPlan,
  mineHeader,
  mineHeaders,
} from "./synthetic-headers.ts";

const display = (hash: Uint8Array) => toHex(reversed(hash));
const genesisChain = (network = REGTEST, kept?: number) =>
  startHeaderChain(crypto, network, genesisCheckpoint(network), kept);

function extended(chain: HeaderChain, headers: readonly Uint8Array[]): HeaderChain {
  const outcome = extendHeaderChain(crypto, chain, headers);
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.chain;
}

/** From which height, the base's own, to which it has every header. */
function kept(chain: HeaderChain): readonly [from: number, to: number] {
  let from = chain.tip.height as number;
  while (headerAt(chain, from - 1)?.length === 80) from--;
  expect(headerAt(chain, chain.tip.height + 1)).toBeUndefined();
  return [from, chain.tip.height];
}

function refusalOf(chain: HeaderChain, headers: readonly Uint8Array[], now?: number) {
  const outcome = extendHeaderChain(crypto, chain, headers, now);
  return outcome.ok ? "accepted" : outcome.rule;
}

describe("the networks", () => {
  it.each([
    ["mainnet", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"],
    ["testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"],
    ["signet", "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"],
    ["regtest", "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"],
  ] as const)("%s starts at its own genesis block", (name, hash) => {
    const network = networkNamed(name);
    expect(display(genesisChain(network).tip.hash)).toBe(hash);
    expect(headerBits(genesisCheckpoint(network).header)).toBe(network.powLimitBits);
  });
});

describe("Bitcoin's main chain", () => {
  it("is followed from genesis", () => {
    const headers = [mainnet.BLOCK_1, mainnet.BLOCK_2].map((block) => fromHex(block.header));
    const outcome = extendHeaderChain(crypto, genesisChain(MAINNET), headers);
    expect(outcome).toMatchObject({ ok: true, disconnected: [] });
    if (!outcome.ok) return;
    expect(outcome.connected.map(({ height, hash }) => [height, display(hash)])).toEqual([
      [1, mainnet.BLOCK_1.hash],
      [2, mainnet.BLOCK_2.hash],
    ]);
    expect(outcome.chain.tip.work).toBe(3n * 0x100010001n);
  });

  it.each([
    [mainnet.BLOCK_30240, mainnet.BLOCK_32255, mainnet.BLOCK_32256],
    [mainnet.BLOCK_32256, mainnet.BLOCK_34271, mainnet.BLOCK_34272],
  ])("retargets from a checkpoint at the period's last block", (first, last, next) => {
    const checkpoint = checkpointOf(first, last);
    const chain = startHeaderChain(crypto, MAINNET, checkpoint);
    const grown = extended(chain, [fromHex(next.header)]);
    expect(display(grown.tip.hash)).toBe(next.hash);
    expect(grown.tip.periodTime).toBe(headerTime(fromHex(next.header)));

    // One second more or less in the old period would have asked for other bits.
    const off = { ...checkpoint, periodTime: checkpoint.periodTime - 1200 };
    const wrong = startHeaderChain(crypto, MAINNET, off);
    expect(refusalOf(wrong, [fromHex(next.header)])).toBe("bits");
  });

  /** The vectors of Bitcoin Core's pow_tests. */
  it.each([
    ["measures 2015 intervals", 1261130161, 1262152739, 0x1d00ffff, 0x1d00d86a],
    ["stays at the limit", 1231006505, 1233061996, 0x1d00ffff, 0x1d00ffff],
    ["falls to a quarter at most", 1279008237, 1279297671, 0x1c05a3f4, 0x1c0168fd],
    ["rises fourfold at most", 1263163443, 1269211443, 0x1c387f6f, 0x1d00e1fd],
  ])("%s", (_, firstTime, lastTime, bits, expected) => {
    const powLimitBits = MAINNET.powLimitBits;
    expect(retargetedBits({ bits, firstTime, lastTime, powLimitBits })).toBe(expected);
  });

  it("asks for BIP 34's, 66's and 65's versions from their heights on", () => {
    const chain = at(388_380, MAINNET_EASY);
    expect(refusalOf(chain, [mineHeader(chain.base.header, { version: 3 })])).toBe("version");
    expect(refusalOf(chain, [mineHeader(chain.base.header, { version: 4 })])).toBe("accepted");
  });
});

describe("proof of work and time", () => {
  const genesis = genesisCheckpoint(REGTEST).header;

  it("refuses a hash above the target", () => {
    expect(refusalOf(genesisChain(), [mineHeader(genesis, { miss: true })])).toBe("proof-of-work");
  });

  it("refuses bits that are easier or harder than due", () => {
    const easier = mineHeader(genesis, { bits: 0x2100ffff });
    const harder = mineHeader(genesis, { bits: 0x207ffffe });
    expect(refusalOf(genesisChain(), [easier])).toBe("bits");
    expect(refusalOf(genesisChain(), [harder])).toBe("bits");
  });

  it("refuses a time that is not after the median of the last eleven", () => {
    const headers = mineHeaders(genesis, 11);
    const chain = extended(genesisChain(), headers);
    const tip = headers[10] as Uint8Array;
    const median = headerTime(headers[5] as Uint8Array);
    expect(refusalOf(chain, [mineHeader(tip, { time: median })])).toBe("time-too-old");
    expect(refusalOf(chain, [mineHeader(tip, { time: median + 1 })])).toBe("accepted");
  });

  it("refuses a time more than two hours ahead, where there is a clock", () => {
    const header = mineHeader(genesis, { time: headerTime(genesis) + 10_000 });
    expect(refusalOf(genesisChain(), [header], headerTime(genesis))).toBe("time-too-new");
    expect(refusalOf(genesisChain(), [header])).toBe("accepted");
  });

  it("does not judge the median before a checkpoint has seen eleven times", () => {
    const { header } = at(100, REGTEST).base;
    const old = mineHeader(header, { time: headerTime(header) - 5000 });
    expect(refusalOf(at(100, REGTEST), [old])).toBe("accepted");
  });

  it.each([0, 79, 81])("refuses a header of %i bytes", (length) => {
    expect(refusalOf(genesisChain(), [new Uint8Array(length)])).toBe("length");
  });

  it("refuses a gap and a stranger", () => {
    const [, second] = mineHeaders(genesis, 2) as [Uint8Array, Uint8Array];
    expect(refusalOf(genesisChain(), [second])).toBe("unconnected");
    const [first] = mineHeaders(genesis, 1, () => ({ salt: 9 })) as [Uint8Array];
    expect(refusalOf(genesisChain(), [first, second])).toBe("unconnected");
  });

  it("takes no more than one period at once", () => {
    const header = mineHeader(genesis);
    expect(refusalOf(genesisChain(), Array(2017).fill(header))).toBe("too-many");
  });
});

describe("retargets along a chain", () => {
  /** Blocks came twice too fast: the target halves. */
  it("follows a whole period and its change of difficulty", () => {
    const genesis = genesisCheckpoint(EASY_MAINNET).header;
    const headers = mineHeaders(genesis, 2015, (_, previous) => ({
      time: headerTime(previous) + 300,
    }));
    const chain = extended(genesisChain(EASY_MAINNET), headers);
    const last = headers[2014] as Uint8Array;
    const due = retargetedBits({
      bits: headerBits(last),
      firstTime: headerTime(genesis),
      lastTime: headerTime(last),
      powLimitBits: EASY_MAINNET.powLimitBits,
    });
    expect(due).not.toBe(headerBits(last));
    expect(refusalOf(chain, [mineHeader(last)])).toBe("bits");
    const next = extended(chain, [mineHeader(last, { bits: due })]);
    expect(next.tip.work - chain.tip.work).toBe(workOf(targetOf(due) as bigint));
  });

  it("on testnet4 lets a late block be easy, once, and goes back to the period's bits", () => {
    const chain = at(2016 * 3, EASY_TESTNET4, { bits: 0x203fffff });
    const { header } = chain.base;
    const late = mineHeader(header, { time: headerTime(header) + 1201, bits: 0x207fffff });
    const early = mineHeader(header, { time: headerTime(header) + 1200, bits: 0x207fffff });
    expect(refusalOf(chain, [early])).toBe("bits");
    const after = extended(chain, [late]);
    expect(refusalOf(after, [mineHeader(late, { bits: 0x203fffff })])).toBe("accepted");
    expect(refusalOf(after, [mineHeader(late)])).toBe("bits");
  });

  it("on testnet4 retargets from the bits that the period began with", () => {
    const chain = at(2016 * 3 - 1, EASY_TESTNET4, { bits: 0x207fffff });
    const begun = { ...chain.base, periodBits: 0x203fffff };
    const hard = startHeaderChain(crypto, EASY_TESTNET4, begun);
    expect(refusalOf(hard, [mineHeader(begun.header, { bits: 0x207fffff })])).toBe("bits");
    expect(refusalOf(hard, [mineHeader(begun.header, { bits: 0x203fffff })])).toBe("accepted");
  });

  it("on testnet4 refuses a period that starts more than ten minutes in the past", () => {
    const chain = at(2016 * 3 - 1, EASY_TESTNET4);
    const { header } = chain.base;
    const warped = mineHeader(header, { time: headerTime(header) - 601 });
    const allowed = mineHeader(header, { time: headerTime(header) - 600 });
    expect(refusalOf(chain, [warped])).toBe("time-warp");
    expect(refusalOf(chain, [allowed])).toBe("accepted");
  });
});

describe("forks", () => {
  const genesis = genesisCheckpoint(REGTEST).header;
  const ours = mineHeaders(genesis, 10);
  const fork = (from: number, length: number) =>
    mineHeaders(ours[from - 1] as Uint8Array, length, () => ({ salt: 7 }));

  it("follows the branch with more work and names what left and what came", () => {
    const outcome = extendHeaderChain(crypto, extended(genesisChain(), ours), fork(7, 4));
    expect(outcome).toMatchObject({ ok: true, disconnected: [10, 9, 8] });
    if (!outcome.ok) return;
    expect(outcome.connected.map(({ height }) => height)).toEqual([8, 9, 10, 11]);
    expect(outcome.chain.tip.height).toBe(11);
    expect(headerAt(outcome.chain, 7)).toEqual(ours[6]);
    expect(headerAt(outcome.chain, 8)).not.toEqual(ours[7]);
  });

  it.each([
    ["less", 2],
    ["equal", 3],
  ])("refuses a branch with %s work and stays where it is", (_, length) => {
    const chain = extended(genesisChain(), ours);
    expect(refusalOf(chain, fork(7, length))).toBe("less-work");
    expect(display(chain.tip.hash)).toBe(display(blockHash(crypto, ours[9] as Uint8Array)));
  });

  it("counts work, not blocks", () => {
    const easy = { ...EASY_TESTNET4 };
    const chain = at(2016 * 3, easy, { bits: 0x203fffff });
    const base = chain.base.header;
    const slow = mineHeaders(base, 3, (_, previous) => ({
      time: headerTime(previous) + 1300,
      bits: 0x207fffff,
    }));
    const grown = extended(chain, slow);
    // Three easy blocks hold less work than two hard ones.
    const hard = mineHeaders(base, 2, () => ({ bits: 0x203fffff, salt: 3 }));
    expect(extended(grown, hard).tip.height).toBe(2016 * 3 + 2);
  });

  it("skips what it has, also in front of a fork", () => {
    const chain = extended(genesisChain(), ours);
    const again = extendHeaderChain(crypto, chain, ours.slice(3));
    expect(again).toMatchObject({ ok: true, disconnected: [], connected: [] });
    const overlapping = extendHeaderChain(crypto, chain, [...ours.slice(3, 7), ...fork(7, 4)]);
    expect(overlapping).toMatchObject({ ok: true, disconnected: [10, 9, 8] });
  });

  it("takes all or nothing", () => {
    const chain = extended(genesisChain(), ours);
    const [good, better] = mineHeaders(ours[9] as Uint8Array, 2) as [Uint8Array, Uint8Array];
    const bad = mineHeader(better, { miss: true });
    expect(refusalOf(chain, [good, better, bad])).toBe("proof-of-work");
    expect(chain.tip.height).toBe(10);
  });

  it("cannot be led below what it keeps", () => {
    const chain = extended(genesisChain(REGTEST, 5), ours);
    expect(chain.base.height).toBe(5);
    expect(kept(chain)).toEqual([5, 10]);
    expect(refusalOf(chain, fork(4, 20))).toBe("unconnected");
    expect(refusalOf(chain, fork(5, 6))).toBe("accepted");
  });
});

describe("memory", () => {
  it("starts again from a checkpoint of its own as if it had never stopped", () => {
    const genesis = genesisCheckpoint(EASY_MAINNET).header;
    const headers = mineHeaders(genesis, 60);
    const chain = extended(genesisChain(EASY_MAINNET, 20), headers.slice(0, 50));
    const restarted = startHeaderChain(crypto, EASY_MAINNET, checkpointAt(chain, 45), 20);
    const a = extended(chain, headers.slice(50));
    const b = extended(restarted, headers.slice(45));
    expect(b.tip).toEqual(a.tip);
    expect(kept(a)).toEqual([40, 60]);
    for (let height = 41; height <= 60; height++) {
      expect(headerAt(a, height)).toEqual(headers[height - 1]);
    }
    // In pages of 16, the first of them only in part.
    expect(a.pages.length).toBeLessThanOrEqual(3);
  });
});

describe("a stored checkpoint", () => {
  const headers = mineHeaders(genesisCheckpoint(REGTEST).header, 30);
  const checkpoint = checkpointAt(extended(genesisChain(), headers), 25);
  const stored = encodeCheckpoint(checkpoint);

  it("comes back as it was, in few bytes", () => {
    expect(decodeCheckpoint(stored)).toEqual(checkpoint);
    expect(stored.length).toBeLessThanOrEqual(174);
  });

  it("is refused when it is torn, too long, of another version or of another block", () => {
    for (let length = 0; length < stored.length; length++) {
      expect(() => decodeCheckpoint(stored.subarray(0, length))).toThrow(ProtocolViolation);
    }
    expect(() => decodeCheckpoint(concat(stored, new Uint8Array(1)))).toThrow("checkpoint");
    const other = stored.slice();
    other[0] = 2;
    expect(() => decodeCheckpoint(other)).toThrow("version is 2");
    const late = stored.slice();
    late[5 + 68] = (late[5 + 68] as number) ^ 1;
    expect(() => decodeCheckpoint(late)).toThrow("last time");
  });
});

const MAINNET_EASY = { ...MAINNET, powLimitBits: REGTEST.powLimitBits };

/** A chain that starts at any height, with a header of no past; its period took two weeks to the second. */
function at(height: number, network = REGTEST, plan: HeaderPlan = {}): HeaderChain {
  const header = mineHeader(genesisCheckpoint(REGTEST).header, { time: 1_700_000_000, ...plan });
  const checkpoint: Checkpoint = {
    height: blockHeight(height),
    header,
    periodTime: headerTime(header) - 600 * 2016,
    periodBits: headerBits(header),
    times: [headerTime(header)],
    chainWork: 0n,
  };
  return startHeaderChain(crypto, network, checkpoint);
}

function checkpointOf(first: mainnet.KnownHeader, last: mainnet.KnownHeader): Checkpoint {
  const header = fromHex(last.header);
  return {
    height: blockHeight(last.height),
    header,
    periodTime: headerTime(fromHex(first.header)),
    periodBits: headerBits(fromHex(first.header)),
    times: [headerTime(header)],
    chainWork: 0n,
  };
}

describe("signet", () => {
  it("is held to its own limit", () => {
    expect(SIGNET.powLimitBits).toBe(0x1e0377ae);
    expect(TESTNET4.retarget).toBe("bip94");
    const genesis = genesisCheckpoint(SIGNET).header;
    expect(refusalOf(genesisChain(SIGNET), [mineHeader(genesis, { bits: 0x207fffff })])).toBe(
      "bits",
    );
  });
});
