/** Lets products out by motors (or a relay) on pins, and believes the sensor alone that something fell. */
import type { Clock, Pins } from "../board.ts";
import { type Config, ConfigError } from "./config.ts";
import type { Delivery } from "./delivery.ts";
import type { Product } from "./product.ts";

export interface MotorSettings {
  /** One pin for all products; without it product 3's is "motor3". */
  readonly motor?: string | undefined;
  /** Longest time that a motor runs; it stops as soon as something falls. */
  readonly pulseMs: number;
  /** Time from the motor's start in which something must fall. */
  readonly windowMs: number;
  /** Further tries before it counts as jammed. */
  readonly retries: number;
  /** Where nothing tells what falls: absent. The end of the pulse is taken for it then. */
  readonly sensor?: string | undefined;
  /** What the sensor reads while something is before it. */
  readonly sensorActive: boolean;
  /** What is shorter is noise. */
  readonly debounceMs: number;
  /** Feeds the sensor's light: switched off, the sensor must see darkness, or it is broken. */
  readonly sensorPower?: string | undefined;
}

export interface MotorParts {
  readonly pins: Pins;
  readonly clock: Clock;
  /** `fault` may answer something else from now on. */
  changed(): void;
  /** Something fell that nobody waited for, or too late. */
  stray(note: string): void;
}

/** Something before a resting sensor for so long is no product that falls. */
const BLOCKED_MS = 500;
/** For the sensor to follow its light. */
const SETTLE_MS = 20;

/** A motor turns, and something shall fall. */
interface Waiting {
  readonly startedMs: number;
  fell(): void;
}

export function motorSettings(config: Config): MotorSettings {
  const hasSensor = config.flag("hasSensor", true);
  const pulseMs = config.integer("pulseMs", { min: 10, max: 60_000, otherwise: 1_500 });
  const windowMs = config.integer("windowMs", { min: 10, max: 120_000, otherwise: 4_000 });
  if (windowMs < pulseMs) config.refuse("windowMs", "must not be shorter than pulseMs", windowMs);
  const settings: MotorSettings = {
    motor: config.has("motor") ? config.text("motor") : undefined,
    pulseMs,
    windowMs,
    retries: config.integer("retries", { min: 0, max: 5, otherwise: 1 }),
    sensor: hasSensor ? config.text("sensor", "sensor") : undefined,
    sensorActive: config.flag("sensorActive", true),
    debounceMs: config.integer("debounceMs", { min: 0, max: 200, otherwise: 3 }),
    sensorPower: config.has("sensorPower") ? config.text("sensorPower") : undefined,
  };
  config.end();
  return settings;
}

export class MotorDelivery implements Delivery {
  private waiting: Waiting | undefined;
  /** When something came before the sensor, where that was seen. */
  private activeSinceMs: number | undefined;
  private running: string | undefined;
  private broken: string | undefined;
  private blocked = false;
  private isStopped = false;
  /** Edges since the start, so that an old timer knows that it is too late. */
  private edge = 0;

  constructor(
    private readonly settings: MotorSettings,
    private readonly parts: MotorParts,
  ) {
    const { pins } = parts;
    const { motor, sensor, sensorPower } = settings;
    for (const name of [motor, sensor, sensorPower]) {
      if (name !== undefined) demandPin(pins, name);
    }
  }

  async start(): Promise<void> {
    const { pins } = this.parts;
    const { sensor } = this.settings;
    for (const name of pins.names) if (name.startsWith("motor")) pins.write(name, false);
    if (sensor === undefined) return;
    await this.checkSensor();
    this.blocked = this.isActive();
    pins.watch(sensor, (on, atMs) => this.onEdge(on === this.settings.sensorActive, atMs));
  }

  stop(): void {
    const { pins } = this.parts;
    this.isStopped = true;
    if (this.running !== undefined) pins.write(this.running, false);
    this.running = undefined;
    this.edge++;
    this.waiting = undefined;
  }

  fault(): string | undefined {
    if (this.broken !== undefined) return this.broken;
    return this.blocked ? "something is before the delivery sensor" : undefined;
  }

  async deliver(product: Product): Promise<void> {
    const pin = this.pinOf(product);
    if (this.settings.sensor !== undefined) {
      await this.passed();
      await this.checkSensor();
      if (this.isActive()) this.setBlocked(true);
    }
    const fault = this.fault();
    if (fault !== undefined) throw new Error(fault);
    // Nobody would wait for what fell, nor switch the motor off.
    if (this.isStopped) throw new Error("the machine is stopping");
    for (let attempt = 0; attempt <= this.settings.retries; attempt++) {
      if (await this.attempt(pin)) return;
    }
    throw new Error(`${product.name} did not come out`);
  }

  private pinOf({ id }: Product): string {
    const { pins } = this.parts;
    const { motor } = this.settings;
    const name = motor ?? (pins.names.includes(`motor${id}`) ? `motor${id}` : "relay");
    demandPin(pins, name);
    return name;
  }

  private attempt(pin: string): Promise<boolean> {
    const { pins, clock } = this.parts;
    const { pulseMs, windowMs, sensor, debounceMs } = this.settings;
    return new Promise((resolve) => {
      let cancelEnd = () => {};
      const off = () => {
        this.running = undefined;
        pins.write(pin, false);
      };
      const cancelOff = clock.after(pulseMs, () => {
        off();
        if (sensor === undefined) resolve(true);
      });
      const end = (fell: boolean) => {
        this.waiting = undefined;
        cancelOff();
        cancelEnd();
        off();
        resolve(fell);
      };
      if (sensor !== undefined) {
        this.waiting = { startedMs: clock.nowMs(), fell: () => end(true) };
        cancelEnd = clock.after(windowMs, () => {
          if (!this.isActive()) return end(false);
          // It falls at this moment, or fell while the processor was busy: the edge comes yet.
          cancelEnd = clock.after(debounceMs + SETTLE_MS, () => end(false));
        });
      }
      this.running = pin;
      pins.write(pin, true);
    });
  }

  /** The product before this one may still be on its way past the sensor. */
  private async passed(): Promise<void> {
    for (let waitedMs = 0; this.isActive() && waitedMs < BLOCKED_MS; waitedMs += SETTLE_MS) {
      if (this.blocked) return;
      await this.pause(SETTLE_MS);
    }
  }

  private isActive(): boolean {
    const { sensor, sensorActive } = this.settings;
    return sensor !== undefined && this.parts.pins.read(sensor) === sensorActive;
  }

  private onEdge(active: boolean, atMs = this.parts.clock.nowMs()): void {
    const { clock } = this.parts;
    const edge = ++this.edge;
    if (!active) {
      const sinceMs = this.activeSinceMs;
      this.activeSinceMs = undefined;
      this.setBlocked(false);
      if (this.hasPassed(sinceMs, atMs)) this.waiting?.fell();
      return;
    }
    this.activeSinceMs = atMs;
    const { debounceMs } = this.settings;
    clock.after(debounceMs, () => {
      if (edge !== this.edge || !this.isActive()) return; // noise
      if (this.waiting) this.waiting.fell();
      else this.parts.stray("something fell that was not being delivered");
    });
    clock.after(debounceMs + BLOCKED_MS, () => {
      if (edge === this.edge && this.isActive()) this.setBlocked(true);
    });
  }

  /** What fell was seen, and had passed before a busy processor came to look at it again. */
  private hasPassed(sinceMs: number | undefined, untilMs: number): boolean {
    if (!this.waiting || sinceMs === undefined || sinceMs < this.waiting.startedMs) return false;
    return untilMs - sinceMs >= this.settings.debounceMs;
  }

  private setBlocked(blocked: boolean): void {
    if (this.blocked === blocked) return;
    this.blocked = blocked;
    this.parts.changed();
  }

  /** Without light the sensor must see something, with light nothing: one that is stuck would miss what falls. */
  private async checkSensor(): Promise<void> {
    const { sensorPower: power } = this.settings;
    const { pins } = this.parts;
    if (power === undefined) return;
    this.edge++;
    pins.write(power, false);
    await this.pause(SETTLE_MS);
    const seesDarkness = this.isActive();
    pins.write(power, true);
    await this.pause(SETTLE_MS);
    this.edge++; // what the test itself brought about is nothing that fell
    const was = this.broken;
    this.broken = seesDarkness ? undefined : "the delivery sensor sees nothing: it is broken";
    if (was !== this.broken) this.parts.changed();
  }

  private pause(delayMs: number): Promise<void> {
    return new Promise((wake) => void this.parts.clock.after(delayMs, wake));
  }
}

function demandPin(pins: Pins, name: string): void {
  if (pins.names.includes(name)) return;
  const known = pins.names.join(", ") || "none";
  throw new ConfigError(`this board has no pin "${name}"; it has ${known}`);
}
