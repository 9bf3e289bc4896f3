/** Each kind of transaction that the core builds for one channel type, brought before the judges as the chain goes on. */
import { expect } from "vitest";
import {
  KEYED_ANCHOR_WITNESS_WEIGHT,
  signKeyedAnchor,
} from "../../core/chain/monitor/close-locally.ts";
import type { MonitorContext } from "../../core/chain/monitor/watched.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { ChannelSigner } from "../../core/ports/signer.ts";
import { milliSatoshi, type SecretKey, satoshi } from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import {
  type Claim,
  delayedClaim,
  expiredAnchorClaim,
  htlcByPreimageClaim,
  htlcByTimeoutClaim,
  revokedDelayedClaim,
  revokedHtlcClaim,
  toRemoteClaim,
} from "../../core/transactions/claims.ts";
import {
  buildClosing,
  type ClosingTerms,
  type ClosingVariant,
} from "../../core/transactions/closing.ts";
import {
  type CommitmentOutput,
  type CommitmentOutputKind,
  finalizeCommitment,
} from "../../core/transactions/commitment.ts";
import { assembleFundingWitness, fundingOutput } from "../../core/transactions/funding.ts";
import { finalizeHtlcTransaction, type HtlcTransaction } from "../../core/transactions/htlc.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { buildSweep, finalizeSweep } from "../../core/transactions/sweep.ts";
import type { ChannelType } from "../../core/transactions/terms.ts";
import {
  serializeTransaction,
  type Transaction,
  transactionId,
  withWitness,
} from "../../core/transactions/transaction.ts";
import type { LabWallet } from "../../host-sim/chain/lab.ts";
import {
  type ChannelPair,
  channelPair,
  crypto,
  firstPreimage,
  htlc,
  secondPreimage,
} from "../support/channel-pair.ts";
import { type Court, parsed } from "./court.ts";

const FUNDING = satoshi(1_000_000);
const DELAY = 6;
/** In the past of every chain here. */
const EXPIRY = 100;
const FEERATE = 1_000;
/** Blocks after which an anchor is anyone's. */
const ANCHOR_BLOCKS = 16;

const HTLCS = [
  htlc({ offered: true, id: 0, amountMsat: 50_000_999, cltvExpiry: EXPIRY }),
  htlc({
    offered: false,
    id: 0,
    amountMsat: 50_000_000,
    preimage: secondPreimage,
    cltvExpiry: EXPIRY,
  }),
  htlc({ offered: false, id: 1, amountMsat: 99_500, cltvExpiry: EXPIRY }),
];

/** One channel of a type with all that it can come to. */
export class EveryKind {
  private constructor(
    private readonly court: Court,
    private readonly channelType: ChannelType,
    private readonly wallet: LabWallet,
    private readonly outpoint: Outpoint,
    private readonly pair: ChannelPair,
    private readonly commitment: Transaction,
  ) {}

  static async judge(court: Court, channelType: ChannelType): Promise<void> {
    const wallet = await court.lab.wallet("funder");
    const outpoint = await fund(court, wallet);
    const pair = pairOf(channelType, outpoint, true);
    const one = new EveryKind(court, channelType, wallet, outpoint, pair, signed(pair));
    await one.closings();
    await one.commitments();
    const secret = pair.revoke();
    await one.atOnce(secret);
    await one.afterTheDelay();
    await one.secondStages(secret);
    if (channelType === "anchors") await one.expiredAnchor();
  }

  private bring(kind: string, transaction: Transaction, more = {}): Promise<void> {
    return this.court.judge(this.channelType, { kind, transaction, ...more });
  }

  private async closings(): Promise<void> {
    const { broadcaster: closer, countersignatory: closee } = this.pair;
    const keys = [closer.basepoints.fundingPubkey, closee.basepoints.fundingPubkey] as const;
    const terms: ClosingTerms = {
      fundingOutpoint: this.outpoint,
      fundingSatoshis: FUNDING,
      fundingPubkeys: keys,
      closerMsat: milliSatoshi(600_000_000),
      closeeMsat: milliSatoshi(400_000_000),
      closerScript: p2wpkh(crypto, keys[0]),
      closeeScript: p2wpkh(crypto, keys[1]),
      feeSatoshis: satoshi(500),
      locktime: EXPIRY,
    };
    const variants: readonly ClosingVariant[] = [
      "closerAndCloseeOutputs",
      "closerOutputOnly",
      "closeeOutputOnly",
    ];
    for (const variant of variants) {
      // An output left out is dust: here as a fee that the node's mempool would call absurd.
      const { transaction, sighash } = buildClosing(crypto, terms, variant);
      const witness = assembleFundingWitness(
        { fundingPubkey: keys[0], signature: closer.signClosing(sighash) },
        { fundingPubkey: keys[1], signature: closee.signClosing(sighash) },
      );
      const isFree = variant !== "closerAndCloseeOutputs";
      const whole = withWitness(transaction, 0, witness);
      await this.bring(`mutual close, ${variant}`, whole, { isFree, signatures: 2 });
    }
  }

  /** Both sides', then the opener's goes into a block, with a child where it has an anchor. */
  private async commitments(): Promise<void> {
    const { channelType, commitment, court, outpoint } = this;
    const isFree = channelType === "zero_fee_commitments";
    const acceptors = signed(pairOf(channelType, outpoint, false));
    await this.bring("commitment of the opener", commitment, { isFree, signatures: 2 });
    await this.bring("commitment of the acceptor", acceptors, { isFree, signatures: 2 });
    if (channelType === "static_remotekey") {
      await court.mine([commitment]);
      return;
    }
    if (channelType === "anchors") {
      const other = await this.child("countersignatoryAnchor", this.pair.countersignatory);
      await this.bring("child on the other's anchor", other, { parents: [commitment] });
      await this.wallet.release(serializeTransaction(other));
    }
    const kind = isFree ? "sharedAnchor" : "broadcasterAnchor";
    const child = await this.child(kind, this.pair.broadcaster);
    await this.bring("child on the own or shared anchor", child, { parents: [commitment], isFree });
    const kinds = ["commitment of the opener", "child on the own or shared anchor"];
    await court.submit(channelType, [commitment, child], kinds);
    await court.lab.mine(1);
  }

  private async child(kind: CommitmentOutputKind, signer: ChannelSigner): Promise<Transaction> {
    const { commitment } = this;
    const { vout, amount, script } = this.output(kind);
    const context = { crypto, signer } as MonitorContext;
    const raw = await this.wallet.fundChild({
      parents: [serializeTransaction(commitment)],
      parentsFee: this.pair.commitment.feeSatoshis,
      anchor: { txid: transactionId(crypto, commitment), vout },
      anchorOutput: { amount, script },
      version: kind === "sharedAnchor" ? 3 : 2,
      feeratePerKw: 2 * FEERATE,
      ...(kind !== "sharedAnchor" && {
        keyedAnchor: {
          witnessWeight: KEYED_ANCHOR_WITNESS_WEIGHT,
          sign: (unsigned: Uint8Array, index: number) => signKeyedAnchor(context, unsigned, index),
        },
      }),
    });
    return parsed(raw);
  }

  /** What may be claimed as soon as the commitment is in a block. */
  private async atOnce(secret: SecretKey): Promise<void> {
    const { channelType, pair } = this;
    const { keys, terms, countersignatory: other } = pair;
    const toLocal = revokedDelayedClaim(this.place("toBroadcaster"), keys, DELAY, secret);
    const revoked = [true, false].map((offered) => {
      const { source, place } = this.htlc(offered);
      return revokedHtlcClaim(crypto, place, channelType, keys, source, secret);
    });
    const [offered, received] = [this.htlc(true), this.htlc(false)];
    const { paymentBasepoint } = terms.countersignatory;
    const remote = this.place("toCountersignatory");
    const claims: Readonly<Record<string, readonly Claim[]>> = {
      "to_remote sweep": [toRemoteClaim(crypto, remote, channelType, paymentBasepoint)],
      "HTLC by preimage": [
        htlcByPreimageClaim(
          crypto,
          offered.place,
          channelType,
          keys,
          offered.source,
          firstPreimage,
        ),
      ],
      "HTLC by timeout": [
        htlcByTimeoutClaim(crypto, received.place, channelType, keys, received.source),
      ],
      "penalty on to_local": [toLocal],
      "penalty on an offered HTLC": revoked.slice(0, 1),
      "penalty on a received HTLC": revoked.slice(1),
      "penalty on everything": [toLocal, ...revoked],
    };
    for (const [kind, some] of Object.entries(claims)) {
      await this.bring(kind, sweep(some, other), { signatures: some.length });
    }
  }

  /** to_local: refused a block too early. */
  private async afterTheDelay(): Promise<void> {
    const claim = delayedClaim(this.place("toBroadcaster"), this.pair.keys, DELAY);
    await this.delayed("to_local sweep", claim);
  }

  /** The output was confirmed in the tip's block. */
  private async delayed(kind: string, claim: Claim): Promise<void> {
    const { court, pair } = this;
    const transaction = sweep([claim], pair.broadcaster);
    await court.lab.mine(DELAY - 2);
    expect(await court.refusal(transaction), kind).toBe("non-BIP68-final");
    await court.lab.mine(1);
    await this.bring(kind, transaction);
  }

  private async secondStages(secret: SecretKey): Promise<void> {
    const { channelType, court, pair, wallet } = this;
    const stages: Transaction[] = [];
    for (const offered of [true, false]) {
      const { found, spent } = this.htlc(offered);
      const bare = this.secondStage(found);
      const raw = serializeTransaction(bare);
      const isBare = channelType === "static_remotekey";
      const whole = isBare ? bare : parsed(await wallet.addFee(raw, [spent], FEERATE));
      const kind = offered ? "HTLC-timeout" : "HTLC-success";
      await this.bring(kind, whole, { signatures: isBare ? 2 : 3 });
      stages.push(whole);
    }
    await court.mine(stages);
    const places = stages.map((stage) => ({
      outpoint: { txid: transactionId(crypto, stage), vout: 0 },
      amount: stage.outputs[0]?.amount ?? satoshi(0),
    }));
    const penalties = places.map((place) => revokedDelayedClaim(place, pair.keys, DELAY, secret));
    const penalty = sweep(penalties, pair.countersignatory);
    await this.bring("penalty on second stages", penalty, { signatures: 2 });
    const [first] = places as [(typeof places)[number]];
    await this.delayed("second-stage sweep", delayedClaim(first, pair.keys, DELAY));
  }

  private secondStage(unsigned: HtlcTransaction): Transaction {
    const { pair } = this;
    const { perCommitmentPoint } = pair.keys;
    return finalizeHtlcTransaction(unsigned, {
      broadcaster: pair.broadcaster.signClaim(
        { role: "htlc", perCommitmentPoint },
        unsigned.sighash,
      ),
      countersignatory: pair.countersignatory.signRemoteHtlc(perCommitmentPoint, unsigned.sighash),
      ...(!unsigned.htlc.offered && { preimage: secondPreimage }),
    });
  }

  /** Beside to_local, for an anchor alone is worth no transaction. */
  private async expiredAnchor(): Promise<void> {
    const { court, pair } = this;
    await court.lab.mine(ANCHOR_BLOCKS);
    const { outpoint } = this.place("countersignatoryAnchor");
    const claims = [
      expiredAnchorClaim(outpoint, pair.terms.countersignatory.fundingPubkey),
      delayedClaim(this.place("toBroadcaster"), pair.keys, DELAY),
    ];
    await this.bring("anchor that is anyone's", sweep(claims, pair.broadcaster));
  }

  private output(kind: CommitmentOutputKind): CommitmentOutput & { readonly vout: number } {
    const found = this.pair.commitment.outputs.find((one) => one.kind === kind);
    if (!found) throw new Error(`the commitment has no ${kind}`);
    return found;
  }

  private place(kind: CommitmentOutputKind) {
    const { vout, amount } = this.output(kind);
    return { outpoint: { txid: transactionId(crypto, this.commitment), vout }, amount };
  }

  private htlc(offered: boolean) {
    const found = this.pair.commitment.htlcs.find((one) => one.htlc.offered === offered);
    const spent = found && this.pair.commitment.outputs[found.vout];
    if (!found || !spent) throw new Error("the commitment has both HTLCs");
    const outpoint = { txid: transactionId(crypto, this.commitment), vout: found.vout };
    const source = { ...found.htlc, paymentHash160: crypto.ripemd160(found.htlc.paymentHash) };
    return { found, spent, source, place: { outpoint, amount: found.amount } };
  }
}

function pairOf(channelType: ChannelType, fundingOutpoint: Outpoint, broadcasterIsOpener: boolean) {
  const more = { broadcasterIsOpener, toSelfDelay: DELAY, htlcs: HTLCS };
  return channelPair(channelType, { fundingOutpoint, fundingSatoshis: FUNDING, ...more });
}

function signed({ broadcaster, countersignatory, commitment, spec, terms }: ChannelPair) {
  return finalizeCommitment(commitment, terms, {
    broadcaster: broadcaster.signLocalCommitment(spec.number, commitment.sighash),
    countersignatory: countersignatory.signRemoteCommitment(spec.number, commitment.sighash),
  });
}

async function fund(court: Court, wallet: LabWallet): Promise<Outpoint> {
  const { broadcaster, countersignatory } = channelPair("anchors");
  const keys = [broadcaster.basepoints, countersignatory.basepoints] as const;
  const output = fundingOutput(crypto, [keys[0].fundingPubkey, keys[1].fundingPubkey], FUNDING);
  const transaction = parsed(await wallet.fund([output], FEERATE));
  await court.mine([transaction]);
  const vout = transaction.outputs.findIndex(({ script }) => equal(script, output.script));
  return { txid: transactionId(crypto, transaction), vout };
}

function sweep(claims: readonly Claim[], signer: ChannelSigner): Transaction {
  const payout = p2wpkh(crypto, signer.basepoints.fundingPubkey);
  const built = buildSweep(crypto, claims, payout, FEERATE);
  if (built.type === "dust") throw new Error("nothing is left to sweep");
  const signatures = claims.map(
    ({ key }, index) => key && signer.signClaim(key, built.sighashes[index] as Uint8Array),
  );
  return finalizeSweep(built, signatures);
}
