/** On-chain addresses as an invoice's fallback (BOLT 11 field `f`; BIP 13, BIP 173, BIP 350). */
import { decodeBase58Check, encodeBase58Check } from "../../keys/base58.ts";
import type { Crypto } from "../../ports/crypto.ts";
import {
  BECH32,
  BECH32M,
  decodeBech32,
  encodeBech32,
  fromGroups,
  toGroups,
} from "../../primitives/bech32.ts";
import { concat } from "../../primitives/bytes.ts";
import { CURRENCIES } from "./amount.ts";
import type { Fallback, InvoiceNetwork } from "./invoice.ts";
import { insist } from "./invoice-error.ts";

const MAX_WITNESS_VERSION = 16;
const P2PKH_VERSION = 17;
const P2SH_VERSION = 18;
const HASH_BYTES = 20;
const MAX_ADDRESS_CHARACTERS = 90; // BIP 173

/** The groups of an `f` field; undefined for a version that nobody knows yet. */
export function readFallback(groups: Uint8Array): Fallback | undefined {
  const version = groups[0];
  insist(version !== undefined, "f", "wrong-length", "the f field (fallback address) is empty");
  if (version > P2SH_VERSION) return undefined;
  const program = fromGroups(groups.subarray(1));
  insist(program, "f", "wrong-padding", "the f field (fallback address) is not whole bytes");
  const isWhole =
    version > MAX_WITNESS_VERSION
      ? program.length === HASH_BYTES
      : isWitnessProgram(version, program);
  const what = `a fallback address of version ${version} cannot have ${program.length} bytes`;
  insist(isWhole, "f", "wrong-length", what);
  if (version === P2PKH_VERSION) return { type: "p2pkh", hash: program };
  if (version === P2SH_VERSION) return { type: "p2sh", hash: program };
  return { type: "witness", version, program };
}

export function writeFallback(fallback: Fallback): Uint8Array {
  const [version, program] =
    fallback.type === "witness"
      ? [fallback.version, fallback.program]
      : [fallback.type === "p2pkh" ? P2PKH_VERSION : P2SH_VERSION, fallback.hash];
  const groups = concat(Uint8Array.of(version), toGroups(program));
  insist(
    readFallback(groups),
    "f",
    "out-of-range",
    `there is no fallback address of version ${version}`,
  );
  return groups;
}

/** As a wallet takes it. */
export function addressOf(crypto: Crypto, fallback: Fallback, network: InvoiceNetwork): string {
  if (fallback.type !== "witness") {
    const version = Uint8Array.of(base58Version(fallback.type, network));
    return encodeBase58Check(crypto, concat(version, fallback.hash));
  }
  const groups = concat(Uint8Array.of(fallback.version), toGroups(fallback.program));
  return encodeBech32(CURRENCIES[network], groups, fallback.version === 0 ? BECH32 : BECH32M);
}

/** @throws InvoiceError where the text is no address of that network. */
export function fallbackOf(crypto: Crypto, address: string, network: InvoiceNetwork): Fallback {
  const fallback = fromBase58(crypto, address, network) ?? fromBech32(address, network);
  insist(
    fallback,
    "f",
    "out-of-range",
    `the fallback address is none of ${network}; take one from a wallet on that network`,
  );
  return fallback;
}

function fromBase58(
  crypto: Crypto,
  address: string,
  network: InvoiceNetwork,
): Fallback | undefined {
  const payload = decodeBase58Check(crypto, address);
  if (payload?.length !== 1 + HASH_BYTES) return undefined;
  const hash = payload.slice(1);
  for (const type of ["p2pkh", "p2sh"] as const) {
    if (payload[0] === base58Version(type, network)) return { type, hash };
  }
  return undefined;
}

function fromBech32(address: string, network: InvoiceNetwork): Fallback | undefined {
  if (address.length > MAX_ADDRESS_CHARACTERS) return undefined;
  const decoded = decodeBech32(address);
  if (typeof decoded === "string" || decoded.hrp !== CURRENCIES[network]) return undefined;
  const version = decoded.groups[0];
  const program = fromGroups(decoded.groups.subarray(1));
  if (version === undefined || version > MAX_WITNESS_VERSION || !program) return undefined;
  const isSound =
    decoded.kind === (version === 0 ? BECH32 : BECH32M) && isWitnessProgram(version, program);
  return isSound ? { type: "witness", version, program } : undefined;
}

function isWitnessProgram(version: number, { length }: Uint8Array): boolean {
  return version === 0 ? length === 20 || length === 32 : length >= 2 && length <= 40;
}

function base58Version(type: "p2pkh" | "p2sh", network: InvoiceNetwork): number {
  if (network === "mainnet") return type === "p2pkh" ? 0 : 5;
  return type === "p2pkh" ? 111 : 196;
}
