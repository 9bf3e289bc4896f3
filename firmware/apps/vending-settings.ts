/** What the owner of a vending machine sets: its name, products where there is no price list, and its motors. */
import { milliSatoshi } from "../../core/primitives/brands.ts";
import { assert } from "../../core/primitives/errors.ts";
import type { Config } from "./config.ts";
import { MotorDelivery, type MotorSettings, motorSettings } from "./motor-delivery.ts";
import { checkProduct, type Product } from "./product.ts";
import type { VendingOptions } from "./vending.ts";

export interface VendingSettings {
  readonly machine: string;
  readonly products: readonly Product[];
  readonly motor: MotorSettings;
}

export function vendingSettings(config: Config): VendingSettings {
  const products = config.list("products").map((one): Product => {
    const id = one.integer("id", { min: 0, max: 0xfffe });
    const name = one.text("name");
    const priceMsat = milliSatoshi(one.integer("priceMsat", { min: 1, max: 10_000_000_000 }));
    one.end();
    checkProduct({ id, name, priceMsat });
    return { id, name, priceMsat };
  });
  const ids = new Set(products.map(({ id }) => id));
  if (ids.size < products.length) config.refuse("products", "must have a number of its own each");
  const machine = config.text("machine", "vending");
  const motor = config.part("motor") ?? config.emptyPart("motor");
  const settings = { machine, products, motor: motorSettings(motor) };
  config.end();
  return settings;
}

/** Pins that the machine needs as these settings stand. */
export function vendingPins({ products, motor }: VendingSettings): readonly string[] {
  const { motor: one, sensor, sensorPower } = motor;
  const motors = one === undefined ? products.map(({ id }) => `motor${id}`) : [one];
  return [...motors, sensor, sensorPower].filter((name) => name !== undefined);
}

export function vendingOptions({ machine, products, motor }: VendingSettings): VendingOptions {
  return {
    machine,
    products: products.length > 0 ? products : undefined,
    delivery: ({ pins, clock, tell }, changed) => {
      assert(pins && clock, "a machine with motors needs pins and a clock");
      const stray = (reason: string) => tell({ type: "failed", reason });
      return new MotorDelivery(motor, { pins, clock, changed, stray });
    },
  };
}
