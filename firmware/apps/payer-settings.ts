/** What the owner of a buying device sets: budgets, and what its button buys. */
import { type AutobuySettings, autobuySettings } from "./autobuy.ts";
import type { BudgetSettings } from "./budget.ts";
import type { Config } from "./config.ts";

export interface PayerSettings extends BudgetSettings {
  readonly autobuy?: AutobuySettings | undefined;
}

export function payerSettings(config: Config): PayerSettings {
  const amount = { min: 0, max: 10_000_000_000 };
  const autobuy = config.part("autobuy");
  const settings: PayerSettings = {
    dayMsat: config.has("dayMsat") ? config.integer("dayMsat", amount) : undefined,
    peerDayMsat: config.has("peerDayMsat") ? config.integer("peerDayMsat", amount) : undefined,
    autobuy: autobuy && autobuySettings(autobuy),
  };
  config.end();
  return settings;
}
