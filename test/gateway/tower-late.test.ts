/** What reaches a tower after the block that it is about, or in parts: a cheat may revoke what it has confirmed already. */
import { expect, it } from "vitest";
import { concat } from "../../core/primitives/bytes.ts";
import { encodeKit } from "../../core/tower/justice-kit.ts";
import { sealSlots } from "../../core/tower/slot.ts";
import { transactionId } from "../../core/transactions/transaction.ts";
import { crypto } from "../support/node-pair.ts";
import { client, makeLab, revoked, some } from "../support/tower-server-lab.ts";

it("punishes what was mined before its state came, at the next block", async () => {
  const lab = makeLab();
  const { slots, commitment } = await revoked();
  await lab.register();
  lab.see(commitment, 500); // before it was revoked: nobody could know
  await lab.pass(501);
  await lab.update(slots);
  lab.isNodeAway = true;
  await lab.pass(502);
  expect(lab.claims).toEqual([]);
  lab.isNodeAway = false;
  await lab.pass(503);

  expect(lab.events("breach")).toMatchObject([{ client, penalties: 1, faults: [], height: 500 }]);
  expect(lab.claims.length).toBe(1);
  for (let height = 504; height < 515; height++) await lab.pass(height);
  expect(lab.events("breach").length).toBe(1);
});

it("punishes a state of which the rest came after the block", async () => {
  const lab = makeLab();
  const { kit, commitment } = await revoked();
  const long = concat(encodeKit(kit), new Uint8Array(300)); // as if it had many HTLCs
  const slots = sealSlots(crypto, transactionId(crypto, commitment), long);
  await lab.register();
  await lab.update(slots.slice(0, 1));
  lab.see(commitment, 500);
  await lab.update(slots.slice(1), 1);
  await lab.pass(501);

  expect(lab.events("breach")).toMatchObject([{ penalties: 1, faults: [], height: 500 }]);
});

it("asks no node for what it knows by nobody's hint, nor for ever for nonsense", async () => {
  const lab = makeLab();
  const { slots, commitment } = await revoked();
  await lab.register();
  lab.see(commitment, 500);
  await lab.update(some(3));
  lab.isNodeAway = true;
  await lab.pass(501);
  expect(lab.events("problem")).toEqual([]);
  lab.isNodeAway = false;
  await lab.update([(slots[0] as Uint8Array).slice().fill(7, 16)], 3);
  for (let height = 502; height < 515; height++) await lab.pass(height);
  lab.isNodeAway = true;
  for (let height = 515; height < 520; height++) await lab.pass(height);
  expect(lab.events("problem")).toEqual([]);
});
