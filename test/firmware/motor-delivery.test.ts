/** Motors and the sensor behind them: what fell is seen once, what did not fall is a jam, and a broken sensor sells nothing. */
import { beforeEach, describe, expect, it } from "vitest";
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { Config } from "../../firmware/apps/config.ts";
import { MotorDelivery, motorSettings } from "../../firmware/apps/motor-delivery.ts";
import { BenchClock, BenchPins } from "../support/bench-board.ts";

const TEA = { id: 1, name: "tea", priceMsat: milliSatoshi(1_000) };
const NAMES = ["motor1", "motor2", "sensor", "light", "relay"];

let clock: BenchClock;
let pins: BenchPins;
let strays: string[];
let changes: number;
let runs: number;

async function delivery(config: Record<string, unknown> = {}): Promise<MotorDelivery> {
  const settings = motorSettings(new Config(config, "vending.motor"));
  const made = new MotorDelivery(settings, {
    pins,
    clock,
    changed: () => changes++,
    stray: (note) => strays.push(note),
  });
  const started = made.start();
  await clock.pass(100);
  await started;
  return made;
}

/** "fell", or why not. */
async function deliver(made: MotorDelivery, ms = 20_000): Promise<string> {
  let outcome = "";
  made.deliver(TEA).then(
    () => {
      outcome = "fell";
    },
    (cause: Error) => {
      outcome = cause.message;
    },
  );
  await clock.pass(ms);
  return outcome;
}

beforeEach(() => {
  clock = new BenchClock();
  pins = new BenchPins(NAMES);
  strays = [];
  changes = 0;
  runs = 0;
});

/** Something falls so long after the motor starts. */
function fallsAfter(ms: number, onRun = 1, forMs = 20): void {
  pins.onWrite = (name, on) => {
    if (name !== "motor1" || !on || ++runs !== onRun) return;
    clock.after(ms, () => pins.set("sensor", true));
    clock.after(ms + forMs, () => pins.set("sensor", false));
  };
}

describe("a motor", () => {
  it("stops as soon as the product has fallen", async () => {
    const made = await delivery();
    fallsAfter(700);
    const delivering = made.deliver(TEA);
    await clock.pass(690);
    expect(pins.read("motor1")).toBe(true);
    await clock.pass(100);
    await delivering;
    expect(pins.read("motor1")).toBe(false);
    expect(strays).toEqual([]);
  });

  it("that turns without anything falling is tried again, and is a jam then", async () => {
    const made = await delivery({ retries: 2 });
    fallsAfter(10, 99);
    expect(await deliver(made)).toBe("tea did not come out");
    expect(runs).toBe(3);
    expect(pins.read("motor1")).toBe(false);
  });

  it("that succeeds at the second try has delivered", async () => {
    const made = await delivery();
    fallsAfter(100, 2);
    expect(await deliver(made)).toBe("fell");
    expect(runs).toBe(2);
  });

  it("whose product falls in the last moment has delivered", async () => {
    const made = await delivery({ retries: 0, windowMs: 2_000, debounceMs: 5 });
    fallsAfter(1_998);
    expect(await deliver(made)).toBe("fell");
    expect(strays).toEqual([]);
  });

  it("whose product falls while the processor is busy until after the window has delivered", async () => {
    const made = await delivery({ retries: 0, windowMs: 2_000, debounceMs: 5 });
    pins.onWrite = (name, on) => {
      if (name !== "motor1" || !on) return;
      clock.after(1_500, () => pins.set("sensor", true));
    };
    const delivering = made.deliver(TEA);
    await clock.pass(0);
    clock.stall(2_100);
    await clock.pass(100);
    await expect(delivering).resolves.toBeUndefined();
    expect(pins.read("motor1")).toBe(false);
  });

  it("whose product was seen, and had passed before a busy processor looked again, has delivered", async () => {
    const made = await delivery({ retries: 0, windowMs: 2_000, debounceMs: 5 });
    const delivering = made.deliver(TEA);
    await clock.pass(500);
    pins.set("sensor", true);
    clock.stall(100);
    pins.set("sensor", false);
    await clock.pass(10);
    await expect(delivering).resolves.toBeUndefined();
    expect(pins.read("motor1")).toBe(false);
  });

  it("whose product had passed before a busy processor was told of it has delivered", async () => {
    const made = await delivery({ retries: 0, windowMs: 2_000, debounceMs: 5 });
    const delivering = made.deliver(TEA);
    await clock.pass(500);
    const cameMs = clock.nowMs();
    clock.stall(100);
    pins.tell("sensor", true, cameMs);
    pins.tell("sensor", false, cameMs + 25);
    await clock.pass(10);
    await expect(delivering).resolves.toBeUndefined();
    expect(pins.read("motor1")).toBe(false);
  });

  it("whose motor starts while the product before is told to have passed has not delivered", async () => {
    const made = await delivery({ retries: 0, windowMs: 2_000, debounceMs: 5 });
    pins.set("sensor", true);
    await clock.pass(3);
    // It is gone; the edge that says so is late.
    pins.levels.set("sensor", false);
    const outcome = made.deliver(TEA).catch((cause: Error) => cause.message);
    await clock.pass(50);
    pins.levels.set("sensor", true);
    pins.set("sensor", false);
    await clock.pass(3_000);
    expect(await outcome).toBe("tea did not come out");
  });

  it("does not take noise on the sensor's line for a product", async () => {
    const made = await delivery({ retries: 0, debounceMs: 5 });
    pins.onWrite = (name, on) => {
      if (name !== "motor1" || !on) return;
      for (const at of [100, 110, 300, 301, 900]) {
        clock.after(at, () => pins.set("sensor", true));
        clock.after(at + 0.5, () => pins.set("sensor", false));
      }
    };
    expect(await deliver(made)).toBe("tea did not come out");
    expect(strays).toEqual([]);
  });

  it("is off after the start and after a stop, whatever happens then", async () => {
    pins.levels.set("motor1", true);
    const made = await delivery();
    expect(pins.read("motor1")).toBe(false);
    made.deliver(TEA).catch(() => {});
    await clock.pass(10);
    expect(pins.read("motor1")).toBe(true);
    made.stop();
    expect(pins.read("motor1")).toBe(false);
  });

  it("that is asked while the product before still passes the sensor waits until it has", async () => {
    const made = await delivery();
    fallsAfter(100, 1, 300);
    const first = made.deliver(TEA);
    await clock.pass(150);
    await first;
    expect(pins.read("sensor")).toBe(true);
    runs = 0;
    fallsAfter(100);
    expect(await deliver(made)).toBe("fell");
    expect(made.fault()).toBeUndefined();
  });

  it("does not start any more once the machine is stopping", async () => {
    pins.onWrite = (name, on) => {
      if (name === "light") pins.set("sensor", !on);
      if (name === "motor1" && on) runs++;
    };
    const made = await delivery({ sensorPower: "light" });
    made.deliver(TEA).catch(() => {});
    made.stop();
    await clock.pass(5_000);
    expect(runs).toBe(0);
    expect(pins.read("motor1")).toBe(false);
  });

  it("without a sensor runs for its pulse and is believed", async () => {
    const made = await delivery({ hasSensor: false, pulseMs: 500 });
    const delivering = made.deliver(TEA);
    await clock.pass(499);
    expect(pins.read("motor1")).toBe(true);
    await clock.pass(2);
    await delivering;
    expect(pins.read("motor1")).toBe(false);
  });

  it("of a product that has none of its own is the relay; a pin that is missing is named", async () => {
    const made = await delivery({ hasSensor: false });
    const delivering = made.deliver({ ...TEA, id: 9 });
    await clock.pass(10);
    expect(pins.read("relay")).toBe(true);
    await clock.pass(2_000);
    await delivering;
    pins = new BenchPins(["motor1"]);
    await expect(delivery()).rejects.toThrow('no pin "sensor"; it has motor1');
  });
});

describe("the delivery sensor", () => {
  it("that is covered from the start sells nothing until it is free", async () => {
    pins.levels.set("sensor", true);
    const made = await delivery();
    expect(made.fault()).toContain("before the delivery sensor");
    expect(await deliver(made)).toContain("before the delivery sensor");
    expect(runs).toBe(0);
    pins.set("sensor", false);
    expect(made.fault()).toBeUndefined();
    expect(changes).toBe(1);
  });

  it("that stays covered after a delivery is a fault; a product that passes is none", async () => {
    const made = await delivery();
    fallsAfter(100);
    expect(await deliver(made)).toBe("fell");
    expect(made.fault()).toBeUndefined();
    runs = 0;
    fallsAfter(100, 1, 60_000);
    expect(await deliver(made)).toBe("fell");
    expect(made.fault()).toContain("before the delivery sensor");
  });

  it("whose light can be switched is tried before it is trusted: a dead one is found out", async () => {
    const dark = (name: string, on: boolean) => {
      if (name === "light") pins.set("sensor", !on);
    };
    pins.onWrite = dark;
    const good = await delivery({ sensorPower: "light" });
    expect(good.fault()).toBeUndefined();
    pins.onWrite = () => {};
    pins.levels.set("sensor", false);
    const dead = await delivery({ sensorPower: "light" });
    expect(dead.fault()).toContain("sees nothing");
    expect(await deliver(dead)).toContain("sees nothing");
    expect(strays).toEqual([]);
  });

  it("tells the owner of what falls that nobody paid for, or too late", async () => {
    const made = await delivery({ retries: 0, pulseMs: 100, windowMs: 1_000 });
    fallsAfter(1_500);
    expect(await deliver(made)).toBe("tea did not come out");
    expect(strays).toEqual(["something fell that was not being delivered"]);
  });
});

describe("the motor's settings", () => {
  it.each([
    [{ pulseMs: 5 }, "vending.motor.pulseMs must be a whole number from 10 to 60000, is 5"],
    [{ pulseMs: 900, windowMs: 800 }, "windowMs must not be shorter than pulseMs"],
    [{ retrys: 1 }, 'has no setting "retrys"; it knows hasSensor, pulseMs'],
    [{ sensorActive: 1 }, "vending.motor.sensorActive must be true or false, is 1"],
  ])("%j are refused in words", (config, message) => {
    expect(() => motorSettings(new Config(config, "vending.motor"))).toThrow(message);
  });
});
