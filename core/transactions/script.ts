/**
 * Every script that a channel puts on chain (BOLT 3), the scripts it may pay out to (BOLT 2
 * shutdown), and dust.
 */
import type { Crypto } from "../ports/crypto.ts";
import { type PublicKey, type Satoshi, satoshi } from "../primitives/brands.ts";
import { compare } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import { ByteWriter } from "./codec.ts";

const OP_0 = 0x00;
const OP_PUSHDATA1 = 0x4c;
const OP_1 = 0x51;
const OP_2 = 0x52;
const OP_16 = 0x60;
const OP_IF = 0x63;
const OP_NOTIF = 0x64;
const OP_ELSE = 0x67;
const OP_ENDIF = 0x68;
const OP_RETURN = 0x6a;
const OP_IFDUP = 0x73;
const OP_DROP = 0x75;
const OP_DUP = 0x76;
const OP_SWAP = 0x7c;
const OP_SIZE = 0x82;
const OP_EQUAL = 0x87;
const OP_EQUALVERIFY = 0x88;
const OP_HASH160 = 0xa9;
const OP_CHECKSIG = 0xac;
const OP_CHECKSIGVERIFY = 0xad;
const OP_CHECKMULTISIG = 0xae;
const OP_CHECKLOCKTIMEVERIFY = 0xb1;
const OP_CHECKSEQUENCEVERIFY = 0xb2;

/** `2 <lesser key> <greater key> 2 OP_CHECKMULTISIG`, whatever the order of the arguments. */
export function fundingScript(a: PublicKey, b: PublicKey): Uint8Array {
  const [first, second] = compare(a, b) <= 0 ? [a, b] : [b, a];
  return script([OP_2, first, second, OP_2, OP_CHECKMULTISIG]);
}

export interface DelayedScriptKeys {
  readonly revocationPubkey: PublicKey;
  readonly broadcasterDelayedPubkey: PublicKey;
}

/**
 * to_local, and the output of every HTLC transaction: the broadcaster after a delay, or revocation
 * at once.
 */
export function delayedScript(keys: DelayedScriptKeys, toSelfDelay: number): Uint8Array {
  return script([
    OP_IF,
    keys.revocationPubkey,
    OP_ELSE,
    pushNumber(toSelfDelay),
    OP_CHECKSEQUENCEVERIFY,
    OP_DROP,
    keys.broadcasterDelayedPubkey,
    OP_ENDIF,
    OP_CHECKSIG,
  ]);
}

/** to_remote with option_anchors: the countersignatory after one block. */
export function toRemoteScript(paymentPubkey: PublicKey): Uint8Array {
  return script([paymentPubkey, OP_CHECKSIGVERIFY, OP_1, OP_CHECKSEQUENCEVERIFY]);
}

/** to_local_anchor and to_remote_anchor of option_anchors. */
export function keyedAnchorScript(fundingPubkey: PublicKey): Uint8Array {
  return script([
    fundingPubkey,
    OP_CHECKSIG,
    OP_IFDUP,
    OP_NOTIF,
    OP_16,
    OP_CHECKSEQUENCEVERIFY,
    OP_ENDIF,
  ]);
}

/** The output script of the shared anchor that anyone may spend, without a witness. */
export function p2aScript(): Uint8Array {
  return Uint8Array.of(OP_1, 2, 0x4e, 0x73);
}

export interface HtlcScriptTerms {
  /** HASH160 of the revocation key. */
  readonly revocationHash160: Uint8Array;
  readonly broadcasterHtlcPubkey: PublicKey;
  readonly countersignatoryHtlcPubkey: PublicKey;
  /** RIPEMD-160 of the payment hash. */
  readonly paymentHash160: Uint8Array;
  /** With `1 OP_CHECKSEQUENCEVERIFY OP_DROP` (option_anchors). */
  readonly anchors: boolean;
}

/** An HTLC that the broadcaster of the commitment offered. */
export function offeredHtlcScript(terms: HtlcScriptTerms): Uint8Array {
  return script([
    ...revocationOr(terms),
    OP_NOTIF,
    ...[OP_DROP, OP_2, OP_SWAP, terms.broadcasterHtlcPubkey, OP_2, OP_CHECKMULTISIG],
    OP_ELSE,
    ...[OP_HASH160, terms.paymentHash160, OP_EQUALVERIFY, OP_CHECKSIG],
    OP_ENDIF,
    ...endOfHtlc(terms.anchors),
  ]);
}

/** An HTLC that the broadcaster of the commitment received. */
export function receivedHtlcScript(terms: HtlcScriptTerms, cltvExpiry: number): Uint8Array {
  return script([
    ...revocationOr(terms),
    OP_IF,
    ...[OP_HASH160, terms.paymentHash160, OP_EQUALVERIFY],
    ...[OP_2, OP_SWAP, terms.broadcasterHtlcPubkey, OP_2, OP_CHECKMULTISIG],
    OP_ELSE,
    ...[OP_DROP, pushNumber(cltvExpiry), OP_CHECKLOCKTIMEVERIFY, OP_DROP, OP_CHECKSIG],
    OP_ENDIF,
    ...endOfHtlc(terms.anchors),
  ]);
}

/** Output script of a witness script. */
export function p2wsh(crypto: Crypto, witnessScript: Uint8Array): Uint8Array {
  return script([OP_0, crypto.sha256(witnessScript)]);
}

/** Output script of a key. */
export function p2wpkh(crypto: Crypto, key: PublicKey): Uint8Array {
  return script([OP_0, hash160(crypto, key)]);
}

/** What BIP 143 signs as the script of a P2WPKH output. */
export function p2wpkhScriptCode(crypto: Crypto, key: PublicKey): Uint8Array {
  return script([OP_DUP, OP_HASH160, hash160(crypto, key), OP_EQUALVERIFY, OP_CHECKSIG]);
}

export function hash160(crypto: Crypto, bytes: Uint8Array): Uint8Array {
  return crypto.ripemd160(crypto.sha256(bytes));
}

/**
 * The least amount that Bitcoin Core relays for such an output (BOLT 3 "Dust Limits"); 0 for
 * OP_RETURN.
 */
export function dustThreshold(outputScript: Uint8Array): Satoshi {
  const [first, second] = outputScript;
  if (first === OP_RETURN) return satoshi(0);
  if (first === OP_0 && second === 20 && outputScript.length === 22) return satoshi(294);
  if (first === OP_0 && second === 32 && outputScript.length === 34) return satoshi(330);
  if (compare(outputScript, p2aScript()) === 0) return satoshi(240);
  if (isFutureWitnessProgram(outputScript)) return satoshi(354);
  if (first === OP_HASH160 && outputScript.length === 23) return satoshi(540);
  return satoshi(546);
}

/**
 * Whether `outputScript` is one of the forms that BOLT 2 allows in `shutdown`, under these
 * features.
 */
export function isShutdownScript(
  outputScript: Uint8Array,
  features: { readonly anySegwit: boolean; readonly simpleClose: boolean },
): boolean {
  const [first, second] = outputScript;
  if (first === OP_0) {
    return (second === 20 || second === 32) && outputScript.length === second + 2;
  }
  if (first === OP_RETURN) return features.simpleClose && isShortReturn(outputScript);
  return features.anySegwit && isFutureWitnessProgram(outputScript);
}

export function isReturnScript(outputScript: Uint8Array): boolean {
  return outputScript[0] === OP_RETURN;
}

/** The bytes that push `value`, 0 … 2^31-1, in the shortest way. */
export function pushNumber(value: number): Uint8Array {
  assert(Number.isInteger(value) && value >= 0 && value < 2 ** 31, "script number out of range");
  if (value === 0) return Uint8Array.of(OP_0);
  if (value <= 16) return Uint8Array.of(OP_1 + value - 1);
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest >>>= 8) bytes.push(rest & 0xff);
  if ((bytes[bytes.length - 1] as number) >= 0x80) bytes.push(0);
  return Uint8Array.from([bytes.length, ...bytes]);
}

/** `OP_1` … `OP_16` and one push of 2 to 40 bytes. */
function isFutureWitnessProgram(outputScript: Uint8Array): boolean {
  const [version = 0, length = 0] = outputScript;
  const known = version >= OP_1 && version <= OP_16;
  return known && length >= 2 && length <= 40 && outputScript.length === length + 2;
}

function isShortReturn(outputScript: Uint8Array): boolean {
  const [, second = 0, third = 0] = outputScript;
  if (second >= 6 && second <= 75) return outputScript.length === second + 2;
  return second === OP_PUSHDATA1 && third >= 76 && third <= 80 && outputScript.length === third + 3;
}

type Part = number | Uint8Array;

function revocationOr(terms: HtlcScriptTerms): readonly Part[] {
  return [
    ...[OP_DUP, OP_HASH160, terms.revocationHash160, OP_EQUAL, OP_IF, OP_CHECKSIG, OP_ELSE],
    ...[terms.countersignatoryHtlcPubkey, OP_SWAP, OP_SIZE, pushNumber(32), OP_EQUAL],
  ];
}

function endOfHtlc(anchors: boolean): readonly number[] {
  return anchors ? [OP_1, OP_CHECKSEQUENCEVERIFY, OP_DROP, OP_ENDIF] : [OP_ENDIF];
}

/**
 * Opcodes stand as they are; keys and hashes (20, 32 or 33 bytes) are pushed; shorter bytes are
 * pushes already.
 */
function script(parts: readonly Part[]): Uint8Array {
  const writer = new ByteWriter(160);
  for (const part of parts) {
    if (typeof part === "number") {
      writer.u8(part);
    } else {
      if (part.length >= 20) writer.u8(part.length);
      writer.raw(part);
    }
  }
  return writer.bytes();
}
