/** Gateways over TCP: a payment through two of them, to the millisatoshi, and another way when a channel closes. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { forwardFee } from "../../../gateway/payments/forward-policy.ts";
import { type ChainLab, createLab, describeOnChains } from "../../support/chain-lab.ts";
import { type Member, TcpLab, type Terms } from "./tcp-lab.ts";

const terms = (base: number, proportional: number, delta: number): Terms => ({
  feeBaseMsat: milliSatoshi(base),
  feeProportionalMillionths: proportional,
  cltvExpiryDelta: delta,
});
const northTerms = terms(1_000, 1_000, 40);
const southTerms = terms(777, 1_333, 36);
const detourTerms = terms(2_001, 1_501, 34);

/** A first run may download the node. */
const START_TIMEOUT_MS = 330_000;

describeOnChains("gateways over TCP", (kind) => {
  let chain: ChainLab;
  let lab: TcpLab;
  let north: Member;
  let south: Member;
  let detour: Member;
  let alice: Member;
  let bob: Member;

  const sum = (member: Member, ...others: Member[]) =>
    others.reduce((all, other) => all + member.balance(other), 0);
  const fee = (of: Terms, amount: number) => forwardFee(of, milliSatoshi(amount));

  beforeAll(async () => {
    chain = await createLab({ chain: kind });
    lab = new TcpLab(chain, `peers ${kind}`);
    north = await lab.add("north", northTerms);
    south = await lab.add("south", southTerms);
    detour = await lab.add("detour", detourTerms);
    alice = await lab.add("alice", undefined, north);
    bob = await lab.add("bob", undefined, south);
    await lab.openChannel(north, south);
    await lab.openChannel(north, detour);
    await lab.openChannel(detour, south);
    await lab.openChannel(north, alice);
    await lab.openChannel(south, bob);
    await lab.mine(4);
    const gateways = [north, south, detour];
    await lab.until("all know all channels and terms", () =>
      gateways.every(({ routing }) => {
        const routes = routing.routes();
        return routes.length === 3 && routes.every(({ ends }) => ends.length === 2);
      }),
    );
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    await lab.close();
    await chain.close();
  });

  describe("gateways that are each other's peers", () => {
    it("know the same channels, those between gateways and no device's", () => {
      const [routes, ...others] = [north, south, detour].map(({ routing }) =>
        routing
          .routes()
          .map(({ isOurs: _, ...route }) => route)
          .sort((a, b) => (a.outpoint < b.outpoint ? -1 : 1)),
      );
      for (const other of others) expect(other).toEqual(routes);
      const named = JSON.stringify(routes);
      for (const device of [alice, bob]) expect(named).not.toContain(toHex(device.id));
      expect(routes?.map(({ capacitySat }) => capacitySat)).toEqual([1e6, 1e6, 1e6]);
      for (const { shortChannelId } of routes ?? [])
        expect(shortChannelId).toMatch(/^\d+x\d+x[01]$/);
    });

    it("carry a device's payment to a device behind another one, each for its own fee", async () => {
      const amount = 12_345_678;
      const bobBefore = bob.balance(south);
      const [northBefore, southBefore] = [sum(north, alice, south), sum(south, north, bob)];
      const aliceBefore = alice.balance(north);
      const paid = await alice.pay(await bob.invoice(amount));
      expect(paid.status).toBe("succeeded");
      const toSouth = amount + fee(southTerms, amount);
      const toNorth = toSouth + fee(northTerms, toSouth);
      expect(paid.feeMsat).toBe(toNorth - amount);
      // Each channel settles by itself once the preimage went over it.
      await lab.until(
        "all is settled",
        () =>
          alice.balance(north) === aliceBefore - toNorth &&
          bob.balance(south) === bobBefore + amount &&
          sum(north, alice, south) === northBefore + fee(northTerms, toSouth) &&
          sum(south, north, bob) === southBefore + fee(southTerms, amount),
      );
      const forwarded = async () =>
        (await north.ledger.list({ kind: "forwarded", status: "succeeded" }))[0];
      await lab.until("it is written", async () => (await forwarded()) !== undefined);
      expect((await forwarded())?.feeMsat).toBe(fee(northTerms, toSouth));
    });

    it("pay and are paid themselves, over others", async () => {
      const amount = 1_000_001;
      const before = north.balance(south);
      const paid = await north.pay(await bob.invoice(amount));
      expect(paid).toMatchObject({ status: "succeeded", feeMsat: fee(southTerms, amount) });
      await lab.until("it is settled", () => {
        return north.balance(south) === before - amount - fee(southTerms, amount);
      });
      const back = await bob.pay(await north.invoice(amount));
      expect(back).toMatchObject({ status: "succeeded", feeMsat: fee(southTerms, amount) });
    });

    it("take the other way where the first has too little in it", async () => {
      const amount = 400_000_000;
      expect((await alice.pay(await bob.invoice(1_000))).status).toBe("succeeded");
      const spent = await north.pay(await south.invoice(300_000_000));
      expect(spent).toMatchObject({ status: "succeeded", feeMsat: 0 });
      const before = detour.balance(south);
      const paid = await alice.pay(await bob.invoice(amount));
      expect(paid.status).toBe("succeeded");
      const toSouth = amount + fee(southTerms, amount);
      const toDetour = toSouth + fee(detourTerms, toSouth);
      expect(paid.feeMsat).toBe(toDetour + fee(northTerms, toDetour) - amount);
      await lab.until("it is settled", () => detour.balance(south) === before - toSouth);
      // Back again, so that there is room for what follows.
      const back = await bob.pay(await alice.invoice(390_000_000));
      expect(back.status).toBe("succeeded");
    });
  });

  describe("a gateway that starts again", () => {
    it("learns the table from its peers, and is believed with what it says anew", async () => {
      const before = detour.routing.routes();
      await north.restart();
      expect(north.routing.routes()).toEqual([]);
      for (const other of [south, detour, alice]) await other.dial(north);
      await lab.until("it knows all of them again", () => {
        const routes = north.routing.routes();
        return routes.length === 3 && routes.every(({ ends }) => ends.length === 2);
      });
      expect(detour.routing.routes().map(({ outpoint }) => outpoint)).toEqual(
        before.map(({ outpoint }) => outpoint),
      );
      expect((await alice.pay(await bob.invoice(7_000))).status).toBe("succeeded");
    });
  });

  describe("a channel between gateways that closes", () => {
    it("is told of, and payments go the other way", async () => {
      const closing = north.channelWith(south);
      north.gateway.node.command(closing, { type: "close", feeratePerKw: 1_000 });
      const named = toHex(closing);
      await lab.until("nobody routes over it", () =>
        [north, south, detour].every(({ routing }) => routing.routes().length === 2),
      );
      const amount = 5_000_000;
      const before = detour.balance(south);
      const paid = await alice.pay(await bob.invoice(amount));
      expect(paid.status, named).toBe("succeeded");
      const toSouth = amount + fee(southTerms, amount);
      const toDetour = toSouth + fee(detourTerms, toSouth);
      expect(paid.feeMsat).toBe(toDetour + fee(northTerms, toDetour) - amount);
      await lab.until("it is settled", () => detour.balance(south) === before - toSouth);
    });

    it("closed without a word is gone when the chain says so; then no way is left", async () => {
      const closing = detour.channelWith(south);
      for (const { gateway } of [detour, south]) gateway.node.sendService = () => false;
      const waiting = (await chain.mempool()).length;
      detour.gateway.node.command(closing, { type: "forceClose" });
      await lab.until("it is sent", async () => (await chain.mempool()).length > waiting);
      await lab.mine(3);
      await lab.until("it is nowhere in the table", () =>
        [north, south, detour].every(({ routing }) => routing.routes().length === 1),
      );
      const paid = await alice.pay(await bob.invoice(5_000_000));
      expect(paid.status).toBe("failed");
      expect(alice.payments.at(-1)?.reason).toMatch(/no channel with this receiver/);
    });
  });
});
