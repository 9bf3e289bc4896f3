/** Money that ends in an owner's own wallet, and channels that are used before they are funded on chain. */
import { expect, it } from "vitest";
import { buildColdSweep, signColdSweep } from "../../core/chain/monitor/cold-sweep.ts";
import {
  formatPublicKey,
  formatSecretKey,
  masterKey,
  toExtendedPublicKey,
} from "../../core/keys/bip32.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import { crypto } from "../support/node-pair.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

const SIDES = ["a", "b"] as const;
const CASES = CHANNEL_TYPES.flatMap((type) => SIDES.map((side) => [type, side] as const));

function owner(title: string) {
  const key = masterKey(crypto, crypto.sha256(ascii(title)));
  const publicKey = toExtendedPublicKey(crypto, key);
  return {
    extendedPublicKey: formatPublicKey(crypto, publicKey, "testnet"),
    extendedSecretKey: formatSecretKey(crypto, key, "testnet"),
  };
}

scenarios("a payout", (on) => {
  it.each(CASES)(
    "%s: cold, published by %s, is swept by the owner alone",
    async (channelType, side) => {
      const title = `cold ${channelType} ${side}`;
      const keys = owner(title);
      const s = await on.make(title, { channelType, payoutKeyA: keys.extendedPublicKey });
      const htlc = await s.addHtlc({ from: "b", expiresIn: 20 });
      s.disconnect();
      s.fulfill(htlc);
      await s.forceClose(side);

      const end = await s.toTheEnd();
      await s.mine(6); // no delay is left

      const outputs = s.a.events("closed")[0]?.outputs ?? [];
      const cold = outputs.flatMap((output) => output.cold ?? []);
      const coldSum = cold.reduce((sum, { amount }) => sum + amount, 0);
      expect(outputs.filter(({ status }) => status === "cold").length).toBe(cold.length);
      expect(end.a + coldSum).toBeGreaterThan(550_000 - feeRoom(channelType));
      expect(end.b).toBe(450_000);

      const payTo = await (await on.lab.wallet("owner")).newScript();
      const sweep = buildColdSweep(crypto, cold, {
        payTo,
        feeratePerKw: 500,
        tipHeight: await on.lab.height(),
        owner: { extendedPublicKey: keys.extendedPublicKey },
      });
      expect(sweep.locked).toEqual([]);
      const { raw } = signColdSweep(crypto, sweep.psbt, keys.extendedSecretKey);
      expect(await s.b.source.broadcast(raw)).toMatchObject({ ok: true });
      await s.mine(1);
      const txid = transactionId(crypto, parseTransaction(raw));
      const swept = await on.lab.utxo({ txid, vout: 0 });
      expect(swept?.amount).toBe(coldSum - sweep.feeSatoshis);
      expect(s.troubles).toEqual([]);
    },
  );

  it("of a channel that was used before its funding confirmed", async () => {
    const s = await on.make("zero-conf", {
      confirm: false,
      policyB: { acceptsZeroConf: () => true },
    });
    expect(s.a.events("ready").length).toBe(1);
    s.push("a", 100_000_000);
    expect(s.b.events("pushReceived").length).toBe(1);

    await s.mine(2);
    s.disconnect();
    await s.forceClose("b");
    const end = await s.toTheEnd();

    expect(end).toMatchObject({ a: 400_000, b: 600_000 });
    expect(s.troubles).toEqual([]);
  });
});

function feeRoom(channelType: ChannelType): number {
  return channelType === "zero_fee_commitments" ? 2_000 : 6_000;
}
