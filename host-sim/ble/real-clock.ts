/** This process's time as the clock of links. */
import type { Clock } from "../../firmware/board.ts";

export const realClock: Pick<Clock, "nowMs" | "after"> = {
  nowMs: () => Math.floor(performance.now()),
  after: (delayMs, work) => {
    const timer = setTimeout(work, delayMs);
    return () => clearTimeout(timer);
  },
};
