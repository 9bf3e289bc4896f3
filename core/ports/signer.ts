/** The Signer port: the only holder of secret keys; it refuses what would lose money, from its own record of what is stored. */
import type {
  CommitmentNumber,
  PerCommitmentPoint,
  PublicKey,
  SecretKey,
  Signature,
} from "../primitives/brands.ts";
import type { Basepoints } from "../transactions/terms.ts";

/** Thrown where a signature or a secret is refused; `tag` names the rule in docs/RULES.md. */
export interface SignerRefusal extends Error {
  readonly tag: string;
}

/** How far the durable record has come; the runner reports it after every commit and at load. */
export interface StoredProgress {
  /** Number of our newest stored commitment: all lower ones count as revoked. */
  readonly localNumber: number;
  /** Number of the newest remote commitment that is stored as signed by us. */
  readonly remoteNumber: number;
  /** The record knows itself to be outdated: nothing of ours may be broadcast any more. */
  readonly outdated: boolean;
}

/** Keys that can be named when claiming on chain; `delayed`, `htlc` and `revocation` are tweaked per commitment. */
export type ClaimKey =
  | { readonly role: "payment" }
  | { readonly role: "funding" }
  | { readonly role: "delayed" | "htlc"; readonly perCommitmentPoint: PerCommitmentPoint }
  | { readonly role: "revocation"; readonly perCommitmentSecret: SecretKey };

/** The keys of one channel. */
export interface ChannelSigner {
  readonly basepoints: Basepoints;
  /** The payment and delayed keys are not here but in the owner's wallet (cold payout, DESIGN §3). */
  readonly coldPayout: boolean;
  perCommitmentPoint(number: CommitmentNumber): PerCommitmentPoint;
  /** The runner's word that this is now durable; only ever rises. */
  stored(progress: StoredProgress): void;
  /** Secret of our commitment `number`; refused (`secret-after-successor-stored`) unless a higher one is stored. */
  revokeLocal(number: CommitmentNumber): SecretKey;
  /** Funding signature on the remote commitment `number`; refused (`no-conflicting-signature`) for a number below the
   *  newest signed one, and for another hash under the same number. */
  signRemoteCommitment(number: CommitmentNumber, sighash: Uint8Array): Signature;
  /** HTLC signatures that go with that commitment. */
  signRemoteHtlc(perCommitmentPoint: PerCommitmentPoint, sighash: Uint8Array): Signature;
  /** Funding signature on our own commitment, for broadcast; refused (`never-broadcast-revoked`) below the newest stored. */
  signLocalCommitment(number: CommitmentNumber, sighash: Uint8Array): Signature;
  signClosing(sighash: Uint8Array): Signature;
  /** Funding signature on a statement of the routing table (core/keys/announcement.ts): hashed here, so that it is of no transaction. */
  signAnnouncement(statement: Uint8Array): Signature;
  /** Throws where the key is not here (cold payout). */
  signClaim(key: ClaimKey, sighash: Uint8Array): Signature;
  claimPublicKey(key: ClaimKey): PublicKey;
}

/** The node's identity key (BOLT 8, receipts). */
export interface NodeSigner {
  readonly nodeId: PublicKey;
  ecdh(point: PublicKey): Uint8Array;
  sign(hash: Uint8Array): Signature;
  channel(keyIndex: number): ChannelSigner;
}
