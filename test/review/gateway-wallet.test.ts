/** What a stranger may ask a gateway's wallet to pay: the fee of a transaction, and nothing of what the transaction pays out. */
import { describe, expect, it } from "vitest";
import { publicKey, satoshi, txid } from "../../core/primitives/brands.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import {
  parseTransaction,
  serializeTransaction,
  unsignedInput,
} from "../../core/transactions/transaction.ts";
import { addFee, type CoinSource } from "../../gateway/chain/fee-payer.ts";
import { crypto } from "../support/node-pair.ts";

const SCRIPT = p2wpkh(crypto, publicKey(new Uint8Array(33).fill(3)));
const COIN = {
  outpoint: { txid: txid(new Uint8Array(32).fill(1)), vout: 0 },
  output: { script: SCRIPT, amount: satoshi(500_000_000) },
};

const wallet: CoinSource = {
  select: async () => [COIN],
  coin: async () => COIN,
  sign: async (transaction) => transaction,
  newScript: async () => SCRIPT,
  unlock: async () => {},
};

/** As a device sends it in chain_publish: one input signed SINGLE|ANYONECANPAY, and what it spends by the device's word. */
function claim(paysSatoshis: number) {
  return serializeTransaction({
    version: 2,
    inputs: [
      {
        ...unsignedInput({ txid: txid(new Uint8Array(32).fill(9)), vout: 0 }, 0),
        witness: [new Uint8Array(64).fill(1)],
      },
    ],
    outputs: [{ script: SCRIPT, amount: satoshi(paysSatoshis) }],
    locktime: 0,
  });
}

describe("wallet-pays-fees-alone: a transaction of a device", () => {
  it("gets its fee", async () => {
    const paid = await addFee(
      wallet,
      claim(1_000),
      [{ script: SCRIPT, amount: satoshi(1_000) }],
      500,
    );
    const { outputs } = parseTransaction(paid);
    const spent = outputs.reduce((sum, { amount }) => sum + amount, 0);
    expect(COIN.output.amount + 1_000 - spent).toBeLessThan(1_000);
  });

  it("gets nothing that it would pay to the device out of the wallet's coins", async () => {
    const asked = addFee(
      wallet,
      claim(100_000_000),
      [{ script: SCRIPT, amount: satoshi(1_000) }],
      500,
    );
    await expect(asked).rejects.toThrow(/pays out more than it spends/);
  });
});
