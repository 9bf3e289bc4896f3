/** Our channels with other gateways in the table: announced when both ends have signed, updated as our terms change, closed when they end. */

import type { ChannelRecord } from "../../core/channel/record.ts";
import { announcementHash } from "../../core/keys/announcement.ts";
import {
  type AnnouncementSignatures,
  type ChannelAnnouncement,
  type ChannelUpdate,
  encodeStatement,
  isAnnouncementSigned,
  outpointKey,
  signedBytes,
} from "../../core/messages/routing-statement.ts";
import type { Node } from "../../core/node/node.ts";
import type { ChainSource } from "../../core/ports/chain.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { NodeSigner } from "../../core/ports/signer.ts";
import {
  type ChannelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
} from "../../core/primitives/brands.ts";
import { compare, equal, toHex } from "../../core/primitives/bytes.ts";
import type { ForwardPolicy } from "../payments/forward-policy.ts";
import { ANNOUNCE_DEPTH } from "./chain-check.ts";
import type { RoutingTable, Side, Told } from "./table.ts";

export interface OwnChannelsOptions {
  readonly crypto: Crypto;
  readonly signer: NodeSigner;
  readonly source: Pick<ChainSource, "transaction" | "genesisHash">;
  readonly table: RoutingTable;
  readonly policy: ForwardPolicy;
  node(): Node;
  nowSeconds(): number;
  /** To the other end alone. */
  send(peer: PublicKey, statement: Uint8Array): void;
  /** Of our own making, and in the table. */
  onTold(told: Told): void;
  /** The table has one of our channels: what came before it is looked at. */
  onAnnounced(body: ChannelAnnouncement): void;
  onAlarm(text: string): void;
}

/** A peer that is away for less is not told of: links break and come back. */
const AWAY_MS = 60_000;
/** Long before others take us for gone (paths.ts). */
const REFRESH_SECONDS = 86_400;

interface Own {
  readonly id: ChannelId;
  readonly peer: PublicKey;
  readonly key: string;
  /** Made once its place in the chain is known. */
  body?: ChannelAnnouncement | undefined;
  isAsking: boolean;
  theirs?: AnnouncementSignatures | undefined;
  awaySinceMs?: number | undefined;
}

export interface UsableChannel {
  readonly id: ChannelId;
  readonly peer: PublicKey;
  readonly spendableMsat: MilliSatoshi;
}

export class OwnChannels {
  private readonly all = new Map<string, Own>();
  private nowMs = 0;

  constructor(private readonly options: OwnChannelsOptions) {}

  /** A gateway is connected: what it and we have together is announced, or announced again. */
  peerCame(peer: PublicKey): void {
    for (const { id, channel } of this.options.node().channels(peer)) {
      if (channel.kind !== "live") continue;
      const key = outpointKey(channel.record.terms.fundingOutpoint);
      const own = this.all.get(key) ?? { id, peer, key, isAsking: false };
      this.all.set(key, own);
      this.sendSignatures(own);
    }
    this.look();
  }

  signaturesCame(from: PublicKey, body: AnnouncementSignatures): void {
    const own = this.all.get(outpointKey(body));
    if (!own || !equal(own.peer, from)) return;
    own.theirs = body;
    this.examine(own);
  }

  /** Now and then, at each block, and when a channel changed. */
  look(nowMs = this.nowMs): void {
    this.nowMs = nowMs;
    for (const own of [...this.all.values()]) this.examine(own);
  }

  /** Over which a payment can leave now. */
  usable(peer: string): readonly UsableChannel[] {
    const found: UsableChannel[] = [];
    for (const { id, peer: other, key } of this.all.values()) {
      if (toHex(other) !== peer || !this.options.table.get(key)) continue;
      const record = this.options.node().record(id);
      if (record?.phase !== "normal" || !this.isAwake({ id, peer: other })) continue;
      const reserve = record.terms.remote.channelReserveSatoshis * 1_000;
      const spendableMsat = milliSatoshi(Math.max(0, record.base.toLocalMsat - reserve));
      found.push({ id, peer: other, spendableMsat });
    }
    return found.sort((a, b) => b.spendableMsat - a.spendableMsat);
  }

  private examine(own: Own): void {
    const { table, node } = this.options;
    const record = node().record(own.id);
    if (record?.phase !== "normal" && record?.phase !== "awaiting-funding") {
      if (node().isStored(own.id)) return; // it is read from the store again
      this.ended(own);
      return;
    }
    if (record.phase !== "normal") return;
    if (table.get(own.key)) {
      this.keepUpdated(own);
      return;
    }
    const { fundingHeight } = record;
    const isDeep =
      fundingHeight !== undefined && node().height - fundingHeight + 1 >= ANNOUNCE_DEPTH;
    if (!isDeep) return;
    if (own.body?.blockHeight !== fundingHeight) this.locate(own, record);
    else this.announce(own);
  }

  /** Its place in its block, which the other end and all others read as well. */
  private locate(own: Own, { terms, fundingHeight }: ChannelRecord): void {
    if (own.isAsking || fundingHeight === undefined) return;
    own.isAsking = true;
    const { source, signer, onAlarm } = this.options;
    const { txid, vout } = terms.fundingOutpoint;
    const mine = { node: signer.nodeId, funding: terms.local.basepoints.fundingPubkey };
    const theirs = { node: own.peer, funding: terms.remote.basepoints.fundingPubkey };
    const isFirst = compare(mine.node, theirs.node) < 0;
    const [end0, end1] = isFirst ? [mine, theirs] : [theirs, mine];
    source
      .transaction(txid, fundingHeight)
      .then((found) => {
        own.isAsking = false;
        if (!found) return;
        own.body = {
          chainHash: source.genesisHash,
          txid,
          vout,
          blockHeight: fundingHeight,
          blockIndex: found.index,
          capacity: terms.fundingSatoshis,
          node0: end0.node,
          node1: end1.node,
          funding0: end0.funding,
          funding1: end1.funding,
        };
        this.sendSignatures(own);
        this.examine(own);
      })
      .catch((cause: unknown) => {
        own.isAsking = false;
        onAlarm(`a channel cannot be announced yet: ${String(cause)}`);
      });
  }

  private signatures({ id, body }: Own): AnnouncementSignatures | undefined {
    const { signer, node, crypto } = this.options;
    const record = node().record(id);
    if (!body || !record) return undefined;
    const statement = signedBytes({ type: "announcement", body });
    return {
      txid: body.txid,
      vout: body.vout,
      nodeSignature: signer.sign(announcementHash(crypto, statement)),
      fundingSignature: signer.channel(record.terms.keyIndex).signAnnouncement(statement),
    };
  }

  private sendSignatures(own: Own): void {
    const body = this.signatures(own);
    if (body) this.options.send(own.peer, encodeStatement({ type: "signatures", body }));
  }

  private announce(own: Own): void {
    const { crypto, table, signer, onTold, onAnnounced } = this.options;
    const { body, theirs } = own;
    const mine = this.signatures(own);
    if (!body || !theirs || !mine || table.wants(body) === "closed") return;
    const [end0, end1] = equal(body.node0, signer.nodeId) ? [mine, theirs] : [theirs, mine];
    const statement = {
      type: "announcement" as const,
      body,
      signatures: [
        end0.nodeSignature,
        end1.nodeSignature,
        end0.fundingSignature,
        end1.fundingSignature,
      ],
    };
    if (!isAnnouncementSigned(crypto, statement)) {
      own.theirs = undefined; // of another place in the chain, perhaps: it sends them again
      return;
    }
    onTold(table.add(body, encodeStatement(statement)));
    this.keepUpdated(own);
    onAnnounced(body);
  }

  private keepUpdated(own: Own): void {
    const { table, signer, crypto, nowSeconds, onTold } = this.options;
    const channel = table.get(own.key);
    if (!channel) return;
    const side: Side = equal(channel.body.node0, signer.nodeId) ? 0 : 1;
    const told = channel.updates[side]?.body;
    const wanted = this.wantedUpdate(own, channel.body, side);
    const isFresh = told !== undefined && nowSeconds() - told.sequence < REFRESH_SECONDS;
    if (told && isFresh && isSame(told, wanted)) return;
    // Later than any that an earlier life of ours told.
    const sequence = Math.max(nowSeconds(), (told?.sequence ?? 0) + 1);
    const body = { ...wanted, sequence };
    const hash = announcementHash(crypto, signedBytes({ type: "update", body }));
    const statement = { type: "update" as const, body, signature: signer.sign(hash) };
    const outcome = table.update(statement, encodeStatement(statement));
    if (typeof outcome === "object") onTold(outcome);
  }

  private wantedUpdate(own: Own, body: ChannelAnnouncement, side: Side): ChannelUpdate {
    const { policy } = this.options;
    const { txid, vout, capacity } = body;
    const most = Math.min(policy.htlcMaximumMsat, capacity * 1_000);
    return {
      txid,
      vout,
      side,
      sequence: 0,
      enabled: this.isEnabled(own),
      feeBaseMsat: policy.feeBaseMsat,
      feeProportionalMillionths: policy.feeProportionalMillionths,
      cltvExpiryDelta: policy.cltvExpiryDelta,
      htlcMinimumMsat: milliSatoshi(Math.min(policy.htlcMinimumMsat, most)),
      htlcMaximumMsat: milliSatoshi(most),
    };
  }

  private isEnabled(own: Own): boolean {
    if (this.isAwake(own)) {
      own.awaySinceMs = undefined;
      return true;
    }
    own.awaySinceMs ??= this.nowMs;
    return this.nowMs - own.awaySinceMs < AWAY_MS;
  }

  private isAwake({ id, peer }: Pick<Own, "id" | "peer">): boolean {
    const all = this.options.node().channels(peer);
    const found = all.find((one) => equal(one.id, id))?.channel;
    if (found?.kind !== "live") return false;
    const { connected, reestablishSent, reestablishReceived } = found.session;
    return connected && reestablishSent && reestablishReceived;
  }

  private ended(own: Own): void {
    const { table, signer, crypto, onTold } = this.options;
    this.all.delete(own.key);
    const channel = table.get(own.key);
    if (!channel) return;
    const { txid, vout, node0 } = channel.body;
    const body = { txid, vout, side: equal(node0, signer.nodeId) ? 0 : 1 };
    const hash = announcementHash(crypto, signedBytes({ type: "close", body }));
    const statement = { type: "close" as const, body, signature: signer.sign(hash) };
    const outcome = table.close(statement, encodeStatement(statement));
    if (typeof outcome === "object") onTold(outcome);
  }
}

function isSame(a: ChannelUpdate, b: ChannelUpdate): boolean {
  return (
    a.enabled === b.enabled &&
    a.feeBaseMsat === b.feeBaseMsat &&
    a.feeProportionalMillionths === b.feeProportionalMillionths &&
    a.cltvExpiryDelta === b.cltvExpiryDelta &&
    a.htlcMinimumMsat === b.htlcMinimumMsat &&
    a.htlcMaximumMsat === b.htlcMaximumMsat
  );
}
