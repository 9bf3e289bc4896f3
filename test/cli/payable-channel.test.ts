/** Which channel pays after a start, while the gateway tells of the blocks again; the channel is a real one, between two nodes. */
import { beforeEach, expect, test } from "vitest";
import {
  type ChannelHolder,
  type PaymentTo,
  waitForPayable,
} from "../../cli/wallet/payable-channel.ts";
import { blockHeight, type ChannelId } from "../../core/primitives/brands.ts";
import { fundingTransaction, Pair } from "../support/node-pair.ts";

const BEFORE_FUNDING = 100;
let pair: Pair;
let id: ChannelId;
let holder: Holder;
let to: PaymentTo;

/** Alice as a payer; her time ends when the test says so. */
class Holder implements ChannelHolder {
  gatewayIsThere = true;
  isReread = false;
  private late = () => {};
  private look = () => {};

  readonly device: ChannelHolder["device"];

  constructor() {
    const holder = this;
    this.device = {
      node: {
        isConnected: () => holder.gatewayIsThere,
        get isIdle() {
          return pair.a.node.isIdle;
        },
      },
      chain: {
        get isReread() {
          return holder.isReread;
        },
      },
    };
  }

  channelsWith() {
    const record = pair.a.node.record(id);
    return record ? [record] : [];
  }

  until<T>(found: () => T | undefined): Promise<T | undefined> {
    return new Promise((resolve) => {
      this.late = () => resolve(undefined);
      this.look = () => {
        const value = found();
        if (value !== undefined) resolve(value);
      };
      this.look();
    });
  }

  /** Something happened: whoever waits looks again. */
  async told(): Promise<void> {
    this.look();
    await pair.flow();
  }

  async timeIsOver(): Promise<void> {
    this.late();
    await pair.flow();
  }
}

beforeEach(async () => {
  pair = await Pair.make();
  id = await pair.open();
  holder = new Holder();
  to = { machine: pair.b.nodeId, amountMsat: 1_000, gateway: pair.b.nodeId };
});

/** What the wait came to, "waiting" while it goes on. */
function waiting(payment = to): () => unknown {
  let end: unknown = "waiting";
  void waitForPayable(holder, payment).then((record) => {
    end = record?.channelId;
  });
  return () => end;
}

test("with a gateway that is there: when its funding is proven anew, and not before", async () => {
  const end = waiting();
  await holder.told();
  expect(end()).toBe("waiting");
  holder.isReread = true;
  pair.a.node.rewind(blockHeight(BEFORE_FUNDING), true);
  await holder.told();
  expect(end()).toBe("waiting");
  const needed = pair.a.events("fundingNeeded").at(-1);
  if (!needed) throw new Error("no funding was asked for");
  pair.height = BEFORE_FUNDING;
  pair.mine(3, [fundingTransaction(needed, BEFORE_FUNDING).bytes]);
  await pair.flow();
  await holder.told();
  expect(end()).toEqual(id);
});

test("without a gateway: at once, by what it knew", async () => {
  const end = waiting({ ...to, gateway: undefined });
  await pair.flow();
  expect(end()).toEqual(id);
});

test("with one that neither comes nor tells: after a wait for each, by what it knew", async () => {
  holder.gatewayIsThere = false;
  const end = waiting();
  await pair.flow();
  expect(end()).toBe("waiting");
  holder.gatewayIsThere = true;
  await holder.told();
  expect(end()).toBe("waiting");
  await holder.timeIsOver();
  expect(end()).toEqual(id);
});

test("with too little money in it: none, so that another one is funded", async () => {
  const end = waiting({ ...to, amountMsat: 2_000_000_000 });
  await pair.flow();
  await holder.timeIsOver();
  expect(end()).toBeUndefined();
});
