/** Routes from public nodes to the payee (BOLT 11 field `r`). */
import type { Crypto } from "../../ports/crypto.ts";
import { publicKey } from "../../primitives/brands.ts";
import { concatAll } from "../../primitives/bytes.ts";
import type { RouteHop } from "./invoice.ts";
import { insist } from "./invoice-error.ts";

const KEY_BYTES = 33;
const SCID_BYTES = 8;
const HOP_BYTES = KEY_BYTES + SCID_BYTES + 4 + 4 + 2;
const MAX_U32 = 0xffff_ffff;
const MAX_U16 = 0xffff;

/** @throws InvoiceError where the bytes are not one or more whole entries with keys on the curve. */
export function readRoute(crypto: Crypto, bytes: Uint8Array): RouteHop[] {
  const isWhole = bytes.length > 0 && bytes.length % HOP_BYTES === 0;
  const what = `an r field (route) has ${bytes.length} bytes; each of its entries has ${HOP_BYTES}`;
  insist(isWhole, "r", "wrong-length", what);
  const hops: RouteHop[] = [];
  for (let at = 0; at < bytes.length; at += HOP_BYTES) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, HOP_BYTES);
    const nodeId = publicKey(bytes.slice(at, at + KEY_BYTES));
    insist(crypto.isPublicKey(nodeId), "r", "not-a-key", "a route begins at a key that is none");
    hops.push({
      nodeId,
      shortChannelId: bytes.slice(at + KEY_BYTES, at + KEY_BYTES + SCID_BYTES),
      feeBaseMsat: view.getUint32(41),
      feeProportionalMillionths: view.getUint32(45),
      cltvExpiryDelta: view.getUint16(49),
    });
  }
  return hops;
}

export function writeRoute(crypto: Crypto, hops: readonly RouteHop[]): Uint8Array {
  insist(hops.length > 0, "r", "missing", "a route without entries cannot be written");
  return concatAll(hops.map((hop) => writeHop(crypto, hop)));
}

function writeHop(crypto: Crypto, hop: RouteHop): Uint8Array {
  const { nodeId, shortChannelId, feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = hop;
  const isSound =
    crypto.isPublicKey(nodeId) &&
    shortChannelId.length === SCID_BYTES &&
    isUnsigned(feeBaseMsat, MAX_U32) &&
    isUnsigned(feeProportionalMillionths, MAX_U32) &&
    isUnsigned(cltvExpiryDelta, MAX_U16);
  insist(isSound, "r", "out-of-range", "a route's key, channel, fee or delta is out of range");
  return hopBytes(hop);
}

/** Of a hop whose numbers are in range. */
export function hopBytes(hop: RouteHop): Uint8Array {
  const out = new Uint8Array(HOP_BYTES);
  const view = new DataView(out.buffer);
  out.set(hop.nodeId);
  out.set(hop.shortChannelId, KEY_BYTES);
  view.setUint32(41, hop.feeBaseMsat);
  view.setUint32(45, hop.feeProportionalMillionths);
  view.setUint16(49, hop.cltvExpiryDelta);
  return out;
}

function isUnsigned(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max;
}
