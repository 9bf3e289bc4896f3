/** What the commitments of a channel are made of and does not depend on payments, computed once or ahead of time (BOLT 3); it belongs to whoever runs the channel and changes no result. */
import { commitmentKeys, type EarlyCommitmentKeys } from "../keys/derivation.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { PerCommitmentPoint } from "../primitives/brands.ts";
import { equal } from "../primitives/bytes.ts";
import { type ChannelTerms, commitmentTerms, type Side } from "../transactions/channel-terms.ts";
import { type CommitmentConstants, commitmentConstants } from "../transactions/commitment.ts";
import type { CommitmentKeys, CommitmentTerms } from "../transactions/terms.ts";

export interface BroadcasterConstants {
  readonly terms: CommitmentTerms;
  readonly constants: CommitmentConstants;
}

export class CommitmentCache {
  private known: ChannelTerms | undefined;
  private readonly sides: { local?: BroadcasterConstants; remote?: BroadcasterConstants } = {};
  /** Of one commitment to come for each side. */
  private readonly early: { local?: EarlyCommitmentKeys; remote?: EarlyCommitmentKeys } = {};

  of(crypto: Crypto, terms: ChannelTerms, broadcaster: Side): BroadcasterConstants {
    this.keepFor(terms);
    this.sides[broadcaster] ??= broadcasterConstants(crypto, terms, broadcaster);
    return this.sides[broadcaster];
  }

  /** Those that were derived early where `point` is theirs. */
  keys(
    crypto: Crypto,
    terms: ChannelTerms,
    broadcaster: Side,
    point: PerCommitmentPoint,
  ): CommitmentKeys {
    this.keepFor(terms);
    const early = this.early[broadcaster];
    const fits = early !== undefined && equal(early.perCommitmentPoint, point);
    return fits ? early : broadcasterKeys(crypto, terms, broadcaster, point);
  }

  /** Derives one key of the commitment that `point` will belong to; false: they are all there. */
  deriveEarly(
    crypto: Crypto,
    terms: ChannelTerms,
    broadcaster: Side,
    point: PerCommitmentPoint,
  ): boolean {
    this.keepFor(terms);
    const early = this.early[broadcaster];
    if (early && equal(early.perCommitmentPoint, point)) return early.deriveOne();
    this.early[broadcaster] = broadcasterKeys(crypto, terms, broadcaster, point);
    return this.early[broadcaster].deriveOne();
  }

  /** Terms are compared as objects: a record keeps its own through every change. */
  private keepFor(terms: ChannelTerms): void {
    if (this.known === terms) return;
    this.known = terms;
    for (const side of ["local", "remote"] as const) {
      delete this.sides[side];
      delete this.early[side];
    }
  }
}

export function broadcasterConstants(
  crypto: Crypto,
  terms: ChannelTerms,
  broadcaster: Side,
): BroadcasterConstants {
  const ofSide = commitmentTerms(terms, broadcaster);
  return { terms: ofSide, constants: commitmentConstants(crypto, ofSide) };
}

export function broadcasterKeys(
  crypto: Crypto,
  terms: ChannelTerms,
  broadcaster: Side,
  point: PerCommitmentPoint,
): EarlyCommitmentKeys {
  return commitmentKeys(crypto, {
    broadcaster: terms[broadcaster].basepoints,
    countersignatory: terms[broadcaster === "local" ? "remote" : "local"].basepoints,
    perCommitmentPoint: point,
  });
}
