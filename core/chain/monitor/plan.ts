/** What the monitor works with between recognising a commitment and answering: its outputs, and a plan for each (BOLT 5). */
import type { Outpoint } from "../../ports/chain.ts";
import type { BlockHeight, Preimage, Satoshi, SecretKey } from "../../primitives/brands.ts";
import { blockHeight } from "../../primitives/brands.ts";
import type { Side } from "../../transactions/channel-terms.ts";
import type { Claim as ClaimInput } from "../../transactions/claims.ts";
import type { Commitment, CommitmentOutputKind } from "../../transactions/commitment.ts";
import type { HtlcScriptSource } from "../../transactions/htlc.ts";
import type { CommitmentKeys, CommitmentTerms } from "../../transactions/terms.ts";
import type { ChainView, Spend } from "./chain-view.ts";
import type { FeeSchedule } from "./fees.ts";
import type {
  Claim,
  MonitorContext,
  MonitorPolicy,
  OutputReport,
  WatchedChannel,
} from "./watched.ts";

/** An HTLC as far as its output's script tells, or the record. */
export interface ClosingHtlc extends HtlcScriptSource {
  readonly id?: number;
}

export interface ClosingOutput {
  readonly kind: CommitmentOutputKind | "unknown";
  readonly outpoint: Outpoint;
  readonly amount: Satoshi;
  readonly script: Uint8Array;
  readonly htlc?: ClosingHtlc;
}

/** A confirmed commitment transaction, recognised. */
export interface ConfirmedCommitment {
  readonly ending: "local" | "remote" | "revoked" | "future";
  readonly number: number;
  readonly broadcaster: Side;
  readonly terms: CommitmentTerms;
  /** Absent where the per-commitment point is unknown: only to_remote can be claimed. */
  readonly keys?: CommitmentKeys;
  /** Of a revoked one. */
  readonly secret?: SecretKey;
  /** Rebuilt from the record: our newest one alone, for its HTLC transactions. */
  readonly own?: Commitment;
  readonly outputs: readonly ClosingOutput[];
  readonly spend: Spend;
  readonly warning?: string;
}

/** Everything that a plan is made from. */
export interface Case {
  readonly context: MonitorContext;
  readonly channel: WatchedChannel;
  readonly policy: MonitorPolicy;
  readonly view: ChainView;
  readonly commitment: ConfirmedCommitment;
}

/** An output that we can sweep now, if it is worth its fee. */
export interface Candidate {
  readonly input: ClaimInput;
  readonly schedule: FeeSchedule;
  readonly purpose: Claim["purpose"];
  /** Nobody else can spend it before the deadline: it may share a transaction. */
  readonly batch: boolean;
}

/** A fully built transaction of our own, with what it is worth after its fee and its output's. */
export interface Prepared {
  readonly claim: Claim;
  readonly worthwhile: boolean;
}

export interface Plan {
  /** Where there is a candidate or a prepared claim: as it reads if that is worth its fee. */
  readonly report: OutputReport;
  readonly candidate?: Candidate;
  readonly prepared?: Prepared;
  readonly watch: boolean;
  /** Revealed by the output's spend, for an HTLC that we offered. */
  readonly preimage?: Preimage;
}

/** First tip at which a transaction with that relative lock fits into the next block (BIP 68). */
export function relativeLockEnd(confirmedAt: BlockHeight, delayBlocks: number): BlockHeight {
  return blockHeight(confirmedAt + Math.max(0, delayBlocks - 1));
}

export function isIrrevocable(work: Pick<Case, "view" | "policy">, height: BlockHeight): boolean {
  return confirmations(work.view, height) >= work.policy.irrevocableDepth;
}

/** 1 for a transaction in the tip. */
export function confirmations(view: ChainView, height: BlockHeight): number {
  return view.tipHeight - height + 1;
}
