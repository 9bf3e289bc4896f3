/**
 * Everything that can be claimed from a commitment or HTLC transaction on chain, one input each
 * (BOLT 5).
 */
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { ClaimKey } from "../ports/signer.ts";
import {
  type Preimage,
  type PublicKey,
  type Satoshi,
  type SecretKey,
  satoshi,
} from "../primitives/brands.ts";
import { MAX_DER_BYTES } from "./der.ts";
import { type HtlcKeys, type HtlcScriptSource, htlcScript } from "./htlc.ts";
import { delayedScript, keyedAnchorScript, p2wpkhScriptCode, toRemoteScript } from "./script.ts";
import type { ChannelType, CommitmentKeys } from "./terms.ts";
import { witnessWeight } from "./transaction.ts";
import { KEYED_ANCHOR_SATOSHIS } from "./weights.ts";

export type ClaimKind =
  | "delayed"
  | "toRemote"
  | "htlcByPreimage"
  | "htlcByTimeout"
  | "revokedDelayed"
  | "revokedHtlc"
  | "keyedAnchor"
  | "expiredAnchor"
  | "sharedAnchor";

/** One input of ours to be: plain data, so that many can be batched into one sweep. */
export interface Claim {
  readonly kind: ClaimKind;
  readonly outpoint: Outpoint;
  readonly amount: Satoshi;
  /** What BIP 143 signs: the witness script, or the script code of a P2WPKH output. */
  readonly scriptCode: Uint8Array;
  /** Carries the relative lock, where there is one; otherwise it signals replaceability. */
  readonly sequence: number;
  /** Least locktime of a transaction with this input; 0 where there is no absolute lock. */
  readonly locktime: number;
  /** Absent where no signature is needed, or somebody else made it. */
  readonly key?: ClaimKey;
  /** The witness is the signature, if any, and then these. */
  readonly witnessAfterSignature: readonly Uint8Array[];
  /** Of the whole witness with the longest signature, in weight units. */
  readonly witnessWeight: number;
}

/** The output to be claimed. */
export interface Claimable {
  readonly outpoint: Outpoint;
  readonly amount: Satoshi;
}

const REPLACEABLE = 0xfffffffd;
const EMPTY = new Uint8Array(0);

/** Our own to_local, or the output of our own HTLC transaction, after `toSelfDelay` blocks. */
export function delayedClaim(
  { outpoint, amount }: Claimable,
  keys: CommitmentKeys,
  toSelfDelay: number,
): Claim {
  const scriptCode = delayedScript(keys, toSelfDelay);
  return signedClaim({
    kind: "delayed",
    outpoint,
    amount,
    scriptCode,
    sequence: toSelfDelay,
    locktime: 0,
    key: { role: "delayed", perCommitmentPoint: keys.perCommitmentPoint },
    witnessAfterSignature: [EMPTY, scriptCode],
  });
}

/**
 * The peer's to_local, or the output of its HTLC transaction, once its commitment is revoked. Without the secret there is
 * no `key`: a tower has the signature already.
 */
export function revokedDelayedClaim(
  { outpoint, amount }: Claimable,
  keys: Pick<CommitmentKeys, "revocationPubkey" | "broadcasterDelayedPubkey">,
  toSelfDelay: number,
  perCommitmentSecret?: SecretKey,
): Claim {
  const scriptCode = delayedScript(keys, toSelfDelay);
  return signedClaim({
    kind: "revokedDelayed",
    outpoint,
    amount,
    scriptCode,
    sequence: REPLACEABLE,
    locktime: 0,
    ...revocationKey(perCommitmentSecret),
    witnessAfterSignature: [Uint8Array.of(1), scriptCode],
  });
}

/** Our to_remote in the peer's commitment. */
export function toRemoteClaim(
  crypto: Crypto,
  { outpoint, amount }: Claimable,
  channelType: ChannelType,
  paymentBasepoint: PublicKey,
): Claim {
  const anchors = channelType === "anchors";
  const scriptCode = anchors
    ? toRemoteScript(paymentBasepoint)
    : p2wpkhScriptCode(crypto, paymentBasepoint);
  return signedClaim({
    kind: "toRemote",
    outpoint,
    amount,
    scriptCode,
    sequence: anchors ? 1 : REPLACEABLE,
    locktime: 0,
    key: { role: "payment" },
    witnessAfterSignature: [anchors ? scriptCode : paymentBasepoint],
  });
}

/** An HTLC that the peer offered in its own commitment, by its preimage. */
export function htlcByPreimageClaim(
  crypto: Crypto,
  { outpoint, amount }: Claimable,
  channelType: ChannelType,
  keys: CommitmentKeys,
  htlc: HtlcScriptSource,
  preimage: Preimage,
): Claim {
  const scriptCode = htlcScript(crypto, channelType, keys, htlc);
  return signedClaim({
    kind: "htlcByPreimage",
    outpoint,
    amount,
    scriptCode,
    sequence: channelType === "anchors" ? 1 : REPLACEABLE,
    locktime: 0,
    key: { role: "htlc", perCommitmentPoint: keys.perCommitmentPoint },
    witnessAfterSignature: [preimage, scriptCode],
  });
}

/** An HTLC that the peer received in its own commitment, once it has expired. */
export function htlcByTimeoutClaim(
  crypto: Crypto,
  { outpoint, amount }: Claimable,
  channelType: ChannelType,
  keys: CommitmentKeys,
  htlc: HtlcScriptSource,
): Claim {
  const scriptCode = htlcScript(crypto, channelType, keys, htlc);
  return signedClaim({
    kind: "htlcByTimeout",
    outpoint,
    amount,
    scriptCode,
    sequence: channelType === "anchors" ? 1 : REPLACEABLE,
    locktime: htlc.cltvExpiry,
    key: { role: "htlc", perCommitmentPoint: keys.perCommitmentPoint },
    witnessAfterSignature: [EMPTY, scriptCode],
  });
}

/** An HTLC of either direction in a revoked commitment of the peer; without the secret as above. */
export function revokedHtlcClaim(
  crypto: Crypto,
  { outpoint, amount }: Claimable,
  channelType: ChannelType,
  keys: HtlcKeys,
  htlc: HtlcScriptSource,
  perCommitmentSecret?: SecretKey,
): Claim {
  const scriptCode = htlcScript(crypto, channelType, keys, htlc);
  return signedClaim({
    kind: "revokedHtlc",
    outpoint,
    amount,
    scriptCode,
    sequence: REPLACEABLE,
    locktime: 0,
    ...revocationKey(perCommitmentSecret),
    witnessAfterSignature: [keys.revocationPubkey, scriptCode],
  });
}

/** Our own anchor of option_anchors. */
export function keyedAnchorClaim(outpoint: Outpoint, fundingPubkey: PublicKey): Claim {
  const scriptCode = keyedAnchorScript(fundingPubkey);
  return signedClaim({
    kind: "keyedAnchor",
    outpoint,
    amount: satoshi(KEYED_ANCHOR_SATOSHIS),
    scriptCode,
    sequence: REPLACEABLE,
    locktime: 0,
    key: { role: "funding" },
    witnessAfterSignature: [scriptCode],
  });
}

/** Either side's anchor of option_anchors, which is anyone's after 16 blocks. */
export function expiredAnchorClaim(outpoint: Outpoint, fundingPubkey: PublicKey): Claim {
  const scriptCode = keyedAnchorScript(fundingPubkey);
  const witness = [EMPTY, scriptCode];
  return {
    kind: "expiredAnchor",
    outpoint,
    amount: satoshi(KEYED_ANCHOR_SATOSHIS),
    scriptCode,
    sequence: 16,
    locktime: 0,
    witnessAfterSignature: witness,
    witnessWeight: witnessWeight(witness),
  };
}

/** The shared anchor (P2A), which is anyone's at once. */
export function sharedAnchorClaim({ outpoint, amount }: Claimable): Claim {
  return {
    kind: "sharedAnchor",
    outpoint,
    amount,
    scriptCode: EMPTY,
    sequence: REPLACEABLE,
    locktime: 0,
    witnessAfterSignature: [],
    witnessWeight: witnessWeight([]),
  };
}

function revocationKey(perCommitmentSecret: SecretKey | undefined): Pick<Claim, "key"> {
  return perCommitmentSecret === undefined
    ? {}
    : { key: { role: "revocation", perCommitmentSecret } };
}

function signedClaim(claim: Omit<Claim, "witnessWeight">): Claim {
  const weight = witnessWeight([new Uint8Array(MAX_DER_BYTES), ...claim.witnessAfterSignature]);
  return { ...claim, witnessWeight: weight };
}
