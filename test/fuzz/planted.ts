/** Targets with bugs, in the place of host-sim/fuzz/targets/all.ts. */
import { describeFailure } from "../../core/payments/failure.ts";
import type { FuzzTarget } from "../../host-sim/fuzz/target.ts";
import { maze, spin } from "./planted/core/maze.ts";

const targets: readonly FuzzTarget[] = [
  { name: "planted-maze", maxBytes: 16, seeds: () => [new Uint8Array(4)], run: maze },
  {
    name: "planted-loop",
    maxBytes: 16,
    seeds: () => [new Uint8Array(4)],
    run(input) {
      describeFailure(input);
      spin(input);
    },
  },
];

export function targetNamed(name: string): FuzzTarget {
  return targets.find((target) => target.name === name) as FuzzTarget;
}
