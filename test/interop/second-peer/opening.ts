/** Channel establishment v1 (BOLT 2) as opener and as acceptor, up to both first commitments. */
import { Transaction } from "bitcoinjs-lib";
import { type Bytes, bigEndian, concat, fromHex, same } from "./bytes.ts";
import { Channel } from "./channel.ts";
import {
  type Balances,
  buildCommitment,
  type ChannelTerms,
  type ChannelType,
  openersCostSatoshis,
  other,
  type Role,
  type SideTerms,
} from "./commitment.ts";
import type { ChannelSecrets } from "./keys.ts";
import type { Message } from "./messages.ts";
import { must } from "./must.ts";
import { fundingScript, p2wpkh, p2wsh } from "./scripts.ts";
import { faultOfSignatures, signCommitment } from "./signing.ts";

/** Bits of each type, as BOLT 2 "Defined Channel Types" and docs/PROTOCOL.md have them. */
export const CHANNEL_TYPES: Readonly<Record<ChannelType, Bytes>> = {
  static_remotekey: fromHex("1000"),
  anchors: fromHex("401000"),
  zero_fee_commitments: fromHex("010000000000"),
};

export interface OpenOptions {
  readonly type: ChannelType;
  readonly fundingSatoshis: number;
  readonly pushMsat?: number;
  readonly feeratePerKw?: number;
  readonly reserveSatoshis?: number;
}

export interface OpeningContext {
  readonly chainHash: Bytes;
  readonly secrets: ChannelSecrets;
  readonly nodeSecret: Bytes;
  readonly remoteId: Bytes;
  readonly alias: number;
  readonly send: (message: Message) => void;
}

const DUST_LIMIT = 400;
const ZERO = new Uint8Array(32);

/** From open_channel to funding_signed, on either side. */
export class Opening {
  /** Pays the funding output; the opener's. */
  fundingTransaction: Transaction | undefined;
  private openMessage: Message | undefined;
  private acceptMessage: Message | undefined;
  private created: { readonly id: Bytes; readonly terms: ChannelTerms } | undefined;

  constructor(
    readonly us: Role,
    readonly temporaryId: Bytes,
    private readonly context: OpeningContext,
  ) {}

  open(options: OpenOptions): void {
    const { type, fundingSatoshis, pushMsat = 0, feeratePerKw = 1000 } = options;
    this.openMessage = {
      type: "open_channel",
      chainHash: this.context.chainHash,
      temporaryChannelId: this.temporaryId,
      fundingSatoshis,
      pushMsat,
      feeratePerKw: type === "zero_fee_commitments" ? 0 : feeratePerKw,
      channelFlags: 0,
      ...this.sideFields(fundingSatoshis, options.reserveSatoshis),
      channelType: CHANNEL_TYPES[type],
    };
    this.context.send(this.openMessage);
  }

  /** The channel, once there is one. */
  handle(message: Message): Channel | undefined {
    switch (message.type) {
      case "open_channel":
        this.accept(message);
        return undefined;
      case "accept_channel":
        this.fund(message);
        return undefined;
      case "funding_created":
        return this.signFirst(message);
      case "funding_signed":
        return this.takeFirst(message);
      default:
        throw new Error(`an unexpected ${message.type}`);
    }
  }

  /** What funding_signed calls it by. */
  get channelId(): Bytes | undefined {
    return this.created?.id;
  }

  private accept(open: Message): void {
    must(same(open.chainHash as Bytes, this.context.chainHash), "another chain");
    must(Number(open.pushMsat) <= 1000 * Number(open.fundingSatoshis), "too large a push");
    this.openMessage = open;
    const type = typeOf(open);
    if (type === "zero_fee_commitments") must(open.feeratePerKw === 0, "a feerate");
    checkSide(open, type);
    const { openerMsat } = this.firstBalances();
    const cost = openersCostSatoshis(type, Number(open.feeratePerKw), 0);
    must(openerMsat >= 1000 * cost, "the opener cannot pay the fee");
    this.acceptMessage = {
      type: "accept_channel",
      temporaryChannelId: this.temporaryId,
      minimumDepth: 3,
      ...this.sideFields(Number(open.fundingSatoshis), undefined),
      channelType: open.channelType as Bytes,
    };
    this.checkReserves();
    this.context.send(this.acceptMessage);
  }

  private fund(accept: Message): void {
    const open = this.openMessage as Message;
    this.acceptMessage = accept;
    must(same(accept.channelType as Bytes, open.channelType as Bytes), "another channel type");
    checkSide(accept, typeOf(open));
    this.checkReserves();
    const transaction = new Transaction();
    transaction.version = 2;
    transaction.addInput(this.temporaryId, 0, 0xfffffffd);
    transaction.setWitness(0, [new Uint8Array(64).fill(1)]);
    const script = fundingScript(open.fundingPubkey as Bytes, accept.fundingPubkey as Bytes);
    transaction.addOutput(p2wpkh(open.fundingPubkey as Bytes), 12345n);
    transaction.addOutput(p2wsh(script), BigInt(Number(open.fundingSatoshis)));
    this.fundingTransaction = transaction;
    const fundingTxid = transaction.getHash();
    this.create(fundingTxid, 1);
    this.context.send({
      type: "funding_created",
      temporaryChannelId: this.temporaryId,
      fundingTxid,
      fundingOutputIndex: 1,
      signature: this.signatureForRemote(),
    });
  }

  private signFirst(message: Message): Channel {
    this.create(message.fundingTxid as Bytes, Number(message.fundingOutputIndex));
    const channel = this.channel(message.signature as Bytes);
    const signature = this.signatureForRemote();
    this.context.send({ type: "funding_signed", channelId: channel.options.id, signature });
    return channel;
  }

  private takeFirst(message: Message): Channel {
    return this.channel(message.signature as Bytes);
  }

  private create(fundingTxid: Bytes, fundingVout: number): void {
    const open = this.openMessage as Message;
    const terms: ChannelTerms = {
      type: typeOf(open),
      fundingTxid,
      fundingVout,
      fundingSatoshis: Number(open.fundingSatoshis),
      opener: sideTerms(open),
      acceptor: sideTerms(this.acceptMessage as Message),
    };
    this.created = { id: channelIdOf(fundingTxid, fundingVout), terms };
  }

  private signatureForRemote(): Bytes {
    const { commitment, point } = this.firstCommitment(other(this.us));
    return signCommitment(commitment, this.context.secrets.secrets, point).signature;
  }

  private channel(signature: Bytes): Channel {
    const { id, terms } = this.createdTerms;
    const signatures = { signature, htlcSignatures: [] };
    const { commitment, point } = this.firstCommitment(this.us);
    const signer = terms[other(this.us)].points;
    const fault = faultOfSignatures(commitment, signer, point, signatures);
    must(fault === undefined, `the first commitment: ${fault}`);
    return new Channel({
      ...this.context,
      id,
      terms,
      us: this.us,
      remoteFirstPoint: this.messageOf(other(this.us)).firstPerCommitmentPoint as Bytes,
      firstSignatures: signatures,
      first: this.firstBalances(),
      upfrontScripts: {
        opener: this.messageOf("opener").upfrontShutdownScript as Bytes,
        acceptor: this.messageOf("acceptor").upfrontShutdownScript as Bytes,
      },
    });
  }

  private firstCommitment(broadcaster: Role) {
    const point = this.messageOf(broadcaster).firstPerCommitmentPoint as Bytes;
    const { terms } = this.createdTerms;
    const commitment = buildCommitment(terms, broadcaster, 0, point, this.firstBalances());
    return { commitment, point };
  }

  private get createdTerms() {
    if (!this.created) throw new Error("the channel has no funding yet");
    return this.created;
  }

  private messageOf(role: Role): Message {
    return (role === "opener" ? this.openMessage : this.acceptMessage) as Message;
  }

  private firstBalances(): Balances {
    const { fundingSatoshis, pushMsat, feeratePerKw } = this.openMessage as Message;
    const acceptorMsat = Number(pushMsat);
    const openerMsat = 1000 * Number(fundingSatoshis) - acceptorMsat;
    return { openerMsat, acceptorMsat, htlcs: [], feeratePerKw: Number(feeratePerKw) };
  }

  /** Neither may ask for a reserve below the other's dust limit; zero is zero reserve. */
  private checkReserves(): void {
    for (const role of ["opener", "acceptor"] as const) {
      const reserve = Number(this.messageOf(role).channelReserveSatoshis);
      const dust = Number(this.messageOf(other(role)).dustLimitSatoshis);
      must(reserve === 0 || reserve >= dust, "a reserve below the dust limit");
    }
  }

  private sideFields(fundingSatoshis: number, reserve: number | undefined) {
    const { points } = this.context.secrets;
    return {
      dustLimitSatoshis: DUST_LIMIT,
      maxHtlcValueInFlightMsat: fundingSatoshis * 1000,
      channelReserveSatoshis: reserve ?? Math.max(1000, Math.floor(fundingSatoshis / 100)),
      htlcMinimumMsat: 1,
      toSelfDelay: 150,
      maxAcceptedHtlcs: 20,
      fundingPubkey: points.funding,
      revocationBasepoint: points.revocation,
      paymentBasepoint: points.payment,
      delayedPaymentBasepoint: points.delayedPayment,
      htlcBasepoint: points.htlc,
      firstPerCommitmentPoint: this.context.secrets.perCommitmentPoint(0),
      upfrontShutdownScript: p2wpkh(points.payment),
    };
  }
}

/** The txid, its last two bytes XOR the output's index (BOLT 2 "Definition of channel_id"). */
export function channelIdOf(txid: Bytes, vout: number): Bytes {
  const index = concat(ZERO.subarray(2), bigEndian(vout, 2));
  return txid.map((byte, at) => byte ^ (index[at] ?? 0));
}

function typeOf({ channelType }: Message): ChannelType {
  const known = Object.entries(CHANNEL_TYPES) as [ChannelType, Bytes][];
  const found = known.find(([, bits]) => same(bits, channelType as Bytes));
  must(found !== undefined, "an unknown channel type");
  return found[0];
}

function checkSide(message: Message, type: ChannelType): void {
  const most = type === "zero_fee_commitments" ? 114 : 483;
  must(Number(message.maxAcceptedHtlcs) <= most, "too many HTLCs");
  must(Number(message.dustLimitSatoshis) >= 354, "too low a dust limit");
}

function sideTerms(message: Message): SideTerms {
  return {
    points: {
      funding: message.fundingPubkey as Bytes,
      revocation: message.revocationBasepoint as Bytes,
      payment: message.paymentBasepoint as Bytes,
      delayedPayment: message.delayedPaymentBasepoint as Bytes,
      htlc: message.htlcBasepoint as Bytes,
    },
    dustLimitSatoshis: Number(message.dustLimitSatoshis),
    toSelfDelay: Number(message.toSelfDelay),
    channelReserveSatoshis: Number(message.channelReserveSatoshis),
    htlcMinimumMsat: Number(message.htlcMinimumMsat),
    maxAcceptedHtlcs: Number(message.maxAcceptedHtlcs),
    maxHtlcValueInFlightMsat: Number(message.maxHtlcValueInFlightMsat),
  };
}
