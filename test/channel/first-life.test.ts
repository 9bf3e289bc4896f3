/** A channel of each type lives once through all that an honest pair does. */
import { expect, test } from "vitest";
import { blockHeight, milliSatoshi, paymentHash, preimage } from "../../core/primitives/brands.ts";
import { crypto, Pair, payment } from "../support/node-pair.ts";

for (const channelType of ["zero_fee_commitments", "anchors", "static_remotekey"] as const) {
  test(`${channelType}: open, push both ways, HTLC, close`, async () => {
    const pair = await Pair.make();
    const id = await pair.open({ channelType, pushMsat: 100_000_000 });
    expect(pair.a.alarms.concat(pair.b.alarms)).toEqual([]);
    expect(pair.a.events("ready").length).toBe(1);
    expect(pair.b.events("ready").length).toBe(1);

    pair.a.node.command(id, { type: "push", payments: payment(1_000) });
    pair.b.node.command(id, { type: "push", payments: payment(500, 3) });
    pair.cable.pump();
    expect(pair.balances(id)).toEqual([
      899_000_000 + 1_000_000 + 500,
      100_000_000 - 500,
      900_000_000 + 500,
      100_000_000 - 500,
    ]);
    expect(pair.b.events("pushReceived").length).toBe(1);
    expect(pair.a.events("pushReceived").length).toBe(1);
    expect(pair.a.events("receipt").length).toBe(1);
    expect(pair.b.events("receipt").length).toBe(1);

    const secret = preimage(new Uint8Array(32).fill(9));
    pair.a.node.command(id, {
      type: "addHtlc",
      amountMsat: milliSatoshi(50_000_000),
      paymentHash: paymentHash(crypto.sha256(secret)),
      cltvExpiry: blockHeight(pair.height + 100),
    });
    pair.cable.pump();
    const [received] = pair.b.events("htlcReceived");
    expect(received).toBeDefined();
    pair.b.node.command(id, { type: "fulfillHtlc", htlcId: 0, preimage: secret });
    pair.cable.pump();
    expect(pair.a.events("htlcFulfilled").length).toBe(1);
    expect(pair.b.events("htlcSettled")).toEqual([
      expect.objectContaining({ htlcId: 0, amountMsat: 50_000_000, fulfilled: true }),
    ]);

    pair.a.node.command(id, { type: "close", feeratePerKw: 500 });
    pair.cable.pump();
    expect(pair.a.closes.length).toBe(1);
    expect(pair.b.closes).toEqual(pair.a.closes);
    pair.mine(101, pair.a.closes.slice(0, 1));
    expect(pair.a.alarms.concat(pair.b.alarms)).toEqual([]);
    expect(pair.a.events("closed").at(-1)?.ending).toBe("mutual");
    expect(pair.a.node.channels()).toEqual([]);
  });
}
