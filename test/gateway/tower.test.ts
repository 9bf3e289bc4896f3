/** The tower's side: quotas, repeated and foreign updates, what strangers may store, and whose coins pay for it (rule `tower-fee-bounded`). */
import { expect, it } from "vitest";
import type { Claim } from "../../core/chain/monitor/watched.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import { blockHeight, type PublicKey, signature } from "../../core/primitives/brands.ts";
import { ascii, toHex } from "../../core/primitives/bytes.ts";
import { encodeKit } from "../../core/tower/justice-kit.ts";
import { forgetHash, nextDigest, towerReceiptHash } from "../../core/tower/receipt.ts";
import { toRelay } from "../../core/tower/relay.ts";
import { sealSlots } from "../../core/tower/slot.ts";
import {
  parseTransaction,
  transactionId,
  transactionWeight,
} from "../../core/transactions/transaction.ts";
import { crypto } from "../support/node-pair.ts";

import {
  client,
  clientOf,
  clientSigner,
  makeLab,
  revoked,
  signer,
  some,
  TAG,
} from "../support/tower-server-lab.ts";

it("signs for what it holds, in order, durably", async () => {
  const lab = makeLab();
  expect(await lab.register()).toMatchObject({ accepted: true, usedSlots: 0 });
  const slots = some(5);
  const receipt = (await lab.update(slots)) as MessageNamed<"tower_receipt">;

  let digest: Uint8Array = new Uint8Array(32);
  for (const slot of slots) digest = nextDigest(crypto, digest, slot);
  expect(receipt).toMatchObject({ type: "tower_receipt", count: 5, digest });
  const hash = towerReceiptHash(crypto, client, { tag: TAG, count: 5, digest });
  expect(crypto.verify(receipt.signature, hash, signer.nodeId)).toBe(true);

  lab.stop();
  lab.start();
  expect(await lab.update([], 5)).toMatchObject({ count: 5, digest });
});

it("keeps what is sent again once, and answers the same", async () => {
  const lab = makeLab();
  await lab.register();
  const first = await lab.update(some(4));
  expect(await lab.update(some(4))).toEqual(first);
  expect(await lab.update(some(6), 0)).toMatchObject({ count: 6 });
  expect(await lab.update(some(2, 40), 9)).toMatchObject({ count: 6 }); // a gap: nothing of it
  expect(lab.server.totals()).toMatchObject({ clients: 1, slots: 6 });
});

it("keeps nothing for whoever is not registered, and registers nobody it refuses", async () => {
  const lab = makeLab({ refusal: (who) => (toHex(who) === toHex(client) ? undefined : "no room") });
  const stranger = clientOf("a stranger");
  expect(await lab.update(some(1), 0, stranger)).toMatchObject({ type: "tower_refused", code: 0 });
  expect(await lab.register(stranger)).toMatchObject({ accepted: false, note: "no room" });
  expect(await lab.update(some(1), 0, stranger)).toMatchObject({ type: "tower_refused" });
});

it("holds each client to its quota, and all of them to the tower's room", async () => {
  const lab = makeLab({ maxSlotsPerClient: 6, maxSlots: 8 });
  const other = clientOf("another client");
  await lab.register();
  await lab.register(other);
  await lab.update(some(5));
  expect(await lab.update(some(2), 5)).toMatchObject({ type: "tower_refused", code: 1 });
  expect(await lab.update(some(1), 5)).toMatchObject({ count: 6, freeSlots: 0 });
  expect(await lab.update(some(3), 0, other)).toMatchObject({ type: "tower_refused", code: 1 });
  expect(await lab.update(some(2), 0, other)).toMatchObject({ count: 2 });

  expect(await lab.ask(forget())).toMatchObject({ type: "tower_forgotten", tag: TAG });
  expect(await lab.register()).toMatchObject({ usedSlots: 0 });
  expect(await lab.update(some(1), 2, other)).toMatchObject({ count: 3 });
});

/** As the client signs it. */
function forget(by = clientSigner): Message {
  return {
    type: "tower_forget",
    tag: TAG,
    signature: by.sign(forgetHash(crypto, signer.nodeId, TAG)),
  };
}

it("forgets for its owner alone", async () => {
  const lab = makeLab();
  const other = clientOf("another client");
  await lab.register();
  await lab.register(other);
  await lab.update(some(3));
  expect(await lab.ask(forget(), other)).toBeUndefined();
  const theirs = new SeedSigner(crypto, crypto.sha256(ascii("another client")));
  expect(await lab.ask(forget(theirs), other)).toMatchObject({ type: "tower_forgotten" });
  const { type, ...rest } = toRelay(client, forget(theirs));
  await lab.ask({ type, ...rest, hop: 1, party: client }, other); // somebody between, in the client's name
  expect(lab.server.totals().slots).toBe(3);
});

it("punishes with what fits, whoever else stored something under the same hint", async () => {
  const lab = makeLab();
  const { slots, commitment } = await revoked();
  const other = clientOf("another client");
  await lab.register();
  await lab.register(other);
  const nonsense = (slots[0] as Uint8Array).slice().fill(7, 16);
  await lab.update([nonsense], 0, other);
  await lab.update([nonsense, ...slots]);

  lab.see(commitment, 500);

  expect(lab.events("breach")).toMatchObject([{ client, penalties: 1, faults: [] }]);
  expect(lab.claims.length).toBe(1);
});

it("publishes nothing with a signature or a script that does not fit, and names it", async () => {
  const lab = makeLab();
  await lab.register();
  const { kit, commitment } = await revoked();
  const txid = transactionId(crypto, commitment);
  const wrong = [
    {
      ...kit,
      toLocal: { vout: kit.toLocal?.vout ?? 0, signature: signature(new Uint8Array(64).fill(3)) },
    },
    { ...kit, toLocal: kit.toLocal && { ...kit.toLocal, vout: 77 } },
    { ...kit, toSelfDelay: kit.toSelfDelay + 1 },
    { ...kit, payoutScript: new Uint8Array(22).fill(1) },
    { ...kit, feeratePerKw: kit.feeratePerKw + 1 },
    { ...kit, revocationPubkey: new Uint8Array(33) as PublicKey },
  ];
  const each = wrong.map((one, i) => {
    return lab.update(
      sealSlots(crypto, txid, encodeKit(one)),
      0,
      client,
      new Uint8Array(16).fill(i),
    );
  });
  await Promise.all(each);
  const junk = sealSlots(crypto, txid, new Uint8Array(100).fill(200));
  await lab.update(junk, 0, client, new Uint8Array(16).fill(99));

  lab.see(commitment, 500);

  expect(lab.claims).toEqual([]);
  const breaches = lab.events("breach");
  expect(breaches.length).toBe(wrong.length);
  for (const breach of breaches)
    expect(breach).toMatchObject({ penalties: 0, faults: [expect.any(String)] });
  expect(lab.events("problem").length).toBe(1);
});

it("adds of its own coins what it may, however near the deadline and dear the blocks", async () => {
  const maxOwnFeeSatoshis = 2_000;
  const lab = makeLab({ maxOwnFeeSatoshis });
  await lab.register();
  const { slots, commitment, kit } = await revoked();
  await lab.update(slots);
  lab.server.setFeerates({ now: 1_000_000, soon: 500_000, economy: 250_000 });
  lab.see(commitment, 500);
  for (let height = 501; height < 500 + kit.toSelfDelay + 30; height++) {
    lab.server.blockConnected({
      height: blockHeight(height),
      header: new Uint8Array(80),
      transactions: [],
    });
  }

  expect(lab.claims.length).toBeGreaterThan(100);
  for (const { raw, feeratePerKw, needs } of lab.claims) {
    const transaction = parseTransaction(raw);
    if (needs?.type !== "fee-inputs") throw new Error("it asks for a fee");
    const own = (needs.inputAmounts[0] ?? 0) - (transaction.outputs[0]?.amount ?? 0);
    const fee = (feeratePerKw * (transactionWeight(transaction) + 396)) / 1000;
    expect(fee - own).toBeLessThanOrEqual(maxOwnFeeSatoshis);
  }
});

it("ends a breach whose outputs are spent deep enough, and knows it no more after a restart", async () => {
  const lab = makeLab();
  await lab.register();
  const { slots, commitment } = await revoked();
  await lab.update(slots);
  lab.see(commitment, 500);
  expect(lab.server.totals().breaches).toBe(1);
  const [claim] = lab.claims as [Claim];
  const penalty = {
    raw: claim.raw,
    txid: claim.txid,
    height: blockHeight(501),
    index: 1,
    branch: [],
  };
  lab.server.blockConnected({
    height: blockHeight(501),
    header: new Uint8Array(80),
    transactions: [penalty],
  });
  expect(lab.events("penalty")).toMatchObject([{ result: "punished" }]);
  lab.stop();
  lab.start();
  lab.server.blockConnected({
    height: blockHeight(501),
    header: new Uint8Array(80),
    transactions: [penalty],
  });
  expect(lab.claims.length).toBe(1);

  lab.server.blockConnected({
    height: blockHeight(700),
    header: new Uint8Array(80),
    transactions: [],
  });
  await new Promise((wake) => setImmediate(wake));
  expect(lab.server.totals().breaches).toBe(0);
});
