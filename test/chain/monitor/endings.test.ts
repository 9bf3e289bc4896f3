/** Endings that are no commitment of the record: mutual closes, newer states after data loss, strangers; and our own past. */
import { describe, expect, it } from "vitest";
import { resolve } from "../../../core/chain/monitor/resolve.ts";
import type { WatchedChannel } from "../../../core/chain/monitor/watched.ts";
import { blockHeight, satoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { assembleFundingWitness } from "../../../core/transactions/funding.ts";
import { fundingScript } from "../../../core/transactions/script.ts";
import { segwitSighash } from "../../../core/transactions/sighash.ts";
import {
  serializeTransaction,
  type Transaction,
  unsignedInput,
  withWitness,
} from "../../../core/transactions/transaction.ts";
import { channelTypes, crypto } from "../../support/channel-pair.ts";
import { FOUR_HTLCS, Peers, type State, type TestHtlc, testHtlc } from "./support/peers.ts";
import { POLICY, Watcher } from "./support/watcher.ts";

const STATE: State = { number: 3, aliceMsat: 400_000_000, htlcs: [] };
const bobsScript = Uint8Array.of(0, 20, ...new Uint8Array(20).fill(0xb0));
const strangersScript = Uint8Array.of(0, 20, ...new Uint8Array(20).fill(0x55));

/** The funding output, spent with both keys by anything at all. */
function spendFunding(
  peers: Peers,
  change: Partial<Transaction> & { sequence?: number },
): Uint8Array {
  const { alice, bob, terms } = peers;
  const { sequence = 0xfffffffd, ...rest } = change;
  const unsigned: Transaction = {
    version: 2,
    inputs: [unsignedInput(terms.fundingOutpoint, sequence)],
    outputs: [],
    locktime: 0,
    ...rest,
  };
  const keys = [alice.basepoints.fundingPubkey, bob.basepoints.fundingPubkey] as const;
  const scriptCode = fundingScript(...keys);
  const sighash = segwitSighash(crypto, unsigned, 0, { amount: terms.fundingSatoshis, scriptCode });
  const witness = assembleFundingWitness(
    { fundingPubkey: keys[0], signature: alice.signClosing(sighash) },
    { fundingPubkey: keys[1], signature: bob.signClosing(sighash) },
  );
  return serializeTransaction(withWitness(unsigned, 0, witness));
}

function given(more: Partial<WatchedChannel> = {}, type = channelTypes[0] as never) {
  const peers = new Peers(type);
  return { peers, chain: peers.chain, watcher: new Watcher(peers, peers.record(STATE, more)) };
}

describe("a mutual close", () => {
  const outputs = (peers: Peers) => [
    { script: peers.payoutScript, amount: satoshi(399_000) },
    { script: bobsScript, amount: satoshi(600_000) },
  ];

  it("needs nothing more: our part is ours, and it is final at depth", () => {
    const { peers, chain, watcher } = given();
    chain.confirm(spendFunding(peers, { outputs: outputs(peers), locktime: 300 }));
    const { ending, claims, complete } = watcher.look();
    expect({ ending, claims, complete }).toEqual({ ending: "mutual", claims: [], complete: false });
    expect(watcher.statuses()).toEqual(["mutual-close: claimed", "mutual-close: theirs"]);
    chain.mine(98);
    expect(watcher.look().complete).toBe(false);
    chain.mine(1);
    expect(watcher.look().complete).toBe(true);
  });

  it("is told from a commitment by what it pays, whatever its locktime and sequence look like", () => {
    const { peers, chain, watcher } = given();
    const shutdownScripts = { local: peers.payoutScript, remote: bobsScript };
    const record = { ...watcher.record, shutdownScripts };
    const disguised = { sequence: 0x80123456, locktime: 0x20123456, outputs: outputs(peers) };
    chain.confirm(spendFunding(peers, disguised));
    expect(new Watcher(peers, record).look().ending).toBe("mutual");
    expect(watcher.look().ending).not.toBe("mutual");
  });

  it("that a reorganisation removes leaves the channel open", () => {
    const { peers, chain, watcher } = given();
    chain.confirm(spendFunding(peers, { outputs: outputs(peers) }));
    chain.reorg(1);
    expect(watcher.look().ending).toBe("open");
    expect(watcher.closing()).toHaveLength(1);
  });
});

describe("a spend that the channel never had", () => {
  it("is reported with a warning, where the shutdown scripts are known", () => {
    const { peers, chain, watcher } = given();
    const shutdownScripts = { local: peers.payoutScript, remote: bobsScript };
    const thief = new Watcher(peers, { ...watcher.record, shutdownScripts });
    const outputs = [{ script: strangersScript, amount: satoshi(999_000) }];
    chain.confirm(spendFunding(peers, { outputs }));
    expect(thief.look()).toMatchObject({
      ending: "unknown",
      claims: [],
      warning: expect.stringContaining("funds may be lost"),
    });
  });

  it("that poses as an old commitment is not taken for one", () => {
    const { peers, chain, watcher } = given();
    const locks = [...Array(8).keys()].map(
      (number) => peers.build("remote", { ...STATE, number }).commitment.transaction,
    );
    const old = locks[1] as Transaction;
    const outputs = [{ script: strangersScript, amount: satoshi(999_000) }];
    const sequence = old.inputs[0]?.sequence as number;
    chain.confirm(spendFunding(peers, { outputs, sequence, locktime: old.locktime }));
    expect(watcher.look()).toMatchObject({ ending: "unknown", claims: [] });
  });
});

describe.each(channelTypes)("after data loss, the peer's newer commitment with %s", (type) => {
  const newer: State = {
    number: 9,
    aliceMsat: 250_000_000,
    htlcs: [...FOUR_HTLCS, testHtlc(true, 2)],
  };
  const known: State = { ...STATE, aliceMsat: 300_000_000, htlcs: FOUR_HTLCS };

  function lost() {
    const peers = new Peers(type);
    const record = peers.record(known, { outdated: true });
    peers.chain.confirm(peers.signed("remote", newer));
    return { peers, chain: peers.chain, watcher: new Watcher(peers, record) };
  }

  it("pays us our direct balance, and says that our data is outdated", () => {
    const { watcher, chain } = lost();
    const { ending, commitmentNumber, warning } = watcher.look();
    expect({ ending, commitmentNumber }).toEqual({ ending: "future", commitmentNumber: 9 });
    expect(warning).toContain("outdated");
    expect(watcher.report("to-remote").status).toBe("claimable");
    expect(watcher.report("to-remote").amount).toBeGreaterThan(247_000);
    expect(chain.verdict(watcher.claims()[0]?.raw as Uint8Array)).toBe("valid");
    watcher.publish();
    expect(watcher.report("to-remote").status).toBe("claimed");
    expect(watcher.closing()).toEqual([]);
  });

  it("may still reveal a preimage of an HTLC that we remember", () => {
    const { watcher, chain, peers } = lost();
    const htlc = FOUR_HTLCS[0] as TestHtlc;
    chain.confirm(peers.htlcTransaction("remote", newer, htlc));
    expect(watcher.look().preimages.map(toHex)).toEqual([toHex(htlc.preimage)]);
  });

  it("leaves it open for long whether an HTLC that we remember can be failed", () => {
    const { watcher, chain } = lost();
    chain.mineTo(510 + 99);
    expect(watcher.look().failedHtlcIds).toEqual([0]);
    chain.mine(1);
    expect(watcher.look().failedHtlcIds).toEqual([0, 1]);
    chain.rewind(20);
    expect(watcher.look().failedHtlcIds).toEqual([]);
  });
});

describe("a revoked commitment that holds nothing but forgotten HTLCs", () => {
  it("is still taken for one: its second stage is punished", () => {
    const peers = new Peers("anchors");
    const big = testHtlc(false, 0, { amountMsat: 998_000_000 });
    const old: State = { number: 1, aliceMsat: 2_000_000, htlcs: [big] };
    const watcher = new Watcher(peers, peers.record(STATE));
    peers.chain.confirm(peers.signed("remote", old));
    expect(watcher.look()).toMatchObject({ ending: "revoked", commitmentNumber: 1 });
    peers.chain.mineTo(big.cltvExpiry);
    peers.chain.confirm(peers.htlcTransaction("remote", old, big));
    watcher.publish();
    expect(watcher.statuses()).toContain("second-stage: claimed");
  });
});

describe("an old commitment of our own, published by a copy of our state", () => {
  it("is not mistaken for fraud by the peer; its to_local is claimed if the peer lets it", () => {
    const { peers, chain, watcher } = given({}, "anchors" as never);
    chain.confirm(peers.signed("local", { ...STATE, number: 1, aliceMsat: 450_000_000 }));
    expect(watcher.look()).toMatchObject({
      ending: "local",
      commitmentNumber: 1,
      warning: expect.stringContaining("the peer can take everything"),
    });
    chain.mine(19);
    watcher.publish();
    expect(watcher.report("to-local").status).toBe("claimed");
  });
});

describe("an open channel", () => {
  it("stays open while the fact that ends it is above the tip", () => {
    const { watcher, peers } = given();
    const height = blockHeight(peers.chain.tip + 1);
    const facts = {
      ...peers.chain.facts,
      confirmed: [{ raw: peers.signed("remote", STATE), height }],
    };
    expect(resolve(peers.context, watcher.record, facts, POLICY).ending).toBe("open");
    const later = { ...facts, tipHeight: height };
    expect(resolve(peers.context, watcher.record, later, POLICY).ending).toBe("remote");
  });

  it("has nothing to publish, and asks for the spend of its funding output", () => {
    const { watcher, peers } = given();
    expect(watcher.look()).toEqual({
      ending: "open",
      outputs: [],
      claims: [],
      preimages: [],
      failedHtlcIds: [],
      watch: [peers.terms.fundingOutpoint],
      complete: false,
    });
  });
});
