/**
 * One channel of the second peer: the dance of BOLT 2 ("Normal Operation", "Message Retransmission")
 * with pushes and receipts (docs/PROTOCOL.md). Whatever the other side does against the rules throws.
 */
import { type Bytes, same } from "./bytes.ts";
import { ChannelClosing } from "./channel-closing.ts";
import { amountOf, ChannelState, type StateOptions } from "./channel-state.ts";
import type { Role } from "./commitment.ts";
import { pointOf } from "./curve.ts";
import type { Update } from "./log.ts";
import type { Message } from "./messages.ts";
import { must } from "./must.ts";
import { Receipts } from "./receipts.ts";

export interface ChannelOptions extends StateOptions {
  readonly id: Bytes;
  readonly nodeSecret: Bytes;
  readonly remoteId: Bytes;
  readonly upfrontScripts: Readonly<Record<Role, Bytes>>;
  readonly alias: number | null;
  readonly send: (message: Message) => void;
}

export class Channel {
  readonly state: ChannelState;
  readonly receipts: Receipts;
  readonly closing: ChannelClosing;
  /** No commitment is signed while this holds, so that updates gather. */
  holdsBack = false;
  private lastSent: "commitment_signed" | "revoke_and_ack" | undefined;
  private readySent = false;
  private readyReceived = false;
  private online = true;
  private nextCommitmentSent = 0;

  constructor(readonly options: ChannelOptions) {
    this.state = new ChannelState(options);
    const { id, nodeSecret, remoteId } = options;
    const send = (message: Message) => this.send(message);
    this.receipts = new Receipts(id, nodeSecret, remoteId, send);
    this.closing = new ChannelClosing(options, send);
  }

  get isReady(): boolean {
    return this.readySent && this.readyReceived && this.online;
  }

  /** Nothing is proposed, signed or owed on this side. */
  get isQuiet(): boolean {
    const { state } = this;
    const pending = [state.us, state.them].flatMap((role) => state.freshFor(role));
    return this.online && !state.awaitsRevocation && pending.length === 0;
  }

  // What the application asks for

  confirmed(): void {
    if (this.readySent) return;
    this.readySent = true;
    if (this.online) this.sendReady();
    this.progress();
  }

  push(payments: Bytes): void {
    const id = this.state.updates("push").length;
    const { below: receiptsBelow } = this.receipts;
    const message = { type: "update_push", id, payments, receiptsBelow };
    this.propose({ type: "push", id, payments, amountMsat: amountOf(payments) }, message);
  }

  addHtlc(amountMsat: number, paymentHash: Bytes, cltvExpiry: number): number {
    const id = this.state.updates("add").length;
    const htlc = { id, offeredBy: this.state.us, amountMsat, paymentHash, cltvExpiry };
    const fields = { id, amountMsat, paymentHash, cltvExpiry };
    const onionRoutingPacket = new Uint8Array(0);
    const message = { type: "update_add_htlc", ...fields, onionRoutingPacket };
    this.propose({ type: "add", htlc }, message);
    return id;
  }

  fulfill(id: number, preimage: Bytes): void {
    const message = { type: "update_fulfill_htlc", id, paymentPreimage: preimage };
    this.propose({ type: "fulfill", id, preimage }, message);
  }

  fail(id: number): void {
    const message = { type: "update_fail_htlc", id, reason: new Uint8Array(0) };
    this.propose({ type: "fail", id }, message);
  }

  fee(feeratePerKw: number): void {
    this.propose({ type: "fee", feeratePerKw }, { type: "update_fee", feeratePerKw });
  }

  shutdown(): void {
    this.closing.ask();
    this.progress();
  }

  private propose(update: Update, fields: Message): void {
    if (!this.isReady) throw new Error("the channel is not ready");
    const message = { ...fields, channelId: this.options.id };
    this.state.log.add(this.state.us, update, message);
    this.send(message);
    this.progress();
  }

  // What the other side says

  handle(message: Message): void {
    switch (message.type) {
      case "channel_reestablish":
        this.onReestablish(message);
        break;
      case "channel_ready":
        this.state.takeSecondPoint(message.secondPerCommitmentPoint as Bytes);
        this.readyReceived = true;
        break;
      case "update_push":
      case "update_add_htlc":
      case "update_fulfill_htlc":
      case "update_fail_htlc":
      case "update_fee":
        this.onUpdate(message);
        break;
      case "commitment_signed":
        this.onCommitmentSigned(message);
        break;
      case "revoke_and_ack":
        this.onRevokeAndAck(message);
        break;
      case "push_receipt":
        this.onReceipt(message);
        break;
      case "error":
      case "warning":
        break;
      default:
        this.closing.handle(message);
    }
    this.progress();
  }

  private onUpdate(message: Message): void {
    must(this.isReady, `${message.type} before channel_ready or channel_reestablish`);
    const { type } = this.state.takeUpdate(message);
    const adds = type === "add" || type === "push";
    must(!(adds && this.closing.shutdown[this.state.them]), `${message.type} after shutdown`);
    if (type === "push") this.receipts.forgetBelow(Number(message.receiptsBelow));
  }

  private onCommitmentSigned(message: Message): void {
    must(this.isReady, "commitment_signed too early");
    this.state.takeSignatures({
      signature: message.signature as Bytes,
      htlcSignatures: message.htlcSignatures as readonly Bytes[],
    });
    this.sendRevocation();
  }

  private onRevokeAndAck(message: Message): void {
    const secret = message.perCommitmentSecret as Bytes;
    this.state.takeSecret(secret, pointOf(secret), message.nextPerCommitmentPoint as Bytes);
    for (const entry of this.state.updates("push", this.state.them)) {
      const { update } = entry;
      if (update.type === "push" && this.state.isIrrevocable(entry)) {
        this.receipts.give(update.id, update.payments);
      }
    }
  }

  private onReceipt(message: Message): void {
    const entry = this.state.updates("push")[Number(message.id)];
    const isDue = entry !== undefined && this.state.isIrrevocable(entry);
    must(isDue, `a receipt for push ${message.id}`);
    if (entry.update.type !== "push") return;
    this.receipts.take(entry.update.id, entry.update.payments, message.signature as Bytes);
  }

  // Losing and finding the link

  disconnected(): void {
    this.online = false;
    this.state.log.forgetProposals();
    this.closing.disconnected();
  }

  connected(): void {
    const { localNumber, received } = this.state;
    this.nextCommitmentSent = localNumber + 1;
    this.send({
      type: "channel_reestablish",
      nextCommitmentNumber: this.nextCommitmentSent,
      nextRevocationNumber: received.secrets.length,
      yourLastPerCommitmentSecret: received.secrets.at(-1) ?? new Uint8Array(32),
      myCurrentPerCommitmentPoint: this.options.secrets.perCommitmentPoint(localNumber),
      receiptsBelow: this.receipts.below,
    });
  }

  private onReestablish(message: Message): void {
    const { localNumber, remoteNumber } = this.state;
    const nextCommitment = Number(message.nextCommitmentNumber);
    const nextRevocation = Number(message.nextRevocationNumber);
    const lacksCommitment = nextCommitment === remoteNumber && nextCommitment > 0;
    const lacksRevocation = nextRevocation === localNumber - 1;
    must(lacksCommitment || nextCommitment === remoteNumber + 1, "a commitment number");
    must(lacksRevocation || nextRevocation === localNumber, "a revocation number");
    const last =
      nextRevocation === 0
        ? new Uint8Array(32)
        : this.options.secrets.perCommitmentSecret(nextRevocation - 1);
    must(same(last, message.yourLastPerCommitmentSecret as Bytes), "the last secret");
    this.online = true;
    if (this.readySent && nextCommitment === 1 && this.nextCommitmentSent === 1) this.sendReady();
    this.receipts.giveAgain(Number(message.receiptsBelow));
    const committedFirst = this.lastSent === "revoke_and_ack";
    if (lacksCommitment && committedFirst) this.sendCommitmentAgain();
    if (lacksRevocation) this.sendRevocation();
    if (lacksCommitment && !committedFirst) this.sendCommitmentAgain();
    this.closing.shutDownIfAsked();
  }

  private sendCommitmentAgain(): void {
    const { log, us, them, remoteNumber } = this.state;
    for (const { since, message } of log.by(us)) {
      if (since[them] === remoteNumber) this.send(message);
    }
    this.sendCommitment();
  }

  // What we say

  /** Does what is due and allowed: signs, shuts down, closes. */
  progress(): void {
    if (!this.online) return;
    const { state, closing } = this;
    const canSign = this.isReady && !state.awaitsRevocation && !this.holdsBack;
    if (state.freshFor(state.them).length > 0 && canSign) {
      state.signNext();
      this.sendCommitment();
    }
    const hasProposed = state.log.by(state.us).some(({ since }) => since[state.them] === undefined);
    if (!hasProposed) closing.shutDownIfAsked();
    const isEmpty = state.local().htlcs.length + state.remote().htlcs.length === 0;
    if (this.isQuiet && isEmpty) closing.closeIfAgreed(state.local());
  }

  private sendCommitment(): void {
    this.lastSent = "commitment_signed";
    this.send({ type: "commitment_signed", ...this.state.signRemote() });
  }

  private sendRevocation(): void {
    const { localNumber } = this.state;
    const { secrets } = this.options;
    this.lastSent = "revoke_and_ack";
    this.send({
      type: "revoke_and_ack",
      perCommitmentSecret: secrets.perCommitmentSecret(localNumber - 1),
      nextPerCommitmentPoint: secrets.perCommitmentPoint(localNumber + 1),
    });
  }

  private sendReady(): void {
    const secondPerCommitmentPoint = this.options.secrets.perCommitmentPoint(1);
    const { alias: shortChannelId } = this.options;
    this.send({ type: "channel_ready", secondPerCommitmentPoint, shortChannelId });
  }

  private send(fields: Message): void {
    this.options.send({ ...fields, channelId: this.options.id });
  }
}
