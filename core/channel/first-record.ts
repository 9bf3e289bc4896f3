/** The first commitments of a channel, and the record that begins with them (BOLT 2 funding_created, funding_signed). */
import { emptySecretStore } from "../keys/shachain.ts";
import type { Outpoint } from "../ports/chain.ts";
import {
  type ChannelId,
  channelId,
  commitmentNumber,
  type MilliSatoshi,
  milliSatoshi,
  type PerCommitmentPoint,
  type PublicKey,
  type Satoshi,
  type Signature,
  toMilliSatoshi,
} from "../primitives/brands.ts";
import { assert, demand } from "../primitives/errors.ts";
import type { ChannelTerms, Declaration, Side } from "../transactions/channel-terms.ts";
import type { ChannelType } from "../transactions/terms.ts";
import { commitmentOf } from "./commitments.ts";
import type { Context } from "./context.ts";
import { MAX_FUNDING_OUTPUT_INDEX } from "./declaration.ts";
import { type ChannelRecord, emptyPending, type State } from "./record.ts";

/** What both sides know before the funding outpoint: not durable. */
export interface Proposal {
  readonly temporaryChannelId: ChannelId;
  readonly remoteNodeId: PublicKey;
  readonly keyIndex: number;
  readonly channelType: ChannelType;
  readonly zeroConf: boolean;
  readonly fundingSatoshis: Satoshi;
  readonly pushMsat: MilliSatoshi;
  readonly feeratePerKw: number;
  readonly local: Declaration;
}

export interface Agreement extends Proposal {
  readonly remote: Declaration;
  readonly remoteFirstPoint: PerCommitmentPoint;
  readonly minimumDepth: number;
}

export interface First {
  readonly outpoint: Outpoint;
  readonly localIsOpener: boolean;
}

function termsOf(agreement: Agreement, { outpoint, localIsOpener }: First): ChannelTerms {
  const { channelType, fundingSatoshis, keyIndex, local, remote } = agreement;
  return {
    channelType,
    fundingOutpoint: outpoint,
    fundingSatoshis,
    localIsOpener,
    keyIndex,
    local,
    remote,
  };
}

function firstState({ fundingSatoshis, pushMsat, feeratePerKw }: Agreement, opener: Side): State {
  const opens = milliSatoshi(toMilliSatoshi(fundingSatoshis) - pushMsat);
  return {
    toLocalMsat: opener === "local" ? opens : pushMsat,
    toRemoteMsat: opener === "local" ? pushMsat : opens,
    feeratePerKw,
    htlcs: [],
  };
}

function firstCommitment(context: Context, agreement: Agreement, first: First, side: Side) {
  const number = commitmentNumber(0);
  return commitmentOf(
    context,
    { terms: termsOf(agreement, first) },
    {
      broadcaster: side,
      state: firstState(agreement, first.localIsOpener ? "local" : "remote"),
      number,
      point:
        side === "local" ? context.signer.perCommitmentPoint(number) : agreement.remoteFirstPoint,
    },
  );
}

export function signFirst(context: Context, agreement: Agreement, first: First): Signature {
  const { sighash } = firstCommitment(context, agreement, first, "remote");
  return context.signer.signRemoteCommitment(commitmentNumber(0), sighash);
}

export function firstRecord(
  context: Context,
  agreement: Agreement,
  first: First,
  remoteSignature: Signature,
): ChannelRecord {
  const { sighash } = firstCommitment(context, agreement, first, "local");
  const { fundingPubkey } = agreement.remote.basepoints;
  demand(
    context.crypto.verify(remoteSignature, sighash, fundingPubkey),
    first.localIsOpener ? "funding_signed.signature" : "funding_created.signature",
    "does not fit our first commitment",
  );
  return {
    channelId: channelIdOf(first.outpoint),
    remoteNodeId: agreement.remoteNodeId,
    terms: termsOf(agreement, first),
    phase: "awaiting-funding",
    minimumDepth: agreement.minimumDepth,
    createdAtHeight: context.tipHeight,
    readySent: false,
    readyReceived: false,
    base: firstState(agreement, first.localIsOpener ? "local" : "remote"),
    pending: emptyPending,
    nextLocalHtlcId: 0,
    nextRemoteHtlcId: 0,
    nextLocalPushId: 0,
    nextRemotePushId: 0,
    localNumber: commitmentNumber(0),
    localSignature: remoteSignature,
    localHtlcSignatures: [],
    remoteNumber: commitmentNumber(0),
    remotePoint: agreement.remoteFirstPoint,
    awaitingRevocation: false,
    lastSent: "revoke_and_ack",
    secrets: emptySecretStore(),
    receiptsBelow: 0,
    receiptsAwaited: [],
    receiptsOwed: [],
    mutualCloses: [],
    facts: [],
    failedOnChain: [],
    outdated: false,
    peerOutdated: false,
  };
}

/** Funding txid with its last two bytes XORed by the output index (BOLT 2). */
export function channelIdOf({ txid, vout }: Outpoint): ChannelId {
  assert(vout <= MAX_FUNDING_OUTPUT_INDEX, "a funding output's index has two bytes");
  const id = txid.slice();
  id[30] = (id[30] as number) ^ (vout >> 8);
  id[31] = (id[31] as number) ^ (vout & 0xff);
  return channelId(id);
}
