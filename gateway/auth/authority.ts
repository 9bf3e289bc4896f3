/** Bakes macaroons, verifies them into grants, and revokes them (docs/CLI.md, "who may use the gateway"). */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { concat, toHex } from "../../core/primitives/bytes.ts";
import { replacePrivate } from "../secrets/private-file.ts";
import { AuthError } from "./auth-error.ts";
import { type Caveat, parseCaveat } from "./caveats.ts";
import { Grant } from "./grant.ts";
import {
  type Macaroon,
  macaroonFrom,
  macaroonText,
  newMacaroon,
  signaturesOf,
  withCaveat,
} from "./macaroon.ts";
import { ROOT_KEY_ID_BYTES, type RootKey, RootKeys } from "./root-keys.ts";
import { type SpendingCounters, type SpendingLimit, VolatileSpending } from "./spending.ts";

export interface AuthorityOptions {
  /** The gateway's data; the list of root keys and the first macaroons are kept there. */
  readonly folder: string;
  /** 32 bytes: NodeSecret.derive("macaroon root keys"). */
  readonly secret: Uint8Array;
  /** Default: counted in memory. */
  readonly spending?: SpendingCounters;
  readonly nowMs: () => number;
}

export interface Identifier {
  readonly rootKeyId: Uint8Array;
  /** Names the macaroon, and all that are attenuated from it, in logs and limits. */
  readonly macaroonId: string;
}

export const LOCATION = "picobolt";
export const ROOT_KEYS_FILE = "macaroon-keys.jsonl";
/** Written at the first start, each on a root key of its own. */
export const FIRST_MACAROONS: Readonly<Record<string, readonly string[]>> = {
  admin: [],
  readonly: ["method = read"],
  invoice: ["method = invoice"],
};

const IDENTIFIER_VERSION = 1;
const NONCE_BYTES = 8;
const COUNTER_BYTES = 16;

export class MacaroonAuthority {
  readonly rootKeys: RootKeys;
  private readonly spending: SpendingCounters;

  constructor(private readonly options: AuthorityOptions) {
    const { folder, secret, nowMs } = options;
    this.rootKeys = new RootKeys({ path: join(folder, ROOT_KEYS_FILE), secret, nowMs });
    this.spending = options.spending ?? new VolatileSpending();
  }

  /** Files of mode 600 for whoever installs the gateway; gives the paths of those that were written now. */
  writeFirst(): readonly string[] {
    const known = new Set(this.rootKeys.list().map(({ name }) => name));
    const missing = Object.entries(FIRST_MACAROONS).filter(([name]) => !known.has(name));
    return missing.map(([name, caveats]) => {
      const path = join(this.options.folder, `${name}.macaroon`);
      const id = this.rootKeys.newId();
      // The file first: a key without its file would never be made again.
      replacePrivate(path, Buffer.from(`${macaroonText(this.bakedOn(id, caveats))}\n`));
      this.rootKeys.add(id, name);
      return path;
    });
  }

  /** On the root key of that name, which is made where there is none; throws where a caveat is unknown. */
  bake(rootKeyName: string, caveats: readonly string[] = []): Macaroon {
    const known = this.rootKeys.named(rootKeyName);
    const id = known ? new Uint8Array(Buffer.from(known.id, "hex")) : this.rootKeys.newId();
    const macaroon = this.bakedOn(id, caveats);
    if (!known) this.rootKeys.add(id, rootKeyName);
    return macaroon;
  }

  revoke(rootKeyNameOrId: string): RootKey {
    return this.rootKeys.revoke(rootKeyNameOrId);
  }

  /**
   * `words` as in a file or header; `address` of the caller, undefined on a local socket; `vouchedFor`: name of its root
   * key where that is another process's, which has looked whether it was revoked.
   * @throws AuthError that says why it is refused.
   */
  verify(words: string | undefined, address?: string, vouchedFor?: string): Grant {
    if (!words) {
      const message =
        'no macaroon was given: send one in the header "Authorization: Macaroon …"; the first ones ' +
        "are in the gateway's data folder (admin.macaroon), picobolt macaroon bake makes others.";
      throw new AuthError("no-macaroon", message);
    }
    const macaroon = macaroonFrom(words);
    const { rootKeyId, macaroonId } = identifierOf(macaroon);
    const name = this.rootKeys.byId(rootKeyId)?.name ?? vouchedFor;
    const signatures = signaturesOf(macaroon, this.rootKeys.secretOf(rootKeyId));
    if (name === undefined || !signatures) {
      throw new AuthError(
        "bad-macaroon",
        "this gateway did not make that macaroon, or it was altered.",
      );
    }
    const caveats = macaroon.caveats.map(parseCaveat);
    const grant = new Grant({
      macaroonId,
      rootKeyName: name,
      caveats,
      limits: limitsOf(caveats, signatures),
      address,
      spending: this.spending,
      nowMs: this.options.nowMs,
      isRevoked: () => this.rootKeys.byId(rootKeyId)?.revokedAt !== undefined,
    });
    const stale = grant.staleness();
    if (stale) throw stale;
    return grant;
  }

  private bakedOn(rootKeyId: Uint8Array, caveats: readonly string[]): Macaroon {
    const identifier = concat(
      Uint8Array.of(IDENTIFIER_VERSION),
      rootKeyId,
      new Uint8Array(randomBytes(NONCE_BYTES)),
    );
    const rootKey = this.rootKeys.secretOf(rootKeyId);
    return attenuated(newMacaroon({ rootKey, identifier, location: LOCATION }), caveats);
  }
}

/** Needs no key and no gateway; throws where a caveat is unknown, which would void the macaroon. */
export function attenuated(macaroon: Macaroon, caveats: readonly string[]): Macaroon {
  for (const caveat of caveats) parseCaveat(caveat);
  return caveats.reduce(withCaveat, macaroon);
}

/** @throws AuthError "bad-macaroon". */
export function identifierOf({ identifier }: Macaroon): Identifier {
  const isOurs =
    identifier[0] === IDENTIFIER_VERSION &&
    identifier.length === 1 + ROOT_KEY_ID_BYTES + NONCE_BYTES;
  if (!isOurs) throw new AuthError("bad-macaroon", "that macaroon was not made by picobolt.");
  return {
    rootKeyId: identifier.slice(1, 1 + ROOT_KEY_ID_BYTES),
    macaroonId: toHex(identifier.subarray(1 + ROOT_KEY_ID_BYTES)),
  };
}

/** A counter is named after the signature up to its caveat, of which it tells nothing. */
function limitsOf(
  caveats: readonly Caveat[],
  signatures: readonly Uint8Array[],
): readonly SpendingLimit[] {
  return caveats.flatMap((caveat, index) => {
    if (caveat.type !== "amount-per-day") return [];
    const hash = createHash("sha256")
      .update("spent")
      .update(signatures[index] as Uint8Array);
    const counter = new Uint8Array(hash.digest()).slice(0, COUNTER_BYTES);
    return [{ counter, limitMsat: caveat.limitMsat }];
  });
}
