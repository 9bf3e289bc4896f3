/** A whole channel life between a node in the real XS engine and one in Node: the same bytes as between two nodes in Node. */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { decodeRecord } from "../../core/channel/codec.ts";
import { devicePolicy, hostPolicy } from "../../core/channel/policy.ts";
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { Node } from "../../core/node/node.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { nativeCrypto } from "../../gateway/crypto/native.ts";
import { XsBridge } from "../../host-sim/xs/bridge.ts";
import { bundleDeviceScripts, bundleXsScripts, type XsScripts } from "../../host-sim/xs/bundle.ts";
import { ChannelLife, type LifeOptions } from "../../host-sim/xs/channel-life.ts";
import { callCrypto } from "../../host-sim/xs/crypto-calls.ts";
import { freezeImage, writableLines } from "../../host-sim/xs/frozen-image.ts";
import { framesThatLeave, NODE_SLOTS, u32 } from "../../host-sim/xs/narrow-stack.ts";
import {
  digestOf,
  inNode,
  inXs,
  type Machines,
  Player,
  type XsMachineOptions,
} from "../../host-sim/xs/player.ts";
import { CHAIN_HASH, FEATURES } from "../support/node-pair.ts";

const crypto = nativeCrypto() ?? nobleCrypto();
const { channelTypes } = hostPolicy;
const core = { Node, SeedSigner, devicePolicy: { ...devicePolicy, channelTypes } };
const nodeHere = inNode(core, crypto);
const bridges: XsBridge[] = [];
let scripts: XsScripts;
beforeAll(async () => {
  scripts = await bundleXsScripts();
});
afterEach(async () => {
  await Promise.all(bridges.splice(0).map((bridge) => bridge.close()));
});

/** A node in XS, with what is done to a fresh worker before its node starts. */
function xsNode(
  options: Partial<XsMachineOptions> = {},
  prepare: (bridge: XsBridge) => Promise<void> = async () => {},
): Machines {
  return inXs({
    crypto,
    provider: "host",
    async open(host) {
      const bridge = await XsBridge.start({ scripts, host });
      bridges.push(bridge);
      await prepare(bridge);
      return bridge;
    },
    ...options,
  });
}

interface Told {
  readonly alice: Player;
  readonly bob: Player;
}

async function tell(
  where: { alice: Machines; bob: Machines },
  options: LifeOptions,
): Promise<Told> {
  const player = (name: "alice" | "bob", seedByte: number) => {
    const seed = new Uint8Array(32).fill(seedByte);
    const { nodeId } = new SeedSigner(crypto, seed);
    const payoutScript = p2wpkh(crypto, nodeId);
    const setup = { seed, features: FEATURES, chainHash: CHAIN_HASH, payoutScript };
    return { nodeId, player: new Player(name, where[name], { ...setup, maxMessageBytes: 4096 }) };
  };
  const alice = player("alice", 1).player;
  const bob = player("bob", 2);
  await new ChannelLife(crypto, alice, bob.player, bob.nodeId).live(options);
  return { alice, bob: bob.player };
}

/** Every frame, every record and everything told, of both sides, is the same. */
function expectSame(seen: Told, expected: Told): void {
  for (const name of ["alice", "bob"] as const) {
    const lines = seen[name].transcript;
    const first = lines.findIndex((line, i) => line !== expected[name].transcript[i]);
    expect(first, `${name}: ${lines[first]} not ${expected[name].transcript[first]}`).toBe(-1);
    expect(lines.length).toBe(expected[name].transcript.length);
  }
  console.log(`${seen.bob.transcript.length} lines, digest ${digestOf(seen.bob.transcript)}`);
}

const inNodeAlone = { alice: nodeHere, bob: nodeHere };
const types = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;

test("the story itself: everything happens in it, nobody complains, the money adds up", async () => {
  const { alice, bob } = await tell(inNodeAlone, { channelType: "zero_fee_commitments" });
  expect([...alice.alarms, ...bob.alarms]).toEqual([]);
  const count = (type: string) => [alice, bob].map((player) => player.events(type).length);
  expect(count("rejected")).toEqual([0, 0]);
  for (const type of ["pushReceived", "receipt", "htlcFulfilled", "htlcFailed"]) {
    expect(Math.max(...count(type)), type).toBeGreaterThan(0);
  }
  expect(count("reestablished")).toEqual([21, 21]);
  expect(count("closed")).toEqual([1, 1]);
  const last = decodeRecord(
    bob.records.at(-1)!,
    () => new SeedSigner(crypto, new Uint8Array(32).fill(2)).channel(0).basepoints,
  );
  expect(last.base.htlcs).toEqual([]);
  expect(last.base.toLocalMsat + last.base.toRemoteMsat).toBe(1_000_000_000);
  expect(bob.closes.map(toHex)).toEqual(alice.closes.map(toHex));
});

describe.each(types)("%s, with the crypto of the host", (channelType) => {
  test("the acceptor in XS", async () => {
    const expected = await tell(inNodeAlone, { channelType });
    expectSame(await tell({ alice: nodeHere, bob: xsNode() }, { channelType }), expected);
  });
});

describe("zero_fee_commitments", () => {
  const channelType = "zero_fee_commitments";
  let expected: Told;
  beforeAll(async () => {
    expected = await tell(inNodeAlone, { channelType });
  });

  test("the opener in XS", async () => {
    expectSame(await tell({ alice: xsNode(), bob: nodeHere }, { channelType }), expected);
  });

  test("both in XS", async () => {
    expectSame(await tell({ alice: xsNode(), bob: xsNode() }, { channelType }), expected);
  });

  test("in the frozen image, where nothing at module level grows", async () => {
    const before = new Map<XsBridge, readonly string[]>();
    const frozen = xsNode({}, async (bridge) => {
      expect(await freezeImage(bridge, scripts.core)).toEqual([]);
      before.set(bridge, await writableLines(bridge));
    });
    // Killed workers cannot be asked: the last one is asked before it dies.
    const kept: XsBridge[] = [];
    const asked: Machines = async (host) => {
      const machine = await frozen(host);
      const bridge = bridges.at(-1)!;
      return {
        ...machine,
        async kill() {
          kept.push(bridge);
          expect(await writableLines(bridge)).toEqual(before.get(bridge));
          await machine.kill();
        },
      };
    };
    expectSame(await tell({ alice: nodeHere, bob: asked }, { channelType }), expected);
    expect(kept.length).toBe(4);
  });

  test(`in a device's stack of ${NODE_SLOTS} slots`, async () => {
    const serveCrypto = (method: Uint8Array | undefined, ...all: readonly Uint8Array[]) =>
      callCrypto(crypto, Buffer.from(method ?? []).toString(), all);
    const options = { scripts, host: { crypto: serveCrypto } };
    const frames = await framesThatLeave(NODE_SLOTS, options);
    const narrow = xsNode({ frames });
    expectSame(await tell({ alice: nodeHere, bob: narrow }, { channelType }), expected);
    const bridge = await XsBridge.start(options);
    bridges.push(bridge);
    const largest = expected.bob.records.reduce((a, b) => (b.length > a.length ? b : a));
    const seed = new Uint8Array(32).fill(2);
    const read = await bridge.call("record-in-depth", largest, seed, u32(frames));
    expect(read.parts.map(toHex)).toEqual([toHex(largest)]);
  });

  test("with the device's own bundle, dist/core.js", async () => {
    const deviceScripts = await bundleDeviceScripts();
    const device = xsNode({
      async open(host) {
        const bridge = await XsBridge.startDevice({ scripts: deviceScripts, host });
        bridges.push(bridge);
        return bridge;
      },
    });
    expectSame(await tell({ alice: nodeHere, bob: device }, { channelType }), expected);
  });

  test("a short life with noble inside XS", { timeout: 300_000 }, async () => {
    const options = { channelType, short: true } as const;
    const alone = await tell(inNodeAlone, options);
    expectSame(await tell({ alice: nodeHere, bob: xsNode({ provider: "noble" }) }, options), alone);
  });
});
