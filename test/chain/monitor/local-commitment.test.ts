/** Our own commitment on chain: every output of it comes home, neither a block too early nor never. */
import { describe, expect, it } from "vitest";
import { signKeyedAnchor } from "../../../core/chain/monitor/close-locally.ts";
import { satoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { htlcByPreimageClaim } from "../../../core/transactions/claims.ts";
import {
  parseTransaction,
  serializeTransaction,
  unsignedInput,
  withWitness,
} from "../../../core/transactions/transaction.ts";
import { channelTypes, crypto } from "../../support/channel-pair.ts";
import { judgeSpend } from "../../support/script-verifier.ts";
import { DELAY, FOUR_HTLCS, Peers, type State, type testHtlc } from "./support/peers.ts";
import { nameOf, Watcher } from "./support/watcher.ts";

const STATE: State = { number: 3, aliceMsat: 400_000_000, htlcs: FOUR_HTLCS };
const [offered, , received] = FOUR_HTLCS as [
  ReturnType<typeof testHtlc>,
  unknown,
  ReturnType<typeof testHtlc>,
];

describe.each(channelTypes)("our commitment of a channel with %s", (channelType) => {
  function given() {
    const peers = new Peers(channelType);
    const watcher = new Watcher(peers, peers.record(STATE, { preimages: [received.preimage] }));
    return { peers, chain: peers.chain, watcher };
  }
  function closed() {
    const all = given();
    all.chain.confirm(...all.watcher.closing().map(({ raw }) => raw));
    return all;
  }

  it("is published as the peer signed it, and consensus lets it in", () => {
    const { watcher, chain } = given();
    const [claim] = watcher.closing();
    expect(claim?.purpose).toBe("commitment");
    expect(chain.verdict(claim?.raw as Uint8Array)).toBe("valid");
  });

  it("is recognised, and not published again", () => {
    const { watcher } = closed();
    expect(watcher.closing()).toEqual([]);
    expect(watcher.look()).toMatchObject({ ending: "local", commitmentNumber: 3 });
  });

  it("pays to_local after exactly the delay", () => {
    const { watcher, chain } = closed();
    const closedAt = chain.tip;
    expect(watcher.report("to-local").status).toBe("waiting");
    chain.mineTo(closedAt + DELAY.local - 2);
    expect(watcher.claims("sweep")).toEqual([]);
    chain.mine(1);
    const [sweep] = watcher.claims("sweep");
    expect(chain.verdict(sweep?.raw as Uint8Array)).toBe("valid");
    chain.rewind(1);
    expect(chain.verdict(sweep?.raw as Uint8Array)).toBe("non-BIP68-final");
    chain.mine(1);
    watcher.publish("sweep");
    expect(watcher.report("to-local").status).toBe("claimed");
  });

  it("takes a received HTLC with its preimage at once, and waits for what that pays", () => {
    const { watcher, chain } = closed();
    expect(watcher.report("received-htlc 0").status).toBe("claimable");
    expect(watcher.publish("htlc-success")).toBe(1);
    const at = chain.tip;
    expect(watcher.report("received-htlc 0").status).toBe("claimed");
    expect(watcher.report("second-stage received 0")).toMatchObject({
      status: "waiting",
      height: at + DELAY.local - 1,
    });
    chain.mineTo(at + DELAY.local - 1);
    watcher.publish("sweep");
    expect(watcher.report("second-stage received 0").status).toBe("claimed");
    expect(watcher.report("to-local").status).toBe("claimed");
  });

  it("times out an offered HTLC at its expiry, not a block before", () => {
    const { watcher, chain } = closed();
    chain.mineTo(offered.cltvExpiry - 1);
    expect(watcher.claims("htlc-timeout")).toEqual([]);
    expect(watcher.report("offered-htlc 0")).toMatchObject({ status: "waiting", height: 500 });
    chain.mine(1);
    const [claim] = watcher.claims("htlc-timeout");
    const ready = watcher.ready(claim as never);
    expect(chain.verdict(ready)).toBe("valid");
    chain.rewind(1);
    expect(chain.verdict(ready)).toBe("non-final");
    chain.mine(1);
    watcher.publish("htlc-timeout");
    expect(watcher.look().failedHtlcIds).toEqual([]);
    chain.mine(5);
    expect(watcher.look().failedHtlcIds).toEqual([0]);
  });

  it("leaves the fee of HTLC transactions to whoever has coins, by SINGLE|ANYONECANPAY", () => {
    const { watcher } = closed();
    const [claim] = watcher.claims("htlc-success");
    const witness = parseTransaction(claim?.raw as Uint8Array).inputs[0]?.witness ?? [];
    const types = witness.slice(1, 3).map((signature) => signature[signature.length - 1]);
    const zeroFee = channelType !== "static_remotekey";
    expect(types).toEqual(zeroFee ? [0x83, 0x83] : [1, 1]);
    expect(claim?.needs?.type).toBe(zeroFee ? "fee-inputs" : undefined);
  });

  it("learns the preimage when the peer fulfils on chain, and does not fail that HTLC", () => {
    const { watcher, chain, peers } = closed();
    const { keys, commitment } = peers.build("local", STATE);
    const output = commitment.outputs.find(({ htlc }) => htlc?.offered && htlc.id === 0);
    const { outpoint, amount } = watcher.report("offered-htlc 0");
    const script = { ...offered, offered: true, paymentHash160: hash160(offered.preimage) };
    const claim = { outpoint, amount };
    const spend = htlcByPreimageClaim(crypto, claim, channelType, keys, script, offered.preimage);
    expect(output?.amount).toBe(amount);
    chain.confirm(peers.bobSweeps(spend));
    expect(watcher.report("offered-htlc 0").status).toBe("theirs");
    expect(watcher.look().preimages.map(toHex)).toEqual([toHex(offered.preimage)]);
    chain.mineTo(offered.cltvExpiry + 200);
    expect(watcher.look().failedHtlcIds).not.toContain(0);
  });

  it("comes home whole: every output irrevocably resolved, nothing published but what was valid", () => {
    const { watcher } = closed();
    watcher.settle();
    const { outputs, complete } = watcher.look();
    expect(complete).toBe(true);
    const gained = outputs
      .filter(({ status }) => status === "claimed")
      .map(nameOf)
      .sort();
    expect(gained).toEqual([
      "offered-htlc 0",
      "offered-htlc 1",
      "received-htlc 0",
      "second-stage offered 0",
      "second-stage offered 1",
      "second-stage received 0",
      "to-local",
    ]);
    expect(watcher.report("received-htlc 1").status).toBe("theirs");
    expect(watcher.look().failedHtlcIds).toEqual([0, 1]);
  });

  it("asks for the spends of all that matters, and of the funding output, in case it comes back", () => {
    const { watcher, peers } = closed();
    const { watch, outputs } = watcher.look();
    expect(watch[0]).toEqual(peers.terms.fundingOutpoint);
    const mattering = outputs.filter(({ kind }) => kind !== "anchor" && kind !== "to-remote");
    expect(watch).toEqual(expect.arrayContaining(mattering.map(({ outpoint }) => outpoint)));
  });

  it("can be undone by a reorganisation, as if it had never been", () => {
    const { watcher, chain } = given();
    const before = watcher.closing();
    chain.confirm(...before.map(({ raw }) => raw));
    chain.mine(3);
    chain.reorg(4);
    expect(watcher.look()).toMatchObject({ ending: "open", claims: [], complete: false });
    expect(watcher.closing().map(({ txid }) => txid)).toEqual(before.map(({ txid }) => txid));
  });
});

describe("outdated-never-broadcasts: when our state is outdated", () => {
  it.each(channelTypes)("our commitment with %s is never published", (channelType) => {
    const peers = new Peers(channelType);
    const watcher = new Watcher(peers, peers.record(STATE, { outdated: true }));
    expect(watcher.closing()).toEqual([]);
  });
});

describe("the fee of our commitment", () => {
  it("is paid by the commitment itself with static_remotekey", () => {
    const peers = new Peers("static_remotekey");
    const [claim] = new Watcher(peers, peers.record(STATE)).closing();
    expect(claim?.needs).toBeUndefined();
    expect(claim?.feeratePerKw).toBe(1000);
  });

  it("is paid by a child of the shared anchor with zero_fee_commitments", () => {
    const peers = new Peers("zero_fee_commitments");
    const [claim] = new Watcher(peers, peers.record(STATE)).closing();
    const needs = claim?.needs;
    if (needs?.type !== "anchor-child") throw new Error("no child is asked for");
    expect(needs).toMatchObject({ keyed: false, feeSatoshis: 0 });
    const output = parseTransaction(claim?.raw as Uint8Array).outputs[needs.anchor.vout];
    expect(toHex(output?.script as Uint8Array)).toBe("51024e73");
    expect(output?.amount).toBe(needs.amount);
  });

  it("is paid by a child of our keyed anchor with anchors, which only we can sign", () => {
    const peers = new Peers("anchors");
    const [claim] = new Watcher(peers, peers.record(STATE)).closing();
    const needs = claim?.needs;
    if (needs?.type !== "anchor-child") throw new Error("no child is asked for");
    expect(needs).toMatchObject({ keyed: true, amount: 330 });
    const anchor = parseTransaction(claim?.raw as Uint8Array).outputs[needs.anchor.vout];
    const child = {
      version: 2,
      inputs: [unsignedInput(needs.anchor, 0xfffffffd)],
      outputs: [{ script: peers.payoutScript, amount: satoshi(300) }],
      locktime: 0,
    };
    const witness = signKeyedAnchor(peers.context, serializeTransaction(child), 0);
    expect(judgeSpend(withWitness(child, 0, witness), 0, anchor as never)).toBe("valid");
  });

  it("rises from the moment of the decision toward the first expiry that presses", () => {
    const peers = new Peers("zero_fee_commitments");
    const watcher = new Watcher(peers, peers.record(STATE));
    const since = peers.chain.facts.tipHeight;
    const rates = [0, 12, 24, 36].map((blocks) => {
      peers.chain.mineTo(since + blocks);
      return watcher.closing(since)[0]?.feeratePerKw as number;
    });
    expect(rates).toEqual([...rates].sort((a, b) => a - b));
    expect(rates[0]).toBe(500);
    expect(rates[3]).toBeGreaterThanOrEqual(5000);
  });
});

function hash160(preimage: Uint8Array): Uint8Array {
  return crypto.ripemd160(crypto.sha256(preimage));
}
