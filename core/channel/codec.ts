/** The record's bytes: deterministic CBOR with a version in front (docs/PROTOCOL.md "Records"). */
import { decodeSecretStore, encodeSecretStore, type SecretStore } from "../keys/shachain.ts";
import { decodeCbor, encodeCbor } from "../messages/cbor.ts";
import {
  amountMsat,
  amountSat,
  bytes,
  bytes32,
  type CborValue,
  channelIdField,
  type Field,
  flag,
  group,
  list,
  optional,
  paymentHashField,
  point,
  preimageField,
  safeUint,
  signatureField,
  txidField,
  u16,
  u32,
  u48,
} from "../messages/schema.ts";
import { MAX_HTLCS, MAX_PUSH_PAYMENTS, PUSH_PAYMENT_BYTES } from "../messages/update.ts";
import { sumPayments } from "../payments/push.ts";
import {
  type BlockHeight,
  blockHeight,
  type CommitmentNumber,
  commitmentNumber,
  toMilliSatoshi,
} from "../primitives/brands.ts";
import { AssertionError, demand, ProtocolViolation, unreachable } from "../primitives/errors.ts";
import type { ChannelTerms, Declaration } from "../transactions/channel-terms.ts";
import type { Basepoints, ChannelType } from "../transactions/terms.ts";
import { MAX_PENDING_UPDATES } from "./limits.ts";
import {
  type ChannelRecord,
  type Htlc,
  MAX_FACTS,
  MAX_MUTUAL_CLOSES,
  MAX_RECEIPTS_AWAITED,
  MAX_RECEIPTS_OWED,
  type PendingUpdates,
  type Phase,
  type PushDigest,
  type State,
  type Update,
} from "./record.ts";
import { totalMsat } from "./state.ts";

export const RECORD_VERSION = 1;
/** A record with every list at its bound is smaller than this. */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024;

/** A stored record that cannot be read: the channel stays halted, nothing is published from it. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

/** How the local basepoints are found again: they follow from the seed, or from the seed and the owner's public key. */
export type BasepointsOf = (keyIndex: number) => Basepoints;

export function encodeRecord(record: ChannelRecord): Uint8Array {
  const body = recordField.encode(toStored(record)) as CborValue[];
  return encodeCbor([RECORD_VERSION, record.suspect === undefined ? body.slice(0, -1) : body]);
}

/** Throws RecordError with what is wrong and what to do. */
export function decodeRecord(stored: Uint8Array, basepointsOf: BasepointsOf): ChannelRecord {
  try {
    const value = decodeCbor(stored, {
      maxBytes: MAX_RECORD_BYTES,
      maxDepth: 16,
      maxItems: 4_000_000,
    });
    demand(Array.isArray(value) && value.length === 2, "record", "must be a version and a body");
    const [version, body] = value as [CborValue, CborValue];
    if (version !== RECORD_VERSION) {
      throw new RecordError(
        `the channel record has version ${String(version)}, this program reads ${RECORD_VERSION}: ` +
          "run the newer program that wrote it",
      );
    }
    const whole = [...(Array.isArray(body) ? (body as CborValue[]) : [])];
    if (whole.length === FIRST_FIELDS) whole.push(null);
    const record = fromStored(recordField.decode(whole, "record"), basepointsOf);
    const conserved = totalMsat(record.base) === toMilliSatoshi(record.terms.fundingSatoshis);
    demand(conserved, "value-conserved", "the balances do not add up to the channel");
    return record;
  } catch (cause) {
    const damaged = cause instanceof ProtocolViolation || cause instanceof AssertionError;
    if (!damaged) throw cause;
    throw new RecordError(`the channel record is damaged (${cause.message}): restore a newer one`);
  }
}

const script = bytes(0, 83);
const height: Field<BlockHeight> = branded(u32, blockHeight);
const number: Field<CommitmentNumber> = branded(u48, commitmentNumber);

function branded<T extends number>(field: Field<number>, brandOf: (value: number) => T): Field<T> {
  return {
    cddl: field.cddl,
    shape: field.shape,
    decode: (value, where) => brandOf(field.decode(value, where)),
    encode: (value) => value,
  };
}

/** One of a closed list of words, stored as its index: append, never reorder. */
function word<T extends string>(words: readonly T[]): Field<T> {
  return {
    cddl: "uint",
    shape: { kind: "uint", min: 0, max: words.length - 1 },
    decode(value, where) {
      const found = typeof value === "number" ? words[value] : undefined;
      demand(found !== undefined, where, "is not a known value");
      return found;
    },
    encode: (value) => words.indexOf(value),
  };
}

const channelType = word<ChannelType>(["zero_fee_commitments", "anchors", "static_remotekey"]);
const phase = word<Phase>([
  "awaiting-funding",
  "normal",
  "closing",
  "force-closing",
  "on-chain",
  "outdated",
]);
const lastSent = word<ChannelRecord["lastSent"]>(["commitment_signed", "revoke_and_ack"]);

const limits = {
  dustLimitSatoshis: amountSat,
  maxHtlcValueInFlightMsat: amountMsat,
  channelReserveSatoshis: amountSat,
  htlcMinimumMsat: amountMsat,
  toSelfDelay: u16,
  maxAcceptedHtlcs: u16,
  upfrontShutdownScript: script,
} as const;
const basepoints = group("basepoints", {
  fundingPubkey: point,
  revocationBasepoint: point,
  paymentBasepoint: point,
  delayedPaymentBasepoint: point,
  htlcBasepoint: point,
});
const terms = group("terms", {
  channelType,
  fundingOutpoint: group("outpoint", { txid: txidField, vout: u16 }),
  fundingSatoshis: amountSat,
  localIsOpener: flag,
  keyIndex: u32,
  local: group("local-declaration", limits),
  /** Payout keys that do not follow from the seed alone (cold payout). */
  coldBasepoints: optional(
    group("cold-basepoints", { paymentBasepoint: point, delayedPaymentBasepoint: point }),
  ),
  remote: group("declaration", { basepoints, ...limits }),
});

const htlcFields = group("htlc", {
  offeredByLocal: flag,
  id: safeUint,
  amountMsat,
  paymentHash: paymentHashField,
  cltvExpiry: height,
  onion: bytes(0, 1366),
  firstRemoteNumber: optional(u48),
  preimage: optional(preimageField),
});
const htlc: Field<Htlc> = htlcFields;

const updateKinds = ["push", "add", "fulfill", "fail", "failMalformed", "fee"] as const;
const payments = bytes(PUSH_PAYMENT_BYTES, PUSH_PAYMENT_BYTES * MAX_PUSH_PAYMENTS);
const bodies = {
  push: group("push", { id: safeUint, payments }),
  add: group("add", { htlc }),
  fulfill: group("fulfill", { htlcId: safeUint, preimage: preimageField }),
  fail: group("fail", { htlcId: safeUint, reason: bytes(0, 512) }),
  failMalformed: group("fail-malformed", {
    htlcId: safeUint,
    sha256OfOnion: bytes32,
    failureCode: u16,
  }),
  fee: group("fee", { feeratePerKw: u32 }),
};
const update: Field<Update> = {
  cddl: "[kind: uint, body]",
  shape: { kind: "group", name: "update", fields: bodies },
  decode(value, where) {
    demand(Array.isArray(value) && value.length === 2, where, "must be a kind and a body");
    const [index, body] = value as [CborValue, CborValue];
    const kind = word(updateKinds).decode(index, where);
    if (kind !== "push") return { type: kind, ...bodies[kind].decode(body, where) } as Update;
    const push = bodies.push.decode(body, where);
    return { type: "push", ...push, amountMsat: sumPayments(push.payments) };
  },
  encode(value) {
    const index = updateKinds.indexOf(value.type);
    switch (value.type) {
      case "push":
        return [index, bodies.push.encode(value)];
      case "add":
        return [index, bodies.add.encode(value)];
      case "fulfill":
        return [index, bodies.fulfill.encode(value)];
      case "fail":
        return [index, bodies.fail.encode(value)];
      case "failMalformed":
        return [index, bodies.failMalformed.encode(value)];
      case "fee":
        return [index, bodies.fee.encode(value)];
      default:
        return unreachable(value);
    }
  },
};
const updates = list(update, MAX_PENDING_UPDATES * 2);

const state: Field<State> = group("state", {
  toLocalMsat: amountMsat,
  toRemoteMsat: amountMsat,
  feeratePerKw: u32,
  htlcs: list(htlc, 2 * MAX_HTLCS),
});
const pending: Field<PendingUpdates> = group("pending", {
  localSigned: updates,
  localAcked: updates,
  remoteAcked: updates,
  remoteSigned: updates,
});
const digest: Field<PushDigest> = group("push-digest", { id: safeUint, digest: bytes32 });
const secrets: Field<SecretStore> = {
  cddl: "bstr",
  shape: { kind: "bytes", min: 6, max: 6 + 48 * 32 },
  decode(value, where) {
    demand(value instanceof Uint8Array, where, "must be a byte string");
    return decodeSecretStore(value);
  },
  encode: encodeSecretStore,
};

const recordFields = {
  channelId: channelIdField,
  remoteNodeId: point,
  terms,
  phase,
  minimumDepth: u32,
  createdAtHeight: height,
  fundingHeight: optional(height),
  readySent: flag,
  readyReceived: flag,
  base: state,
  pending,
  nextLocalHtlcId: safeUint,
  nextRemoteHtlcId: safeUint,
  nextLocalPushId: safeUint,
  nextRemotePushId: safeUint,
  localNumber: number,
  localSignature: signatureField,
  localHtlcSignatures: list(signatureField, 2 * MAX_HTLCS),
  remoteNumber: number,
  remotePoint: point,
  remoteNextPoint: optional(point),
  awaitingRevocation: flag,
  lastSent,
  secrets,
  receiptsBelow: safeUint,
  receiptsAwaited: list(digest, MAX_RECEIPTS_AWAITED),
  receiptsOwed: list(digest, MAX_RECEIPTS_OWED),
  closeFeeratePerKw: optional(u32),
  localShutdownScript: optional(script),
  remoteShutdownScript: optional(script),
  mutualCloses: list(bytes(60, 1000), MAX_MUTUAL_CLOSES),
  facts: list(group("fact", { raw: bytes(60, 400_000), height }), MAX_FACTS),
  failedOnChain: list(safeUint, 2 * MAX_HTLCS),
  outdated: flag,
  peerOutdated: flag,
  forceClosedAtHeight: optional(height),
  // Left away where it is absent, as in records from before it was.
  suspect: optional(flag),
} as const;
const recordField = group("record", recordFields);
const FIRST_FIELDS = Object.keys(recordFields).length - 1;

type Stored = ReturnType<typeof recordField.decode>;

function toStored(record: ChannelRecord): Stored {
  const { local } = record.terms;
  const { paymentBasepoint, delayedPaymentBasepoint } = local.basepoints;
  const coldBasepoints = local.coldPayout
    ? { paymentBasepoint, delayedPaymentBasepoint }
    : undefined;
  return { ...record, terms: { ...record.terms, coldBasepoints } } as Stored;
}

function fromStored(stored: Stored, basepointsOf: BasepointsOf): ChannelRecord {
  const { coldBasepoints, ...plain } = stored.terms;
  const own = { ...basepointsOf(plain.keyIndex), ...coldBasepoints };
  const local: Declaration = { ...plain.local, basepoints: own, coldPayout: !!coldBasepoints };
  const full: ChannelTerms = { ...plain, local };
  return { ...stored, terms: full } as ChannelRecord;
}
