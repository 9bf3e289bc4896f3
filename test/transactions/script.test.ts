/**
 * Pushes are minimal, shutdown scripts are those that BOLT 2 allows, and dust is what Bitcoin Core
 * says.
 */
import { script as bitcoinjsScript } from "bitcoinjs-lib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import {
  dustThreshold,
  isShutdownScript,
  p2aScript,
  pushNumber,
} from "../../core/transactions/script.ts";

it("pushes any number in the shortest way, as bitcoinjs-lib does", () => {
  const number = fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1));
  fc.assert(
    fc.property(number, (value) => {
      const theirs = bitcoinjsScript.compile([bitcoinjsScript.number.encode(value)]);
      expect(toHex(pushNumber(value))).toBe(toHex(theirs));
    }),
    { examples: [0, 1, 16, 17, 127, 128, 255, 256, 32767, 32768, 2 ** 31 - 1].map((n) => [n]) },
  );
});

const all = { anySegwit: true, simpleClose: true };
const none = { anySegwit: false, simpleClose: false };
const bytes = (count: number) => "ab".repeat(count);

describe("a shutdown script", () => {
  it.each([
    ["P2WPKH", `0014${bytes(20)}`],
    ["P2WSH", `0020${bytes(32)}`],
  ])("may always be %s", (_, hex) => {
    expect(isShutdownScript(fromHex(hex), none)).toBe(true);
  });

  it.each([
    ["taproot", `5120${bytes(32)}`],
    ["version 16 with 40 bytes", `6028${bytes(40)}`],
    ["P2A", toHex(p2aScript())],
  ])("may be %s where option_shutdown_anysegwit is negotiated", (_, hex) => {
    expect(isShutdownScript(fromHex(hex), { ...none, anySegwit: true })).toBe(true);
    expect(isShutdownScript(fromHex(hex), { ...all, anySegwit: false })).toBe(false);
  });

  it.each([
    ["OP_RETURN with 6 bytes", `6a06${bytes(6)}`],
    ["OP_RETURN with 75 bytes", `6a4b${bytes(75)}`],
    ["OP_RETURN with 76 bytes", `6a4c4c${bytes(76)}`],
    ["OP_RETURN with 80 bytes", `6a4c50${bytes(80)}`],
  ])("may be %s where option_simple_close is negotiated", (_, hex) => {
    expect(isShutdownScript(fromHex(hex), { ...none, simpleClose: true })).toBe(true);
    expect(isShutdownScript(fromHex(hex), { ...all, simpleClose: false })).toBe(false);
  });

  it.each([
    ["nothing", ""],
    ["P2PKH", `76a914${bytes(20)}88ac`],
    ["P2SH", `a914${bytes(20)}87`],
    ["version 0 with 21 bytes", `0015${bytes(21)}`],
    ["P2WPKH and a byte", `0014${bytes(21)}`],
    ["P2WSH less a byte", `0020${bytes(31)}`],
    ["version 1 with 1 byte", `5101${bytes(1)}`],
    ["version 1 with 41 bytes", `5129${bytes(41)}`],
    ["version 1 and two pushes", `5120${bytes(32)}00`],
    ["version 17", `6120${bytes(32)}`],
    ["OP_RETURN alone", "6a"],
    ["OP_RETURN with 5 bytes", `6a05${bytes(5)}`],
    ["OP_RETURN with 75 bytes by PUSHDATA1", `6a4c4b${bytes(75)}`],
    ["OP_RETURN with 81 bytes", `6a4c51${bytes(81)}`],
    ["OP_RETURN with two pushes", `6a06${bytes(6)}00`],
    ["OP_RETURN with a short push", `6a06${bytes(5)}`],
  ])("may never be %s", (_, hex) => {
    expect(isShutdownScript(fromHex(hex), all)).toBe(false);
  });
});

it.each([
  ["P2PKH", 546, `76a914${bytes(20)}88ac`],
  ["P2SH", 540, `a914${bytes(20)}87`],
  ["P2WPKH", 294, `0014${bytes(20)}`],
  ["P2WSH", 330, `0020${bytes(32)}`],
  ["P2A", 240, "51024e73"],
  ["taproot", 354, `5120${bytes(32)}`],
  ["OP_RETURN", 0, `6a06${bytes(6)}`],
])("counts %s below %i satoshi as dust", (_, least, hex) => {
  expect(dustThreshold(fromHex(hex))).toBe(least);
});
