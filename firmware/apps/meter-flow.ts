/** The relay of a meter and what flows through it: closed while a paid unit is there, counted by pulses or by time that only goes forward. */
import type { Clock, Pins } from "../board.ts";
import { type Config, ConfigError } from "./config.ts";

export interface FlowSettings {
  readonly unit: "seconds" | "wattHours";
  /** Seconds or watt-hours in one unit that is sold. */
  readonly unitSize: number;
  readonly relay: string;
  /** What the relay's pin is set to so that it flows. */
  readonly relayActive: boolean;
  /** Where pulses come in; of a meter that counts watt-hours. */
  readonly meter: string;
  readonly pulsesPerKwh: number;
  /** What follows a pulse sooner is noise. */
  readonly minPulseMs: number;
}

export interface FlowParts {
  readonly pins: Pins;
  readonly clock: Clock;
  /** Another unit is paid for. */
  hasUnit(): boolean;
  /** It begins, and is used. */
  takeUnit(): void;
  /** It stopped because nothing more is paid for. */
  dry(): void;
  /** Something flows while the relay is open: it is welded, or somebody went around it. */
  leak(): void;
}

/** What runs on may still be counted for so long after the relay has opened. */
const GRACE_MS = 2_000;
/** Pulses while nothing should flow until it counts as a leak. */
const LEAK_PULSES = 3;

export function flowSettings(config: Config): FlowSettings {
  const unit = config.choice("unit", ["seconds", "wattHours"], "seconds");
  const settings: FlowSettings = {
    unit,
    unitSize: config.integer("unitSize", { min: 1, max: 86_400, otherwise: 1 }),
    relay: config.text("relay", "relay"),
    relayActive: config.flag("relayActive", true),
    meter: config.text("meter", "meter"),
    pulsesPerKwh: config.integer("pulsesPerKwh", { min: 1, max: 100_000, otherwise: 1_000 }),
    minPulseMs: config.integer("minPulseMs", { min: 0, max: 1_000, otherwise: 10 }),
  };
  const pulses = (settings.pulsesPerKwh * settings.unitSize) / 1_000;
  if (unit === "wattHours" && !Number.isInteger(pulses)) {
    config.refuse("unitSize", `must be whole pulses: ${pulses} pulses are one unit of it`);
  }
  return settings;
}

export class Flow {
  private closed = false;
  /** Milliseconds or pulses that are left of the unit that was begun. */
  private left = 0;
  private since = 0;
  private stoppedAt = Number.NEGATIVE_INFINITY;
  private lastPulse = Number.NEGATIVE_INFINITY;
  private strays = 0;
  private cancel = () => {};
  private readonly perUnit: number;

  constructor(
    private readonly settings: FlowSettings,
    private readonly parts: FlowParts,
  ) {
    const { unit, unitSize, relay, meter, pulsesPerKwh } = settings;
    const { pins } = parts;
    for (const name of unit === "seconds" ? [relay] : [relay, meter]) {
      if (pins.names.includes(name)) continue;
      throw new ConfigError(`this board has no pin "${name}"; it has ${pins.names.join(", ")}`);
    }
    this.perUnit = unit === "seconds" ? unitSize * 1_000 : (unitSize * pulsesPerKwh) / 1_000;
    this.write(false);
    if (unit === "wattHours") pins.watch(meter, (on) => on && this.pulse());
  }

  get isFlowing(): boolean {
    return this.closed;
  }

  /** Of the unit that was begun, for a power cut. */
  get leftOfUnit(): number {
    return this.closed ? Math.max(0, this.left - this.elapsed()) : this.left;
  }

  /** Another session: what was left of a unit was its payer's. */
  begin(leftOfUnit: number): void {
    this.stop();
    this.left = Math.min(leftOfUnit, this.perUnit);
  }

  /** Something was paid: it flows, if there is anything to use. */
  resume(): void {
    if (this.closed || !(this.left > 0 || this.parts.hasUnit())) return;
    this.closed = true;
    this.strays = 0;
    this.since = this.parts.clock.nowMs();
    this.write(true);
    if (this.settings.unit === "seconds") this.passed();
  }

  stop(): void {
    this.cancel();
    if (!this.closed) return;
    if (this.settings.unit === "seconds") this.left = Math.max(0, this.left - this.elapsed());
    this.open();
  }

  /** Takes units for the time that has passed, and waits for the end of the one that has begun. */
  private passed(): void {
    if (!this.closed) return;
    this.left -= this.elapsed();
    this.since = this.parts.clock.nowMs();
    while (this.left <= 0 && this.parts.hasUnit()) {
      this.left += this.perUnit; // first: what is stored with the unit is how much of it is left
      this.parts.takeUnit();
    }
    if (this.left > 0) {
      this.cancel = this.parts.clock.after(this.left, () => this.passed());
      return;
    }
    this.left = 0; // a late timer is the machine's loss
    this.open();
    this.parts.dry();
  }

  private pulse(): void {
    const { clock, hasUnit, takeUnit, dry } = this.parts;
    const now = clock.nowMs();
    const isNoise = now - this.lastPulse < this.settings.minPulseMs;
    this.lastPulse = now;
    if (isNoise) return;
    if (!this.closed) {
      this.stray(now);
      return;
    }
    if (this.left <= 0) {
      this.left = this.perUnit;
      takeUnit();
    }
    this.left--;
    if (this.left > 0 || hasUnit()) return;
    this.open();
    dry();
  }

  private stray(now: number): void {
    if (now - this.stoppedAt < GRACE_MS) return;
    this.strays++;
    if (this.strays === LEAK_PULSES) this.parts.leak();
  }

  /** Only ever forward, whatever the clock does. */
  private elapsed(): number {
    if (this.settings.unit !== "seconds") return 0;
    return Math.max(0, this.parts.clock.nowMs() - this.since);
  }

  private open(): void {
    this.closed = false;
    this.stoppedAt = this.parts.clock.nowMs();
    this.write(false);
  }

  private write(on: boolean): void {
    this.parts.pins.write(this.settings.relay, on === this.settings.relayActive);
  }
}
