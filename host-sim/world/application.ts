/** What an honest owner of a node does: pays each thing once, answers HTLCs, funds channels, and tries again after whatever went wrong. */
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { type ChannelRecord, isOpen, type Update } from "../../core/channel/record.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PaymentHash,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { parseTransaction, transactionId } from "../../core/transactions/transaction.ts";
import type { WorldNode } from "./actors/world-node.ts";
import type { Book, BookChannel, BookHtlc, BookPush } from "./book.ts";
import type { World } from "./world.ts";

/** To its expiry, when it is offered. */
const MIN_BLOCKS = 16;
const MIN_BLOCKS_TO_CLAIM = 10;

export class Application {
  private recoveredRun = 0;

  constructor(
    private readonly world: World,
    readonly self: WorldNode,
  ) {}

  private get book(): Book {
    return this.world.book;
  }

  /** At a new run, before it talks to anyone: its store tells what became of what was asked. */
  recoverOnce(): void {
    const { self, book } = this;
    if (this.recoveredRun === self.runs) return;
    this.recoveredRun = self.runs;
    this.findChannels();
    for (const push of book.pushes) {
      if (push.from !== self.index) continue;
      push.committed = self.memory.wasDebited(push.references[0] as Uint8Array);
      push.asked = push.committed;
    }
    for (const htlc of book.htlcs) {
      if (htlc.from !== self.index || htlc.isSecondHalf) continue;
      if (htlc.committed || !htlc.channel.id) continue;
      const record = self.record(htlc.channel.id);
      htlc.committed = record !== undefined && hasHtlc(record, htlc.hash);
      htlc.asked = htlc.committed;
    }
  }

  /** Acts on what was told since the last time. */
  async react(): Promise<void> {
    for (const { id, event } of this.self.events.splice(0)) {
      if (event.type === "fundingNeeded") await this.fund(id, event);
      else this.hear(id, event);
    }
    for (const channel of this.book.channels) this.broadcastFunding(channel);
  }

  /** Asks again for what was refused, and answers HTLCs that wait; never asks for what may be under way. */
  retry(): void {
    const { self, book } = this;
    if (!self.isUp) return;
    this.findChannels();
    for (const push of book.pushes) {
      if (push.from !== self.index || push.asked || !this.isOpen(push.channel)) continue;
      push.asked = true;
      const { payments } = push;
      self.node?.command(push.channel.id as ChannelId, { type: "push", payments });
    }
    for (const htlc of book.htlcs) {
      if (htlc.from !== self.index || htlc.asked || !this.isOpen(htlc.channel)) continue;
      if (htlc.isSecondHalf || this.isTooLate(htlc)) continue;
      htlc.asked = true;
      self.node?.command(htlc.channel.id as ChannelId, {
        type: "addHtlc",
        amountMsat: milliSatoshi(htlc.amountMsat),
        paymentHash: htlc.hash,
        cltvExpiry: blockHeight(htlc.cltvExpiry),
        ...(htlc.onion && { onion: htlc.onion }),
      });
    }
    this.answerAll();
  }

  /** Power went between the record and our hearing of it. */
  private findChannels(): void {
    const { self, world } = this;
    for (const channel of this.book.channels) {
      if (channel.created || channel.opener !== self.index || !channel.funding) continue;
      const txid = transactionId(world.crypto, parseTransaction(channel.funding));
      for (const { channel: listed } of self.node?.channels() ?? []) {
        if (listed.kind !== "live") continue;
        const { terms, channelId } = listed.record;
        if (!equal(terms.fundingOutpoint.txid, txid)) continue;
        channel.created = true;
        channel.id = channelId;
      }
    }
  }

  private hear(id: ChannelId, event: ChannelEvent): void {
    const channel = this.channelOf(id);
    if (!channel) return;
    const { index } = this.self;
    switch (event.type) {
      case "created":
        channel.id = event.channelId;
        if (index === channel.opener) channel.created = true;
        break;
      case "openFailed":
        if (index === channel.opener && !channel.created) channel.failed = true;
        break;
      case "rejected":
        this.rejected(event.command);
        break;
      case "pushCommitted":
        for (const push of this.book.pushes) {
          const isIt = equal(push.payments, event.payments);
          if (isIt) push.committed = true;
          // A number that an older image of the disk gives again is no longer that of the first push.
          else if (!this.isOf(push, channel, event.pushId)) continue;
          push.pushId = isIt ? event.pushId : undefined;
        }
        break;
      case "htlcCommitted":
        for (const htlc of this.paid(event.htlc.paymentHash)) htlc.committed = true;
        break;
      case "receipt":
        for (const push of this.book.pushes) {
          if (this.isOf(push, channel, event.pushId)) push.receipted = true;
        }
        break;
      case "htlcReceived":
        this.answer(channel, event.htlc.id, event.htlc.paymentHash);
        break;
      case "htlcFulfilled":
        for (const htlc of this.paid(event.htlc.paymentHash)) htlc.outcome = "fulfilled";
        break;
      case "htlcFailed":
        for (const htlc of this.paid(event.paymentHash)) htlc.outcome = "failed";
        break;
      default:
        break;
    }
  }

  private isOf(push: BookPush, channel: BookChannel, pushId: number): boolean {
    return push.channel === channel && push.from === this.self.index && push.pushId === pushId;
  }

  private async fund(
    temporaryId: ChannelId,
    { script, amountSatoshis }: Extract<ChannelEvent, { type: "fundingNeeded" }>,
  ): Promise<void> {
    const channel = this.channelOf(temporaryId);
    const { self, world } = this;
    if (!channel || channel.funding) return;
    const { power } = self;
    const { soon } = world.lab.feerates;
    const raw = await self.wallet.fund([{ script, amount: amountSatoshis }], soon);
    const transaction = parseTransaction(raw);
    const txid = transactionId(world.crypto, transaction);
    const vout = transaction.outputs.findIndex((output) => equal(output.script, script));
    channel.funding = raw;
    if (power.isOn) self.node?.command(temporaryId, { type: "funded", outpoint: { txid, vout } });
  }

  /** An owner's wallet keeps what it signed, and sends it until it is in a block. */
  private broadcastFunding(channel: BookChannel): void {
    const isOurs = channel.opener === this.self.index;
    if (!isOurs || !channel.created || !channel.funding || !this.self.isUp) return;
    this.world.chain.broadcast([channel.funding]);
  }

  private rejected(command: Extract<ChannelEvent, { type: "rejected" }>["command"]): void {
    if (command.type === "push") {
      for (const push of this.book.pushes)
        if (equal(push.payments, command.payments)) push.asked = push.committed;
    }
    if (command.type === "addHtlc") {
      for (const htlc of this.paid(command.paymentHash)) htlc.asked = htlc.committed;
    }
  }

  private isOpen({ id }: BookChannel): boolean {
    return id !== undefined && this.self.record(id)?.phase === "normal";
  }

  private answerAll(): void {
    for (const channel of this.book.channels) {
      const record = channel.id && this.self.record(channel.id);
      for (const htlc of record && isOpen(record.phase) ? record.base.htlcs : []) {
        if (!htlc.offeredByLocal && !htlc.preimage) this.answer(channel, htlc.id, htlc.paymentHash);
      }
    }
  }

  private answer({ id }: BookChannel, htlcId: number, hash: PaymentHash): void {
    const { node } = this.self;
    const htlc = this.book.htlcs.find((one) => one.to === this.self.index && equal(one.hash, hash));
    if (!htlc || !node || !id) return;
    const { plan, cltvExpiry, answerBlocks = 0 } = htlc;
    const isTime = plan === "late" && node.height >= cltvExpiry - answerBlocks;
    // A preimage that is given away so late may be worth nothing.
    const isTooLate = node.height > cltvExpiry - MIN_BLOCKS_TO_CLAIM;
    if (plan === "fail" || (isTooLate && plan !== "ignore" && plan !== "hold")) {
      node.command(id, { type: "failHtlc", htlcId, reason: new Uint8Array(4) });
    } else if (plan === "fulfil" || isTime) {
      for (const one of this.book.htlcs) if (equal(one.hash, hash)) one.released = true;
      node.command(id, { type: "fulfillHtlc", htlcId, preimage: htlc.secret });
    }
  }

  /** Nobody offers what has no time left to be answered. */
  private isTooLate({ isShort, cltvExpiry }: BookHtlc): boolean {
    return isShort === true && this.world.height + MIN_BLOCKS > cltvExpiry;
  }

  /** HTLCs of this hash that this node offers. */
  private paid(hash: PaymentHash): readonly BookHtlc[] {
    return this.book.htlcs.filter(
      (htlc) => htlc.from === this.self.index && equal(htlc.hash, hash),
    );
  }

  private channelOf(id: ChannelId): BookChannel | undefined {
    return this.book.channels.find(
      (channel) => equal(channel.temporaryId, id) || (channel.id && equal(channel.id, id)),
    );
  }
}

export function hasHtlc({ base, pending }: ChannelRecord, hash: PaymentHash): boolean {
  const added = (updates: readonly Update[]) =>
    updates.flatMap((update) => (update.type === "add" ? [update.htlc] : []));
  const all = [...base.htlcs, ...added(pending.localSigned), ...added(pending.localAcked)];
  return all.some((htlc) => htlc.offeredByLocal && equal(htlc.paymentHash, hash));
}
