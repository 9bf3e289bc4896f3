/** What a device's one lamp says: a small table of blinks. */
import type { Pins } from "../board.ts";

/** The first that holds is shown. */
export const LAMP_STATES = [
  "fault",
  "identify",
  "updating",
  "busy",
  "unclaimed",
  "offline",
  "online",
] as const;
export type LampState = (typeof LAMP_STATES)[number];

/** Milliseconds on, off, on, off …, over and over. */
const blinks: Readonly<Record<LampState, readonly number[]>> = {
  fault: [100, 100, 100, 100, 100, 700],
  identify: [50, 50],
  updating: [250, 250],
  busy: [100, 150],
  unclaimed: [500, 500],
  offline: [100, 1_900],
  online: [1_000, 0],
};

export class Lamp {
  private readonly isThere: boolean;
  private isOn: boolean | undefined;

  constructor(private readonly pins: Pins) {
    this.isThere = pins.names.includes("led");
  }

  show(state: LampState, nowMs: number): void {
    if (!this.isThere) return;
    const isOn = isLit(state, nowMs);
    if (isOn === this.isOn) return;
    this.isOn = isOn;
    this.pins.write("led", isOn);
  }

  rest(): void {
    if (this.isThere && this.isOn) this.pins.write("led", false);
    this.isOn = false;
  }
}

export function isLit(state: LampState, nowMs: number): boolean {
  const pattern = blinks[state];
  let left = nowMs % pattern.reduce((sum, ms) => sum + ms, 0);
  for (let i = 0; i < pattern.length; i++) {
    left -= pattern[i] as number;
    if (left < 0) return i % 2 === 0;
  }
  return false;
}
