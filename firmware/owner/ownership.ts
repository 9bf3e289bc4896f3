/** Whose device it is: claimed once, by whoever stands beside it (docs/ADMIN.md "Ownership"; rule `owner-alone-administers`). */
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { ascii, equal, equalConstantTime, toHex } from "../../core/primitives/bytes.ts";
import { AdminError, type CborMap, Params } from "../admin/params.ts";
import type { Image } from "../board.ts";
import { changed, decodeSettings, type Settings, settingsOf } from "../settings/settings.ts";
import { MAX_CODE_ATTEMPTS, type SettingsStore } from "../settings/settings-store.ts";
import type { FlashLogStore } from "../store/flash-log.ts";

/** How a request came, by the name of its link. */
export type Reach = "cable" | "ble" | "network";

/** Beside the channel records: whose they are, should the settings be lost. */
const OWNER_KEY = "owner";
const CODE_LENGTH = 8;

export function reachOf(linkName: string | undefined): Reach {
  if (linkName?.startsWith("serial:")) return "cable";
  return linkName?.startsWith("ble:") ? "ble" : "network";
}

/** Eight digits, all equally likely. */
export function newClaimCode(entropy: Entropy): string {
  let code = "";
  while (code.length < CODE_LENGTH) {
    for (const byte of entropy.random(CODE_LENGTH)) {
      if (byte < 250 && code.length < CODE_LENGTH) code += String(byte % 10);
    }
  }
  return code;
}

export interface OwnershipParts {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly image: Image;
  readonly store: SettingsStore;
  readonly records: FlashLogStore;
  /** Throws a ConfigError where the app cannot run with this. */
  checkApp(name: string, config: CborMap): void;
}

export class Ownership {
  private current: Settings | undefined;

  /** Throws an AdminError where what is stored cannot be read. */
  constructor(private readonly parts: OwnershipParts) {
    const stored = parts.store.settings;
    if (stored !== undefined) this.current = decodeSettings(this.context, stored);
  }

  get settings(): Settings | undefined {
    return this.current;
  }

  isOwner(peer: PublicKey): boolean {
    return this.current !== undefined && equal(this.current.owner, peer);
  }

  /**
   * For the node that asks, or for the owner that it names: whoever stands beside the device decides whose it is. True
   * where it is theirs by this, false where it was before.
   */
  claim(peer: PublicKey, reach: Reach, map: CborMap): boolean {
    if (this.isOwner(peer)) return false;
    const { code, owner = peer, rest } = this.claimOf(map);
    // A lost answer: it was claimed for that owner already.
    if (this.isOwner(owner)) return false;
    if (this.current) {
      throw new AdminError("claimed", "this device has an owner; only that one's key is heard");
    }
    this.checkReach(reach, code);
    this.checkHeir(peer);
    const settings = this.checked(settingsOf(this.context, owner, rest));
    // First here: without settings it binds nobody while there is no channel.
    this.parts.records.setValue(OWNER_KEY, owner.slice());
    this.parts.store.keepSettings(settings);
    this.current = settings;
    return true;
  }

  /** Changes what is named; answers the settings. */
  change(changes: CborMap, channels: number): Settings {
    const { current } = this;
    if (!current) throw new AdminError("unclaimed", "this device has no owner yet");
    const settings = this.checked(changed(this.context, current, changes));
    const keysMove = settings.payout.key !== current.payout.key;
    // Rule `payout-fixed-while-channels`: their keys were derived from it, and would no longer be found.
    if (channels > 0 && keysMove) {
      const text = `the payout key stays while there are channels: close ${channels} first`;
      throw new AdminError("channels-open", text);
    }
    if (channels > 0 && !equal(settings.gateway, current.gateway)) {
      const text = `the gateway stays while there are channels: close ${channels} first`;
      throw new AdminError("channels-open", text);
    }
    this.parts.store.keepSettings(settings);
    this.current = settings;
    return settings;
  }

  /** The device is nobody's again, and has another code: the owner knew the one before. */
  release(channels: number): void {
    if (channels > 0) {
      const text = `${channels} channels are open: close them first, their money goes to you`;
      throw new AdminError("channels-open", text);
    }
    this.parts.store.release(newClaimCode(this.parts.entropy));
    this.current = undefined;
  }

  private get context() {
    return { crypto: this.parts.crypto, network: this.parts.image.network };
  }

  private checked(settings: Settings): Settings {
    if (settings.app === "") return settings;
    try {
      this.parts.checkApp(settings.app, settings.appConfig);
    } catch (cause) {
      throw new AdminError("app", cause instanceof Error ? cause.message : String(cause));
    }
    return settings;
  }

  /** What is about the claim itself, and the settings. */
  private claimOf(map: CborMap): {
    readonly rest: CborMap;
    readonly code: string | undefined;
    readonly owner: PublicKey | undefined;
  } {
    const params = new Params(map);
    const code = params.has("code") ? params.text("code", { min: 1, max: 16 }) : undefined;
    const { crypto } = this.parts;
    const owner = params.has("owner") ? params.nodeId("owner", crypto) : undefined;
    const rest = new Map(map);
    rest.delete("code");
    rest.delete("owner");
    return { rest, code, owner };
  }

  private checkReach(reach: Reach, code: string | undefined): void {
    if (reach === "cable") return;
    if (reach === "network") {
      const text = "a device without an owner is claimed by cable, or by BLE with its code";
      throw new AdminError("reach", text);
    }
    this.checkCode(code);
  }

  /** An attempt counts before it is looked at: switching the power off gives none back. */
  private checkCode(code: string | undefined): void {
    const { store } = this.parts;
    const kept = store.claimCode;
    if (code === undefined) {
      throw new AdminError("code", "over BLE the code printed on the device is needed");
    }
    if (!kept || kept.attempts >= MAX_CODE_ATTEMPTS) {
      const text = "too many wrong codes: claim this device by cable";
      throw new AdminError("code-locked", text);
    }
    store.keepCode({ ...kept, attempts: kept.attempts + 1 });
    // Hashes have one length, whatever was sent.
    const { crypto } = this.parts;
    const isRight = equalConstantTime(hashed(crypto, code), hashed(crypto, kept.code));
    if (!isRight) {
      const left = MAX_CODE_ATTEMPTS - kept.attempts - 1;
      throw new AdminError(
        "code",
        `this is not the code printed on the device; ${left} tries left`,
      );
    }
    store.keepCode({ ...kept, attempts: 0 });
  }

  /** Where the settings were lost and channels were not, they are still their owner's. */
  private checkHeir(peer: PublicKey): void {
    const { records } = this.parts;
    if (records.statistics().channels === 0) return;
    const noted = records.getValue(OWNER_KEY);
    if (noted && equal(noted, peer)) return;
    const whose = noted ? toHex(publicKey(noted)).slice(0, 16) : "nobody known";
    throw new AdminError(
      "channels-open",
      `this device has channels of ${whose}: only it may claim`,
    );
  }
}

function hashed(crypto: Crypto, code: string): Uint8Array {
  const digits = [...code].filter((one) => one >= "0" && one <= "9");
  return crypto.sha256(ascii(digits.join("")));
}
