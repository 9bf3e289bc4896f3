/** A slot opens to the whole txid alone, and shows nothing else: neither the kit, nor that two slots belong together. */
import { expect, it } from "vitest";
import { txid } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { decodeKit, encodeKit } from "../../core/tower/justice-kit.ts";
import { hintOf, openSlots, SLOT_BYTES, sealSlots } from "../../core/tower/slot.ts";
import { crypto } from "../support/node-pair.ts";
import { RevokedLab } from "../support/revoked.ts";

async function sealed(htlcs = 0) {
  const lab = await RevokedLab.make();
  for (let i = 0; i < htlcs; i++) await lab.offerHtlc(20_000_000);
  const { spec } = lab;
  await lab.pay(1_000_000);
  const made = lab.kit(spec);
  return { made, slots: sealSlots(crypto, made.txid, encodeKit(made.kit)), lab };
}

const finder = (slots: readonly Uint8Array[]) => (hint: Uint8Array) =>
  slots.filter((slot) => equal(hintOf(slot), hint));

it("takes one slot for a state without HTLCs, and reads back to the same kit", async () => {
  const { made, slots } = await sealed();
  expect(slots.map(({ length }) => length)).toEqual([SLOT_BYTES]);
  expect(toHex(slots[0] as Uint8Array).startsWith(toHex(made.txid).slice(0, 32))).toBe(true);
  const kit = openSlots(crypto, made.txid, finder(slots));
  expect(kit && decodeKit(kit)).toEqual(made.kit);
});

it("takes more slots for HTLCs, and they have no hint in common", async () => {
  const { made, slots } = await sealed(3);
  expect(slots.length).toBe(3);
  expect(new Set(slots.map((slot) => toHex(hintOf(slot)))).size).toBe(3);
  const kit = openSlots(crypto, made.txid, finder(slots));
  expect(kit && decodeKit(kit)).toEqual(made.kit);
  for (const missing of slots) {
    const rest = slots.filter((slot) => slot !== missing);
    expect(openSlots(crypto, made.txid, finder(rest))).toBeUndefined();
  }
});

it("stays shut to every other txid, the same 16 bytes at its beginning or not", async () => {
  const { made, slots } = await sealed();
  for (let bit = 0; bit < 256; bit += 7) {
    const other = made.txid.slice();
    other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(openSlots(crypto, txid(other), () => slots)).toBeUndefined();
  }
});

it("stays shut after any change", async () => {
  const { made, slots } = await sealed();
  const [slot] = slots as [Uint8Array];
  for (let at = 16; at < SLOT_BYTES; at += 5) {
    const changed = slot.slice();
    changed[at] = (changed[at] as number) ^ 1;
    expect(openSlots(crypto, made.txid, () => [changed])).toBeUndefined();
  }
  expect(openSlots(crypto, made.txid, () => [slot.slice(0, 100)])).toBeUndefined();
});

it("is the same when it is made again, and shares no nonce with another kit for the same commitment", async () => {
  const { made, slots } = await sealed();
  const again = sealSlots(crypto, made.txid, encodeKit(made.kit));
  expect(again).toEqual(slots);
  const dearer = sealSlots(crypto, made.txid, encodeKit({ ...made.kit, feeratePerKw: 9_999 }));
  const nonce = (slot: Uint8Array | undefined) => toHex(slot?.slice(16, 28) ?? new Uint8Array(0));
  expect(nonce(dearer[0])).not.toBe(nonce(slots[0]));
});

it("shows nothing of the kit", async () => {
  const { made, slots, lab } = await sealed(2);
  const all = slots.map(toHex).join("");
  for (const part of [
    made.kit.revocationPubkey,
    made.kit.broadcasterDelayedPubkey,
    made.kit.payoutScript,
    made.txid.slice(16),
    lab.record.channelId.slice(0, 16),
  ]) {
    expect(all).not.toContain(toHex(part));
  }
});
