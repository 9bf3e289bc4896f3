/** The owner's sweep of cold payouts: built as a PSBT from the monitor's reports, signed with the owner's key (BIP 174, BOLT 3). */

import { deriveSecretAt, parsePublicKey, parseSecretKey } from "../../keys/bip32.ts";
import { deriveSecretKey } from "../../keys/derivation.ts";
import type { Crypto } from "../../ports/crypto.ts";
import type { BlockHeight, Satoshi, SecretKey } from "../../primitives/brands.ts";
import { equal, wipe } from "../../primitives/bytes.ts";
import { demand } from "../../primitives/errors.ts";
import type { Claim as ClaimInput } from "../../transactions/claims.ts";
import { MAX_DER_BYTES, toDer } from "../../transactions/der.ts";
import { hash160, p2wpkh, p2wpkhScriptCode, p2wsh } from "../../transactions/script.ts";
import { SIGHASH_ALL, segwitSighash } from "../../transactions/sighash.ts";
import { buildSweep } from "../../transactions/sweep.ts";
import {
  serializeTransaction,
  type TxInput,
  transactionId,
  witnessWeight,
} from "../../transactions/transaction.ts";
import { decodePsbt, encodePsbt, type Psbt, type PsbtInput } from "./psbt.ts";
import type { ColdOutput } from "./watched.ts";

/** The owner's key whose children the channels pay: …/0/keyIndex payment, …/1/keyIndex delayed (core/keys/seed-signer.ts). */
export interface OwnerKey {
  /** xpub…, tpub…: what the device was given. */
  readonly extendedPublicKey: string;
  /** Where it stands below a hardware wallet's master key; without it, paths start at the extended key itself. */
  readonly origin?: { readonly masterFingerprint: Uint8Array; readonly path: readonly number[] };
}

export interface ColdSweep {
  readonly psbt: Uint8Array;
  readonly feeSatoshis: Satoshi;
  readonly swept: readonly ColdOutput[];
  /** Left for later: their delay is not over at `tipHeight`. */
  readonly locked: readonly ColdOutput[];
}

export interface ColdSweepOptions {
  /** Where the owner wants the money. */
  readonly payTo: Uint8Array;
  readonly feeratePerKw: number;
  readonly tipHeight: BlockHeight;
  readonly owner: OwnerKey;
}

const TAG = "cold-sweep";
const PAYMENT_BRANCH = 0;
const DELAYED_BRANCH = 1;
const EMPTY = new Uint8Array(0);

/**
 * One transaction for all that is spendable at `tipHeight`. Any BIP 174 signer with the owner's key signs the
 * payment outputs; the delayed ones need `signColdSweep`, because BOLT 3 tweaks their keys.
 * Throws ProtocolViolation("cold-sweep") where nothing is spendable or left after the fee, and
 * ProtocolViolation("extended-key") for a wrong key.
 */
export function buildColdSweep(
  crypto: Crypto,
  outputs: readonly ColdOutput[],
  { payTo, feeratePerKw, tipHeight, owner }: ColdSweepOptions,
): ColdSweep {
  const swept = outputs.filter(({ spendableFrom }) => spendableFrom <= tipHeight);
  const locked = outputs.filter(({ spendableFrom }) => spendableFrom > tipHeight);
  demand(swept.length > 0, TAG, "no output is spendable yet: their delays still run");
  const sweep = buildSweep(
    crypto,
    swept.map((output) => toInput(crypto, output)),
    payTo,
    feeratePerKw,
  );
  demand(
    sweep.type === "sweep",
    TAG,
    `the fee of ${sweep.feeSatoshis} sat would leave nothing: wait for a lower feerate`,
  );
  const { key } = parsePublicKey(crypto, owner.extendedPublicKey);
  const inputs = swept.map((output) => describe(crypto, output, key.publicKey, owner));
  const psbt = encodePsbt({ transaction: sweep.transaction, inputs });
  return { psbt, feeSatoshis: sweep.feeSatoshis, swept, locked };
}

/**
 * The signed sweep, from the PSBT and the owner's extended secret key alone: the one whose public form the
 * device was given. Each key is checked against its output's script before it signs.
 * Throws ProtocolViolation("cold-sweep") where the key does not fit.
 */
export function signColdSweep(
  crypto: Crypto,
  psbt: Uint8Array,
  extendedSecretKey: string,
): { readonly raw: Uint8Array; readonly txid: Uint8Array } {
  const decoded = decodePsbt(psbt);
  const { key } = parseSecretKey(crypto, extendedSecretKey);
  const inputs = decoded.inputs.map((input, index): TxInput => {
    const secret = deriveSecretAt(crypto, key, input.derivation.path.slice(-2));
    const witness = signInput(crypto, decoded, index, secret);
    wipe(secret);
    return { ...(decoded.transaction.inputs[index] as TxInput), witness };
  });
  const transaction = { ...decoded.transaction, inputs };
  return { raw: serializeTransaction(transaction), txid: transactionId(crypto, transaction) };
}

function signInput(
  crypto: Crypto,
  { transaction, inputs }: Psbt,
  index: number,
  basepointSecret: SecretKey,
): readonly Uint8Array[] {
  const input = inputs[index] as PsbtInput;
  const { derivation, perCommitmentPoint, witnessScript, witnessUtxo } = input;
  const basepoint = crypto.publicKeyOf(basepointSecret);
  demand(
    equal(basepoint, derivation.publicKey),
    TAG,
    "this is not the owner's key of these outputs",
  );
  const secret =
    perCommitmentPoint === undefined
      ? basepointSecret
      : deriveSecretKey(crypto, basepointSecret, basepoint, perCommitmentPoint);
  const key = crypto.publicKeyOf(secret);
  const scriptCode = witnessScript ?? p2wpkhScriptCode(crypto, key);
  const fits =
    witnessScript === undefined
      ? equal(witnessUtxo.script, p2wpkh(crypto, key))
      : equal(witnessUtxo.script, p2wsh(crypto, witnessScript)) && contains(witnessScript, key);
  demand(fits, TAG, "the output's script does not hold this key");
  const spent = { amount: witnessUtxo.amount, scriptCode };
  const sighash = segwitSighash(crypto, transaction, index, spent);
  const signature = toDer(crypto.sign(sighash, secret), SIGHASH_ALL);
  if (perCommitmentPoint !== undefined) wipe(secret);
  if (witnessScript === undefined) return [signature, key];
  return perCommitmentPoint === undefined
    ? [signature, witnessScript]
    : [signature, EMPTY, witnessScript];
}

function toInput(crypto: Crypto, output: ColdOutput): ClaimInput {
  const { key, witnessScript, publicKey, outpoint, amount, sequence } = output;
  const after =
    witnessScript === undefined
      ? [publicKey]
      : key.role === "delayed"
        ? [EMPTY, witnessScript]
        : [witnessScript];
  return {
    kind: key.role === "delayed" ? "delayed" : "toRemote",
    outpoint,
    amount,
    scriptCode: witnessScript ?? p2wpkhScriptCode(crypto, publicKey),
    sequence,
    locktime: 0,
    key,
    witnessAfterSignature: after,
    witnessWeight: witnessWeight([new Uint8Array(MAX_DER_BYTES), ...after]),
  };
}

function describe(
  crypto: Crypto,
  output: ColdOutput,
  ownerKey: Uint8Array,
  { origin }: OwnerKey,
): PsbtInput {
  const branch = output.key.role === "delayed" ? DELAYED_BRANCH : PAYMENT_BRANCH;
  const fingerprint = origin?.masterFingerprint ?? hash160(crypto, ownerKey).slice(0, 4);
  return {
    witnessUtxo: { amount: output.amount, script: output.scriptPubkey },
    ...(output.witnessScript === undefined ? {} : { witnessScript: output.witnessScript }),
    derivation: {
      publicKey: output.basepoint,
      fingerprint,
      path: [...(origin?.path ?? []), branch, output.keyIndex],
    },
    ...(output.key.role === "delayed" ? { perCommitmentPoint: output.key.perCommitmentPoint } : {}),
  };
}

/** Whether the script pushes the key. */
function contains(script: Uint8Array, key: Uint8Array): boolean {
  for (let at = 0; at + key.length < script.length; at++) {
    if (script[at] === key.length && equal(script.subarray(at + 1, at + 1 + key.length), key)) {
      return true;
    }
  }
  return false;
}
