/** The end of writing a BOLT 11 invoice: time and tagged fields are signed and become text. All that a device needs of a writer. */
import type { Crypto } from "../../ports/crypto.ts";
import type { NodeSigner } from "../../ports/signer.ts";
import { BECH32, encodeBech32, fromGroups, toGroups } from "../../primitives/bech32.ts";
import type { MilliSatoshi } from "../../primitives/brands.ts";
import { ascii, concat, concatAll } from "../../primitives/bytes.ts";
import { writeHeadline } from "./amount.ts";
import type { InvoiceNetwork } from "./invoice.ts";
import { recoveryIdOf } from "./recovery.ts";
import { numberGroups } from "./tagged-fields.ts";

const TIMESTAMP_GROUPS = 7;
/** What 7 groups of 5 bits hold. */
export const MAX_TIMESTAMP = 2 ** 35 - 1;

export interface InvoiceToSign {
  readonly network: InvoiceNetwork;
  readonly amountMsat?: MilliSatoshi | undefined;
  /** Whole seconds since 1970, at most MAX_TIMESTAMP. */
  readonly timestamp: number;
  /** Tagged fields, in 5-bit groups. */
  readonly fields: Uint8Array;
}

/** In lower case. @throws InvoiceError where nothing is asked for. */
export function signInvoice(
  crypto: Crypto,
  signer: Pick<NodeSigner, "nodeId" | "sign">,
  { network, amountMsat, timestamp, fields }: InvoiceToSign,
): string {
  const hrp = writeHeadline({ network, amountMsat });
  const time = numberGroups(timestamp);
  const signed = concatAll([new Uint8Array(TIMESTAMP_GROUPS - time.length), time, fields]);
  const hash = crypto.sha256(concat(ascii(hrp), bytesOfSigned(signed)));
  const signature = signer.sign(hash);
  const recoveryId = recoveryIdOf(crypto, signature, { hash, key: signer.nodeId });
  const last = toGroups(concat(signature, Uint8Array.of(recoveryId)));
  return encodeBech32(hrp, concat(signed, last), BECH32);
}

/** Whole groups, the last byte filled up with zero bits: what is hashed. */
export function bytesOfSigned(groups: Uint8Array): Uint8Array {
  const length = Math.ceil((groups.length * 5) / 8);
  // Zero groups behind it fill up the last byte; as many as make whole bytes of all.
  const filled = new Uint8Array(Math.ceil(groups.length / 8) * 8);
  filled.set(groups);
  return (fromGroups(filled) as Uint8Array).slice(0, length);
}
