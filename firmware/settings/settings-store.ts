/** Keys and settings in a flash log of their own, apart from channel records: each change is one atomic commit (docs/ADMIN.md). */
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import type { CborValue } from "../../core/messages/schema.ts";
import { channelId } from "../../core/primitives/brands.ts";
import type { Flash } from "../store/flash.ts";
import { FlashLogStore, type FlashStatistics } from "../store/flash-log.ts";
import {
  encodeSettings,
  MAX_SETTINGS_BYTES,
  type Settings,
  type WifiSettings,
} from "./settings.ts";

/** Wrong codes in a row: none is taken any more then, until the device is claimed by cable. */
export const MAX_CODE_ATTEMPTS = 10;

export interface ClaimCode {
  /** Eight digits. */
  readonly code: string;
  readonly attempts: number;
}

const SEED_BYTES = 32;
const CODE_DIGITS = 8;
const keys = {
  seed: "seed",
  code: "claim",
  settings: "settings",
  reset: "reset",
  pad: "pad",
  wifi: "wifi",
};
const REFERENCES = 8;
const NOTHING = new Uint8Array(0);
const PAD_BYTES = 2048;
const NO_CHANNEL = channelId(new Uint8Array(32));
const STORED = { maxBytes: MAX_SETTINGS_BYTES + 64, maxDepth: 10, maxItems: 1024 };

/** Throws a StoreError where the flash holds something else, or a newer format. */
export class SettingsStore {
  private readonly log: FlashLogStore;

  constructor(private readonly flash: Flash) {
    this.log = new FlashLogStore(flash, { label: "settings", referenceWindow: REFERENCES });
  }

  get statistics(): FlashStatistics {
    return this.log.statistics();
  }

  get seed(): Uint8Array | undefined {
    const seed = this.log.getValue(keys.seed);
    return seed?.length === SEED_BYTES ? seed : undefined;
  }

  get claimCode(): ClaimCode | undefined {
    const bytes = this.log.getValue(keys.code);
    if (bytes?.length !== CODE_DIGITS + 1) return undefined;
    let code = "";
    for (let i = 0; i < CODE_DIGITS; i++) code += String(bytes[i]);
    return { code, attempts: bytes[CODE_DIGITS] as number };
  }

  /** As stored; undefined where nobody owns the device. */
  get settings(): CborValue | undefined {
    const bytes = this.log.getValue(keys.settings);
    return bytes?.length ? decodeCbor(bytes, STORED) : undefined;
  }

  /** The owner's button was held: everything goes at the next start. */
  get isResetDue(): boolean {
    return (this.log.getValue(keys.reset)?.length ?? 0) > 0;
  }

  /** As it was told before the device had an owner (Improv); the owner's own settings come first. */
  get wifi(): WifiSettings | undefined {
    const bytes = this.log.getValue(keys.wifi);
    const [ssid, password] = bytes?.length ? (decodeCbor(bytes, STORED) as string[]) : [];
    return ssid ? { ssid, password: password ?? "" } : undefined;
  }

  keepWifi({ ssid, password }: WifiSettings): void {
    this.log.setValue(keys.wifi, encodeCbor([ssid, password]));
  }

  /** A new identity, and nobody's device: all of it in one commit. */
  begin(seed: Uint8Array, code: string): void {
    this.commit([
      { key: keys.seed, bytes: seed },
      { key: keys.code, bytes: encodeCode({ code, attempts: 0 }) },
      { key: keys.settings, bytes: NOTHING },
      { key: keys.wifi, bytes: NOTHING },
    ]);
  }

  keepCode(code: ClaimCode): void {
    this.log.setValue(keys.code, encodeCode(code));
  }

  keepSettings(settings: Settings): void {
    this.log.setValue(keys.settings, encodeSettings(settings));
  }

  /** The owner gives the device up: nobody's, under another code, with the same keys. */
  release(code: string): void {
    this.commit([
      { key: keys.settings, bytes: NOTHING },
      { key: keys.code, bytes: encodeCode({ code, attempts: 0 }) },
    ]);
  }

  keepResetDue(): void {
    this.log.setValue(keys.reset, Uint8Array.of(1));
  }

  keepResetDone(): void {
    this.log.setValue(keys.reset, NOTHING);
  }

  /** Turns the log round until every sector that held an older value was erased. */
  scrub(): void {
    const writes = Math.ceil((2 * this.flash.size) / PAD_BYTES);
    const erasedAll = this.log.statistics().erases + this.flash.size / this.flash.sectorSize;
    for (let i = 0; i < writes && this.log.statistics().erases <= erasedAll; i++) {
      this.log.setValue(keys.pad, new Uint8Array(PAD_BYTES));
    }
    this.log.setValue(keys.pad, NOTHING);
  }

  private commit(values: readonly { readonly key: string; readonly bytes: Uint8Array }[]): void {
    const nothing = { channelId: NO_CHANNEL, record: () => NOTHING, live: undefined };
    this.log.commit({ ...nothing, remove: true, values });
  }
}

function encodeCode({ code, attempts }: ClaimCode): Uint8Array {
  const bytes = new Uint8Array(CODE_DIGITS + 1);
  for (let i = 0; i < CODE_DIGITS; i++) bytes[i] = Number(code[i]);
  bytes[CODE_DIGITS] = Math.min(attempts, MAX_CODE_ATTEMPTS);
  return bytes;
}
