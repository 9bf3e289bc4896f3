/** Waits for an event of the gateway, in bounds. */
import type { EventHub, GatewayEvent } from "../run/event-hub.ts";

export interface Wait {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * `begin` is called once the events are followed, and may know the outcome already; gives what `pick` makes of the
 * first event that it takes, or undefined where the time is over or the caller has gone.
 */
export function until<T>(
  events: EventHub,
  { timeoutMs, signal }: Wait,
  pick: (event: GatewayEvent) => T | undefined,
  begin: () => T | undefined = () => undefined,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const end = (value: T | undefined) => {
      clearTimeout(timer);
      leave();
      signal.removeEventListener("abort", gone);
      resolve(value);
    };
    const gone = () => end(undefined);
    const timer = setTimeout(gone, timeoutMs);
    const leave = events.follow(({ event }) => {
      const value = pick(event);
      if (value !== undefined) end(value);
    });
    signal.addEventListener("abort", gone, { once: true });
    try {
      const value = begin();
      if (value !== undefined) end(value);
      else if (signal.aborted) gone();
    } catch (cause) {
      end(undefined);
      reject(cause);
    }
  });
}
