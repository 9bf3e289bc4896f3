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
const DIGITS = "0123456789";
const HEX = `${DIGITS}abcdef`;
const SMALL = "abcdefghijklmnopqrstuvwxyz";
const LARGE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Throws an AdminError that says what is wrong. */
export function payoutOf(crypto: Crypto, text: string, network: Image["network"]): Payout {
  const [descriptor = "", checksum] = text.split("#");
  const isDescriptor = descriptor.startsWith("wpkh(");
  const parts = isDescriptor ? partsOf(descriptor) : undefined;
  if (isDescriptor && parts === undefined) {
    throw wrong("this descriptor is not understood: wpkh([…]xpub…/0/*) is");
  }
  if (checksum !== undefined && (!isDescriptor || checksum !== sumOf(descriptor))) {
    throw wrong("the descriptor's checksum does not fit: copy it again");
  }
  const key = parts?.key ?? text;
  const parent = extendedKey(crypto, key, network);
  const path = parts ? pathOf(parts.steps) : FIRST_ADDRESS;
  let child = parent;
  for (const step of path) child = derivePublicChild(crypto, child, step);
  return { key, script: p2wpkh(crypto, child.publicKey) };
}

function extendedKey(crypto: Crypto, key: string, network: Image["network"]): ExtendedPublicKey {
  // A private key must not travel, nor be kept here.
  if (consistsOf(key.slice(0, 1), SMALL) && key.startsWith("prv", 1)) {
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

interface DescriptorParts {
  readonly key: string;
  readonly steps: readonly string[];
}

/** Of wpkh([origin]key/steps); no regular expression: the device's image does without their engine. */
function partsOf(descriptor: string): DescriptorParts | undefined {
  if (!descriptor.endsWith(")")) return undefined;
  let inside = descriptor.slice("wpkh(".length, -1);
  if (inside.startsWith("[")) {
    const end = inside.indexOf("]");
    if (end < 0 || !isOrigin(inside.slice(1, end))) return undefined;
    inside = inside.slice(end + 1);
  }
  const [key = "", ...steps] = inside.split("/");
  if (key === "" || !consistsOf(key, `${DIGITS}${SMALL}${LARGE}`)) return undefined;
  const areSteps = steps.every((step) => step !== "" && consistsOf(step, `${DIGITS}*<>;`));
  return areSteps ? { key, steps } : undefined;
}

/** A key's fingerprint and the path to where the descriptor begins: 8 digits, then steps as 84' or 84h. */
function isOrigin(origin: string): boolean {
  const [fingerprint = "", ...steps] = origin.split("/");
  const isStep = (step: string) =>
    isNumber("'hH".includes(step.slice(-1)) ? step.slice(0, -1) : step);
  return fingerprint.length === 8 && consistsOf(fingerprint, HEX) && steps.every(isStep);
}

function isNumber(text: string): boolean {
  return text !== "" && consistsOf(text, DIGITS);
}

function consistsOf(text: string, letters: string): boolean {
  return [...text].every((letter) => letters.includes(letter));
}

/** The first address of the descriptor; steps are as in /0/* and /<0;1>/*. */
function pathOf(steps: readonly string[]): readonly number[] {
  return steps.map((step) => {
    const choices = step.startsWith("<") && step.endsWith(">") ? step.slice(1, -1).split(";") : [];
    const isChoice = choices.length > 1 && choices.every(isNumber);
    const index = step === "*" ? 0 : Number(isChoice ? choices[0] : step);
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
