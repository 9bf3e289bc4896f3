/** Two peers with real keys and real commitments in any state of any channel type; alice is the one who watches. */

import type { ArchivedHtlc, WatchedChannel } from "../../../../core/chain/monitor/watched.ts";
import { commitmentKeys } from "../../../../core/keys/derivation.ts";
import { SeedSigner } from "../../../../core/keys/seed-signer.ts";
import { emptySecretStore, insertSecret } from "../../../../core/keys/shachain.ts";
import {
  blockHeight,
  commitmentNumber,
  milliSatoshi,
  type Preimage,
  paymentHash,
  preimage,
  type Signature,
  satoshi,
} from "../../../../core/primitives/brands.ts";
import {
  type ChannelTerms,
  commitmentTerms,
  type Declaration,
  type Side,
} from "../../../../core/transactions/channel-terms.ts";
import type { Claim as Spending } from "../../../../core/transactions/claims.ts";
import {
  buildCommitment,
  type Commitment,
  finalizeCommitment,
} from "../../../../core/transactions/commitment.ts";
import { fundingOutput } from "../../../../core/transactions/funding.ts";
import { finalizeHtlcTransaction } from "../../../../core/transactions/htlc.ts";
import { p2wpkh, p2wpkhScriptCode } from "../../../../core/transactions/script.ts";
import { segwitSighash } from "../../../../core/transactions/sighash.ts";
import { buildSweep, claimWitness, finalizeSweep } from "../../../../core/transactions/sweep.ts";
import type {
  ChannelType,
  CommitmentHtlc,
  CommitmentSpec,
} from "../../../../core/transactions/terms.ts";
import {
  parseTransaction,
  serializeTransaction,
  type Transaction,
  unsignedInput,
  withWitness,
} from "../../../../core/transactions/transaction.ts";
import { crypto } from "../../../support/channel-pair.ts";
import { TestChain } from "./chain.ts";

export const FUNDING_SATOSHIS = 1_000_000;
/** Blocks that alice, and bob, wait for their own outputs. */
export const DELAY = { local: 20, remote: 30 } as const;

export interface TestHtlc {
  readonly byAlice: boolean;
  readonly id: number;
  readonly amountMsat: number;
  readonly preimage: Preimage;
  readonly cltvExpiry: number;
}

export function testHtlc(byAlice: boolean, id: number, from: Partial<TestHtlc> = {}): TestHtlc {
  const secret = preimage(new Uint8Array(32).fill((byAlice ? 0x10 : 0x20) + id));
  const cltvExpiry = 500 + 10 * id + (byAlice ? 0 : 5);
  return { byAlice, id, amountMsat: 50_000_000, preimage: secret, cltvExpiry, ...from };
}

/** Two in each direction. */
export const FOUR_HTLCS = [true, false].flatMap((byAlice) => [
  testHtlc(byAlice, 0),
  testHtlc(byAlice, 1, { amountMsat: 30_000_500 }),
]);

export interface State {
  readonly number: number;
  readonly aliceMsat: number;
  readonly htlcs: readonly TestHtlc[];
  readonly feeratePerKw?: number;
}

export interface PeersOptions {
  /** Alice's payouts go to this extended public key. */
  readonly payoutKey?: string;
}

export class Peers {
  readonly chain = new TestChain();
  readonly alice;
  readonly bob;
  readonly terms: ChannelTerms;
  readonly payoutScript: Uint8Array;
  readonly #walletSecret = crypto.sha256(new Uint8Array(32).fill(9)) as Parameters<
    typeof crypto.publicKeyOf
  >[0];

  constructor(
    readonly channelType: ChannelType,
    { payoutKey }: PeersOptions = {},
  ) {
    const seed = (fill: number) => new Uint8Array(32).fill(fill);
    const options = payoutKey === undefined ? {} : { payoutKey };
    this.alice = new SeedSigner(crypto, seed(1), options).channel(3);
    this.bob = new SeedSigner(crypto, seed(2)).channel(7);
    const pubkeys = [
      this.alice.basepoints.fundingPubkey,
      this.bob.basepoints.fundingPubkey,
    ] as const;
    const funding = fundingOutput(crypto, pubkeys, satoshi(FUNDING_SATOSHIS));
    const wallet = crypto.publicKeyOf(this.#walletSecret);
    this.payoutScript = p2wpkh(crypto, wallet);
    this.terms = {
      channelType,
      fundingOutpoint: this.chain.give(funding, 0xf0),
      fundingSatoshis: satoshi(FUNDING_SATOSHIS),
      localIsOpener: true,
      keyIndex: 3,
      local: declaration(this.alice.basepoints, DELAY.remote),
      remote: declaration(this.bob.basepoints, DELAY.local),
    };
  }

  get context() {
    return { crypto, signer: this.alice };
  }

  spec(side: Side, state: State): CommitmentSpec {
    const inHtlcs = state.htlcs.reduce((sum, { amountMsat }) => sum + amountMsat, 0);
    const bobMsat = FUNDING_SATOSHIS * 1000 - state.aliceMsat - inHtlcs;
    const [own, other] = side === "local" ? [state.aliceMsat, bobMsat] : [bobMsat, state.aliceMsat];
    return {
      number: commitmentNumber(state.number),
      toBroadcasterMsat: milliSatoshi(own),
      toCountersignatoryMsat: milliSatoshi(other),
      feeratePerKw: this.channelType === "zero_fee_commitments" ? 0 : (state.feeratePerKw ?? 1000),
      htlcs: state.htlcs.map((htlc) => toSpecHtlc(side, htlc)),
    };
  }

  build(side: Side, state: State) {
    const terms = commitmentTerms(this.terms, side);
    const signer = side === "local" ? this.alice : this.bob;
    const spec = this.spec(side, state);
    const perCommitmentPoint = signer.perCommitmentPoint(spec.number);
    const keys = commitmentKeys(crypto, { ...terms, perCommitmentPoint });
    return { terms, keys, spec, commitment: buildCommitment(crypto, terms, keys, spec) };
  }

  /** Signed by both, however old it is: keys do not forget. */
  signed(side: Side, state: State): Uint8Array {
    const { terms, commitment } = this.build(side, state);
    const [broadcaster, countersignatory] =
      side === "local" ? [this.alice, this.bob] : [this.bob, this.alice];
    const transaction = finalizeCommitment(commitment, terms, {
      broadcaster: broadcaster.signClosing(commitment.sighash),
      countersignatory: countersignatory.signClosing(commitment.sighash),
    });
    return serializeTransaction(transaction);
  }

  /** The broadcaster's HTLC transaction for one HTLC, its fee paid by a wallet where it has none. */
  htlcTransaction(side: Side, state: State, htlc: TestHtlc): Uint8Array {
    const { commitment, keys } = this.build(side, state);
    const unsigned = commitment.htlcs.find(
      (candidate) =>
        candidate.htlc.id === htlc.id &&
        candidate.htlc.offered === (htlc.byAlice === (side === "local")),
    );
    if (unsigned === undefined) throw new Error("no such HTLC output");
    const sign = (signer: Peers["alice"]) =>
      signer.signClaim(
        { role: "htlc", perCommitmentPoint: keys.perCommitmentPoint },
        unsigned.sighash,
      );
    const [own, other] = side === "local" ? [this.alice, this.bob] : [this.bob, this.alice];
    const transaction = finalizeHtlcTransaction(unsigned, {
      broadcaster: sign(own),
      countersignatory: sign(other),
      ...(unsigned.htlc.offered ? {} : { preimage: htlc.preimage }),
    });
    const raw = serializeTransaction(transaction);
    return this.channelType === "static_remotekey" ? raw : this.addFee(raw);
  }

  /** Bob sweeps something to himself. */
  bobSweeps(input: Spending): Uint8Array {
    const built = buildSweep(crypto, [input], this.payoutScript, 1000);
    if (built.type === "dust") throw new Error("nothing left to sweep");
    const [sighash] = built.sighashes;
    const signature = input.key && sighash ? this.bob.signClaim(input.key, sighash) : undefined;
    return serializeTransaction(finalizeSweep(built, [signature]));
  }

  /** As a gateway's wallet does for inputs signed SINGLE|ANYONECANPAY: appends a coin and change. */
  addFee(raw: Uint8Array): Uint8Array {
    const parsed = parseTransaction(raw);
    const key = crypto.publicKeyOf(this.#walletSecret);
    const coin = { script: this.payoutScript, amount: satoshi(100_000) };
    const outpoint = this.chain.give(coin);
    const index = parsed.inputs.length;
    const unsigned: Transaction = {
      ...parsed,
      inputs: [...parsed.inputs, unsignedInput(outpoint, 0xfffffffd)],
      outputs: [...parsed.outputs, { script: this.payoutScript, amount: satoshi(98_000) }],
    };
    const scriptCode = p2wpkhScriptCode(crypto, key);
    const sighash = segwitSighash(crypto, unsigned, index, { amount: coin.amount, scriptCode });
    const claim = { key: { role: "payment" }, witnessAfterSignature: [key] } as unknown as Spending;
    const witness = claimWitness(claim, crypto.sign(sighash, this.#walletSecret));
    return serializeTransaction(withWitness(unsigned, index, witness));
  }

  /** Alice's record when both are in `state` and all before it is revoked. */
  record(state: State, more: Partial<WatchedChannel> = {}): WatchedChannel {
    const local = this.build("local", state);
    let secrets = emptySecretStore();
    this.bob.stored({ localNumber: state.number, remoteNumber: state.number, outdated: false });
    this.alice.stored({ localNumber: state.number, remoteNumber: state.number, outdated: false });
    for (let number = 0; number < state.number; number++) {
      const at = commitmentNumber(number);
      secrets = insertSecret(crypto, secrets, at, this.bob.revokeLocal(at));
    }
    return {
      terms: this.terms,
      local: {
        spec: local.spec,
        remoteSignature: this.bob.signClosing(local.commitment.sighash),
        remoteHtlcSignatures: this.#htlcSignatures(local),
      },
      remote: this.remoteState(state),
      secrets,
      archive: [],
      preimages: [],
      payoutScript: this.payoutScript,
      outdated: false,
      ...more,
    };
  }

  remoteState(state: State): WatchedChannel["remote"] {
    const spec = this.spec("remote", state);
    return { spec, perCommitmentPoint: this.bob.perCommitmentPoint(spec.number) };
  }

  #htlcSignatures({
    commitment,
    keys,
  }: {
    commitment: Commitment;
    keys: { perCommitmentPoint: Parameters<Peers["bob"]["signRemoteHtlc"]>[0] };
  }): Signature[] {
    return commitment.htlcs.map(({ sighash }) =>
      this.bob.signRemoteHtlc(keys.perCommitmentPoint, sighash),
    );
  }
}

export function archived(
  htlc: TestHtlc,
  numbers: { readonly first: number; readonly last: number },
): ArchivedHtlc {
  return {
    offered: !htlc.byAlice,
    paymentHash160: crypto.ripemd160(crypto.sha256(htlc.preimage)),
    cltvExpiry: blockHeight(htlc.cltvExpiry),
    firstNumber: numbers.first,
    lastNumber: numbers.last,
  };
}

function toSpecHtlc(side: Side, htlc: TestHtlc): CommitmentHtlc {
  return {
    offered: htlc.byAlice === (side === "local"),
    id: htlc.id,
    amountMsat: milliSatoshi(htlc.amountMsat),
    paymentHash: paymentHash(crypto.sha256(htlc.preimage)),
    cltvExpiry: blockHeight(htlc.cltvExpiry),
  };
}

function declaration(basepoints: Declaration["basepoints"], toSelfDelay: number): Declaration {
  return {
    basepoints,
    dustLimitSatoshis: satoshi(354),
    maxHtlcValueInFlightMsat: milliSatoshi(FUNDING_SATOSHIS * 1000),
    channelReserveSatoshis: satoshi(0),
    htlcMinimumMsat: milliSatoshi(1),
    toSelfDelay,
    maxAcceptedHtlcs: 30,
    upfrontShutdownScript: new Uint8Array(0),
  };
}
