/** The board's clock of Moddable's `timer` and `time`: a monotonic one, and a wall clock once somebody has told it. */
import Time from "time";
import Timer from "timer";
import type { Clock } from "../board.ts";

/** 2024-01-01: a wall clock before it was never set. */
const FIRST_CREDIBLE_SECONDS = 1_704_067_200;

export function moddableClock(): Clock {
  let lastTicks = Time.ticks;
  let elapsedMs = 0;
  return {
    // `ticks` wraps after weeks, `delta` does not mind; the program asks far more often than that.
    nowMs() {
      const ticks = Time.ticks;
      const passed = Time.delta(lastTicks, ticks);
      if (passed > 0) {
        elapsedMs += passed;
        lastTicks = ticks;
      }
      return elapsedMs;
    },
    nowSeconds() {
      const seconds = Math.floor(Date.now() / 1000);
      return seconds < FIRST_CREDIBLE_SECONDS ? undefined : seconds;
    },
    setSeconds(seconds) {
      Time.set(seconds);
    },
    after(delayMs, work) {
      let timer: ReturnType<typeof Timer.set> | undefined;
      timer = Timer.set(() => {
        timer = undefined;
        work();
      }, delayMs);
      return () => {
        if (timer !== undefined) Timer.clear(timer);
        timer = undefined;
      };
    },
  };
}
