/** Where a device's earnings go: an owner's extended public key, or a descriptor of one (DESIGN §3 "Cold payout", BIP 380). */
import {
  derivePublicChild,
  type ExtendedPublicKey,
  HARDENED,
  parsePublicKey,
} from "../../core/keys/bip32.ts";
import { descriptorChecksum } from "../../core/keys/descriptor.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { AssertionError, ProtocolViolation } from "../../core/primitives/errors.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { AdminError } from "../admin/params.ts";
import type { Image } from "../board.ts";

export interface Payout {
  /** xpub… or tpub…: channels pay to its children …/0/keyIndex and …/1/keyIndex. */
  readonly key: string;
  /** Where mutual closes pay to: P2WPKH of the descriptor's first address, or of …/0/0. */
  readonly script: Uint8Array;
}

export const MAX_PAYOUT_BYTES = 256;
const FIRST_ADDRESS = [0, 0] as const;

/** Throws an AdminError that says what is wrong. */
export function payoutOf(crypto: Crypto, text: string, network: Image["network"]): Payout {
  const [descriptor = "", checksum] = text.split("#");
  const isDescriptor = descriptor.startsWith("wpkh(");
  // With its key's origin, and steps as in /0/* and /<0;1>/*.
  const form = /^wpkh\((?:\[[0-9a-f]{8}(?:\/\d+['hH]?)*\])?([a-zA-Z0-9]+)((?:\/[0-9*<>;]+)*)\)$/;
  const [, keyOfDescriptor, steps = ""] = form.exec(descriptor) ?? [];
  if (isDescriptor && keyOfDescriptor === undefined) {
    throw wrong("this descriptor is not understood: wpkh([…]xpub…/0/*) is");
  }
  if (checksum !== undefined && (!isDescriptor || checksum !== sumOf(descriptor))) {
    throw wrong("the descriptor's checksum does not fit: copy it again");
  }
  const key = keyOfDescriptor ?? text;
  const parent = extendedKey(crypto, key, network);
  const path = isDescriptor ? pathOf(steps) : FIRST_ADDRESS;
  let child = parent;
  for (const step of path) child = derivePublicChild(crypto, child, step);
  return { key, script: p2wpkh(crypto, child.publicKey) };
}

function extendedKey(crypto: Crypto, key: string, network: Image["network"]): ExtendedPublicKey {
  // A private key must not travel, nor be kept here.
  if (/^[a-z]prv/.test(key)) {
    throw wrong(
      "this is a private key: keep it off the device, and use its public one (xpub, tpub)",
    );
  }
  const parsed = parseKey(crypto, key);
  const wanted = network === "mainnet" ? "mainnet" : "testnet";
  if (parsed.network !== wanted) {
    throw wrong(`this key is of ${parsed.network}, the device's image of ${network}`);
  }
  return parsed.key;
}

function parseKey(crypto: Crypto, key: string) {
  try {
    return parsePublicKey(crypto, key);
  } catch (cause) {
    if (!(cause instanceof ProtocolViolation)) throw cause;
    throw wrong(`this is no extended public key (${cause.message})`);
  }
}

/** The first address of the descriptor. */
function pathOf(steps: string): readonly number[] {
  const path = steps.split("/").slice(1);
  return path.map((step) => {
    const [, first] = /^<(\d+)(?:;\d+)+>$/.exec(step) ?? [];
    const index = step === "*" ? 0 : Number(first ?? step);
    if (Number.isInteger(index) && index < HARDENED) return index;
    throw wrong(`the step "${step}" of the descriptor is not understood`);
  });
}

function sumOf(descriptor: string): string | undefined {
  try {
    return descriptorChecksum(descriptor);
  } catch (cause) {
    if (cause instanceof AssertionError) return undefined;
    throw cause;
  }
}

function wrong(text: string): AdminError {
  return new AdminError("payout", text);
}
