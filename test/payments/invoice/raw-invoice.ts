/** Invoices put together group by group and well signed, for what the writer would never write. */

import { recoveryIdOf } from "../../../core/payments/invoice/recovery.ts";
import { bytesOfSigned } from "../../../core/payments/invoice/sign-invoice.ts";
import { BECH32, encodeBech32, toGroups } from "../../../core/primitives/bech32.ts";
import type { Signature } from "../../../core/primitives/brands.ts";
import { ascii, concat, concatAll, fromHex, toHex } from "../../../core/primitives/bytes.ts";
import { noble } from "../../support/crypto-providers.ts";
import { payee } from "./invoice-samples.ts";

const LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const ORDER = BigInt("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

/** By the letter that stands for its type. */
export function tag(letter: string, data: Iterable<number>): Uint8Array {
  const groups = Uint8Array.from(data);
  const head = [LETTERS.indexOf(letter), groups.length >> 5, groups.length & 31];
  return concat(Uint8Array.from(head), groups);
}

export const p = tag("p", toGroups(new Uint8Array(32).fill(1)));
export const s = tag("s", toGroups(new Uint8Array(32).fill(2)));
export const h = tag("h", toGroups(new Uint8Array(32).fill(3)));
export const d = tag("d", toGroups(ascii("1 coffee")));
export const n = tag("n", toGroups(payee.nodeId));

interface Change {
  readonly highS?: boolean;
  readonly recoveryId?: number;
  readonly r?: Uint8Array;
  readonly s?: Uint8Array;
}

/** Signed by `payee`. */
export function raw(fields: readonly Uint8Array[], hrp = "lnbcrt"): string {
  return forged(fields, {}, hrp);
}

/** With something else in place of the signature's parts; a high S goes with the other recovery id. */
export function forged(fields: readonly Uint8Array[], change: Change, hrp = "lnbcrt"): string {
  const time = Uint8Array.of(1, 12, 18, 31, 28, 25, 2);
  const signed = concat(time, concatAll(fields));
  const hash = noble.sha256(concat(ascii(hrp), bytesOfSigned(signed)));
  const signature = payee.sign(hash);
  const recoveryId = recoveryIdOf(noble, signature, { hash, key: payee.nodeId });
  const r = change.r ?? signature.slice(0, 32);
  const low = change.s ?? signature.slice(32);
  const last = change.highS ? negated(low) : low;
  const id = change.recoveryId ?? (change.highS ? recoveryId ^ 1 : recoveryId);
  const bytes = concat(r, last, Uint8Array.of(id)) as Uint8Array as Signature;
  return encodeBech32(hrp, concat(signed, toGroups(bytes)), BECH32);
}

function negated(scalar: Uint8Array): Uint8Array {
  return fromHex((ORDER - BigInt(`0x${toHex(scalar)}`)).toString(16).padStart(64, "0"));
}
