/** Whole lives of channels between the node and the second peer, which was written from docs/PROTOCOL.md and the BOLTs alone. */
import { describe, expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { InteropLab, type Side } from "./lab.ts";
import { hex, sha256 } from "./second-peer/bytes.ts";
import { ALL_TYPES } from "./second-peer/peer.ts";

const SECRET = sha256(Uint8Array.of(1, 2, 3));
const HASH = sha256(SECRET);

describe.each(ALL_TYPES)("a channel of type %s", (type) => {
  test.each(["node", "peer"] as const)(
    "opened by the %s lives until its mutual close",
    async (by: Side) => {
      const lab = await InteropLab.make();
      lab.connect(by === "node" ? "peer" : "node");
      const options = { type, fundingSatoshis: 1_000_000, pushMsat: 400_000_000 };
      await (by === "node" ? lab.openFromNode(options) : lab.openFromPeer(options));
      const [node, peer] = lab.agreedBalances();
      expect([node, peer].sort()).toEqual([400_000_000, 600_000_000]);

      // pushes both ways at once
      lab.channel.push(lab.payments(1_000_000, 2_000_000, 500));
      lab.command({ type: "push", payments: lab.payments(7_000_000) });
      await lab.flow();
      expect(lab.agreedBalances()).toEqual([
        node + 3_000_500 - 7_000_000,
        peer - 3_000_500 + 7_000_000,
      ]);
      expect(lab.node.events("pushReceived")).toHaveLength(1);
      expect(lab.node.events("receipt")).toHaveLength(1);
      expect(lab.channel.receipts.below).toBe(1);

      // HTLCs both ways at once
      lab.channel.addHtlc(20_000_000, HASH, 500);
      const hash = paymentHash(HASH);
      lab.command({
        type: "addHtlc",
        amountMsat: milliSatoshi(30_000_000),
        paymentHash: hash,
        cltvExpiry: blockHeight(510),
      });
      await lab.flow();
      const [received] = lab.node.events("htlcReceived");
      const [locked] = lab.channel.state.lockedIn();
      expect(hex(locked?.paymentHash ?? HASH)).toBe(hex(HASH));
      lab.channel.fulfill(locked?.id ?? 0, SECRET);
      lab.command({
        type: "fulfillHtlc",
        htlcId: received?.htlc.id ?? 0,
        preimage: preimage(SECRET),
      });
      await lab.flow();
      expect(lab.agreedBalances()).toEqual([
        node + 3_000_500 - 7_000_000 + 20_000_000 - 30_000_000,
        peer - 3_000_500 + 7_000_000 - 20_000_000 + 30_000_000,
      ]);

      // a close
      lab.channel.shutdown(new Uint8Array(0));
      await lab.flow();
      expect(lab.channel.closing.transactions).toHaveLength(2);
      const ids = lab.channel.closing.transactions.map((transaction) => transaction.toHex()).sort();
      expect(lab.node.closes.map((raw) => hex(raw)).sort()).toEqual(ids);
      lab.expectPeace();
    },
  );
});
