/** What a tower is given punishes a revoked commitment of every type on a real chain, without any key. */
import { expect, it } from "vitest";
import { commitmentSpec, remoteState } from "../../core/channel/state.ts";
import { lookupSecret } from "../../core/keys/shachain.ts";

import { equal } from "../../core/primitives/bytes.ts";
import { decodeKit, encodeKit } from "../../core/tower/justice-kit.ts";
import { makeKit } from "../../core/tower/make-kit.ts";
import { PENALTY_FEERATE_PER_KW } from "../../core/tower/penalty.ts";
import { type Punishment, punish } from "../../core/tower/punish.ts";
import { hintOf, openSlots, SLOT_BYTES, sealSlots } from "../../core/tower/slot.ts";
import type { CommitmentSpec } from "../../core/transactions/terms.ts";
import {
  parseTransaction,
  serializeTransaction,
  transactionId,
} from "../../core/transactions/transaction.ts";
import { crypto } from "../support/node-pair.ts";
import type { Scenario } from "../support/scenario.ts";
import { CHANNEL_TYPES, scenarios } from "../support/scenario-lab.ts";

/** The remote commitment of alice's channel as it stands: bob will revoke it. */
function specNow(s: Scenario): CommitmentSpec {
  const record = s.a.record(s.id);
  return commitmentSpec(remoteState(record), "remote", record.remoteNumber);
}

function slotsFor(s: Scenario, spec: CommitmentSpec): Uint8Array[] {
  const record = s.a.record(s.id);
  const secret = lookupSecret(crypto, record.secrets, spec.number);
  if (!secret) throw new Error("it is not revoked");
  const signer = s.a.signer.channel(record.terms.keyIndex);
  const { payoutScript } = s.a;
  const source = {
    crypto,
    signer,
    terms: record.terms,
    payoutScript,
    feeratePerKw: PENALTY_FEERATE_PER_KW,
  };
  const made = makeKit(source, spec, secret);
  if (!made) throw new Error("there is nothing to punish");
  return sealSlots(crypto, made.txid, encodeKit(made.kit));
}

function punishWith(slots: readonly Uint8Array[], raw: Uint8Array): Punishment {
  const commitment = parseTransaction(raw);
  const txid = transactionId(crypto, commitment);
  const find = (hint: Uint8Array) => slots.filter((slot) => equal(hintOf(slot), hint));
  const kit = openSlots(crypto, txid, find);
  if (!kit) throw new Error("the slots stay shut");
  return punish(crypto, decodeKit(kit), commitment, txid);
}

scenarios("a tower's kit", (on) => {
  it.each(CHANNEL_TYPES)("%s: takes to_local and the HTLCs", async (channelType) => {
    const s = await on.make(`kit ${channelType}`, { channelType });
    const toBob = await s.addHtlc({ from: "a", expiresIn: 30 });
    const toAlice = await s.addHtlc({ from: "b", amountMsat: 30_000_000, expiresIn: 20 });
    const revoked = specNow(s);
    const ghost = await s.ghost("b");
    const raw = await s.commitmentOf("b");
    s.fulfill(toBob);
    s.fulfill(toAlice);
    s.push("b", 300_000_000);
    const slots = slotsFor(s, revoked);
    await s.a.stop();

    ghost.node.command(s.id, { type: "forceClose" });
    await ghost.publisher.idle();
    await ghost.stop();
    await on.lab.mine(1);
    const { penalties, faults } = punishWith(slots, raw);
    const source = await on.lab.source();
    for (const { kind, transaction } of penalties) {
      if (kind === "second-stage") continue;
      expect(await source.broadcast(serializeTransaction(transaction))).toMatchObject({ ok: true });
    }
    await on.lab.mine(1);
    await source.close();

    expect(faults).toEqual([]);
    expect(slots.every(({ length }) => length === SLOT_BYTES)).toBe(true);
    await s.a.restart();
    const end = await s.toTheEnd([s.a]);
    expect(end.b).toBe(0);
    expect(end.a).toBeGreaterThan(990_000);
  });
});
