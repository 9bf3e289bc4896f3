/** Alarms: each raised once, with what to do, and cleared when it is over; the clock is the test's. */
import { afterEach, expect, test } from "vitest";
import { channelId } from "../../../core/primitives/brands.ts";
import { fromHex } from "../../../core/primitives/bytes.ts";
import { type Alarm, AlarmBoard } from "../../../gateway/operations/alarm-board.ts";
import { type AlertPorts, Alerts, type WatchedState } from "../../../gateway/operations/alerts.ts";
import { picobolt } from "../../cli/run-picobolt.ts";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "../api/api-lab.ts";

const MINUTE_MS = 60_000;
const PLENTY = { freeBytes: 50e9, totalBytes: 100e9 };

/** A gateway where all is well, until a test says otherwise. */
class World {
  nowMs = 0;
  height = 800_000;
  isChainThere = true;
  coins = 10;
  fork: string | undefined;
  disk = PLENTY;
  states: number | undefined = 0;
  channels: WatchedState[] = [channel("aa", {})];
  network: AlertPorts["network"] = "signet";
  /** "+name" when raised, "-name" when cleared. */
  readonly told: string[] = [];
  readonly texts: string[] = [];
  readonly board = new AlarmBoard({
    now: () => new Date(this.nowMs),
    onRaised: (alarm) => this.tell("+", alarm),
    onCleared: (alarm) => this.tell("-", alarm),
    onNotice: () => {},
  });

  alerts(limits: Partial<AlertPorts["limits"]> = {}): Alerts {
    return new Alerts({
      network: this.network,
      limits: {
        ...{ silentChainMinutes: 90, outboundPercent: 5, inboundPercent: 5, walletCoins: 2 },
        ...limits,
      },
      nowMs: () => this.nowMs,
      tip: async () => {
        if (!this.isChainThere) throw new Error("connection refused");
        return { height: this.height };
      },
      fork: async () => {
        if (!this.isChainThere) throw new Error("connection refused");
        return this.fork;
      },
      freeCoins: async () => {
        if (!this.isChainThere) throw new Error("connection refused");
        return this.coins;
      },
      disk: () => this.disk,
      channels: () => this.channels,
      statesForTower: () => this.states,
      board: this.board,
    });
  }

  private tell(sign: string, { name, channelId: id = "", text }: Alarm): void {
    this.told.push(`${sign}${name}${id && ` ${id}`}`);
    this.texts.push(text);
  }

  /** Looks each minute, as a service would. */
  async minutes(alerts: Alerts, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.nowMs += MINUTE_MS;
      await alerts.look();
    }
  }
}

function channel(id: string, fields: Partial<WatchedState>): WatchedState {
  const [capacitySat, half] = [100_000, 50_000_000];
  const balances = { capacitySat, localMsat: half, remoteMsat: half };
  return { channelId: id, peer: "02ab", phase: "normal", ...balances, ...fields };
}

test("where all is well nothing is told, however long", async () => {
  const world = new World();
  const alerts = world.alerts();
  for (let i = 0; i < 30; i++) {
    world.height += 1;
    await world.minutes(alerts, 60);
  }
  expect(world.told).toEqual([]);
});

test("a node that does not answer is told after two minutes, once; its wallet is unknown, not low", async () => {
  const world = new World();
  world.coins = 1;
  const alerts = world.alerts();
  await world.minutes(alerts, 1);
  expect(world.told).toEqual(["+wallet-low"]);
  world.isChainThere = false;
  await world.minutes(alerts, 2);
  expect(world.told).toHaveLength(1);
  await world.minutes(alerts, 10);
  expect(world.told).toEqual(["+wallet-low", "+chain-silent"]);
  expect(world.texts[1]).toContain("connection refused");
  world.isChainThere = true;
  world.coins = 10;
  await world.minutes(alerts, 1);
  expect(world.told.slice(2)).toEqual(["-chain-silent", "-wallet-low"]);
});

test("no block for ninety minutes is told, and over with the next; regtest has no pace", async () => {
  for (const network of ["signet", "regtest", "sim"] as const) {
    const world = new World();
    world.network = network;
    const alerts = world.alerts();
    await world.minutes(alerts, 90);
    expect(world.told).toEqual([]);
    await world.minutes(alerts, 60);
    expect(world.told).toEqual(network === "signet" ? ["+chain-stuck"] : []);
    world.height += 1;
    await world.minutes(alerts, 1);
    expect(world.told).toEqual(network === "signet" ? ["+chain-stuck", "-chain-stuck"] : []);
  }
});

test("a disk below 500 MB, or below a twentieth, is told", async () => {
  for (const [freeBytes, totalBytes] of [
    [499e6, 1e9],
    [4.9e9, 100e9],
  ] as const) {
    const world = new World();
    const alerts = world.alerts();
    world.disk = { freeBytes, totalBytes };
    await world.minutes(alerts, 3);
    world.disk = PLENTY;
    await world.minutes(alerts, 1);
    expect(world.told).toEqual(["+disk-low", "-disk-low"]);
  }
});

test("each channel that is closed by force, by whomever; not one that both agreed to close", async () => {
  const world = new World();
  const alerts = world.alerts();
  const phases = ["force-closing", "outdated", "on-chain", "on-chain", "closing"] as const;
  world.channels = phases.map((phase, i) => channel(`c${i}`, { phase }));
  alerts.channelEnds("c2", "revoked");
  alerts.channelEnds("c3", "mutual");
  await world.minutes(alerts, 2);
  expect(world.told).toEqual(["+channel-closing c0", "+channel-closing c1", "+channel-closing c2"]);
  expect(world.texts[2]).toContain("punished");
  world.channels = world.channels.slice(3);
  await world.minutes(alerts, 2);
  expect(world.told).toHaveLength(6);
  expect(world.board.current).toEqual([]);
});

test("liquidity: by side and setting; many channels are one alarm", async () => {
  const world = new World();
  const alerts = world.alerts({ inboundPercent: 0 });
  world.channels = [
    channel("aa", { localMsat: 4_999_000 }),
    channel("bb", { localMsat: 5_000_000, remoteMsat: 0 }),
    channel("cc", { localMsat: 0, phase: "awaiting-funding" }),
  ];
  await world.minutes(alerts, 2);
  expect(world.told).toEqual(["+outbound-low aa"]);
  expect(world.texts[0]).toContain("4999 sat on our side");
  const both = new World();
  both.channels = world.channels;
  await both.minutes(both.alerts(), 1);
  expect(both.told).toEqual(["+outbound-low aa", "+inbound-low bb"]);
  world.channels = Array.from({ length: 21 }, (_, i) => channel(`d${i}`, { localMsat: 0 }));
  await world.minutes(alerts, 1);
  expect(world.told.slice(1)).toEqual(["-outbound-low aa", "+outbound-low"]);
});

test("a tower that takes nothing for an hour is told; one that takes something is not", async () => {
  const world = new World();
  world.network = "regtest";
  const alerts = world.alerts();
  world.states = 3;
  await world.minutes(alerts, 50);
  alerts.towerAnswered();
  await world.minutes(alerts, 50);
  expect(world.told).toEqual([]);
  await world.minutes(alerts, 30);
  expect(world.told).toEqual(["+tower-silent"]);
  world.states = 0;
  await world.minutes(alerts, 1);
  expect(world.told).toEqual(["+tower-silent", "-tower-silent"]);
});

let labs: ApiLab[] = [];
afterEach(async () => {
  await Promise.all(labs.map((lab) => lab.stop()));
  labs = [];
});

test("in a service: a channel that is closed by force is an event, a figure, and over when it is settled", async () => {
  const settings = { "alerts.outbound_percent": "0" };
  const alice = await ApiLab.start({ settings });
  const bob = await ApiLab.start({ lab: alice.lab, settings });
  labs = [alice, bob];
  const peer = { node_id: bob.service.nodeId, host: "127.0.0.1", port: bob.service.peers?.port };
  expect(await alice.call("POST", "/api/peers", { body: peer })).toMatchObject({ status: 200 });
  const opening = { peer_node_id: bob.service.nodeId, capacity: 400_000 };
  const opened = await alice.call("POST", "/api/channels", { body: opening, key: "one" });
  expect(opened.status).toBeLessThan(300);
  const id = String(opened.body.channel_id);
  await expect.poll(() => alice.lab.mempool(), PATIENT).toHaveLength(1);
  await alice.lab.mine(3);
  await expect
    .poll(async () => (await alice.call("GET", `/api/channels/${id}`)).body.state, PATIENT)
    .toBe("normal");
  const { service } = alice;
  await service.alerts.look();
  expect(service.alarms.current).toEqual([]);
  service.gateway.node.command(channelId(fromHex(id)), { type: "forceClose" });
  await expect.poll(() => alice.lab.mempool(), PATIENT).not.toHaveLength(0);
  const alarms = () =>
    service.events
      .since(0)
      .map(({ event }) => event)
      .filter(({ type, name }) => type === "alarm" && name === "channel-closing");
  await expect
    .poll(async () => {
      await Promise.all([service.alerts.look(), bob.service.alerts.look()]);
      return alarms();
    }, PATIENT)
    .toMatchObject([{ state: "raised", channel_id: id }]);
  const metrics = await alice.call("GET", "/metrics");
  expect(metrics.body.text).toContain('picobolt_alarms{name="channel-closing"} 1');
  await alice.lab.mine(1);
  await expect
    .poll(async () => {
      await bob.service.alerts.look();
      return bob.service.alarms.current.map(({ text }) => text);
    }, PATIENT)
    .toMatchObject([expect.stringContaining("remote commitment")]);
});

test("the alarms of the gateway and of its devices are in one place: API, command and metrics", async () => {
  const alice = await ApiLab.start();
  labs = [alice];
  const { service } = alice;
  const names = async () => {
    const { alerts } = (await alice.call("GET", "/api/alerts")).body;
    return (alerts as unknown as { name: string }[]).map(({ name }) => name);
  };
  expect(await names()).toEqual([]);
  const node_id = `02${"ab".repeat(32)}`;
  await alice.call("POST", "/api/devices", { body: { node_id, name: "coffee" }, key: "coffee" });
  const device = service.fleet?.registry.active(node_id);
  if (!device) throw new Error("it is not of the fleet");
  await service.fleet?.registry.note({ ...device, lastSeen: 1 });
  await expect.poll(names, PATIENT).toEqual(["device-silent"]);
  service.alerts.stop(); // a look of its own would find that there is room
  service.alarms.settle("gateway", ["disk-low"], [{ name: "disk-low", text: "make room" }]);
  service.alarm("a claim was refused");

  const told = await picobolt(["alerts", "--notices", "--gateway", alice.folder]);
  expect(told.stdout).toMatch(/device-silent +coffee \(02abab.* was not heard of/);
  expect(told.stdout).toMatch(/disk-low +make room/);
  expect(told.stdout).toContain("a claim was refused");
  expect((await alice.call("GET", "/api/alerts")).body).toMatchObject({
    alerts: [
      { name: "device-silent", node_id },
      { name: "disk-low", node_id: null },
    ],
    notices: [{ text: "a claim was refused" }],
  });
  const { text } = (await alice.call("GET", "/metrics")).body;
  expect(text).toContain('picobolt_alarms{name="device-silent"} 1');
  expect(text).toContain('picobolt_alarms{name="device-fault"} 0');
});

test("a fork is told once, with what speaks for it, and stays while nobody can be asked", async () => {
  const world = new World();
  const alerts = world.alerts();
  world.fork = "block 799997 is aa here and bb at other.example";
  await world.minutes(alerts, 2);
  expect(world.told).toEqual(["+chain-fork"]);
  expect(world.texts[0]).toContain("bb at other.example");
  world.isChainThere = false;
  await world.minutes(alerts, 1);
  expect(world.board.current.map(({ name }) => name)).toContain("chain-fork");
  world.isChainThere = true;
  world.fork = undefined;
  await world.minutes(alerts, 1);
  expect(world.told).toContain("-chain-fork");
});
