/** What gateways tell each other of channels: announcements, updates and closes, each signed by who it is about (in the spirit of BOLT 7). */
import { announcementHash } from "../keys/announcement.ts";
import type { Outpoint } from "../ports/chain.ts";
import type { Crypto } from "../ports/crypto.ts";
import type { PublicKey, Signature } from "../primitives/brands.ts";
import { compare, toHex } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { type CborLimits, decodeCbor, encodeCbor } from "./cbor.ts";
import { MAX_ROUTING_BYTES } from "./routing.ts";
import {
  amountMsat,
  amountSat,
  byte,
  bytes32,
  type CborValue,
  type Field,
  flag,
  group,
  point,
  safeUint,
  signatureField,
  txidField,
  u16,
  u32,
} from "./schema.ts";

type GroupOf<F> = F extends Field<infer T> ? T : never;

const outpoint = { txid: txidField, vout: u16 };
/** 0: the node whose id comes first in the announcement; 1: the other. */
const side = byte;

/** Of the channel whose funding output this is: one end's signatures, for the other end alone. */
const signatures = group("routing_signatures", {
  ...outpoint,
  nodeSignature: signatureField,
  fundingSignature: signatureField,
});

const announcement = group("routing_announcement", {
  chainHash: bytes32,
  ...outpoint,
  /** With `blockIndex` and `vout` the short_channel_id of BOLT 7. */
  blockHeight: u32,
  blockIndex: u32,
  capacity: amountSat,
  /** The lower id, by its bytes, comes first. */
  node0: point,
  node1: point,
  funding0: point,
  funding1: point,
});

/** How the node on `side` forwards into this channel. */
const update = group("routing_update", {
  ...outpoint,
  side,
  /** Seconds since 1970, rising: of two the later holds. */
  sequence: safeUint,
  enabled: flag,
  feeBaseMsat: u32,
  feeProportionalMillionths: u32,
  cltvExpiryDelta: u16,
  htlcMinimumMsat: amountMsat,
  htlcMaximumMsat: amountMsat,
});

/** The node on `side` uses this channel no more; final, so it needs no sequence. */
const close = group("routing_close", { ...outpoint, side });

export type ChannelAnnouncement = GroupOf<typeof announcement>;
export type ChannelUpdate = GroupOf<typeof update>;
export type ChannelClose = GroupOf<typeof close>;
export type AnnouncementSignatures = GroupOf<typeof signatures>;

export type RoutingStatement =
  | { readonly type: "signatures"; readonly body: AnnouncementSignatures }
  | {
      readonly type: "announcement";
      readonly body: ChannelAnnouncement;
      /** Node 0, node 1, funding key 0, funding key 1. */
      readonly signatures: readonly Signature[];
    }
  | { readonly type: "update"; readonly body: ChannelUpdate; readonly signature: Signature }
  | { readonly type: "close"; readonly body: ChannelClose; readonly signature: Signature };

const KINDS = { signatures: 0, announcement: 1, update: 2, close: 3 } as const;
const LIMITS: CborLimits = { maxBytes: MAX_ROUTING_BYTES, maxDepth: 2, maxItems: 24 };
const WHERE = "routing";

/** For documents and tests. */
export const routingGroups: Readonly<Record<keyof typeof KINDS, Field<unknown>>> = {
  signatures,
  announcement,
  update,
  close,
};

/**
 * @throws ProtocolViolation `cbor-…`, `routing…`: malformed. One statement has one encoding. Undefined: of a kind that a
 *   later version knows.
 */
export function decodeStatement(bytes: Uint8Array): RoutingStatement | undefined {
  const items = decodeCbor(bytes, LIMITS);
  demand(Array.isArray(items) && items.length >= 2, WHERE, "must be a list");
  const [kind, body, ...signed] = items as readonly CborValue[];
  demand(typeof kind === "number" && kind >= 0, WHERE, "begins with its kind");
  const signatureAt = (at: number) => {
    demand(signed.length > at, WHERE, "lacks a signature");
    return signatureField.decode(signed[at] as CborValue, WHERE);
  };
  const expect = (count: number) =>
    demand(signed.length === count, WHERE, `must carry ${count} signatures`);
  switch (kind) {
    case KINDS.signatures:
      expect(0);
      return { type: "signatures", body: signatures.decode(body as CborValue, WHERE) };
    case KINDS.announcement: {
      expect(4);
      const announced = announcement.decode(body as CborValue, WHERE);
      demand(compare(announced.node0, announced.node1) < 0, WHERE, "names its nodes out of order");
      const all = [0, 1, 2, 3].map(signatureAt);
      return { type: "announcement", body: announced, signatures: all };
    }
    case KINDS.update: {
      expect(1);
      const updated = update.decode(body as CborValue, WHERE);
      demand(updated.side <= 1, WHERE, "names a side that is none");
      const { htlcMinimumMsat, htlcMaximumMsat } = updated;
      demand(htlcMinimumMsat <= htlcMaximumMsat, WHERE, "takes no amount at all");
      return { type: "update", body: updated, signature: signatureAt(0) };
    }
    case KINDS.close: {
      expect(1);
      const closed = close.decode(body as CborValue, WHERE);
      demand(closed.side <= 1, WHERE, "names a side that is none");
      return { type: "close", body: closed, signature: signatureAt(0) };
    }
    default:
      return undefined;
  }
}

export function encodeStatement(statement: RoutingStatement): Uint8Array {
  const head = headOf(statement);
  switch (statement.type) {
    case "signatures":
      return encodeCbor(head);
    case "announcement":
      return encodeCbor([...head, ...statement.signatures]);
    case "update":
    case "close":
      return encodeCbor([...head, statement.signature]);
  }
}

/** What its signatures sign: kind and body. */
export function signedBytes(
  statement:
    | { readonly type: "announcement"; readonly body: ChannelAnnouncement }
    | { readonly type: "update"; readonly body: ChannelUpdate }
    | { readonly type: "close"; readonly body: ChannelClose },
): Uint8Array {
  return encodeCbor(headOf(statement));
}

function headOf(statement: { readonly type: keyof typeof KINDS; readonly body: unknown }) {
  return [KINDS[statement.type], routingGroups[statement.type].encode(statement.body)];
}

/** Both nodes and both funding keys stand behind it. */
export function isAnnouncementSigned(
  crypto: Crypto,
  { body, signatures }: Extract<RoutingStatement, { type: "announcement" }>,
): boolean {
  const hash = announcementHash(crypto, signedBytes({ type: "announcement", body }));
  const keys: readonly PublicKey[] = [body.node0, body.node1, body.funding0, body.funding1];
  return keys.every((key, i) => {
    const signature = signatures[i];
    return signature && crypto.isPublicKey(key) && crypto.verify(signature, hash, key);
  });
}

/** An update or a close is by the node on its side of the announced channel. */
export function isSignedByItsSide(
  crypto: Crypto,
  statement: Extract<RoutingStatement, { type: "update" | "close" }>,
  { node0, node1 }: Pick<ChannelAnnouncement, "node0" | "node1">,
): boolean {
  const hash = announcementHash(crypto, signedBytes(statement));
  const key = statement.body.side === 0 ? node0 : node1;
  return crypto.verify(statement.signature, hash, key);
}

/** Names a channel in maps. */
export function outpointKey({ txid, vout }: Outpoint): string {
  return `${toHex(txid)}:${vout}`;
}
