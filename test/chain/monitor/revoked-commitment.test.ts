/** A revoked commitment on chain: the cheater loses every output, whoever wins each race. */
import { describe, expect, it } from "vitest";
import type { Claim, WatchedChannel } from "../../../core/chain/monitor/watched.ts";
import type { Outpoint } from "../../../core/ports/chain.ts";
import { commitmentNumber } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { delayedClaim } from "../../../core/transactions/claims.ts";
import { parseTransaction, sameOutpoint } from "../../../core/transactions/transaction.ts";
import { channelTypes } from "../../support/channel-pair.ts";
import { feeOf, idOf } from "./support/chain.ts";
import {
  archived,
  DELAY,
  FOUR_HTLCS,
  FUNDING_SATOSHIS,
  Peers,
  type State,
  type TestHtlc,
  testHtlc,
} from "./support/peers.ts";
import { nameOf, Watcher } from "./support/watcher.ts";

const REVOKED: State = { number: 2, aliceMsat: 300_000_000, htlcs: FOUR_HTLCS };
const NOW: State = { number: 6, aliceMsat: 700_000_000, htlcs: [] };
const ARCHIVE = FOUR_HTLCS.map((htlc) => archived(htlc, { first: 1, last: 3 }));

function cheated(
  channelType: (typeof channelTypes)[number],
  { archive = ARCHIVE, now = NOW }: { archive?: WatchedChannel["archive"]; now?: State } = {},
) {
  const peers = new Peers(channelType);
  const watcher = new Watcher(peers, peers.record(now, { archive }));
  peers.chain.confirm(peers.signed("remote", REVOKED));
  return { peers, chain: peers.chain, watcher, cheatedAt: peers.chain.tip };
}

/** Bob collects an output of his that is locked to his delayed key. */
function bobCollects(peers: Peers, outpoint: Outpoint): Uint8Array {
  const { keys } = peers.build("remote", REVOKED);
  const amount = peers.chain.output(outpoint)?.amount as never;
  return peers.bobSweeps(delayedClaim({ outpoint, amount }, keys, DELAY.remote));
}

describe.each(channelTypes)(
  "revoked-always-punished, in a channel with %s: a revoked commitment",
  (channelType) => {
    it("is recognised by its number, and everything in it is ours", () => {
      const { watcher } = cheated(channelType);
      expect(watcher.look()).toMatchObject({ ending: "revoked", commitmentNumber: 2 });
      const statuses = watcher.look().outputs.filter(({ kind }) => kind !== "anchor");
      expect(statuses).toHaveLength(6);
      expect(statuses.every(({ status }) => status === "claimable")).toBe(true);
    });

    it("is punished in the next block: main outputs together, each HTLC alone", () => {
      const { watcher, chain, cheatedAt } = cheated(channelType);
      const claims = watcher.claims();
      expect(claims.map(({ purpose }) => purpose)).toEqual(Array(5).fill("penalty"));
      const inputs = claims.map(({ raw }) => parseTransaction(raw).inputs.length).sort();
      expect(inputs).toEqual([1, 1, 1, 1, 2]);
      expect(claims.map(({ deadline }) => deadline)).toEqual(
        Array(5).fill(cheatedAt + DELAY.remote),
      );
      for (const { raw } of claims) {
        expect(chain.verdict(raw)).toBe("valid");
        expect(parseTransaction(raw).version).toBe(2);
        const sequences = parseTransaction(raw).inputs.map(({ sequence }) => sequence);
        expect(sequences.every((sequence) => sequence < 0xfffffffe)).toBe(true);
      }
    });

    it("leaves the cheater nothing: all but fees, anchors and roundings is ours", () => {
      const { watcher, peers, chain } = cheated(channelType);
      const claims = watcher.claims();
      const commitmentPays = watcher.look().outputs.reduce((sum, { amount }) => sum + amount, 0);
      const fees = claims.reduce((sum, { raw }) => sum + feeOf(chain, raw), 0);
      const paid = claims.flatMap(({ raw }) => parseTransaction(raw).outputs);
      expect(paid.every(({ script }) => toHex(script) === toHex(peers.payoutScript))).toBe(true);
      const ours = paid.reduce((sum, { amount }) => sum + amount, 0);
      expect(ours + fees).toBeGreaterThan(commitmentPays - 700);
      expect(ours).toBeGreaterThan(FUNDING_SATOSHIS - 8000);
      watcher.settle();
      expect(watcher.statuses().filter((status) => !status.endsWith("claimed"))).toEqual([]);
    });

    describe.each([0, 1, 2, 3])(
      "when the cheater is first with the second stage of HTLC %i",
      (index) => {
        const htlc = FOUR_HTLCS[index] as TestHtlc;

        function raced() {
          const all = cheated(channelType);
          // His own can only time out after their expiry, ours he takes by the preimage.
          if (!htlc.byAlice) all.chain.mineTo(htlc.cltvExpiry);
          const before = all.watcher.claims();
          const raw = all.peers.htlcTransaction("remote", REVOKED, htlc);
          all.chain.confirm(raw);
          const second = parseTransaction(raw);
          const at = (wanted: Outpoint) => {
            const { outputs } = all.watcher.look();
            const found = outputs.find(({ outpoint }) => sameOutpoint(outpoint, wanted));
            if (found === undefined) throw new Error("no such output");
            return found;
          };
          return {
            ...all,
            before,
            firstStage: () => at((second.inputs[0] as { outpoint: Outpoint }).outpoint),
            secondStage: () => at({ txid: idOf(second), vout: 0 }),
          };
        }

        it("its output is taken from him, in one transaction with the main outputs", () => {
          const { watcher, chain, firstStage, secondStage } = raced();
          expect(firstStage()).toMatchObject({
            kind: htlc.byAlice ? "offered-htlc" : "received-htlc",
            status: "theirs",
          });
          expect(secondStage()).toMatchObject({ kind: "second-stage", status: "claimable" });
          const claims = watcher.claims("penalty");
          const spending = claims.find(({ raw }) =>
            parseTransaction(raw).inputs.some(({ outpoint }) =>
              sameOutpoint(outpoint, secondStage().outpoint),
            ),
          );
          // By the time that his own HTLCs expire, the delay of to_local is over: it goes alone.
          expect(parseTransaction(spending?.raw as never).inputs).toHaveLength(
            htlc.byAlice ? 3 : 2,
          );
          chain.confirm(...claims.map(({ raw }) => raw));
          expect(secondStage().status).toBe("claimed");
          expect(watcher.claims()).toEqual([]);
        });

        it("no claim of ours still spends what is gone", () => {
          const { watcher, chain, before } = raced();
          const lost = before.filter(({ raw }) => chain.verdict(raw) === "missing-or-spent");
          expect(lost).toHaveLength(1);
          const ids = watcher.claims().map(({ id }) => id);
          expect(ids).not.toContain(lost[0]?.id);
        });

        it("his preimage is learned, if he used one", () => {
          const { watcher } = raced();
          const expected = htlc.byAlice ? [toHex(htlc.preimage)] : [];
          expect(watcher.look().preimages.map(toHex)).toEqual(expected);
        });

        it("he keeps that output only if nobody acts for his whole delay", () => {
          const { chain, peers, secondStage } = raced();
          const { outpoint } = secondStage();
          chain.mine(DELAY.remote - 2);
          expect(chain.verdict(bobCollects(peers, outpoint))).toBe("non-BIP68-final");
          chain.mine(1);
          chain.confirm(bobCollects(peers, outpoint));
          expect(secondStage().status).toBe("theirs");
        });
      },
    );

    it("is punished again after a reorganisation of the penalty, and of the fraud itself", () => {
      const { watcher, chain, peers } = cheated(channelType);
      const first = watcher.claims().map(({ txid }) => toHex(txid));
      watcher.publish();
      expect(watcher.claims()).toEqual([]);
      chain.reorg(1);
      expect(watcher.claims().map(({ id }) => id)).toHaveLength(5);
      chain.reorg(3);
      expect(watcher.look().ending).toBe("open");
      chain.confirm(peers.signed("remote", REVOKED));
      expect(watcher.claims().map(({ txid }) => toHex(txid))).toEqual(first);
      watcher.settle();
    });

    it("is punished with HTLCs that the record still holds, without the archive", () => {
      const now = { ...NOW, aliceMsat: 400_000_000, htlcs: FOUR_HTLCS };
      const { watcher } = cheated(channelType, { archive: [], now });
      expect(watcher.claims("penalty")).toHaveLength(5);
      expect(watcher.look().failedHtlcIds).toEqual([]);
      watcher.publish();
      watcher.peers.chain.mine(5);
      expect(watcher.look().failedHtlcIds).toEqual([0, 1]);
    });

    it("whose HTLCs the archive lost is punished at its second stage", () => {
      const { watcher, chain, peers } = cheated(channelType, { archive: ARCHIVE.slice(0, 2) });
      const unknown = watcher.look().outputs.filter(({ kind }) => kind === "unknown");
      expect(unknown.map(({ status }) => status)).toEqual(["waiting", "waiting"]);
      const { watch } = watcher.look();
      expect(watch).toEqual(expect.arrayContaining(unknown.map(({ outpoint }) => outpoint)));
      watcher.publish();
      const lost = FOUR_HTLCS[2] as TestHtlc;
      chain.mineTo(lost.cltvExpiry);
      chain.confirm(peers.htlcTransaction("remote", REVOKED, lost));
      const [claim] = watcher.claims("penalty");
      expect(chain.verdict(claim?.raw as Uint8Array)).toBe("valid");
      watcher.publish();
      expect(watcher.look().outputs.find(({ kind }) => kind === "second-stage")?.status).toBe(
        "claimed",
      );
      chain.mine(300);
      expect(watcher.look().complete).toBe(false); // the cheater may still take the other one
      chain.mine(4_100);
      expect(watcher.look().complete).toBe(true);
    });

    it("is not matched with archived HTLCs of other numbers", () => {
      const archive = FOUR_HTLCS.map((htlc) => archived(htlc, { first: 3, last: 5 }));
      const { watcher } = cheated(channelType, { archive });
      expect(watcher.look().outputs.filter(({ kind }) => kind === "unknown")).toHaveLength(4);
    });
  },
);

describe("HTLCs of one payment hash and expiry in a revoked commitment", () => {
  const { preimage, cltvExpiry } = testHtlc(true, 0);
  const part = (id: number, amountMsat: number) =>
    testHtlc(true, id, { preimage, cltvExpiry, amountMsat });

  it.each([
    ["different amounts are told apart", part(0, 60_000_000), part(1, 40_000_000)],
    ["the same amount are each counted once", part(0, 50_000_000), part(1, 50_000_000)],
  ])("with %s", (_what, first, second) => {
    const peers = new Peers("anchors");
    const state = (number: number): State => ({ ...NOW, number, htlcs: [first, second] });
    const watcher = new Watcher(peers, peers.record({ ...state(6), aliceMsat: 500_000_000 }));
    peers.chain.confirm(peers.signed("remote", { ...state(2), aliceMsat: 300_000_000 }));
    for (const { id, amountMsat } of [first, second]) {
      expect(watcher.report(`offered-htlc ${id}`).amount).toBe(amountMsat / 1000);
    }
    expect(watcher.claims()).toHaveLength(3);
    watcher.publish();
  });
});

describe("a penalty that is late", () => {
  it("no longer shares a transaction with what the cheater can take by now", () => {
    const { watcher, chain, peers, cheatedAt } = cheated("anchors");
    chain.mineTo(cheatedAt + DELAY.remote - 1);
    expect(watcher.claims()).toHaveLength(5);
    chain.mine(1);
    expect(watcher.claims()).toHaveLength(6);
    chain.confirm(bobCollects(peers, watcher.report("to-local").outpoint));
    expect(watcher.report("to-local").status).toBe("theirs");
    watcher.publish();
    expect(watcher.report("to-remote").status).toBe("claimed");
  });

  it("raises its fee step by step, each replacing the last, and past the deadline without limit but its worth", () => {
    const { watcher, chain, cheatedAt } = cheated("zero_fee_commitments");
    const rates: number[] = [];
    const { id } = watcher.claims()[1] as Claim;
    for (let tip = cheatedAt; tip <= cheatedAt + DELAY.remote + 40; tip++) {
      chain.mineTo(tip);
      const claim = watcher.claims().find((candidate) => candidate.id === id);
      rates.push(claim?.feeratePerKw as number);
      expect(chain.verdict(claim?.raw as Uint8Array)).toBe("valid");
    }
    const steps = rates.slice(1).map((rate, index) => rate - (rates[index] as number));
    expect(steps.every((step) => step === 0 || step >= 250)).toBe(true);
    expect(rates[0]).toBe(500);
    expect(rates[DELAY.remote]).toBeGreaterThanOrEqual(5000);
    expect(rates[DELAY.remote + 5]).toBeGreaterThan(rates[DELAY.remote] as number);
  });
});

describe("a commitment that was revoked long ago", () => {
  it("is punished from one of the few secrets that are kept", () => {
    const peers = new Peers("anchors");
    const record = peers.record({ ...NOW, number: 150 });
    expect(record.secrets.secrets.length).toBeLessThan(8);
    const old = { ...REVOKED, number: commitmentNumber(77), htlcs: [] };
    peers.chain.confirm(peers.signed("remote", old));
    const watcher = new Watcher(peers, record);
    expect(watcher.look().commitmentNumber).toBe(77);
    watcher.publish();
    expect(watcher.look().outputs.map(nameOf)).toContain("to-local");
    expect(watcher.report("to-local").status).toBe("claimed");
  });
});
