/** A meter's session as it is kept in flash, beside the payments that came for it. */
import {
  type ChannelId,
  channelId,
  type MilliSatoshi,
  milliSatoshi,
  type PublicKey,
  publicKey,
} from "../../core/primitives/brands.ts";
import { ascii, concat, equal } from "../../core/primitives/bytes.ts";
import { ByteReader, ByteWriter } from "../../core/transactions/codec.ts";

export const SESSION_BYTES = 8;
/** What a reference names in place of a product. */
const METER_PRODUCT = 0xffff;
const VERSION = 1;

export interface MeterSession {
  readonly payer: PublicKey;
  readonly id: Uint8Array;
  /** For one unit; it holds as long as the session. */
  readonly priceMsat: MilliSatoshi;
  /** Of the newest payment: where the rest goes back. */
  channelId: ChannelId | undefined;
  paidMsat: number;
  /** Units begun. */
  usedUnits: number;
  /** As it was stored, of the unit that was begun. */
  leftOfUnit: number;
  lowUnits: number;
}

export function leftMsat({ paidMsat, usedUnits, priceMsat }: MeterSession): MilliSatoshi {
  return milliSatoshi(paidMsat - usedUnits * priceMsat);
}

/** Payer's side: the reference of a session's payment number `count`. */
export function meterReference(session: Uint8Array, count: number, salt: Uint8Array): Uint8Array {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, count);
  return concat(Uint8Array.of(METER_PRODUCT >> 8, METER_PRODUCT & 0xff), session, number, salt);
}

/** The session that a payment's reference names; undefined where it names a product. */
export function sessionOfReference(reference: Uint8Array): Uint8Array | undefined {
  const isMeter = reference.length === 16 && reference[0] === 0xff && reference[1] === 0xff;
  return isMeter ? reference.slice(2, 2 + SESSION_BYTES) : undefined;
}

/** Under which the unused rest stands in the inbox: never twice the same, whatever id a payer chose. */
export function restReference(
  sha256: (data: Uint8Array) => Uint8Array,
  { payer, id }: MeterSession,
  number: number,
): Uint8Array {
  return sha256(concat(ascii("picobolt meter rest"), payer, id, ascii(`/${number}`))).slice(0, 16);
}

export function isSessionOf(session: MeterSession, payer: PublicKey, id: Uint8Array): boolean {
  return equal(session.payer, payer) && equal(session.id, id);
}

/** What a meter keeps beside its inbox: nothing while nothing was paid. */
export function encodeSession(session: MeterSession | undefined): Uint8Array {
  const writer = new ByteWriter();
  if (!session?.channelId) return writer.bytes();
  writer.u8(VERSION);
  writer.raw(session.payer);
  writer.raw(session.id);
  writer.raw(session.channelId);
  writer.varint(session.priceMsat);
  writer.varint(session.paidMsat);
  writer.varint(session.usedUnits);
  writer.varint(Math.floor(session.leftOfUnit));
  writer.varint(session.lowUnits);
  return writer.bytes();
}

export function decodeSession(bytes: Uint8Array): MeterSession | undefined {
  if (bytes.length === 0) return undefined;
  const reader = new ByteReader(bytes);
  if (reader.u8() !== VERSION) throw new Error("the session was stored by another firmware");
  return {
    payer: publicKey(reader.raw(33).slice()),
    id: reader.raw(SESSION_BYTES).slice(),
    channelId: channelId(reader.raw(32).slice()),
    priceMsat: milliSatoshi(reader.varint()),
    paidMsat: reader.varint(),
    usedUnits: reader.varint(),
    leftOfUnit: reader.varint(),
    lowUnits: reader.varint(),
  };
}
