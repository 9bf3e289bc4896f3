/** Which transaction closed the channel: a mutual close, or whose commitment with which number (BOLT 3, 5). */
import { commitmentKeys } from "../../keys/derivation.ts";
import { lookupSecret } from "../../keys/shachain.ts";
import type { CommitmentNumber, PerCommitmentPoint } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";
import type { Side } from "../../transactions/channel-terms.ts";
import { commitmentTerms } from "../../transactions/channel-terms.ts";
import { buildCommitment, type Commitment } from "../../transactions/commitment.ts";
import { findCommitmentNumber } from "../../transactions/number.ts";
import { isReturnScript } from "../../transactions/script.ts";
import type { CommitmentSpec } from "../../transactions/terms.ts";
import { transactionId } from "../../transactions/transaction.ts";
import type { Spend } from "./chain-view.ts";
import type { ClosingOutput, ConfirmedCommitment } from "./plan.ts";
import { recognise, recogniseToRemote } from "./recognise.ts";
import type { MonitorContext, WatchedChannel } from "./watched.ts";

export type Identified =
  | { readonly ending: "mutual" | "unknown"; readonly spend: Spend }
  | ConfirmedCommitment;

const P2WSH_BYTES = 34;

export function identify(
  context: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
): Identified {
  const number = findCommitmentNumber(
    context.crypto,
    commitmentTerms(channel.terms, "local"),
    spend.transaction,
  );
  if (number === undefined || paysOnlyShutdownScripts(channel, spend)) {
    return { ending: isForeign(channel, spend) ? "unknown" : "mutual", spend };
  }
  return (
    identifyCurrent(context, channel, spend, number) ??
    identifyRevoked(context, channel, spend, number) ??
    identifyOwnOther(context, channel, spend, number) ??
    identifyFuture(context, channel, spend, number) ??
    identifyForgotten(context, channel, spend, number) ?? { ending: "unknown", spend }
  );
}

/** Rebuilds a commitment of the record. */
export function rebuild(
  { crypto }: MonitorContext,
  channel: WatchedChannel,
  broadcaster: Side,
  spec: CommitmentSpec,
  point: PerCommitmentPoint,
): Pick<ConfirmedCommitment, "terms" | "broadcaster"> & {
  readonly keys: ReturnType<typeof commitmentKeys>;
  readonly commitment: Commitment;
} {
  const terms = commitmentTerms(channel.terms, broadcaster);
  const keys = commitmentKeys(crypto, { ...terms, perCommitmentPoint: point });
  return { terms, broadcaster, keys, commitment: buildCommitment(crypto, terms, keys, spec) };
}

/** One of the two or three that the record describes, to the byte. */
function identifyCurrent(
  context: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
  number: CommitmentNumber,
): ConfirmedCommitment | undefined {
  const { local, remote, remoteNext } = channel;
  const localPoint = () => context.signer.perCommitmentPoint(local.spec.number);
  const known = [
    { broadcaster: "local" as const, spec: local.spec, point: localPoint },
    ...[remote, ...(remoteNext ? [remoteNext] : [])].map((state) => ({
      broadcaster: "remote" as const,
      spec: state.spec,
      point: () => state.perCommitmentPoint,
    })),
  ];
  for (const { broadcaster, spec, point } of known) {
    if (spec.number !== number) continue;
    const built = rebuild(context, channel, broadcaster, spec, point());
    const { terms, keys, commitment } = built;
    if (!equal(transactionId(context.crypto, commitment.transaction), spend.txid)) continue;
    return {
      ending: broadcaster,
      number,
      broadcaster,
      terms,
      keys,
      ...(broadcaster === "local" ? { own: commitment } : {}),
      outputs: knownOutputs(context, commitment, spend),
      spend,
    };
  }
  return undefined;
}

/** A remote commitment whose secret we hold, with outputs that show it. */
function identifyRevoked(
  context: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
  number: CommitmentNumber,
  accept = (outputs: readonly ClosingOutput[]) => outputs.some(isOfCommitment),
): ConfirmedCommitment | undefined {
  const { crypto } = context;
  const secret = lookupSecret(crypto, channel.secrets, number);
  if (secret === undefined) return undefined;
  const terms = commitmentTerms(channel.terms, "remote");
  const keys = commitmentKeys(crypto, {
    ...terms,
    perCommitmentPoint: crypto.publicKeyOf(secret),
  });
  const outputs = recognise(crypto, { channel, broadcaster: "remote", terms, keys, number }, spend);
  if (!accept(outputs)) return undefined;
  return { ending: "revoked", number, broadcaster: "remote", terms, keys, secret, outputs, spend };
}

/** One that may hold HTLCs which the record and the archive do not know, and nothing else. */
function identifyForgotten(
  context: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
  number: CommitmentNumber,
): ConfirmedCommitment | undefined {
  const found = identifyRevoked(context, channel, spend, number, (outputs) =>
    outputs.some(({ kind, script }) => kind === "unknown" && script.length === P2WSH_BYTES),
  );
  return found && { ...found, warning: `no output of revoked commitment ${number} is known` };
}

/** A commitment of ours that is not the newest: from before a restore, or from a copy of our state. */
function identifyOwnOther(
  context: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
  number: CommitmentNumber,
): ConfirmedCommitment | undefined {
  const terms = commitmentTerms(channel.terms, "local");
  const perCommitmentPoint = context.signer.perCommitmentPoint(number);
  const keys = commitmentKeys(context.crypto, { ...terms, perCommitmentPoint });
  const source = { channel, broadcaster: "local" as const, terms, keys, number };
  const outputs = recognise(context.crypto, source, spend);
  if (!outputs.some(isOfCommitment)) return undefined;
  const warning =
    `our own commitment ${number} was published, our record is at ${channel.local.spec.number}: ` +
    "if it was revoked, the peer can take everything";
  return { ending: "local", number, broadcaster: "local", terms, keys, outputs, spend, warning };
}

/** A remote commitment from a time that our record does not know (data loss). */
function identifyFuture(
  { crypto }: MonitorContext,
  channel: WatchedChannel,
  spend: Spend,
  number: CommitmentNumber,
): ConfirmedCommitment | undefined {
  if (number < channel.remote.spec.number) return undefined;
  const terms = commitmentTerms(channel.terms, "remote");
  const outputs = recogniseToRemote(crypto, terms, spend);
  const warning =
    `the peer's commitment ${number} is newer than our record (${channel.remote.spec.number}): ` +
    "our data is outdated; only our direct balance can be claimed";
  return { ending: "future", number, broadcaster: "remote", terms, outputs, spend, warning };
}

/** An output that the other commitments of this channel cannot have. */
function isOfCommitment({ kind }: ClosingOutput): boolean {
  return kind === "toBroadcaster" || kind === "toCountersignatory" || kind === "htlc";
}

function knownOutputs(
  { crypto }: MonitorContext,
  commitment: Commitment,
  spend: Spend,
): readonly ClosingOutput[] {
  return commitment.outputs.map(({ kind, vout, amount, script, htlc }) => ({
    kind,
    outpoint: { txid: spend.txid, vout },
    amount,
    script,
    ...(htlc === undefined
      ? {}
      : { htlc: { ...htlc, paymentHash160: crypto.ripemd160(htlc.paymentHash) } }),
  }));
}

/** For a closing transaction whose locktime and sequence happen to look like a commitment's. */
function paysOnlyShutdownScripts(channel: WatchedChannel, spend: Spend): boolean {
  return channel.shutdownScripts !== undefined && !isForeign(channel, spend);
}

/** With both shutdown scripts known: whether anyone else is paid. */
function isForeign({ shutdownScripts }: WatchedChannel, { transaction }: Spend): boolean {
  if (shutdownScripts === undefined) return false;
  const { local, remote } = shutdownScripts;
  return transaction.outputs.some(
    ({ script }) => !equal(script, local) && !equal(script, remote) && !isReturnScript(script),
  );
}
