/** Digital pins by the names of the manifest's config (`embedded:io/digital`); unused ones are never opened. */
import Digital from "embedded:io/digital";
import type { Pins } from "../board.ts";

export interface PinConfig {
  readonly pin: number;
  readonly mode: "input" | "pull-up" | "pull-down" | "output";
  /** On is a low level. */
  readonly inverted?: boolean;
}

interface OpenPin {
  readonly config: PinConfig;
  readonly digital: InstanceType<typeof Digital>;
  onEdge: (on: boolean) => void;
}

/** Outputs are driven to "off" at once: a motor must not turn because a board starts. */
export function openPins(configs: { readonly [name: string]: PinConfig }): Pins {
  const pins = new Map<string, OpenPin>();
  for (const name of Object.keys(configs)) pins.set(name, openPin(configs[name] as PinConfig));
  const named = (name: string): OpenPin => {
    const pin = pins.get(name);
    if (!pin) throw new Error(`the board's manifest names no pin "${name}"`);
    return pin;
  };
  return {
    names: Object.keys(configs),
    write(name, on) {
      const { digital, config } = named(name);
      if (config.mode !== "output") throw new Error(`the pin "${name}" is an input`);
      digital.write(level(config, on));
    },
    read(name) {
      const { digital, config } = named(name);
      return (digital.read() === 1) !== (config.inverted ?? false);
    },
    watch(name, onEdge) {
      named(name).onEdge = onEdge;
    },
  };
}

function openPin(config: PinConfig): OpenPin {
  const { pin } = config;
  if (config.mode === "output") {
    const digital = new Digital({ pin, mode: Digital.Output, initialValue: level(config, false) });
    return { config, digital, onEdge: () => {} };
  }
  const mode = {
    input: Digital.Input,
    "pull-up": Digital.InputPullUp,
    "pull-down": Digital.InputPullDown,
  }[config.mode];
  const open: { onEdge: (on: boolean) => void } = { onEdge: () => {} };
  const digital = new Digital({
    pin,
    mode,
    edge: Digital.Rising | Digital.Falling,
    onReadable() {
      open.onEdge((this.read() === 1) !== (config.inverted ?? false));
    },
  });
  return Object.assign(open, { config, digital });
}

function level(config: PinConfig, on: boolean): 0 | 1 {
  return on === (config.inverted ?? false) ? 0 : 1;
}
