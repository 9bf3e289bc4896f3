/**
 * Extended keys are those of BIP 32's test vectors, public derivation follows secret derivation,
 * and bad texts are refused.
 */
import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeBase58Check, encodeBase58Check } from "../../core/keys/base58.ts";
import {
  deriveChild,
  derivePath,
  derivePublicChild,
  deriveSecretAt,
  formatPublicKey,
  formatSecretKey,
  HARDENED,
  masterKey,
  parsePath,
  parsePublicKey,
  parseSecretKey,
  toExtendedPublicKey,
} from "../../core/keys/bip32.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { noble } from "../support/crypto-providers.ts";

/** Seed, then path, xpub and xprv. */
const vectors: readonly [string, readonly (readonly [string, string, string])[]][] = [
  [
    "000102030405060708090a0b0c0d0e0f",
    [
      [
        "m",
        "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
      ],
      [
        "m/0h",
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZG7XnxHrnYeSvkzY7d2bhkJ7",
      ],
      [
        "m/0h/1",
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
        "xprv9wTYmMFdV23N2TdNG573QoEsfRrWKQgWeibmLntzniatZvR9BmLnvSxqu53Kw1UmYPxLgboyZQaXwTCg8MSY3H2EU4pWcQDnRnrVA1xe8fs",
      ],
      [
        "m/0h/1/2h",
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        "xprv9z4pot5VBttmtdRTWfWQmoH1taj2axGVzFqSb8C9xaxKymcFzXBDptWmT7FwuEzG3ryjH4ktypQSAewRiNMjANTtpgP4mLTj34bhnZX7UiM",
      ],
      [
        "m/0h/1/2h/2/1000000000",
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
        "xprvA41z7zogVVwxVSgdKUHDy1SKmdb533PjDz7J6N6mV6uS3ze1ai8FHa8kmHScGpWmj4WggLyQjgPie1rFSruoUihUZREPSL39UNdE3BBDu76",
      ],
    ],
  ],
  [
    "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
    [
      [
        "m/0/2147483647'",
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        "xprv9wSp6B7kry3Vj9m1zSnLvN3xH8RdsPP1Mh7fAaR7aRLcQMKTR2vidYEeEg2mUCTAwCd6vnxVrcjfy2kRgVsFawNzmjuHc2YmYRmagcEPdU9",
      ],
      [
        "m/0/2147483647'/1/2147483646'/2",
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
        "xprvA2nrNbFZABcdryreWet9Ea4LvTJcGsqrMzxHx98MMrotbir7yrKCEXw7nadnHM8Dq38EGfSh6dqA9QWTyefMLEcBYJUuekgW4BYPJcr9E7j",
      ],
    ],
  ],
];
/** Vectors 3 and 4: keys with leading zeros, which must not be dropped. */
const leadingZeros: readonly [string, string, string][] = [
  [
    "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
    "m/0'",
    "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVFceUvJFjaPdGZ2y9WACViL4L",
  ],
  [
    "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
    "m/0'/1'",
    "xprv9xJocDuwtYCMNAo3Zw76WENQeAS6WGXQ55RCy7tDJ8oALr4FWkuVoHJeHVAcAqiZLE7Je3vZJHxspZdFHfnBEjHqU5hG1Jaj32dVoS6XLT1",
  ],
];

describe("BIP 32 test vectors", () => {
  const all = vectors.flatMap(([seed, chains]) => chains.map((chain) => [seed, ...chain] as const));

  it.each(all)("%s %s", (seed, path, xpub, xprv) => {
    const key = derivePath(noble, masterKey(noble, fromHex(seed)), parsePath(path));
    expect(formatSecretKey(noble, key)).toBe(xprv);
    expect(formatPublicKey(noble, toExtendedPublicKey(noble, key))).toBe(xpub);
  });

  it.each(all)("%s %s is read back", (_seed, _path, xpub, xprv) => {
    const { key, network } = parsePublicKey(noble, xpub);
    expect(network).toBe("mainnet");
    expect(formatPublicKey(noble, key)).toBe(xpub);
    expect(formatSecretKey(noble, parseSecretKey(noble, xprv).key)).toBe(xprv);
  });

  it.each(leadingZeros)("%s %s keeps leading zeros", (seed, path, xprv) => {
    const key = derivePath(noble, masterKey(noble, fromHex(seed)), parsePath(path));
    expect(formatSecretKey(noble, key)).toBe(xprv);
  });
});

const master = masterKey(noble, new Uint8Array(32).fill(1));

describe("an extended key", () => {
  it("has public children that belong to its secret children", () => {
    fc.assert(
      fc.property(fc.nat(HARDENED - 1), (index) => {
        const secretChild = toExtendedPublicKey(noble, deriveChild(noble, master, index));
        const publicChild = derivePublicChild(noble, toExtendedPublicKey(noble, master), index);
        expect(publicChild).toEqual(secretChild);
      }),
      { numRuns: 10 },
    );
  });

  it("gives the same secret when only that is asked for", () => {
    const path = parsePath("m/9735h/3/0h");
    const whole = derivePath(noble, master, path);
    expect(deriveSecretAt(noble, master, path)).toEqual(whole.secretKey);
  });

  it("is written as tpub for test networks, and says so when read", () => {
    const text = formatPublicKey(noble, toExtendedPublicKey(noble, master), "testnet");
    expect(text).toMatch(/^tpub/);
    expect(parsePublicKey(noble, text).network).toBe("testnet");
  });

  it("shows no secret in JSON or when it is logged", () => {
    const shown = JSON.stringify(master) + inspect(master, { depth: 9, showHidden: true });
    expect(shown).not.toContain(toHex(master.secretKey));
    expect(shown).not.toContain([...master.secretKey].slice(0, 3).join(", "));
    expect(shown).not.toContain([...master.chainCode].slice(0, 3).join(", "));
  });
});

it("Base58Check carries any bytes there and back, and writes leading zeros as ones", () => {
  fc.assert(
    fc.property(fc.nat(4), fc.uint8Array({ maxLength: 70 }), (zeros, bytes) => {
      const payload = Uint8Array.of(...new Uint8Array(zeros), ...bytes);
      const text = encodeBase58Check(noble, payload);
      expect(decodeBase58Check(noble, text)).toEqual(payload);
      expect(text.startsWith("1".repeat(zeros))).toBe(true);
    }),
  );
});

describe("a text that is no extended key is refused:", () => {
  const xpub = formatPublicKey(noble, toExtendedPublicKey(noble, master));
  const xprv = formatSecretKey(noble, master);
  const payload = decodeBase58Check(noble, xpub) as Uint8Array;
  const secretPayload = decodeBase58Check(noble, xprv) as Uint8Array;
  const changed = (from: Uint8Array, at: number, bytes: number[]) => {
    const copy = from.slice();
    copy.set(bytes, at);
    return encodeBase58Check(noble, copy);
  };
  const n = [...fromHex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")];

  const badPublic: readonly [string, string][] = [
    ["a typing mistake", xpub.replace(/.$/, "z")],
    ["a character that Base58 lacks", xpub.replace(/.$/, "0")],
    ["nothing", ""],
    ["a secret key", xprv],
    ["an unknown version", changed(payload, 0, [4, 0x88, 0xb2, 0x1f])],
    ["a point off the curve", changed(payload, 45, [2, ...new Array<number>(31).fill(0), 7])],
    ["a public key with a secret's prefix", changed(payload, 45, [0])],
    ["a master key with a parent", changed(payload, 5, [1])],
    ["a master key with a number", changed(payload, 9, [0, 0, 0, 1])],
    ["too few bytes", encodeBase58Check(noble, payload.slice(0, 77))],
    ["absurdly long", xpub.repeat(1000)],
  ];
  it.each(badPublic)("%s", (_, text) => {
    expect(() => parsePublicKey(noble, text)).toThrow(/^extended-key: /);
  });

  const badSecret: readonly [string, string][] = [
    ["a public key for a secret one", xpub],
    ["a secret of zero", changed(secretPayload, 46, new Array<number>(32).fill(0))],
    ["a secret of n", changed(secretPayload, 46, n)],
    ["a secret without its zero byte", changed(secretPayload, 45, [1])],
  ];
  it.each(badSecret)("%s", (_, text) => {
    expect(() => parseSecretKey(noble, text)).toThrow(/^extended-key: /);
  });

  it.each(["m/", "m/-1", "m/2147483648", "m/1x", "m/01", "x/1", "m//1", "m/0/".repeat(300)])(
    "path %s",
    (path) => {
      expect(() => parsePath(path)).toThrow(/^extended-key: /);
    },
  );
});
