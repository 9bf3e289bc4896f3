/** The peer's commitment on chain, the present one or the next: what is ours comes home, and what it reveals is learned. */
import { describe, expect, it } from "vitest";
import { toHex } from "../../../core/primitives/bytes.ts";
import { parseTransaction } from "../../../core/transactions/transaction.ts";
import { channelTypes } from "../../support/channel-pair.ts";
import { FOUR_HTLCS, Peers, type State, type TestHtlc, testHtlc } from "./support/peers.ts";
import { nameOf, POLICY, Watcher } from "./support/watcher.ts";

const STATE: State = { number: 3, aliceMsat: 400_000_000, htlcs: FOUR_HTLCS };
const [offered, , received] = FOUR_HTLCS as [TestHtlc, TestHtlc, TestHtlc];

describe.each(channelTypes)("the peer's commitment of a channel with %s", (channelType) => {
  function closed(state: State = STATE) {
    const peers = new Peers(channelType);
    const record = peers.record(state, { preimages: [received.preimage] });
    peers.chain.confirm(peers.signed("remote", state));
    return { peers, chain: peers.chain, watcher: new Watcher(peers, record) };
  }

  it("gives us to_remote at once, and leaves the peer its own", () => {
    const { watcher, chain } = closed();
    expect(watcher.look()).toMatchObject({ ending: "remote", commitmentNumber: 3 });
    expect(watcher.report("to-local").status).toBe("theirs");
    expect(watcher.report("to-remote").status).toBe("claimable");
    const [sweep] = watcher.claims("sweep");
    expect(chain.verdict(sweep?.raw as Uint8Array)).toBe("valid");
    watcher.publish("sweep");
    expect(watcher.report("to-remote").status).toBe("claimed");
  });

  it("lets us take an HTLC by its preimage, before it expires", () => {
    const { watcher } = closed();
    const [claim] = watcher.claims("htlc-success");
    expect(claim?.deadline).toBe(received.cltvExpiry);
    watcher.publish("htlc-success");
    expect(watcher.report("received-htlc 0").status).toBe("claimed");
    expect(watcher.report("received-htlc 1")).toMatchObject({ status: "waiting", height: 515 });
  });

  it("gives an HTLC that we offered back at its expiry, not a block before", () => {
    const { watcher, chain } = closed();
    chain.mineTo(offered.cltvExpiry - 1);
    expect(watcher.claims("htlc-timeout")).toEqual([]);
    chain.mine(1);
    const [claim] = watcher.claims("htlc-timeout");
    expect(chain.verdict(claim?.raw as Uint8Array)).toBe("valid");
    chain.rewind(1);
    expect(chain.verdict(claim?.raw as Uint8Array)).toBe("non-final");
    chain.mine(1);
    watcher.publish("htlc-timeout");
    expect(watcher.look().failedHtlcIds).toEqual([]);
    chain.mine(5);
    expect(watcher.look().failedHtlcIds).toEqual([0]);
  });

  it("reveals a preimage when the peer takes an HTLC, whose second stage is none of our business", () => {
    const { watcher, chain, peers } = closed();
    chain.confirm(peers.htlcTransaction("remote", STATE, offered));
    const { preimages, outputs } = watcher.look();
    expect(preimages.map(toHex)).toEqual([toHex(offered.preimage)]);
    expect(watcher.report("offered-htlc 0").status).toBe("theirs");
    expect(outputs.map(nameOf)).not.toContain("second-stage offered 0");
    chain.mineTo(800);
    expect(watcher.look().failedHtlcIds).not.toContain(0);
  });

  it("forgets that preimage when a reorganisation takes the spend away", () => {
    const { watcher, chain, peers } = closed();
    chain.confirm(peers.htlcTransaction("remote", STATE, offered));
    chain.reorg(1);
    expect(watcher.look().preimages).toEqual([]);
    expect(watcher.report("offered-htlc 0").status).toBe("waiting");
  });

  it("leaves an HTLC to the peer that timed it out", () => {
    const { watcher, chain, peers } = closed();
    const unknown = FOUR_HTLCS[3] as TestHtlc;
    chain.mineTo(unknown.cltvExpiry);
    chain.confirm(peers.htlcTransaction("remote", STATE, unknown));
    expect(watcher.report("received-htlc 1").status).toBe("theirs");
  });

  it("comes home whole", () => {
    const { watcher } = closed();
    watcher.settle();
    expect(watcher.statuses()).toEqual([
      "offered-htlc 0: claimed",
      "offered-htlc 1: claimed",
      "received-htlc 0: claimed",
      "received-htlc 1: theirs",
      "to-local: theirs",
      "to-remote: claimed",
    ]);
    expect(watcher.look().failedHtlcIds).toEqual([0, 1]);
  });
});

describe.each(channelTypes)(
  "while the peer's revocation is outstanding, with %s",
  (channelType) => {
    const next: State = {
      number: 4,
      aliceMsat: 350_000_000,
      htlcs: [...FOUR_HTLCS, testHtlc(true, 2)],
    };
    function given() {
      const peers = new Peers(channelType);
      const record = peers.record(STATE, { remoteNext: peers.remoteState(next) });
      return { peers, chain: peers.chain, watcher: new Watcher(peers, record) };
    }

    it("its next commitment is as good as the present one", () => {
      const { peers, chain, watcher } = given();
      chain.confirm(peers.signed("remote", next));
      expect(watcher.look()).toMatchObject({ ending: "remote", commitmentNumber: 4 });
      watcher.settle();
      expect(watcher.report("offered-htlc 2").status).toBe("claimed");
      expect(watcher.look().failedHtlcIds).toEqual([0, 1, 2]);
    });

    it("an HTLC that is only in the next one is failed once the present one is deep enough", () => {
      const { peers, chain, watcher } = given();
      chain.confirm(peers.signed("remote", STATE));
      chain.mine(4);
      expect(watcher.look().failedHtlcIds).toEqual([]);
      chain.mine(1);
      expect(watcher.look().failedHtlcIds).toEqual([2]);
      chain.reorg(6);
      expect(watcher.look().failedHtlcIds).toEqual([]);
    });
  },
);

describe("an HTLC without an output", () => {
  it("is not failed once another part of its payment reveals the preimage", () => {
    const peers = new Peers("anchors");
    const { preimage } = offered;
    const next = { ...STATE, number: 4, htlcs: [...FOUR_HTLCS, testHtlc(true, 2, { preimage })] };
    const record = peers.record(STATE, {
      remoteNext: peers.remoteState({ ...next, aliceMsat: 350_000_000 }),
    });
    const watcher = new Watcher(peers, record);
    peers.chain.confirm(peers.signed("remote", STATE));
    peers.chain.mine(5);
    expect(watcher.look().failedHtlcIds).toEqual([2]);
    peers.chain.confirm(peers.htlcTransaction("remote", STATE, offered));
    expect(watcher.look().failedHtlcIds).toEqual([]);
  });
});

describe("dust", () => {
  const dust = testHtlc(true, 5, { amountMsat: 300_000 });
  const state: State = { ...STATE, htlcs: [...FOUR_HTLCS, dust] };

  it("that no commitment has an output for is failed as soon as one is confirmed", () => {
    const peers = new Peers("anchors");
    const watcher = new Watcher(peers, peers.record(state));
    expect(watcher.look().failedHtlcIds).toEqual([]);
    peers.chain.confirm(peers.signed("remote", state));
    expect(watcher.look().failedHtlcIds).toEqual([5]);
  });

  it("that has an output not worth its fee is given up knowingly, with the reason", () => {
    const small = testHtlc(true, 6, { amountMsat: 400_000 });
    const peers = new Peers("anchors");
    const withSmall = { ...STATE, htlcs: [small] };
    const policy = { ...POLICY, feeratesPerKw: { economy: 3000, soon: 4000, now: 5000 } };
    const watcher = new Watcher(peers, peers.record(withSmall), policy);
    peers.chain.confirm(peers.signed("remote", withSmall));
    peers.chain.mineTo(small.cltvExpiry);
    expect(watcher.claims("htlc-timeout")).toEqual([]);
    expect(watcher.report("offered-htlc 6")).toMatchObject({
      status: "abandoned",
      reason: expect.stringContaining("400 sat are not worth the fee"),
    });
    peers.chain.mine(6);
    expect(watcher.look().failedHtlcIds).toEqual([6]);
  });

  it("is never claimed at a cost above its worth, however late", () => {
    const small = testHtlc(true, 6, { amountMsat: 900_000 });
    const peers = new Peers("anchors");
    const withSmall = { ...STATE, htlcs: [small] };
    const watcher = new Watcher(peers, peers.record(withSmall));
    peers.chain.confirm(peers.signed("remote", withSmall));
    for (const late of [0, 10, 20, 40, 80]) {
      peers.chain.mineTo(small.cltvExpiry + late);
      const [claim] = watcher.claims("htlc-timeout");
      const [output] = parseTransaction(claim?.raw as Uint8Array).outputs;
      expect(output?.amount).toBeGreaterThanOrEqual(294);
      expect(peers.chain.verdict(claim?.raw as Uint8Array)).toBe("valid");
    }
  });
});
