/** Buys when its button is pressed: one product, or the use of a meter until the button is pressed again. */
import type { Clock, Pins } from "../board.ts";
import { type Config, ConfigError } from "./config.ts";

export interface AutobuySettings {
  /** Node id of the seller, 33 bytes. */
  readonly peer: Uint8Array;
  /** Absent: its meter is fed. */
  readonly product?: number | undefined;
  /** Not above this: the product's price, or what the meter gets in all. */
  readonly maxMsat: number;
  readonly button: string;
  /** What the button's pin reads while it is pressed. */
  readonly pressed: boolean;
}

/** A press that follows sooner is the same one, bouncing. */
const BOUNCE_MS = 300;

export function autobuySettings(config: Config): AutobuySettings {
  const settings: AutobuySettings = {
    peer: config.bytes("peer", 33),
    product: config.has("product") ? config.integer("product", { min: 0, max: 0xffff }) : undefined,
    maxMsat: config.integer("maxMsat", { min: 1, max: 10_000_000_000 }),
    button: config.text("button", "button"),
    pressed: config.flag("pressed", true),
  };
  config.end();
  return settings;
}

/** Calls `onPress` once for each press. */
export function watchButton(
  { button, pressed }: AutobuySettings,
  parts: { readonly pins: Pins; readonly clock: Clock },
  onPress: () => void,
): void {
  const { pins, clock } = parts;
  if (!pins.names.includes(button)) {
    throw new ConfigError(`this board has no pin "${button}"; it has ${pins.names.join(", ")}`);
  }
  let last = Number.NEGATIVE_INFINITY;
  pins.watch(button, (on) => {
    if (on !== pressed) return;
    const now = clock.nowMs();
    const isBounce = now - last < BOUNCE_MS;
    last = now;
    if (!isBounce) onPress();
  });
}
