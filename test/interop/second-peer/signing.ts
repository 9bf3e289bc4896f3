/** Signatures of commitments and what spends them (BOLT 3, BOLT 5): 64 bytes on the wire, DER in a witness. */
import { script, Transaction } from "bitcoinjs-lib";
import { type Bytes, same } from "./bytes.ts";
import {
  type ChannelTerms,
  type Commitment,
  type HtlcTransaction,
  other,
  type Role,
  sighashTypeOfHtlc,
} from "./commitment.ts";
import { sign, verify } from "./curve.ts";
import { type Basepoints, derivePoint, deriveSecret } from "./keys.ts";

const { SIGHASH_ALL } = Transaction;
const EMPTY = new Uint8Array(0);

export interface CommitmentSignatures {
  readonly signature: Bytes;
  readonly htlcSignatures: readonly Bytes[];
}

/** The countersignatory's signatures on the broadcaster's commitment. */
export function signCommitment(
  commitment: Commitment,
  secrets: Basepoints,
  point: Bytes,
): CommitmentSignatures {
  const htlcSecret = deriveSecret(secrets.htlc, point);
  return {
    signature: sign(commitment.sighash, secrets.funding),
    htlcSignatures: commitment.htlcs.map(({ sighash }) => sign(sighash, htlcSecret)),
  };
}

/** What is wrong with the signatures of the other side, or undefined. */
export function faultOfSignatures(
  commitment: Commitment,
  signer: Basepoints,
  point: Bytes,
  { signature, htlcSignatures }: CommitmentSignatures,
): string | undefined {
  if (!verify(signature, commitment.sighash, signer.funding)) return "the commitment's signature";
  if (htlcSignatures.length !== commitment.htlcs.length) {
    return `${htlcSignatures.length} signatures for ${commitment.htlcs.length} HTLCs`;
  }
  const htlcPoint = derivePoint(signer.htlc, point);
  const wrong = commitment.htlcs.findIndex(
    ({ sighash }, index) => !verify(htlcSignatures[index] ?? EMPTY, sighash, htlcPoint),
  );
  return wrong < 0 ? undefined : `the signature of HTLC output ${wrong}`;
}

/** The commitment as it can be published. */
export function completeCommitment(
  terms: ChannelTerms,
  broadcaster: Role,
  commitment: Commitment,
  secrets: Basepoints,
  theirSignature: Bytes,
): Transaction {
  const mine = sign(commitment.sighash, secrets.funding);
  const signatures = { [broadcaster]: mine, [other(broadcaster)]: theirSignature };
  const transaction = commitment.transaction.clone();
  const witness = fundingWitness(terms, commitment.fundingScript, signatures as BothSignatures);
  transaction.setWitness(0, witness);
  return transaction;
}

export type BothSignatures = Readonly<Record<Role, Bytes>>;

export function fundingWitness(
  { opener, acceptor }: ChannelTerms,
  fundingScript: Bytes,
  signatures: BothSignatures,
): Bytes[] {
  const openerFirst = same(fundingScript.slice(2, 35), opener.points.funding);
  if (!openerFirst && !same(fundingScript.slice(2, 35), acceptor.points.funding)) {
    throw new Error("a funding script of other keys");
  }
  const order: readonly Role[] = openerFirst ? ["opener", "acceptor"] : ["acceptor", "opener"];
  return [EMPTY, ...order.map((role) => der(signatures[role], SIGHASH_ALL)), fundingScript];
}

/** HTLC-timeout, or HTLC-success where there is a preimage, as it can be published. */
export function completeHtlc(
  { type }: ChannelTerms,
  htlc: HtlcTransaction,
  ownSecrets: Basepoints,
  point: Bytes,
  theirSignature: Bytes,
  preimage: Bytes = EMPTY,
): Transaction {
  const transaction = htlc.transaction.clone();
  const amount = BigInt(htlc.amountSatoshis);
  const hash = transaction.hashForWitnessV0(0, htlc.script, amount, SIGHASH_ALL);
  const own = sign(hash, deriveSecret(ownSecrets.htlc, point));
  transaction.setWitness(0, [
    EMPTY,
    der(theirSignature, sighashTypeOfHtlc(type)),
    der(own, SIGHASH_ALL),
    preimage,
    htlc.script,
  ]);
  return transaction;
}

export function der(signature: Bytes, sighashType: number): Bytes {
  return Uint8Array.from(script.signature.encode(signature, sighashType));
}
