/** What hangs on a virtual device's pins: motors that drop products past a sensor, a relay with a meter, a button, a lamp. */
import type { Pins } from "../../firmware/board.ts";

export interface MechanicsOptions {
  /** Motors "motor1" … of a machine. */
  readonly motors: number;
  /** From the motor's pulse until the product passes the sensor. */
  readonly fallMs?: number;
  /** For how long the sensor sees it. */
  readonly passMs?: number;
  /** Pulses of the meter each second while the relay is closed. */
  readonly pulsesPerSecond?: number;
  /** Every so-manieth product gets stuck; 0: none. */
  readonly jamEvery?: number;
  /** For the counts that people compare with the device's own. */
  readonly onProduct?: (motor: string, fell: boolean) => void;
}

const FALL_MS = 40;
const PASS_MS = 25;

/** Digital pins with a machine behind them. */
export class Mechanics implements Pins {
  readonly names: readonly string[];
  /** Products that came out, and those that got stuck. */
  fallen = 0;
  stuck = 0;
  /** Meter pulses so far. */
  pulses = 0;
  private readonly levels = new Map<string, boolean>();
  private readonly edges = new Map<string, (on: boolean) => void>();
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly jammed = new Set<string>();
  private metering: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: MechanicsOptions) {
    const motors = Array.from({ length: options.motors }, (_, i) => `motor${i + 1}`);
    this.names = ["button", "led", "sensor", "relay", "meter", ...motors];
  }

  write(name: string, on: boolean): void {
    this.check(name);
    const before = this.levels.get(name) ?? false;
    this.levels.set(name, on);
    if (before === on) return;
    if (name.startsWith("motor") && on) this.turn(name);
    if (name === "relay") this.switchRelay(on);
  }

  read(name: string): boolean {
    this.check(name);
    return this.levels.get(name) ?? false;
  }

  watch(name: string, onEdge: (on: boolean) => void): void {
    this.check(name);
    this.edges.set(name, onEdge);
  }

  /** What a person, or the world, does to an input. */
  set(name: string, on: boolean): void {
    this.check(name);
    if ((this.levels.get(name) ?? false) === on) return;
    this.levels.set(name, on);
    this.edges.get(name)?.(on);
  }

  press(name: string, forMs: number): void {
    this.set(name, true);
    this.later(forMs, () => this.set(name, false));
  }

  /** A jammed motor turns, and nothing falls. */
  jam(motor: string, isJammed: boolean): void {
    this.check(motor);
    if (isJammed) this.jammed.add(motor);
    else this.jammed.delete(motor);
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    clearInterval(this.metering);
  }

  private turn(motor: string): void {
    const { jamEvery = 0, fallMs = FALL_MS, passMs = PASS_MS, onProduct } = this.options;
    const turns = this.fallen + this.stuck + 1;
    const isStuck = this.jammed.has(motor) || (jamEvery > 0 && turns % jamEvery === 0);
    if (isStuck) this.stuck++;
    onProduct?.(motor, !isStuck);
    if (isStuck) return;
    // It fell the moment the motor turned: power that fails from here on does not bring it back.
    this.fallen++;
    this.later(fallMs, () => this.press("sensor", passMs));
  }

  private switchRelay(on: boolean): void {
    clearInterval(this.metering);
    const { pulsesPerSecond = 0 } = this.options;
    if (!on || pulsesPerSecond === 0) return;
    this.metering = setInterval(() => {
      this.pulses++;
      this.press("meter", 1);
    }, 1000 / pulsesPerSecond);
  }

  private later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      work();
    }, ms);
    this.timers.add(timer);
  }

  private check(name: string): void {
    if (!this.names.includes(name)) throw new Error(`the board has no pin "${name}"`);
  }
}
