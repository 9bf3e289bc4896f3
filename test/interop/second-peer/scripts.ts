/** The output scripts of BOLT 3, by bitcoinjs-lib's compiler. */
import { crypto, opcodes, script } from "bitcoinjs-lib";
import { type Bytes, concat, fromHex, sha256 } from "./bytes.ts";

const op = opcodes as unknown as Readonly<Record<string, number>>;

/** Pay to anchor: `OP_1 <0x4e73>`. */
export const P2A = fromHex("51024e73");

export function fundingScript(a: Bytes, b: Bytes): Bytes {
  const [first, second] = Buffer.compare(a, b) < 0 ? [a, b] : [b, a];
  return compile("OP_2", first, second, "OP_2", "OP_CHECKMULTISIG");
}

export function p2wsh(witnessScript: Bytes): Bytes {
  return concat(Uint8Array.of(0, 32), sha256(witnessScript));
}

export function p2wpkh(point: Bytes): Bytes {
  return concat(Uint8Array.of(0, 20), crypto.hash160(point));
}

export function delayedScript(revocation: Bytes, delayed: Bytes, toSelfDelay: number): Bytes {
  const wait = [number(toSelfDelay), "OP_CHECKSEQUENCEVERIFY", "OP_DROP"];
  return compile("OP_IF", revocation, "OP_ELSE", ...wait, delayed, "OP_ENDIF", "OP_CHECKSIG");
}

export function delayedToRemoteScript(point: Bytes): Bytes {
  return compile(point, "OP_CHECKSIGVERIFY", "OP_1", "OP_CHECKSEQUENCEVERIFY");
}

export function anchorScript(funding: Bytes): Bytes {
  const open = ["OP_NOTIF", "OP_16", "OP_CHECKSEQUENCEVERIFY", "OP_ENDIF"];
  return compile(funding, "OP_CHECKSIG", "OP_IFDUP", ...open);
}

export interface HtlcKeys {
  readonly revocation: Bytes;
  /** The broadcaster's. */
  readonly local: Bytes;
  /** The countersignatory's. */
  readonly remote: Bytes;
}

export interface HtlcScriptTerms {
  readonly keys: HtlcKeys;
  readonly offeredByBroadcaster: boolean;
  readonly paymentHash: Bytes;
  readonly cltvExpiry: number;
  /** `option_anchors`: whoever spends without a second stage waits one block. */
  readonly waitsOneBlock: boolean;
}

export function htlcScript(terms: HtlcScriptTerms): Bytes {
  const { keys, waitsOneBlock } = terms;
  return compile(
    ...["OP_DUP", "OP_HASH160", crypto.hash160(keys.revocation), "OP_EQUAL"],
    ...["OP_IF", "OP_CHECKSIG", "OP_ELSE"],
    ...[keys.remote, "OP_SWAP", "OP_SIZE", number(32), "OP_EQUAL"],
    ...(terms.offeredByBroadcaster ? offeredBranches(terms) : receivedBranches(terms)),
    ...(waitsOneBlock ? ["OP_1", "OP_CHECKSEQUENCEVERIFY", "OP_DROP"] : []),
    "OP_ENDIF",
  );
}

function offeredBranches({ keys, paymentHash }: HtlcScriptTerms) {
  return [
    ...["OP_NOTIF", "OP_DROP", "OP_2", "OP_SWAP", keys.local, "OP_2", "OP_CHECKMULTISIG"],
    ...["OP_ELSE", "OP_HASH160", crypto.ripemd160(paymentHash), "OP_EQUALVERIFY"],
    ...["OP_CHECKSIG", "OP_ENDIF"],
  ];
}

function receivedBranches({ keys, paymentHash, cltvExpiry }: HtlcScriptTerms) {
  return [
    ...["OP_IF", "OP_HASH160", crypto.ripemd160(paymentHash), "OP_EQUALVERIFY"],
    ...["OP_2", "OP_SWAP", keys.local, "OP_2", "OP_CHECKMULTISIG"],
    ...["OP_ELSE", "OP_DROP", number(cltvExpiry), "OP_CHECKLOCKTIMEVERIFY", "OP_DROP"],
    ...["OP_CHECKSIG", "OP_ENDIF"],
  ];
}

function number(value: number): Bytes {
  return script.number.encode(value);
}

function compile(...parts: readonly (string | Bytes)[]): Bytes {
  const chunks = parts.map((part) => (typeof part === "string" ? (op[part] ?? fail(part)) : part));
  return Uint8Array.from(script.compile(chunks));
}

function fail(name: string): never {
  throw new Error(`no opcode ${name}`);
}
