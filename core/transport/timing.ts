/** How long a session waits for what; core has no clock, so all of it is measured in ticks (docs/PROTOCOL.md "Sessions"). */

export interface SessionTiming {
  /** Silence after which a ping is sent. */
  readonly pingAfterMs: number;
  /** Silence after which the session has ended. */
  readonly deadAfterMs: number;
  /** For each act, and for the first message after the last one. */
  readonly handshakeTimeoutMs: number;
  /** The initiator's pause before it calls again doubles from here … */
  readonly minBackoffMs: number;
  /** … to here; up to a quarter is added at random, so that a fleet does not call as one. */
  readonly maxBackoffMs: number;
}

/** Of a link over MQTT. A thousand idle devices that pinged every 5 s would be most of a gateway's work. */
export const MQTT_QUIET_MS = 60_000;

export const defaultTiming: SessionTiming = {
  pingAfterMs: 5_000,
  deadAfterMs: 15_000,
  handshakeTimeoutMs: 5_000,
  minBackoffMs: 250,
  maxBackoffMs: 30_000,
};
