/** The number and record formats of the Lightning wire, held to the vectors of BOLT 1. */
import { expect, it } from "vitest";
import {
  decodeBigSize,
  decodeTlvStream,
  decodeTruncated,
  encodeBigSize,
  encodeSigned,
  encodeTlvStream,
  encodeTruncated,
  signedOf,
  type TlvNamespace,
  unsignedOf,
} from "../../core/messages/wire.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { demand, ProtocolViolation } from "../../core/primitives/errors.ts";
import { noble } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

interface BigSizeCase {
  readonly name: string;
  readonly value: string;
  readonly bytes: string;
  readonly exp_error?: string;
}
const errors: Readonly<Record<string, string>> = {
  "decoded bigsize is not canonical": "bigsize-not-canonical",
  "unexpected EOF": "bigsize-truncated",
  EOF: "bigsize-truncated",
};

describeVectors<{ decode: BigSizeCase[]; encode: BigSizeCase[] }>(
  "BigSize (BOLT 1 appendix A)",
  "bolt1-appendix-a-bigsize.json",
  ({ decode, encode }) => {
    it.each(decode)("decodes $name", ({ value, bytes, exp_error }) => {
      const input = fromHex(bytes);
      if (exp_error === undefined) {
        expect(decodeBigSize(input)).toEqual({ value: BigInt(value), end: input.length });
      } else expect(() => decodeBigSize(input)).toThrow(errors[exp_error]);
    });
    it.each(encode)("encodes $name", ({ value, bytes }) => {
      expect(toHex(encodeBigSize(BigInt(value)))).toBe(bytes);
    });
  },
);

const sized = (bytes: number) => (value: Uint8Array) => {
  demand(value.length === bytes, "tlv-length", `must have ${bytes} bytes`);
  return String(unsignedOf(value));
};
const amountAndKey = (value: Uint8Array) => {
  demand(value.length === 49, "tlv-length", "must have 49 bytes");
  demand(noble.isPublicKey(value.subarray(0, 33)), "tlv-point", "must be a point");
  const first = unsignedOf(value.subarray(33, 41));
  return `${toHex(value.subarray(0, 33))} ${first} ${unsignedOf(value.subarray(41))}`;
};
const namespaces: Readonly<Record<string, TlvNamespace<string>>> = {
  n1: new Map<bigint, (value: Uint8Array) => string>([
    [1n, (value) => String(decodeTruncated(value, 8))],
    [2n, sized(8)],
    [3n, amountAndKey],
    [254n, sized(2)],
  ]),
  n2: new Map<bigint, (value: Uint8Array) => string>([
    [0n, (value) => String(decodeTruncated(value, 8))],
    [11n, (value) => String(decodeTruncated(value, 4))],
  ]),
};

interface TlvCase {
  readonly namespace: string;
  readonly valid: boolean;
  readonly stream: string;
  readonly note?: string;
  readonly values?: string;
}
describeVectors<{ cases: TlvCase[] }>(
  "TLV streams (BOLT 1 appendix B)",
  "bolt1-appendix-b-tlv.json",
  ({ cases }) => {
    it.each(cases)(
      "$namespace: $stream ($note $values)",
      ({ namespace, valid, stream, values }) => {
        for (const name of namespace === "any" ? ["n1", "n2"] : [namespace]) {
          const known = namespaces[name] as TlvNamespace<string>;
          const decode = () => decodeTlvStream(fromHex(stream), known);
          if (!valid) {
            expect(decode).toThrow(ProtocolViolation);
            continue;
          }
          const found = [...decode().values()].join(" ");
          const numbers = [...(values ?? "").matchAll(/=(?:0x0x)?([0-9a-f]+)/g)].map((m) => m[1]);
          expect(found).toBe(numbers.join(" "));
        }
      },
    );
  },
);

describeVectors<{ cases: { valid: boolean; message: string; note: string }[] }>(
  "Message extensions (BOLT 1 appendix C)",
  "bolt1-appendix-c-message-extension.json",
  ({ cases }) => {
    it.each(cases)("$note", ({ valid, message }) => {
      // init: type, two empty feature fields, then the extension with its known records 1 and 3.
      const extension = fromHex(message).subarray(6);
      const known = new Map([1n, 3n].map((type) => [type, (value: Uint8Array) => value] as const));
      const decode = () => decodeTlvStream(extension, known);
      if (valid) expect(decode).not.toThrow();
      else expect(decode).toThrow(ProtocolViolation);
    });
  },
);

describeVectors<{ cases: { value: string; bytes: string }[] }>(
  "Signed integers (BOLT 1 appendix D)",
  "bolt1-appendix-d-signed-integers.json",
  ({ cases }) => {
    it.each(cases)("$value is $bytes", ({ value, bytes }) => {
      expect(signedOf(fromHex(bytes))).toBe(BigInt(value));
      expect(toHex(encodeSigned(BigInt(value)))).toBe(bytes);
    });
  },
);

it("writes TLV streams that it reads", () => {
  const stream = encodeTlvStream([
    { type: 1n, value: encodeTruncated(65_536n) },
    { type: 254n, value: Uint8Array.of(2, 38) },
  ]);
  expect(toHex(stream)).toBe("0103010000fd00fe020226");
  expect(decodeTlvStream(stream, namespaces.n1 as TlvNamespace<string>).get(254n)).toBe("550");
  expect(() =>
    encodeTlvStream([
      { type: 2n, value: stream },
      { type: 2n, value: stream },
    ]),
  ).toThrow();
});
