/** Every record that is stored conserves the channel's value, only counts up, and comes back from its bytes as it was. */
import type { MakeChecker } from "./checker.ts";

export const records: MakeChecker = (world, complain) => ({
  step: () => {
    for (const { name, checking } of world.nodes) {
      for (const fault of checking.faults.splice(0)) complain(`${name}: ${fault}`);
    }
  },
});
