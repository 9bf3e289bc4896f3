/**
 * All that a tower needs to punish one revoked commitment: parts of scripts, and signatures that pay its victim (BOLT 5).
 * No key is in it: a revocation key together with what the cheater knows would open every other commitment of the channel.
 */
import { type PublicKey, publicKey, type Signature, signature } from "../primitives/brands.ts";
import { isZero } from "../primitives/bytes.ts";
import { demand } from "../primitives/errors.ts";
import { ByteReader, ByteWriter } from "../transactions/codec.ts";
import type { ChannelType } from "../transactions/terms.ts";
import { MAX_PARTS, PART_BYTES } from "./slot.ts";

export interface JusticeKit {
  readonly channelType: ChannelType;
  readonly toSelfDelay: number;
  readonly revocationPubkey: PublicKey;
  readonly broadcasterDelayedPubkey: PublicKey;
  /** Where every penalty pays. */
  readonly payoutScript: Uint8Array;
  /** Of the penalties as they were signed, satoshi per 1000 weight; a tower may add to it. */
  readonly feeratePerKw: number;
  /** Absent where the cheater has nothing there that is worth it. */
  readonly toLocal?: { readonly vout: number; readonly signature: Signature } | undefined;
  /** Present where there are HTLCs. */
  readonly htlcKeys?: KitHtlcKeys | undefined;
  readonly htlcs: readonly KitHtlc[];
}

export interface KitHtlcKeys {
  readonly broadcasterHtlcPubkey: PublicKey;
  readonly countersignatoryHtlcPubkey: PublicKey;
  /** Of the commitment: it fixes the second stage of static_remotekey. */
  readonly commitmentFeeratePerKw: number;
}

export interface KitHtlc {
  readonly vout: number;
  /** By the cheater. */
  readonly offered: boolean;
  readonly paymentHash160: Uint8Array;
  readonly cltvExpiry: number;
  readonly signature: Signature;
  /** For the output of its HTLC transaction, where that has but one form (static_remotekey) and is worth it. */
  readonly secondStage?: Signature | undefined;
}

const VERSION = 1;
const TAG = "justice-kit";
const MAX_SCRIPT_BYTES = 34;
const MAX_HEIGHT = 499_999_999;
const TYPES = ["zero_fee_commitments", "anchors", "static_remotekey"] as const;
const HTLC_BYTES = 2 + 1 + 20 + 4 + 64;
const SECOND_STAGE_BYTES = 64;
const HTLC_KEYS_BYTES = 70;
/** Version, type, delay, two keys, script, feerate, to_local, number of HTLCs. */
const FIXED_BYTES = 1 + 1 + 2 + 33 + 33 + (1 + MAX_SCRIPT_BYTES) + 4 + (1 + 2 + 64) + 1;

/** HTLCs that fit; of more, those of the largest amounts are to be chosen. */
export function maxKitHtlcs(channelType: ChannelType): number {
  const each = HTLC_BYTES + (channelType === "static_remotekey" ? SECOND_STAGE_BYTES : 0);
  return Math.floor((MAX_PARTS * PART_BYTES - 1 - FIXED_BYTES - HTLC_KEYS_BYTES) / each);
}

/** Whether penalties can pay it: every SegWit script of version 0, and Taproot. */
export function isKitPayout(script: Uint8Array): boolean {
  return script.length > 0 && script.length <= MAX_SCRIPT_BYTES;
}

export function encodeKit(kit: JusticeKit): Uint8Array {
  const { htlcs, htlcKeys, toLocal } = kit;
  const writer = new ByteWriter(PART_BYTES);
  writer.u8(VERSION);
  writer.u8(TYPES.indexOf(kit.channelType));
  writer.u8(kit.toSelfDelay & 0xff);
  writer.u8(kit.toSelfDelay >>> 8);
  writer.raw(kit.revocationPubkey);
  writer.raw(kit.broadcasterDelayedPubkey);
  writer.prefixed(kit.payoutScript);
  writer.u32(kit.feeratePerKw);
  writer.u8(toLocal ? 1 : 0);
  if (toLocal) {
    writeVout(writer, toLocal.vout);
    writer.raw(toLocal.signature);
  }
  writer.u8(htlcs.length);
  if (htlcKeys && htlcs.length > 0) {
    writer.raw(htlcKeys.broadcasterHtlcPubkey);
    writer.raw(htlcKeys.countersignatoryHtlcPubkey);
    writer.u32(htlcKeys.commitmentFeeratePerKw);
    for (const htlc of htlcs) writeHtlc(writer, kit.channelType, htlc);
  }
  return writer.bytes();
}

/** Throws ProtocolViolation for what is no kit: whoever sealed it may have sealed anything. */
export function decodeKit(bytes: Uint8Array): JusticeKit {
  const reader = new ByteReader(bytes);
  demand(reader.u8() === VERSION, TAG, "has a version that is not known here");
  const channelType = TYPES[reader.u8()];
  demand(channelType, TAG, "has a channel type that is not known here");
  const toSelfDelay = reader.u16();
  const revocationPubkey = publicKey(reader.raw(33));
  const broadcasterDelayedPubkey = publicKey(reader.raw(33));
  const payoutScript = reader.prefixed();
  demand(isKitPayout(payoutScript), TAG, "pays to a script of an odd size");
  const feeratePerKw = reader.u32();
  const toLocal =
    reader.u8() === 1 ? { vout: reader.u16(), signature: signature(reader.raw(64)) } : undefined;
  const count = reader.u8();
  const htlcKeys = count > 0 ? readHtlcKeys(reader) : undefined;
  const htlcs: KitHtlc[] = [];
  for (let i = 0; i < count; i++) htlcs.push(readHtlc(reader, channelType));
  demand(
    reader.raw(reader.remaining).every((byte) => byte === 0),
    TAG,
    "goes on after its end",
  );
  const fixed = { channelType, toSelfDelay, revocationPubkey, broadcasterDelayedPubkey };
  return { ...fixed, payoutScript, feeratePerKw, toLocal, htlcKeys, htlcs };
}

function writeVout(writer: ByteWriter, vout: number): void {
  writer.u8(vout & 0xff);
  writer.u8(vout >>> 8);
}

function writeHtlc(writer: ByteWriter, channelType: ChannelType, htlc: KitHtlc): void {
  writeVout(writer, htlc.vout);
  writer.u8(htlc.offered ? 1 : 0);
  writer.raw(htlc.paymentHash160);
  writer.u32(htlc.cltvExpiry);
  writer.raw(htlc.signature);
  if (channelType === "static_remotekey") writer.raw(htlc.secondStage ?? new Uint8Array(64));
}

function readHtlcKeys(reader: ByteReader): KitHtlcKeys {
  return {
    broadcasterHtlcPubkey: publicKey(reader.raw(33)),
    countersignatoryHtlcPubkey: publicKey(reader.raw(33)),
    commitmentFeeratePerKw: reader.u32(),
  };
}

function readHtlc(reader: ByteReader, channelType: ChannelType): KitHtlc {
  const vout = reader.u16();
  const offered = reader.u8() === 1;
  const paymentHash160 = reader.raw(20);
  const cltvExpiry = reader.u32();
  demand(cltvExpiry <= MAX_HEIGHT, TAG, "has an HTLC that expires at no height");
  const htlc = { vout, offered, paymentHash160, cltvExpiry, signature: signature(reader.raw(64)) };
  if (channelType !== "static_remotekey") return htlc;
  const secondStage = reader.raw(64);
  return isZero(secondStage) ? htlc : { ...htlc, secondStage: signature(secondStage) };
}
