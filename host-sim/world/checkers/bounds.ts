/** Everything that grows has an end: records, claims under way, pieces on a link (rule `bounded`). */
import type { MakeChecker } from "./checker.ts";

const MAX_RECORD_BYTES = 64_000;
const MAX_CLAIMS = 200;
const MAX_ON_WIRE = 5_000;

export const bounds: MakeChecker = (world, complain) => ({
  step: () => {
    for (const { name, checking, publisher } of world.nodes) {
      if (checking.largestBytes > MAX_RECORD_BYTES) {
        complain(`${name}: a record of ${checking.largestBytes} bytes`);
      }
      const claims = publisher?.queue().length ?? 0;
      if (claims > MAX_CLAIMS) complain(`${name}: ${claims} claims are under way`);
    }
    for (const wire of world.wires) {
      if (wire && wire.waiting > MAX_ON_WIRE) complain(`${wire.waiting} pieces wait on a wire`);
    }
  },
  end: () => {
    for (const { name, index, publisher } of world.nodes) {
      const queue = world.isLiar(index) ? [] : (publisher?.queue() ?? []);
      // Of a channel that its opener never funded, a forced close waits until it is forgotten; and what a device that
      // catches up asked for in vain is given up after some blocks.
      const left = queue.filter(
        ({ channelId, isEntrusted, refusal }) =>
          !(isEntrusted && refusal) &&
          (!channelId || world.channelOf(channelId)?.created !== false),
      );
      if (left.length > 0) complain(`${name}: ${left.length} claims go on though all is settled`);
    }
  },
});
