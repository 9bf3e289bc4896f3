/** Which output of a revoked commitment is what, from scripts alone: its state itself is not kept (BOLT 3, 5). */
import type { Crypto } from "../../ports/crypto.ts";
import { satoshiFloor } from "../../primitives/brands.ts";
import { equal } from "../../primitives/bytes.ts";
import type { Side } from "../../transactions/channel-terms.ts";
import { type CommitmentConstants, commitmentConstants } from "../../transactions/commitment.ts";
import { htlcScript } from "../../transactions/htlc.ts";
import { delayedScript, p2aScript, p2wsh } from "../../transactions/script.ts";
import type {
  CommitmentHtlc,
  CommitmentKeys,
  CommitmentSpec,
  CommitmentTerms,
} from "../../transactions/terms.ts";
import type { Spend } from "./chain-view.ts";
import type { ClosingHtlc, ClosingOutput } from "./plan.ts";
import type { WatchedChannel } from "./watched.ts";

export interface RecogniseSource {
  readonly channel: WatchedChannel;
  readonly broadcaster: Side;
  readonly terms: CommitmentTerms;
  readonly keys: CommitmentKeys;
  readonly number: number;
}

/** An HTLC that may have stood in the commitment; its amount only where the record still has it. */
interface PossibleHtlc {
  readonly htlc: ClosingHtlc;
  readonly amountSatoshis?: number;
}

/** Outputs that nothing explains are "unknown". */
export function recognise(
  crypto: Crypto,
  source: RecogniseSource,
  spend: Spend,
): readonly ClosingOutput[] {
  const { terms, keys } = source;
  const constants = commitmentConstants(crypto, terms);
  const delayed = p2wsh(crypto, delayedScript(keys, terms.toSelfDelay));
  const possible = possibleHtlcs(crypto, source).map((candidate) => ({
    ...candidate,
    script: p2wsh(crypto, htlcScript(crypto, terms.channelType, keys, candidate.htlc)),
  }));
  return spend.transaction.outputs.map(({ script, amount }, vout) => {
    const output = { outpoint: { txid: spend.txid, vout }, amount, script };
    if (equal(script, delayed)) return { ...output, kind: "toBroadcaster" };
    const constant = constantKind(constants, script);
    if (constant !== undefined) return { ...output, kind: constant };
    const found = possible.findIndex(
      (candidate) =>
        equal(candidate.script, script) && (candidate.amountSatoshis ?? amount) === amount,
    );
    if (found < 0) return { ...output, kind: "unknown" };
    // Two HTLCs can have the same script: each output takes one.
    const [taken] = possible.splice(found, 1);
    return { ...output, kind: "htlc", ...(taken ? { htlc: taken.htlc } : {}) };
  });
}

/** Of a commitment whose per-commitment point is unknown: to_remote and the anchors, whose keys never change. */
export function recogniseToRemote(
  crypto: Crypto,
  terms: CommitmentTerms,
  spend: Spend,
): readonly ClosingOutput[] {
  const constants = commitmentConstants(crypto, terms);
  return spend.transaction.outputs.map(({ script, amount }, vout) => ({
    kind: constantKind(constants, script) ?? "unknown",
    outpoint: { txid: spend.txid, vout },
    amount,
    script,
  }));
}

function constantKind(
  { toCountersignatory, anchors }: CommitmentConstants,
  script: Uint8Array,
): ClosingOutput["kind"] | undefined {
  if (equal(script, p2aScript())) return "sharedAnchor";
  return [toCountersignatory, ...anchors].find((known) => equal(known.script, script))?.kind;
}

/** Those that the record still has, then the archived ones whose numbers include this commitment's. */
function possibleHtlcs(crypto: Crypto, source: RecogniseSource): readonly PossibleHtlc[] {
  const { channel, broadcaster, number } = source;
  const possible = new Map<string, PossibleHtlc>();
  const add = (specBroadcaster: Side, htlcs: readonly CommitmentHtlc[]) => {
    for (const htlc of htlcs) {
      const offered = htlc.offered === (specBroadcaster === broadcaster);
      possible.set(`${offered}:${htlc.id}`, {
        htlc: { ...withHash160(crypto, htlc), offered },
        amountSatoshis: satoshiFloor(htlc.amountMsat),
      });
    }
  };
  for (const [side, spec] of specs(channel)) add(side, spec.htlcs);
  const archived = broadcaster === "remote" ? channel.archive : [];
  return [
    ...possible.values(),
    ...archived
      .filter(({ firstNumber, lastNumber }) => firstNumber <= number && number <= lastNumber)
      .map(({ offered, paymentHash160, cltvExpiry }) => ({
        htlc: { offered, paymentHash160, cltvExpiry },
      })),
  ];
}

/** The valid states of the record, by their broadcaster. */
export function specs(channel: WatchedChannel): readonly (readonly [Side, CommitmentSpec])[] {
  const { local, remote, remoteNext } = channel;
  return [
    ["local", local.spec],
    ["remote", remote.spec],
    ...(remoteNext ? [["remote", remoteNext.spec] as const] : []),
  ];
}

function withHash160(crypto: Crypto, htlc: CommitmentHtlc): ClosingHtlc {
  const { id, offered, cltvExpiry, paymentHash } = htlc;
  return { id, offered, cltvExpiry, paymentHash160: crypto.ripemd160(paymentHash) };
}
