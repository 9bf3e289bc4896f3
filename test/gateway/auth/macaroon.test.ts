/** The binary format, in both directions against the macaroon package, and against damage. */
import { createRequire } from "node:module";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toHex } from "../../../core/primitives/bytes.ts";
import {
  decodeMacaroon,
  encodeMacaroon,
  type Macaroon,
  macaroonFrom,
  macaroonText,
  newMacaroon,
  signaturesOf,
  withCaveat,
} from "../../../gateway/auth/macaroon.ts";

interface Theirs {
  exportBinary(): Uint8Array;
  addFirstPartyCaveat(caveat: string): void;
  addThirdPartyCaveat(rootKey: Uint8Array, caveat: string, location: string): void;
  verify(rootKey: Uint8Array, check: (caveat: string) => string | null, discharges: []): void;
}
interface Package {
  newMacaroon(options: {
    identifier: Uint8Array;
    location: string;
    rootKey: Uint8Array;
    version: 2;
  }): Theirs;
  importMacaroon(bytes: Uint8Array): Theirs;
}
const theirs = createRequire(import.meta.url)("macaroon") as Package;

const rootKey = new Uint8Array(32).fill(3);
const identifier = Uint8Array.of(1, 2, 3);
const plain = newMacaroon({ rootKey, identifier, location: "picobolt" });
const caveats = ["method = read", `device = ${"é".repeat(100)}`];
const ours = caveats.reduce(withCaveat, plain);

describe("the macaroon package of npm", () => {
  test("verifies ours, sees its caveats, and attenuates it further", () => {
    const imported = theirs.importMacaroon(encodeMacaroon(ours));
    const seen: string[] = [];
    const check = (caveat: string) => {
      seen.push(caveat);
      return null;
    };
    imported.verify(rootKey, check, []);
    expect(seen).toEqual(caveats);
    expect(() => imported.verify(new Uint8Array(32), check, [])).toThrow();
    imported.addFirstPartyCaveat("ip = ::1");
    const back = decodeMacaroon(imported.exportBinary());
    expect(back.caveats).toEqual([...caveats, "ip = ::1"]);
    expect(signaturesOf(back, rootKey)).toHaveLength(3);
  });

  test("makes the same bytes from the same words", () => {
    const made = theirs.newMacaroon({ identifier, location: "picobolt", rootKey, version: 2 });
    for (const caveat of caveats) made.addFirstPartyCaveat(caveat);
    expect(toHex(made.exportBinary())).toBe(toHex(encodeMacaroon(ours)));
  });

  test("adds a third party's caveat: refused, as nobody here can discharge it", () => {
    const made = theirs.newMacaroon({ identifier, location: "picobolt", rootKey, version: 2 });
    made.addThirdPartyCaveat(new Uint8Array(32), "is a friend", "elsewhere");
    expect(() => decodeMacaroon(made.exportBinary())).toThrow(
      expect.objectContaining({ code: "unknown-caveat" }),
    );
  });
});

test("libmacaroons' own example gives the signature of its README", () => {
  const example = newMacaroon({
    rootKey: Buffer.from("this is our super secret key; only we should know it"),
    identifier: Buffer.from("we used our secret key"),
    location: "http://mybank/",
  });
  expect(toHex(example.signature)).toBe(
    "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f",
  );
  expect(toHex(withCaveat(example, "account = 3735928559").signature)).toBe(
    "1efe4763f290dbce0c1d08477367e11f4eee456a64933cf662d79772dbb82128",
  );
});

test("a caveat that was removed, changed or reordered voids it", () => {
  const [first, second] = caveats as [string, string];
  for (const forged of [[], [first], [second, first], [first, `${second} `], [...caveats, first]]) {
    expect(signaturesOf({ ...ours, caveats: forged }, rootKey)).toBeUndefined();
  }
  expect(signaturesOf(ours, rootKey)).toHaveLength(2);
});

test("text in base64url, base64 and hexadecimal is read", () => {
  const bytes = Buffer.from(encodeMacaroon(ours));
  for (const words of [macaroonText(ours), bytes.toString("base64"), bytes.toString("hex")]) {
    expect(macaroonFrom(` ${words}\n`)).toEqual(ours);
  }
});

test.each([
  ["empty", new Uint8Array()],
  ["of version 1", Buffer.from("0021location picobolt\n")],
  ["of JSON", Buffer.from("{}")],
  ["longer than its end", Buffer.concat([encodeMacaroon(ours), Uint8Array.of(0)])],
  ["of a huge field", Uint8Array.of(2, 2, 0xff, 0xff, 0xff, 0xff, 0x0f)],
  ["of an empty caveat", Buffer.concat([Uint8Array.of(2, 2, 1, 1, 0, 2, 0, 0, 0, 6, 32), rootKey])],
  ["of words in no UTF-8", encodeMacaroon(ours).map((byte) => (byte === 0xc3 ? 0xff : byte))],
  ["of 5000 bytes", new Uint8Array(5000).fill(2)],
])("bytes %s are refused with a sentence", (_, bytes) => {
  expect(() => decodeMacaroon(bytes)).toThrow(expect.objectContaining({ code: "bad-macaroon" }));
});

test("too many caveats, and too long ones, are refused on both sides", () => {
  const many = Array.from({ length: 33 }, () => "ip = ::1").reduce(withCaveat, plain);
  expect(() => encodeMacaroon(many)).toThrow(expect.objectContaining({ code: "bad-macaroon" }));
  const long = Array.from({ length: 5 }, () => "x".repeat(1000)).reduce(withCaveat, plain);
  expect(() => encodeMacaroon(long)).toThrow(expect.objectContaining({ code: "bad-macaroon" }));
});

test("any bytes are a macaroon that comes back the same, or an AuthError", () => {
  const whole = encodeMacaroon(ours);
  const edited = fc
    .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length))
    .map(([at, byte, length]) => whole.slice(0, Math.max(length, at + 1)).fill(byte, at, at + 1));
  fc.assert(
    fc.property(fc.oneof(edited, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      const macaroon = decoded(bytes);
      if (macaroon) expect(decodeMacaroon(encodeMacaroon(macaroon))).toEqual(macaroon);
    }),
    { numRuns: 2000 },
  );
});

function decoded(bytes: Uint8Array): Macaroon | undefined {
  try {
    return decodeMacaroon(bytes);
  } catch (cause) {
    expect((cause as Error).name).toBe("AuthError");
    return undefined;
  }
}
