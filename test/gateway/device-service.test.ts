/** Devices behind a gateway: their channels are funded, watched and settled, whoever of them is away or starts again meanwhile. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { decodeCheckpoint } from "../../core/chain/checkpoint-codec.ts";
import { type ChannelId, milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { HELD_BLOCKS, MAX_HELD_BY_ONE } from "../../gateway/service/funding-service.ts";
import { openSqliteStore } from "../../gateway/store/sqlite-store.ts";
import type { Cable } from "../support/cable.ts";
import { DeviceLab, type LabDevice, say } from "../support/device-lab.ts";

let lab: DeviceLab;
let alice: LabDevice;
let bob: LabDevice;
let cables: { alice: Cable; bob: Cable; between: Cable };

async function setUp(options: Parameters<typeof DeviceLab.make>[0] = {}): Promise<void> {
  lab = await DeviceLab.make(options);
  alice = await lab.add("alice", () => new PayerApp());
  bob = await lab.add("bob", () => new PayerApp());
  await connect();
}

async function connect(): Promise<void> {
  cables = {
    alice: lab.connect(alice),
    bob: lab.connect(bob),
    between: lab.connect(alice, bob),
  };
  await lab.flow();
}

async function restartGateway(options: Parameters<typeof DeviceLab.make>[0] = {}): Promise<void> {
  const { alice: a, bob: b } = cables;
  for (const cable of [a, b]) lab.pull(cable);
  await lab.stopGateway();
  lab.pull(cables.between);
  await lab.startGateway(options);
  await connect();
}

const freeCoins = () => lab.wallet.freeCoins();
const request = (amount: number) => ({
  remoteNodeId: bob.id,
  channelType: "zero_fee_commitments" as const,
  fundingSatoshis: satoshi(amount),
  pushMsat: milliSatoshi(0),
  feeratePerKw: 0,
});

async function mineUntil(done: () => boolean, most = 40): Promise<void> {
  for (let i = 0; i < most && !done(); i++) await lab.mine(1);
  expect(done()).toBe(true);
}

const isClosed = (device: LabDevice) => () => device.events("closed").length > 0;

afterEach(() => lab.close());

describe("a device's channel", () => {
  it("is funded by the gateway, proven to both, closed by force, and its money is on the chain", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    expect(alice.events("ready")).toHaveLength(1);
    expect(bob.proven.length).toBeGreaterThan(0);
    bob.device.node.command(id, { type: "forceClose" });
    await mineUntil(() => isClosed(alice)() && isClosed(bob)());
    const held = await lab.chain.sumOfScripts([alice.payoutScript, bob.payoutScript]);
    expect(held).toBeGreaterThan(398_000);
    expect([...alice.alarms, ...bob.alarms]).toEqual([]);
  });

  it("that ended while the device was away is told when it is back, with what was spent of it since", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    lab.pull(cables.bob);
    lab.pull(cables.between);
    alice.device.node.command(id, { type: "forceClose" });
    await mineUntil(isClosed(alice));
    await lab.mine(200);
    cables.bob = lab.connect(bob);
    await lab.flow(30);
    await mineUntil(isClosed(bob), 10);
    expect(bob.alarms).toEqual([]);
  });

  it("that ended while the gateway was off is told as well, by a gateway that kept its watches", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    const { node } = alice.device;
    lab.pull(cables.bob);
    lab.pull(cables.between);
    node.command(id, { type: "forceClose" });
    await lab.flow();
    await lab.stopGateway();
    await lab.chain.mine(20);
    await lab.startGateway();
    await lab.stopGateway(); // what was found is kept too
    await lab.chain.mine(150);
    await lab.startGateway();
    cables.bob = lab.connect(bob);
    cables.alice = lab.connect(alice);
    await lab.flow(40);
    expect(bob.events("onChain").length).toBeGreaterThan(0);
    await mineUntil(isClosed(bob), 10);
  });

  it("survives a reorganisation of its funding", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    await lab.chain.reorg(4, { only: [], blocks: 6 });
    await lab.flow(20);
    expect(alice.device.node.record(id)?.fundingHeight).toBeUndefined();
    await lab.mine(3);
    expect(alice.device.node.record(id)?.fundingHeight).toBeDefined();
    expect(alice.device.chain.tipHeight).toBe(await lab.chain.height());
  });

  it("goes on after the device starts again from its newest checkpoint, and never above what it verified", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    const stored = await alice.store.getValue("chain/checkpoint");
    const { height } = decodeCheckpoint((stored as Uint8Array).slice(4));
    expect(height).toBeGreaterThan(0);
    expect(height).toBeLessThanOrEqual(alice.device.chain.tipHeight - 100);
    await lab.mine(30);
    await lab.crash(alice, [cables.alice, cables.between]);
    expect(alice.device.chain.tipHeight).toBeGreaterThan(height);
    await connect();
    expect(alice.device.chain.tipHeight).toBe(await lab.chain.height());
    alice.device.node.command(id, { type: "close", feeratePerKw: 500 });
    await mineUntil(() => isClosed(alice)() && isClosed(bob)());
    expect(alice.alarms).toEqual([]);
  });
});

describe("funding for devices", () => {
  it("that was made before the gateway started again is broadcast after it", async () => {
    await setUp();
    const say = alice.device.node.sendService.bind(alice.device.node);
    alice.device.node.sendService = (to, message) =>
      message.type === "funding_release" ? true : say(to, message); // the word is lost
    alice.device.node.open(request(200_000));
    await lab.flow();
    expect(alice.events("created")).toHaveLength(1);
    expect(lab.funded).toEqual([]);
    await restartGateway();
    alice.device.node.sendService = say;
    lab.pull(cables.alice);
    cables.alice = lab.connect(alice);
    await lab.flow();
    expect(lab.funded).toHaveLength(1);
    await lab.mine(3);
    expect(alice.events("ready")).toHaveLength(1);
  });

  it("is given back when the opening fails", async () => {
    await setUp();
    const before = await freeCoins();
    alice.device.node.open(request(200_000));
    while (alice.events("fundingNeeded").length === 0) cables.between.pump(1);
    lab.pull(cables.between);
    await lab.flow();
    expect(alice.device.node.channels()).toEqual([]);
    expect(alice.events("openFailed")).toHaveLength(1);
    expect(await freeCoins()).toBe(before);
  });

  it("is given back when the peer goes before it has signed", async () => {
    await setUp();
    const before = await freeCoins();
    const send = bob.device.node.send.bind(bob.device.node);
    bob.device.node.send = (runner, message) => {
      if (message.type !== "funding_signed") send(runner, message);
    };
    alice.device.node.open(request(200_000));
    await lab.flow();
    lab.pull(cables.between);
    await lab.flow();
    expect(alice.events("openFailed")).toHaveLength(1);
    expect(await freeCoins()).toBe(before);
  });

  it("is given back when the device is not heard of for a day", async () => {
    await setUp();
    const before = await freeCoins();
    const { node } = alice.device;
    node.command = () => true; // nothing becomes of it, and nothing is said
    node.open(request(200_000));
    await lab.flow();
    expect(await freeCoins()).toBe(before - 1);
    await lab.chain.mine(HELD_BLOCKS);
    await lab.flow(20);
    expect(await freeCoins()).toBe(before);
  });

  it("is limited per device, and each request is answered once", async () => {
    await setUp();
    const answers: { txid: Uint8Array | undefined; reason: string }[] = [];
    const { node } = alice.device;
    const inside = alice.device as unknown as { service(peer: unknown, message: never): void };
    inside.service = (_, message: { type: string; txid: Uint8Array; reason: string }) => {
      if (message.type === "funding_outpoint") answers.push(message);
    };
    for (let i = 0; i < MAX_HELD_BY_ONE + 2; i++) {
      node.sendService(lab.gatewayId, {
        type: "funding_request",
        temporaryChannelId: new Uint8Array(32).fill(i),
        script: new Uint8Array(34).fill(1),
        amountSatoshis: satoshi(50_000),
      });
    }
    await lab.flow();
    expect(answers.filter(({ txid }) => txid).length).toBe(MAX_HELD_BY_ONE);
    expect(answers.at(-1)?.reason).toBe("too many funding transactions are waiting");
    // Asked again, it is the same one.
    node.sendService(lab.gatewayId, {
      type: "funding_request",
      temporaryChannelId: new Uint8Array(32).fill(0),
      script: new Uint8Array(34).fill(1),
      amountSatoshis: satoshi(50_000),
    });
    await lab.flow();
    expect(answers.at(-1)?.txid).toEqual(answers[0]?.txid);
  });

  it("of one device is no other's to release", async () => {
    await setUp();
    const before = await freeCoins();
    alice.device.node.command = () => true;
    alice.device.node.open(request(200_000));
    await lab.flow();
    const inside = lab.gateway as unknown as {
      fundingService: { options: { held: { all(): readonly { txid: Uint8Array }[] } } };
    };
    const txid = inside.fundingService.options.held.all()[0]?.txid as never;
    for (const broadcast of [true, false]) {
      bob.device.node.sendService(lab.gatewayId, { type: "funding_release", txid, broadcast });
    }
    await lab.flow();
    expect(lab.funded).toEqual([]);
    expect(await freeCoins()).toBe(before - 1);
  });

  it("is refused in words: unauthorised, and without coins", async () => {
    await setUp({ fundingRefusal: () => "this device has used up its credit" });
    alice.device.node.open(request(200_000));
    await lab.flow();
    expect(alice.alarms.join()).toContain("this device has used up its credit");
    expect(alice.device.node.channels()).toEqual([]);
    await restartGateway();
    alice.device.node.open(request(16_000_000_000));
    await lab.flow();
    expect(alice.events("openFailed").length).toBeGreaterThan(0);
  });
});

describe("the gateway's own channels", () => {
  const openOwn = () =>
    lab.gateway.node.open({ ...request(300_000), remoteNodeId: alice.id, feeratePerKw: 1000 });

  it("are dropped with a clear word where the wallet has too little, and no coin stays set aside", async () => {
    await setUp();
    const script = await lab.wallet.newScript();
    await lab.wallet.fund([{ script, amount: satoshi(999_900_000) }], 253); // set aside for something else
    const before = await freeCoins();
    openOwn();
    await lab.flow();
    const said = /lacks coins: 300000 sat and the fee are needed, \d+ sat are there.*\d+ sat free/;
    expect(lab.alarms.join()).toMatch(said);
    expect(lab.told.at(-1)?.event).toMatchObject({ reason: expect.stringMatching(said) });
    expect(lab.gateway.node.channels()).toEqual([]);
    expect(await freeCoins()).toBe(before);
  });

  it("are broadcast after a crash between the peer's signature and the broadcast", async () => {
    await setUp();
    const service = (lab.gateway as unknown as { fundingService: object }).fundingService;
    Object.assign(service, { broadcastOwn: async () => {} }); // the power fails right there
    openOwn();
    await lab.flow();
    expect(await lab.chain.mempool()).toHaveLength(0);
    await restartGateway();
    await lab.mine(3);
    expect(alice.events("ready")).toHaveLength(1);
  });

  it("give their coins back after a crash in the middle of opening", async () => {
    await setUp();
    const before = await freeCoins();
    cables.alice.cut = false;
    const send = lab.gateway.node.send.bind(lab.gateway.node);
    lab.gateway.node.send = (runner, message) => {
      if (message.type !== "funding_created") send(runner, message);
    };
    openOwn();
    await lab.flow();
    expect(await freeCoins()).toBe(before - 1);
    await restartGateway();
    expect(await freeCoins()).toBe(before);
  });

  it("live on in SQLite over restarts, blocks missed and a reorganisation", async () => {
    const folder = mkdtempSync(join(tmpdir(), "picobolt-gateway-"));
    try {
      const file = join(folder, "gateway.sqlite");
      lab = new DeviceLab();
      lab.wallet = await lab.chain.wallet("gateway");
      lab.gatewayStore = openSqliteStore(file);
      await lab.startGateway();
      alice = await lab.add("alice", () => new PayerApp());
      bob = await lab.add("bob", () => new PayerApp());
      await connect();
      openOwn();
      await lab.flow(20);
      await lab.mine(3);
      expect(alice.events("ready")).toHaveLength(1);
      expect(() => openSqliteStore(file)).toThrow(/in use|locked|another/i);
      const id = lab.gateway.node.channels()[0]?.id as ChannelId;
      for (const cable of Object.values(cables)) lab.pull(cable);
      await lab.stopGateway();
      await lab.chain.mine(10);
      await lab.chain.reorg(3);
      lab.gatewayStore = openSqliteStore(file);
      await lab.startGateway();
      await connect();
      expect(lab.gateway.node.record(id)?.phase).toBe("normal");
      lab.gateway.node.command(id, { type: "close", feeratePerKw: 500 });
      await lab.flow(20);
      await mineUntil(() => lab.gateway.node.channels().length === 0);
      expect(lab.alarms).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("a stranger", () => {
  it("gets no headers, no watches and no coins for its claims", async () => {
    await setUp({ serviceRefusal: () => "this device is not ours" });
    expect(alice.device.chain.tipHeight).toBe(0);
    expect(lab.alarms.join()).toContain("is not answered: this device is not ours");
    for (let i = 0; i < 100; i++) {
      alice.device.node.sendService(lab.gatewayId, { type: "chain_subscribe", fromHeight: i });
    }
    await lab.flow();
    expect(lab.alarms.filter((text) => text.includes("not ours")).length).toBeLessThanOrEqual(2);
  });

  it("with every service message at a device changes no channel and breaks nothing", async () => {
    await setUp();
    const id = await lab.open(alice, bob, 100_000);
    const before = alice.device.node.record(id);
    const zero = new Uint8Array(32);
    const from = lab.gatewayId;
    say(alice, from, {
      type: "funding_outpoint",
      temporaryChannelId: id,
      vout: 0,
      reason: "no",
    } as never);
    say(alice, from, {
      type: "funding_outpoint",
      temporaryChannelId: id,
      txid: zero as never,
      vout: 0,
      reason: "",
    });
    for (const peer of [from, bob.id]) {
      say(alice, peer, {
        type: "invoice",
        request: 1,
        amountMsat: 1 as never,
        paymentHash: zero as never,
        cltvExpiryDelta: 1,
      });
      say(alice, peer, {
        type: "delivery",
        reference: new Uint8Array(16),
        delivered: true,
        note: "x",
      });
      say(alice, peer, { type: "meter_stop", session: new Uint8Array(8) });
      say(alice, peer, {
        type: "chain_published",
        channel: id,
        id: "x",
        accepted: true,
        reason: "",
      });
    }
    await lab.flow();
    expect(toHex(alice.device.node.record(id)?.channelId ?? zero)).toBe(toHex(id));
    expect(alice.device.node.record(id)?.phase).toBe(before?.phase);
  });
});
