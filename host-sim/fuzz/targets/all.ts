/** Every target by its name. */
import type { FuzzTarget } from "../target.ts";
import { chainTargets } from "./chain.ts";
import { deviceTargets } from "./device.ts";
import { flashTargets } from "./flash.ts";
import { nodeTargets } from "./nodes.ts";
import { paymentTargets } from "./payments.ts";
import { sessionTargets } from "./sessions.ts";
import { wireTargets } from "./wire.ts";

export const targets: readonly FuzzTarget[] = [
  ...wireTargets,
  ...sessionTargets,
  ...chainTargets,
  ...paymentTargets,
  ...deviceTargets,
  ...flashTargets,
  ...nodeTargets,
];

/** Throws where there is none of that name. */
export function targetNamed(name: string): FuzzTarget {
  const target = targets.find((one) => one.name === name);
  if (target) return target;
  throw new Error(`no target is named ${name}: there are ${targets.map((t) => t.name).join(", ")}`);
}
