/** The apps that this firmware has: a maker adds a line (docs/APPS.md). */
import type { App, AppKind } from "./app.ts";
import { Config, ConfigError } from "./config.ts";
import { MeterApp, meterSettings } from "./meter.ts";
import { PayerApp } from "./payer.ts";
import { payerSettings } from "./payer-settings.ts";
import { VendingApp } from "./vending.ts";
import { vendingOptions, vendingPins, vendingSettings } from "./vending-settings.ts";

const vending: AppKind = {
  name: "vending",
  does: "sells products that motors let out",
  pins: (config) => vendingPins(vendingSettings(new Config(config, "vending"))),
  make: (config) => new VendingApp(vendingOptions(vendingSettings(new Config(config, "vending")))),
};

const meter: AppKind = {
  name: "meter",
  does: "sells by the second or the watt-hour, as it is used",
  pins: (config) => {
    const { unit, relay, meter: pin } = meterSettings(new Config(config, "meter"));
    return unit === "seconds" ? [relay] : [relay, pin];
  },
  make: (config) => new MeterApp(meterSettings(new Config(config, "meter"))),
};

const payer: AppKind = {
  name: "payer",
  does: "buys, within a budget",
  pins: (config) => {
    const { autobuy } = payerSettings(new Config(config, "payer"));
    return autobuy ? [autobuy.button] : [];
  },
  make: (config) => new PayerApp(payerSettings(new Config(config, "payer"))),
};

export const appKinds: readonly AppKind[] = [vending, meter, payer];

/** Throws a ConfigError that says which setting is wrong, or which apps there are. */
export function makeApp(name: string, config?: unknown): App {
  return kindOf(name).make(config);
}

/** For whoever checks settings before they are stored: throws as `makeApp` does. */
export function checkApp(name: string, config: unknown, pins: readonly string[]): void {
  const kind = kindOf(name);
  kind.make(config);
  for (const pin of kind.pins(config)) {
    const isThere = pins.includes(pin) || (pin.startsWith("motor") && pins.includes("relay"));
    if (isThere) continue;
    throw new ConfigError(`${name} needs the pin "${pin}"; this board has ${pins.join(", ")}`);
  }
}

function kindOf(name: string): AppKind {
  const kind = appKinds.find((one) => one.name === name);
  if (kind) return kind;
  const names = appKinds.map((one) => one.name).join(", ");
  throw new ConfigError(`there is no app "${name}"; this firmware has ${names}`);
}
