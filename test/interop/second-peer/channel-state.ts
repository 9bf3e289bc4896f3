/**
 * What the second peer knows of a channel: a log of updates, two commitment numbers, the peer's
 * points and secrets. Commitments and limits are counted anew from these.
 */
import type { Transaction } from "bitcoinjs-lib";
import { type Bytes, bigEndian, concat, hex, same, sha256, toNumber } from "./bytes.ts";
import {
  type Balances,
  buildCommitment,
  type ChannelTerms,
  type Commitment,
  type Htlc,
  isTrimmed,
  openersCostSatoshis,
  other,
  type Role,
} from "./commitment.ts";
import { type ChannelSecrets, ReceivedSecrets } from "./keys.ts";
import { type Entry, type Update, UpdateLog } from "./log.ts";
import type { Message } from "./messages.ts";
import { must } from "./must.ts";
import {
  type CommitmentSignatures,
  completeCommitment,
  completeHtlc,
  faultOfSignatures,
  signCommitment,
} from "./signing.ts";

export interface StateOptions {
  readonly terms: ChannelTerms;
  readonly us: Role;
  readonly secrets: ChannelSecrets;
  readonly remoteFirstPoint: Bytes;
  readonly firstSignatures: CommitmentSignatures;
  readonly first: Balances;
}

export class ChannelState {
  readonly log: UpdateLog;
  readonly received = new ReceivedSecrets();
  readonly us: Role;
  readonly them: Role;
  localNumber = 0;
  remoteNumber = 0;
  private readonly remotePoints: Bytes[];
  private signatures: CommitmentSignatures;

  constructor(private readonly options: StateOptions) {
    this.log = new UpdateLog(options.first);
    this.remotePoints = [options.remoteFirstPoint];
    this.signatures = options.firstSignatures;
    this.us = options.us;
    this.them = other(options.us);
  }

  get awaitsRevocation(): boolean {
    return this.received.secrets.length < this.remoteNumber;
  }

  local(): Balances {
    return this.log.balances(this.us, this.localNumber);
  }

  remote(): Balances {
    return this.log.balances(this.them, this.remoteNumber);
  }

  /** What the next commitment of `role` would hold besides. */
  freshFor(role: Role): readonly Entry[] {
    const acknowledged = role === this.us ? this.received.secrets.length : this.localNumber;
    return this.log.fresh(role, acknowledged);
  }

  /** In both commitments, with all that came before revoked. */
  isIrrevocable({ since }: Entry): boolean {
    const inOurs = since[this.us] ?? Number.POSITIVE_INFINITY;
    const inTheirs = since[this.them] ?? Number.POSITIVE_INFINITY;
    return inOurs <= this.localNumber && inTheirs <= this.received.secrets.length;
  }

  updates(type: Update["type"], by: Role = this.us): readonly Entry[] {
    return this.log.by(by).filter(({ update }) => update.type === type);
  }

  /** HTLCs that the other side offered, that both sides committed irrevocably and nobody answered. */
  lockedIn(): readonly Htlc[] {
    const answers = [...this.updates("fulfill"), ...this.updates("fail")];
    const answered = new Set(answers.map(({ update }) => "id" in update && update.id));
    return this.updates("add", this.them)
      .filter((entry) => this.isIrrevocable(entry))
      .flatMap(({ update }) => (update.type === "add" ? [update.htlc] : []))
      .filter(({ id }) => !answered.has(id));
  }

  /** The point of channel_ready; a repetition has to be the same. */
  takeSecondPoint(point: Bytes): void {
    const known = this.remotePoints[1];
    if (known) must(same(known, point) || this.remoteNumber > 0, "another second point");
    else this.remotePoints.push(point);
  }

  // Commitments

  signNext(): void {
    const fresh = this.freshFor(this.them);
    this.remoteNumber++;
    for (const { since } of fresh) since[this.them] = this.remoteNumber;
  }

  signRemote(): CommitmentSignatures {
    const point = this.remotePoints[this.remoteNumber] as Bytes;
    return signCommitment(this.remoteCommitment(), this.options.secrets.secrets, point);
  }

  takeSignatures(signatures: CommitmentSignatures): void {
    const fresh = this.freshFor(this.us);
    must(fresh.length > 0, "commitment_signed without a change");
    this.localNumber++;
    for (const { since } of fresh) since[this.us] = this.localNumber;
    this.signatures = signatures;
    const point = this.options.secrets.perCommitmentPoint(this.localNumber);
    const signer = this.options.terms[this.them].points;
    const fault = faultOfSignatures(this.localCommitment(), signer, point, signatures);
    must(fault === undefined, `local commitment ${this.localNumber}: ${fault}`);
  }

  takeSecret(secret: Bytes, point: Bytes, nextPoint: Bytes): void {
    must(this.awaitsRevocation, "revoke_and_ack that nobody awaits");
    const revoked = this.remotePoints[this.received.secrets.length] as Bytes;
    must(same(point, revoked), "a secret of another commitment");
    this.received.insert(secret);
    this.remotePoints.push(nextPoint);
  }

  localCommitment(): Commitment {
    const point = this.options.secrets.perCommitmentPoint(this.localNumber);
    return buildCommitment(this.options.terms, this.us, this.localNumber, point, this.local());
  }

  remoteCommitment(): Commitment {
    const point = this.remotePoints[this.remoteNumber] as Bytes;
    return buildCommitment(this.options.terms, this.them, this.remoteNumber, point, this.remote());
  }

  /** Our commitment as we could publish it, and the second stages that we could. */
  publishable(preimageOf: (hash: string) => Bytes | undefined = () => undefined) {
    const { terms, secrets } = this.options;
    const commitment = this.localCommitment();
    const own = secrets.secrets;
    const point = secrets.perCommitmentPoint(this.localNumber);
    const { signature, htlcSignatures } = this.signatures;
    const htlcs = commitment.htlcs.flatMap((htlc, index): readonly Transaction[] => {
      const preimage = preimageOf(hex(htlc.htlc.paymentHash));
      const isOurs = htlc.htlc.offeredBy === this.us;
      if (!isOurs && !preimage) return [];
      const theirs = htlcSignatures[index] as Bytes;
      return [completeHtlc(terms, htlc, own, point, theirs, isOurs ? undefined : preimage)];
    });
    const transaction = completeCommitment(terms, this.us, commitment, own, signature);
    return { commitment, transaction, htlcs };
  }

  // Limits

  /** What we may still send: in both next commitments, each with one HTLC more. */
  sendableMsat(feeratePerKw?: number): number {
    const theirs = this.log.balances(this.them, this.remoteNumber, this.freshFor(this.them));
    const all = [...this.log.by(this.us), ...this.log.by(this.them)];
    const ours = this.log.balances(this.us, this.localNumber, all);
    const fee = feeratePerKw === undefined ? {} : { feeratePerKw };
    const spare = [
      this.spareMsat(this.us, this.them, { ...theirs, ...fee }, 1),
      this.spareMsat(this.us, this.us, { ...ours, ...fee }, 1),
    ];
    return Math.max(0, Math.min(...spare));
  }

  /** Above the reserve and, for the opener, the fee; negative if it is not met. */
  spareMsat(payer: Role, broadcaster: Role, state: Balances, moreHtlcs: number): number {
    const { terms } = this.options;
    const balance = payer === "opener" ? state.openerMsat : state.acceptorMsat;
    const { htlcs, feeratePerKw } = state;
    const outputs = htlcs.filter((htlc) => !isTrimmed(terms, broadcaster, htlc, feeratePerKw));
    const count = outputs.length + moreHtlcs;
    const cost = payer === "opener" ? openersCostSatoshis(terms.type, feeratePerKw, count) : 0;
    return balance - 1000 * (terms[other(payer)].channelReserveSatoshis + cost);
  }

  /** Adds an update of the other side, or throws where it may not send it. */
  takeUpdate(message: Message): Update {
    const update = this.readUpdate(message);
    this.log.add(this.them, update, message);
    const state = this.log.balances(this.us, this.localNumber, this.freshFor(this.us));
    if (update.type === "add" || update.type === "push" || update.type === "fee") {
      must(this.spareMsat(this.them, this.us, state, 0) >= 0, `cannot afford ${message.type}`);
    }
    const offered = state.htlcs.filter(({ offeredBy }) => offeredBy === this.them);
    const inFlight = offered.reduce((sum, { amountMsat }) => sum + amountMsat, 0);
    const limits = this.options.terms[this.us];
    must(offered.length <= limits.maxAcceptedHtlcs, "too many HTLCs");
    must(inFlight <= limits.maxHtlcValueInFlightMsat, "too much in flight");
    return update;
  }

  private readUpdate(message: Message): Update {
    const id = Number(message.id);
    switch (message.type) {
      case "update_push": {
        const payments = message.payments as Bytes;
        must(id === this.updates("push", this.them).length, `push ${id} is not the next`);
        return { type: "push", id, payments, amountMsat: amountOf(payments) };
      }
      case "update_add_htlc":
        return this.readAdd(id, message);
      case "update_fee":
        must(this.them === "opener", "update_fee from the acceptor");
        must(this.options.terms.type !== "zero_fee_commitments", "update_fee without fees");
        return { type: "fee", feeratePerKw: Number(message.feeratePerKw) };
      default: {
        const entry = this.updates("add", this.us)[id];
        must(entry !== undefined && this.isIrrevocable(entry), `HTLC ${id} is not locked in`);
        if (message.type === "update_fail_htlc") return { type: "fail", id };
        const preimage = message.paymentPreimage as Bytes;
        const hash = entry.update.type === "add" ? entry.update.htlc.paymentHash : preimage;
        must(same(sha256(preimage), hash), "a wrong preimage");
        return { type: "fulfill", id, preimage };
      }
    }
  }

  private readAdd(id: number, message: Message): Update {
    must(id === this.updates("add", this.them).length, `HTLC ${id} is not the next`);
    const amountMsat = Number(message.amountMsat);
    const cltvExpiry = Number(message.cltvExpiry);
    const { htlcMinimumMsat } = this.options.terms[this.us];
    must(amountMsat >= Math.max(1, htlcMinimumMsat), "too small an HTLC");
    must(cltvExpiry < 500_000_000, "an expiry in seconds");
    const paymentHash = message.paymentHash as Bytes;
    return { type: "add", htlc: { id, offeredBy: this.them, amountMsat, paymentHash, cltvExpiry } };
  }
}

/** What a packed push pays: references of 16 bytes and u64 msat, back to back. */
export function amountOf(payments: Bytes): number {
  must(payments.length > 0 && payments.length % 24 === 0, "payments of a strange length");
  let sum = 0n;
  for (let at = 16; at < payments.length; at += 24) sum += toNumber(payments.slice(at, at + 8));
  must(sum <= BigInt(Number.MAX_SAFE_INTEGER), "more than there is");
  return Number(sum);
}

export function packPayment(reference: Bytes, amountMsat: number): Bytes {
  return concat(reference, bigEndian(amountMsat, 8));
}
