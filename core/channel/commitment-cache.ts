/** What is the same in every commitment of a channel, hashed once (BOLT 3); it belongs to whoever runs the channel and changes no result. */
import type { Crypto } from "../ports/crypto.ts";
import { type ChannelTerms, commitmentTerms, type Side } from "../transactions/channel-terms.ts";
import { type CommitmentConstants, commitmentConstants } from "../transactions/commitment.ts";
import type { CommitmentTerms } from "../transactions/terms.ts";

export interface BroadcasterConstants {
  readonly terms: CommitmentTerms;
  readonly constants: CommitmentConstants;
}

export class CommitmentCache {
  private known: ChannelTerms | undefined;
  private readonly sides: { local?: BroadcasterConstants; remote?: BroadcasterConstants } = {};

  /** Terms are compared as objects: a record keeps its own through every change. */
  of(crypto: Crypto, terms: ChannelTerms, broadcaster: Side): BroadcasterConstants {
    if (this.known !== terms) {
      this.known = terms;
      delete this.sides.local;
      delete this.sides.remote;
    }
    this.sides[broadcaster] ??= broadcasterConstants(crypto, terms, broadcaster);
    return this.sides[broadcaster];
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
