/** A payment reference is credited at most once, and once it is acknowledged it is credited. */
import { unpackPayments } from "../../../core/payments/push.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import type { MakeChecker } from "./checker.ts";

export const credits: MakeChecker = (world, complain) => {
  const received = new Map<string, number>();
  return {
    event: (node, _, event) => {
      if (event.type !== "pushReceived") return;
      unpackPayments(event.payments).forEach(({ reference }, i) => {
        if (event.duplicates?.includes(i)) return;
        const key = `${node.name}/${toHex(reference)}`;
        const times = (received.get(key) ?? 0) + 1;
        received.set(key, times);
        if (times > 1 && !node.isRestored)
          complain(`${node.name} was told ${times} times of one payment`);
      });
    },
    step: () => {
      for (const push of world.book.pushes) {
        if (!push.receipted) continue;
        const { memory, name, isByzantine } = world.node(push.to);
        const isCredited = push.references.every((reference) => memory.wasCredited(reference));
        if (!isCredited && !isByzantine) complain(`${name} acknowledged what it did not credit`);
      }
    },
  };
};
