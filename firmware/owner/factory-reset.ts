/** Back to a new device by its button: never while channels hold money (docs/ADMIN.md "Factory reset"; rule `reset-keeps-channels`). */
import type { Entropy } from "../../core/ports/crypto.ts";
import { wipe } from "../../core/primitives/bytes.ts";
import type { Pins } from "../board.ts";
import type { SettingsStore } from "../settings/settings-store.ts";
import type { FlashLogStore } from "../store/flash-log.ts";
import { newClaimCode } from "./ownership.ts";

/** For how long the button is held, from the start or at any time. */
export const RESET_HOLD_MS = 10_000;
const BUTTON = "button";

/** Says once, after the hold, that a reset is wanted; asked at each tick: the pin's one listener is the app's. */
export class ResetButton {
  private heldSinceMs: number | undefined;
  private isDone = false;
  private readonly isThere: boolean;

  constructor(private readonly pins: Pins) {
    this.isThere = pins.names.includes(BUTTON);
  }

  tick(nowMs: number): boolean {
    if (!this.isThere) return false;
    if (!this.pins.read(BUTTON)) {
      this.heldSinceMs = undefined;
      this.isDone = false;
      return false;
    }
    this.heldSinceMs ??= nowMs;
    if (this.isDone || nowMs - this.heldSinceMs < RESET_HOLD_MS) return false;
    this.isDone = true;
    return true;
  }
}

/** Why it is refused now; undefined: it is noted, and done at the next start, when nothing runs. */
export function requestReset(store: SettingsStore, records: FlashLogStore): string | undefined {
  const { channels } = records.statistics();
  // Rule `reset-keeps-channels`: without keys and records their money would be the peer's to take.
  if (channels > 0) {
    return `factory reset refused: ${channels} channels are open; their owner closes them first`;
  }
  store.keepResetDue();
  return undefined;
}

/** At the start: where a reset is due, other keys, another code and no owner, in one commit; nothing of apps and prices is left. */
export function performReset(parts: {
  readonly store: SettingsStore;
  readonly records: FlashLogStore;
  readonly entropy: Entropy;
}): boolean {
  const { store, records, entropy } = parts;
  if (!store.isResetDue || records.statistics().channels > 0) return false;
  // First: the reset is due until all is done, and a power cut begins it anew.
  records.forgetValues();
  makeIdentity(store, entropy);
  // Due until the old seed is gone from the flash too.
  store.scrub();
  store.keepResetDone();
  return true;
}

/** A new seed and claim code; the self-test has passed before (docs/ADMIN.md). */
export function makeIdentity(store: SettingsStore, entropy: Entropy): void {
  const seed = entropy.random(32);
  store.begin(seed, newClaimCode(entropy));
  wipe(seed);
}
