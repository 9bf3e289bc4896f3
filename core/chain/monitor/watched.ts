/** What the monitor (BOLT 5) is given: a channel as its record tells it, and the facts of the chain; and what it answers. */
import type { SecretStore } from "../../keys/shachain.ts";
import type { Outpoint } from "../../ports/chain.ts";
import type { Crypto } from "../../ports/crypto.ts";
import type { ChannelSigner } from "../../ports/signer.ts";
import type {
  BlockHeight,
  PerCommitmentPoint,
  Preimage,
  PublicKey,
  Satoshi,
  Signature,
  Txid,
} from "../../primitives/brands.ts";
import type { ChannelTerms } from "../../transactions/channel-terms.ts";
import type { CommitmentSpec } from "../../transactions/terms.ts";

export interface MonitorContext {
  readonly crypto: Crypto;
  readonly signer: ChannelSigner;
}

/** An HTLC that stood in remote commitments which are revoked by now: what its revoked outputs' scripts are made from. */
export interface ArchivedHtlc {
  /** Offered by the remote side, the broadcaster of those commitments. */
  readonly offered: boolean;
  /** HASH160-form of the payment hash: RIPEMD160(payment_hash), 20 bytes. */
  readonly paymentHash160: Uint8Array;
  readonly cltvExpiry: BlockHeight;
  /** First and last remote commitment number that had it. */
  readonly firstNumber: number;
  readonly lastNumber: number;
}

export interface WatchedChannel {
  readonly terms: ChannelTerms;
  /** Our newest commitment, broadcaster: local. */
  readonly local: {
    readonly spec: CommitmentSpec;
    readonly remoteSignature: Signature;
    /** In the order of the commitment's HTLC outputs. */
    readonly remoteHtlcSignatures: readonly Signature[];
  };
  /** Their newest commitment that is not revoked, broadcaster: remote. */
  readonly remote: {
    readonly spec: CommitmentSpec;
    readonly perCommitmentPoint: PerCommitmentPoint;
  };
  /** Signed by us, their revocation of `remote` outstanding: either may appear. */
  readonly remoteNext?: {
    readonly spec: CommitmentSpec;
    readonly perCommitmentPoint: PerCommitmentPoint;
  };
  /** Their revoked per-commitment secrets. */
  readonly secrets: SecretStore;
  readonly archive: readonly ArchivedHtlc[];
  /** Every preimage we know for HTLCs offered to us. */
  readonly preimages: readonly Preimage[];
  /** Where our claims pay. */
  readonly payoutScript: Uint8Array;
  /** Agreed in `shutdown`; with both known, a closing transaction that pays anyone else is "unknown". */
  readonly shutdownScripts?: { readonly local: Uint8Array; readonly remote: Uint8Array };
  /** We know that our state is old: nothing of our own commitment may be broadcast or signed. */
  readonly outdated: boolean;
}

/** A confirmed transaction that spends the funding output or an output that the monitor asked to watch. */
export interface ChainFact {
  /** Serialised with witness. */
  readonly raw: Uint8Array;
  readonly height: BlockHeight;
}

export interface ChainFacts {
  readonly tipHeight: BlockHeight;
  /** In order of height. A reorganisation removes facts; everything is derived anew. */
  readonly confirmed: readonly ChainFact[];
}

export interface MonitorPolicy {
  /** Satoshi per 1000 weight. */
  readonly feeratesPerKw: { readonly now: number; readonly soon: number; readonly economy: number };
  /** Depth at which an output counts as irrevocably resolved (BOLT 5: 100 blocks). */
  readonly irrevocableDepth: number;
}

/** An output that pays a key of the owner (cold payout, DESIGN §3), with all that its sweep is made from. */
export interface ColdOutput {
  readonly outpoint: Outpoint;
  readonly amount: Satoshi;
  readonly scriptPubkey: Uint8Array;
  /** Absent for P2WPKH. */
  readonly witnessScript?: Uint8Array;
  /** nSequence that the spending input must have: a relative delay, or none. */
  readonly sequence: number;
  /** Tip at which the sweep is valid in the next block. */
  readonly spendableFrom: BlockHeight;
  /** Child of the owner's extended public key. */
  readonly keyIndex: number;
  /** `delayed`: the basepoint's key tweaked with SHA256(perCommitmentPoint || basepoint), BOLT 3. */
  readonly key:
    | { readonly role: "payment" }
    | { readonly role: "delayed"; readonly perCommitmentPoint: PerCommitmentPoint };
  readonly basepoint: PublicKey;
  /** The key in the script. */
  readonly publicKey: PublicKey;
}

/** What an output of the closing transaction is, and what became of it; HTLCs are named from our side. */
export interface OutputReport {
  readonly outpoint: Outpoint;
  readonly amount: Satoshi;
  readonly kind:
    | "mutual-close"
    | "to-local"
    | "to-remote"
    | "offered-htlc"
    | "received-htlc"
    | "unknown" // explained by nothing we know; in a revoked commitment its second stage is punished
    | "second-stage"
    | "anchor";
  /** The HTLC that it carries and who offered it; without `id` where only the archive knows it. */
  readonly htlc?: { readonly id?: number; readonly offeredByLocal: boolean };
  readonly status:
    | "waiting" // for a delay or an expiry: see `height`
    | "claimable" // a claim of ours is among `claims`
    | "claimed" // our claim is confirmed (or the output pays us directly)
    | "theirs" // it belongs to, or went to, the other side
    | "abandoned" // not worth its fee: given up knowingly
    | "cold"; // pays a key of the owner: swept with `descriptor`
  /** When the status began, or the height it waits for. */
  readonly height?: BlockHeight;
  /** Resolved deeper than `irrevocableDepth`. */
  readonly irrevocable: boolean;
  /** For "cold": what the owner's wallet needs. */
  readonly descriptor?: string;
  /** For "cold": the same as data, for core/chain/monitor/cold-sweep.ts. */
  readonly cold?: ColdOutput;
  readonly reason?: string;
}

/** Something to publish now, again at every block until it confirms. */
export interface Claim {
  /** Stable over blocks, so that a later, dearer version replaces the earlier one. */
  readonly id: string;
  readonly purpose: "commitment" | "penalty" | "htlc-success" | "htlc-timeout" | "sweep";
  /** Fully signed, except where `needs` says what has to be added by whoever has coins. */
  readonly raw: Uint8Array;
  readonly txid: Txid;
  /** Lose-by height: the feerate rises towards it. */
  readonly deadline: BlockHeight;
  readonly feeratePerKw: number;
  /** "anchor-child": zero or low fee, pay by a child on `anchor`; "fee-inputs": signed SINGLE|ANYONECANPAY, add inputs and change. */
  readonly needs?:
    | {
        readonly type: "anchor-child";
        readonly anchor: Outpoint;
        readonly keyed: boolean;
        readonly amount: Satoshi;
        readonly feeSatoshis: Satoshi;
      }
    | {
        readonly type: "fee-inputs";
        readonly inputAmounts: readonly Satoshi[];
        readonly inputScripts: readonly Uint8Array[];
      };
}

export type Ending =
  | "open"
  | "mutual"
  | "local"
  | "remote"
  | "revoked"
  | "future" // their commitment is newer than we know: we are outdated
  | "unknown";

export interface Resolution {
  readonly ending: Ending;
  readonly commitmentNumber?: number;
  readonly spendingTxid?: Txid;
  readonly spentAtHeight?: BlockHeight;
  readonly outputs: readonly OutputReport[];
  readonly claims: readonly Claim[];
  /** Outpoints whose spends must become facts. */
  readonly watch: readonly Outpoint[];
  /** Preimages that the chain revealed for HTLCs we offered. */
  readonly preimages: readonly Preimage[];
  /**
   * HTLCs we offered that the chain can no longer fulfil (timed out or punished deep enough, or not in the confirmed
   * commitment). Those that were fulfilled off chain may be among them: an HTLC whose preimage is known is not failed.
   */
  readonly failedHtlcIds: readonly number[];
  /** Every output is irrevocably resolved: the channel can be forgotten. */
  readonly complete: boolean;
  /** What a person must be told: funds may be lost (BOLT 5 "General Requirements"). */
  readonly warning?: string;
}
