/** What the words of `picobolt virtual` ask for, checked. */
import {
  BROKERS,
  type BrokerName,
  WORLD_LINKS,
  type WorldLink,
} from "../../host-sim/virtual/virtual-world.ts";
import { type Options, text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { FLEET_APPS, type FleetAppName } from "./fleet-apps.ts";

export const ENGINES = ["node", "xs"] as const;

export interface FleetPlan {
  readonly devices: number;
  readonly app: FleetAppName;
  readonly link: WorldLink;
  readonly broker: BrokerName;
  /** At each machine. */
  readonly purchases: number;
  readonly jamEvery: number;
  readonly keep: boolean;
  /** More words for each machine's process. */
  readonly deviceWords: readonly string[];
}

/** A process each. */
const MAX_DEVICES = 200;
const MAX_PURCHASES = 1_000;

export function planOf(options: Options): FleetPlan {
  const app = choice(options, "app", FLEET_APPS);
  const link = choice(options, "link", WORLD_LINKS);
  const jamEvery = number(options, "jamEvery", { min: 0, max: MAX_PURCHASES });
  const engine = choice(options, "engine", ENGINES);
  if (options.broker !== undefined && link !== "mqtt") {
    throw new Failure("--broker goes with --link mqtt alone", EXIT.usage);
  }
  return {
    devices: number(options, "devices", { min: 1, max: MAX_DEVICES }),
    app,
    link,
    broker: choice(options, "broker", BROKERS),
    purchases: number(options, "purchases", { min: 0, max: MAX_PURCHASES }),
    jamEvery,
    keep: options.keep === true,
    deviceWords: [
      ...(app === "vending" && jamEvery > 0 ? ["--jam-every", String(jamEvery)] : []),
      ...(engine === "node" ? [] : ["--engine", engine]),
    ],
  };
}

const DEFAULTS: Readonly<Record<string, string>> = {
  devices: "2",
  app: "vending",
  link: "serial",
  broker: "aedes",
  engine: "node",
  purchases: "3",
  jamEvery: "0",
};

/** The first of the words is the default; throws a Failure for a word that is none of them. */
function choice<T extends string>(options: Options, name: string, words: readonly T[]): T {
  const given = text(options, name) ?? DEFAULTS[name];
  const found = words.find((word) => word === given);
  if (found) return found;
  throw new Failure(`--${name} must be ${words.join(" or ")}, not "${given}"`, EXIT.usage);
}

function number(
  options: Options,
  name: string,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  const words = text(options, name) ?? DEFAULTS[name] ?? "";
  const value = Number(words);
  if (/^\d+$/.test(words) && value >= min && value <= max) return value;
  const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new Failure(`--${flag} must be from ${min} to ${max}, not "${words}"`, EXIT.usage);
}
