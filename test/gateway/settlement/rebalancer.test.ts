/** A payment in a circle moves what is ours from a full channel to an empty one: for its fee and no more, or not at all. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { milliSatoshi } from "../../../core/primitives/brands.ts";
import { forwardFee } from "../../../gateway/payments/forward-policy.ts";
import { type RebalancePolicy, Rebalancer } from "../../../gateway/settlement/rebalancer.ts";
import { SqliteJournal } from "../../../gateway/store/sqlite-settlement.ts";
import { openSqliteStore, type SqliteStore } from "../../../gateway/store/sqlite-store.ts";
import { type SimLab, startSimLab } from "../../../host-sim/chain/sim-lab.ts";
import { crypto } from "../../support/node-pair.ts";
import { type Member, TcpLab, type Terms } from "../routing/tcp-lab.ts";

const terms = (base: number, proportional: number): Terms => ({
  feeBaseMsat: milliSatoshi(base),
  feeProportionalMillionths: proportional,
  cltvExpiryDelta: 34,
});
const southTerms = terms(1_000, 100);
const westTerms = terms(2_000, 50);
const policy: RebalancePolicy = {
  abovePercent: 60,
  minMsat: 10_000_000,
  maxMsat: 100_000_000,
  maxFeeMillionths: 1_000,
  budgetPerDayMsat: 1_000_000,
};
const CAPACITY = 1_000_000_000;
const AMOUNT = 100_000_000;
const TO_WEST = AMOUNT + forwardFee(westTerms, milliSatoshi(AMOUNT));
const FEE = TO_WEST + forwardFee(southTerms, milliSatoshi(TO_WEST)) - AMOUNT;

let chain: SimLab;
let lab: TcpLab;
let north: Member;
let south: Member;
let west: Member;
let store: SqliteStore;
let rebalancer: Rebalancer;
/** The gateway asks for it by this. */
const circular = {
  isKnown: (...words: Parameters<Rebalancer["isKnown"]>) => rebalancer.isKnown(...words),
  isAstray: (...words: Parameters<Rebalancer["isAstray"]>) => rebalancer.isAstray(...words),
  route: (...words: Parameters<Rebalancer["route"]>) => rebalancer.route(...words),
};

beforeAll(async () => {
  store = openSqliteStore(":memory:");
  rebalancer = fresh();
  chain = startSimLab(crypto);
  lab = new TcpLab(chain, "circle");
  south = await lab.add("south", southTerms);
  west = await lab.add("west", westTerms);
  north = await lab.add("north", { ...terms(500, 10), circular });
  await lab.openChannel(north, south);
  await lab.openChannel(south, west);
  await lab.openChannel(north, west);
  await lab.mine(4);
  await lab.until("all know all channels and terms", () =>
    [north, south, west].every(({ routing }) => {
      const routes = routing.routes();
      return routes.length === 3 && routes.every(({ ends }) => ends.length === 2);
    }),
  );
  expect((await south.pay(await north.invoice(450_000_000))).status).toBe("succeeded");
  expect((await north.pay(await west.invoice(450_000_000))).status).toBe("succeeded");
  await settled(950_000_000, 50_000_000);
});
beforeEach(async () => {
  await store?.close();
  store = openSqliteStore(":memory:");
  rebalancer = fresh();
});
afterAll(async () => {
  await lab?.close();
  await chain?.close();
  await store?.close();
});

function fresh(change: Partial<RebalancePolicy> = {}): Rebalancer {
  return new Rebalancer({
    node: () => north.gateway.node,
    payments: () => north.bank,
    router: () => north.routing.router,
    journal: new SqliteJournal(store),
    policy: { ...policy, ...change },
    isGateway: () => true,
    nowSeconds: () => lab.nowSeconds,
  });
}

/** Ours in both channels, and the rest the peers': no HTLC is left in them. */
function has(ofSouth: number, ofWest: number): boolean {
  const isWhole = (peer: Member) => {
    const record = north.gateway.node.record(north.channelWith(peer));
    const both = record && record.base.toLocalMsat + record.base.toRemoteMsat;
    return both === CAPACITY;
  };
  const isOurs = north.balance(south) === ofSouth && north.balance(west) === ofWest;
  return isOurs && isWhole(south) && isWhole(west);
}

const settled = (ofSouth: number, ofWest: number) =>
  lab.until("it is settled", () => has(ofSouth, ofWest));

async function ended(): Promise<string> {
  const journal = new SqliteJournal(store);
  await lab.until("it ended", () => {
    for (const { payment, reason } of north.payments) {
      void rebalancer.paymentEnded(payment, reason);
    }
    return journal.list("rebalance", { state: "pending" }).length === 0;
  });
  return journal.list("rebalance")[0]?.state ?? "none";
}

it("says what it would move, over which channels, and what it costs", async () => {
  expect(await rebalancer.plan()).toMatchObject({
    outgoing: north.channelWith(south),
    incoming: north.channelWith(west),
    amountMsat: AMOUNT,
    feeMsat: FEE,
    maxFeeMsat: 100_000,
    waitsFor: undefined,
    reason: "95% of the one is ours, and 5% of the other",
  });
  const waits = async (change: Partial<RebalancePolicy>) => (await fresh(change).plan())?.waitsFor;
  expect(await waits({ maxFeeMillionths: 100 })).toBe(`the fee would be ${FEE} msat`);
  expect(await waits({ budgetPerDayMsat: 99_999 })).toBe("the day's budget is spent");
  expect(await fresh({ abovePercent: 95 }).plan()).toBeUndefined();
  expect(await rebalancer.run()).toBeDefined();
  expect(await rebalancer.plan()).toMatchObject({ waitsFor: "another is under way" });
  expect(await ended()).toBe("succeeded");
  await settled(950_000_000 - AMOUNT - FEE, 50_000_000 + AMOUNT);
});

it("moves the amount for that fee, to the millisatoshi", async () => {
  const before = { south: north.balance(south), west: north.balance(west) };
  await rebalancer.run();
  expect(await ended()).toBe("succeeded");
  await settled(before.south - AMOUNT - FEE, before.west + AMOUNT);
  expect(new SqliteJournal(store).list("rebalance")[0]?.body.feeMsat).toBe(FEE);
});

it("fails and costs nothing where it comes back by another channel than it was to", async () => {
  const before = { south: north.balance(south), west: north.balance(west) };
  const isAstray = rebalancer.isAstray.bind(rebalancer);
  rebalancer.isAstray = (hash) => isAstray(hash, north.channelWith(south));
  await rebalancer.run();
  expect(await ended()).toBe("failed");
  await settled(before.south, before.west);
  rebalancer.isAstray = isAstray;
  expect((await rebalancer.plan())?.waitsFor).toContain("it failed within the hour");
});

it("is taken up again after a crash in its middle, and is not begun twice", async () => {
  const before = { south: north.balance(south), west: north.balance(west) };
  west.gateway.node.send = () => {}; // it is offered what comes, and never answers
  await rebalancer.run();
  await lab.until("south has offered it to west", () => heldBetween(south, west) > 0);
  await north.halt();
  await west.halt();
  rebalancer = fresh();
  await rebalancer.load();
  await north.start();
  await rebalancer.start();
  await west.start();
  // West passes on what it is offered as soon as south is there: north must be there by then.
  await north.dial(west);
  await north.dial(south);
  await west.dial(south);
  expect(await ended()).toBe("succeeded");
  await settled(before.south - AMOUNT - FEE, before.west + AMOUNT);
  expect(new SqliteJournal(store).list("rebalance")).toHaveLength(1);
});

/** HTLCs that one of them has signed or offers, by its own record. */
function heldBetween(one: Member, other: Member): number {
  const record = one.gateway.node.record(one.channelWith(other));
  if (!record) return 0;
  const added = record.pending.localSigned.filter(({ type }) => type === "add");
  return record.base.htlcs.length + added.length;
}
