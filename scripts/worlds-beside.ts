/** Simulated worlds beside a whole run of the tests: they say at the end what broke. */
import { Beside } from "./beside.ts";

const NICENESS = 19;
/** No new world begins after it: where the tests are over before, worlds have the processors to themselves until then. */
export const WORLDS_MINUTES = 30;

interface WorldsOptions {
  readonly words?: readonly string[];
  readonly niceness?: number;
}

/** Starts the first `seeds` worlds, or as many of them as there is time for; `words` are said to `npm run sim`. */
export function worldsBeside(
  seeds: number,
  { words = [], niceness = NICENESS }: WorldsOptions = {},
): Beside {
  const sim = [process.execPath, "--import", "tsx", "host-sim/world/main.ts"];
  const all = ["--seeds", `${seeds}`, "--minutes", `${WORLDS_MINUTES}`, "--no-shrink", ...words];
  return new Beside([...sim, ...all], { niceness, isProgress: (line) => /^[█·]+ /.test(line) });
}
