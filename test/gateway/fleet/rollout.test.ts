/** The stages of a firmware roll-out: who is sent the image when, what counts as healthy, and what halts it. */
import { describe, expect, it } from "vitest";
import type {
  DeviceStatus,
  FleetDevice,
  FleetRequest,
} from "../../../gateway/fleet/fleet-types.ts";
import {
  devicesIn,
  type Rollout,
  resumed,
  stagesProblem,
  step,
} from "../../../gateway/fleet/rollout.ts";

const START = 1_000;
const OLD = 5;
const NEW = 6;

/** Twenty devices of which each does what the test says. */
class World {
  now = START;
  readonly devices = new Map<string, FleetDevice>();
  readonly requests = new Map<string, Pick<FleetRequest, "state" | "failure" | "finishedAt">>();
  readonly sent: string[][] = [];
  rollout: Rollout;

  constructor(more: Partial<Rollout> = {}, count = 20) {
    const ids = Array.from({ length: count }, (_, index) => `device${index}`);
    for (const id of ids) this.says(id, { imageNumber: OLD });
    this.rollout = {
      id: "r",
      image: { digest: "d", model: "lab", version: "0.3.0", number: NEW },
      createdAt: START,
      stages: ["1", "10%", "100%"],
      stage: 0,
      healthySeconds: 60,
      silentSeconds: 300,
      maxFailures: 0,
      ttlSeconds: 600,
      state: "running",
      parts: ids.map((nodeId) => ({ nodeId, state: "waiting", since: START, wasReady: true })),
      ...more,
    };
  }

  says(nodeId: string, more: Partial<DeviceStatus>): void {
    const before = this.devices.get(nodeId);
    const status = {
      askedAt: this.now,
      uptimeSeconds: 500,
      isConfirmed: true,
      isReady: true,
      resetReason: "power",
      ...before?.status,
      ...more,
    } as DeviceStatus;
    this.devices.set(nodeId, { ...before, nodeId, status } as FleetDevice);
  }

  wait(seconds: number): void {
    this.now += seconds;
  }

  step(): readonly string[] {
    const { rollout, send } = step(this.rollout, {
      now: this.now,
      device: (id) => this.devices.get(id),
      request: (id) => this.requests.get(id),
    });
    const parts = rollout.parts.map((part) => {
      if (!send.includes(part.nodeId)) return part;
      this.requests.set(`to ${part.nodeId}`, { state: "waiting" });
      return { ...part, request: `to ${part.nodeId}` };
    });
    this.rollout = { ...rollout, parts };
    return send;
  }

  takes(nodeId: string): void {
    this.requests.set(`to ${nodeId}`, { state: "succeeded", finishedAt: this.now });
  }

  /** It starts into an image, and says so. */
  starts(nodeId: string, imageNumber: number, more: Partial<DeviceStatus> = {}): void {
    this.now += 10;
    this.says(nodeId, { askedAt: this.now, uptimeSeconds: 5, imageNumber, ...more });
  }

  proves(nodeId: string): void {
    this.takes(nodeId);
    this.step();
    this.starts(nodeId, NEW);
    this.step();
    this.now += 60;
    this.says(nodeId, { askedAt: this.now, uptimeSeconds: 65 });
    this.step();
  }

  state(nodeId: string): string | undefined {
    return this.rollout.parts.find((part) => part.nodeId === nodeId)?.state;
  }
}

describe("stages", () => {
  it("are numbers or shares, at least one device, and all at the end", () => {
    expect(["1", "10%", "0.1%", "100%"].map((one) => devicesIn(one, 20))).toEqual([1, 2, 1, 20]);
    expect(stagesProblem(["1", "10%", "100%"])).toBeUndefined();
    expect(stagesProblem(["100%"])).toBeUndefined();
    expect(stagesProblem(["1", "10%"])).toMatch(/last stage is 100%/);
    expect(stagesProblem(["5", "1", "100%"])).toMatch(/more devices/);
    for (const wrong of ["0", "0%", "150%", "ten", ""]) {
      expect(stagesProblem([wrong, "100%"])).toMatch(/is no stage/);
    }
  });

  it("follow one another when the devices before confirmed the image and stayed healthy", () => {
    const world = new World();
    expect(world.step()).toEqual(["device0"]);
    expect(world.step()).toEqual([]);
    world.takes("device0");
    world.starts("device0", NEW, { isConfirmed: false });
    expect(world.step()).toEqual([]);
    expect(world.state("device0")).toBe("trial");
    world.starts("device0", NEW, { isConfirmed: true });
    expect(world.step()).toEqual([]);
    expect(world.state("device0")).toBe("watched");
    // Time alone proves nothing: it has to say itself that it is well.
    world.now += 100;
    expect(world.step()).toEqual([]);
    world.says("device0", { askedAt: world.now });
    expect(world.step()).toEqual(["device1"]);
    expect(world.state("device0")).toBe("done");
    world.proves("device1");
    expect(world.rollout).toMatchObject({ state: "running", stage: 2 });
    expect(world.rollout.parts.filter(({ state }) => state === "sending")).toHaveLength(18);
    for (let index = 2; index < 20; index++) world.proves(`device${index}`);
    expect(world.rollout.state).toBe("finished");
  });
});

describe("a bad image", () => {
  const bad: readonly (readonly [string, (world: World) => void, RegExp])[] = [
    ["goes back", (world) => world.starts("device0", OLD), /went back to image 5/],
    ["never comes back", (world) => world.wait(301), /not heard of/],
    [
      "crashes",
      (world) => {
        world.starts("device0", NEW);
        world.step();
        world.starts("device0", NEW, { resetReason: "watchdog", uptimeSeconds: 1 });
      },
      /watchdog/,
    ],
    [
      "loses its app",
      (world) => {
        world.starts("device0", NEW);
        world.step();
        world.starts("device0", NEW, { isReady: false, note: "the sensor is dark" });
      },
      /the sensor is dark/,
    ],
  ];

  it.each(bad)(
    "that %s halts at the first stage, and nobody else is sent it",
    (_, happens, said) => {
      const world = new World();
      world.step();
      world.takes("device0");
      world.step();
      happens(world);
      world.step();
      world.step();
      expect(world.rollout).toMatchObject({ state: "halted", stage: 0 });
      expect(world.rollout.reason).toMatch(said);
      world.now += 10_000;
      expect(world.step()).toEqual([]);
      expect(world.rollout.parts.slice(1).every(({ state }) => state === "waiting")).toBe(true);
    },
  );

  it("halts only above the limit, and begins again with the failed ones when it is resumed", () => {
    const world = new World({ stages: ["50%", "100%"], maxFailures: 1 }, 4);
    expect(world.step()).toEqual(["device0", "device1"]);
    const failure = { code: "refused", deviceCode: "signature", text: "wrong" } as const;
    world.requests.set("to device0", { state: "failed", failure });
    world.step();
    expect(world.rollout.state).toBe("running");
    world.requests.set("to device1", { state: "failed", failure });
    world.step();
    expect(world.rollout).toMatchObject({ state: "halted" });
    expect(world.rollout.reason).toMatch(/2 of 4 devices failed, 1 are borne/);
    world.rollout = resumed(world.rollout, world.now);
    expect(world.step()).toEqual(["device0", "device1"]);
    expect(world.rollout).toMatchObject({ state: "running" });
  });
});

describe("devices that are away", () => {
  it("are no failures, but a stage that nobody confirmed goes no further", () => {
    const world = new World({ stages: ["1", "100%"] }, 3);
    world.step();
    const failure = { code: "expired", text: "it was away for too long" } as const;
    world.requests.set("to device0", { state: "failed", failure });
    world.step();
    expect(world.state("device0")).toBe("missed");
    expect(world.rollout).toMatchObject({ state: "halted", reason: /nobody of stage 1/ });
  });

  it("do not hold the others up once their time is over", () => {
    const world = new World({ stages: ["2", "100%"] }, 3);
    world.step();
    world.proves("device0");
    expect(world.rollout).toMatchObject({ state: "running", stage: 0 });
    const failure = { code: "expired", text: "it was away for too long" } as const;
    world.requests.set("to device1", { state: "failed", failure });
    expect(world.step()).toEqual(["device2"]);
  });
});

it("what was sent is watched to its end while the roll-out is paused, and nothing more is sent", () => {
  const world = new World();
  world.step();
  world.rollout = { ...world.rollout, state: "paused" };
  world.proves("device0");
  expect(world.state("device0")).toBe("done");
  expect(world.rollout).toMatchObject({ state: "paused", stage: 0 });
  world.rollout = { ...world.rollout, state: "running" };
  expect(world.step()).toEqual(["device1"]);
});
