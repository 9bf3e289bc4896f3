/** Known answers from the standards: FIPS 180-4, RFC 4231, RFC 6979 (secp256k1), RFC 8439, SEC 1. */
import { describe, expect, test } from "vitest";
import type { PublicKey, SecretKey } from "../../core/primitives/brands.ts";
import { ascii, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { native, providers } from "../support/crypto-providers.ts";

const empty = new Uint8Array(0);

test("a Node host gets libsecp256k1 by itself, and the choice is honoured", () => {
  expect(native?.name).toBe("libsecp256k1");
  expect(chooseCrypto().name).toBe("libsecp256k1");
  expect(chooseCrypto("noble").name).toBe("noble");
  expect(chooseCrypto("libsecp256k1").name).toBe("libsecp256k1");
});

describe.each(providers)("$name", (crypto) => {
  test.each([
    ["", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ],
  ])("SHA-256 of %j", (text, digest) => {
    expect(toHex(crypto.sha256(ascii(text)))).toBe(digest);
  });

  test("SHA-256 of a million letters a", () => {
    expect(toHex(crypto.sha256(new Uint8Array(1_000_000).fill(97)))).toBe(
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    );
  });

  test.each([
    ["", "9c1185a5c5e9fc54612808977ee8f548b2258d31"],
    ["abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"],
    ["message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"],
  ])("RIPEMD-160 of %j", (text, digest) => {
    expect(toHex(crypto.ripemd160(ascii(text)))).toBe(digest);
  });

  test.each([
    {
      name: "RFC 4231 case 1",
      key: new Uint8Array(20).fill(0x0b),
      data: ascii("Hi There"),
      sha256: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
      sha512:
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde" +
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    },
    {
      name: "RFC 4231 case 2",
      key: ascii("Jefe"),
      data: ascii("what do ya want for nothing?"),
      sha256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      sha512:
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554" +
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    },
    {
      name: "RFC 4231 case 6: a key longer than a block",
      key: new Uint8Array(131).fill(0xaa),
      data: ascii("Test Using Larger Than Block-Size Key - Hash Key First"),
      sha256: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
      sha512:
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352" +
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    },
  ])("HMAC: $name", ({ key, data, sha256, sha512 }) => {
    expect(toHex(crypto.hmacSha256(key, data))).toBe(sha256);
    expect(toHex(crypto.hmacSha512(key, data))).toBe(sha512);
  });

  test.each([
    {
      secret: "0000000000000000000000000000000000000000000000000000000000000001",
      text: "Satoshi Nakamoto",
      signature:
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8" +
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    },
    {
      secret: "0000000000000000000000000000000000000000000000000000000000000001",
      text: "All those moments will be lost in time, like tears in rain. Time to die...",
      signature:
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b" +
        "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    },
    {
      secret: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
      text: "Satoshi Nakamoto",
      signature:
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0" +
        "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    },
    {
      secret: "f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181",
      text: "Alan Turing",
      signature:
        "7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c" +
        "58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
    },
    {
      secret: "e91671c46231f833a6406ccbea0e3e392c76c167bac1cb013f6f1013980455c2",
      text:
        "There is a computer disease that anybody who works with computers knows about. " +
        "It's a very serious disease and it interferes completely with the work. " +
        "The trouble with computers is that you 'play' with them!",
      signature:
        "b552edd27580141f3b2a5463048cb7cd3e047b97c9f98076c32dbdf85a68718b" +
        "279fa72dd19bfae05577e06c7c0c1900c371fcd5893f7e1d56a37d30174671f6",
    },
  ])("RFC 6979 signature on $text", ({ secret, text, signature }) => {
    const key = fromHex(secret) as SecretKey;
    const digest = crypto.sha256(ascii(text));
    const made = crypto.sign(digest, key);
    expect(toHex(made)).toBe(signature);
    expect(crypto.verify(made, digest, crypto.publicKeyOf(key))).toBe(true);
  });

  test("public keys of 1, 2 and n-1 are G, 2G and -G", () => {
    const one = fromHex(`${"00".repeat(31)}01`) as SecretKey;
    const two = fromHex(`${"00".repeat(31)}02`) as SecretKey;
    const last = fromHex(
      "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
    ) as SecretKey;
    const g = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    const doubled = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
    expect(toHex(crypto.publicKeyOf(one))).toBe(`02${g}`);
    expect(toHex(crypto.publicKeyOf(last))).toBe(`03${g}`);
    expect(toHex(crypto.publicKeyOf(two))).toBe(doubled);
    expect(toHex(crypto.publicKeyAdd(crypto.publicKeyOf(one), crypto.publicKeyOf(one)))).toBe(
      doubled,
    );
  });

  test("RFC 8439 §2.8.2: the AEAD example", () => {
    const key = fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    const nonce = fromHex("070000004041424344454647");
    const associated = fromHex("50515253c0c1c2c3c4c5c6c7");
    const plaintext = ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the " +
        "future, sunscreen would be it.",
    );
    const sealed = crypto.encrypt(key, nonce, associated, plaintext);
    expect(toHex(sealed)).toBe(
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
        "3ff4def08e4b7a9de576d26586cec64b6116" +
        "1ae10b594f09e26a7e902ecbd0600691",
    );
    expect(crypto.decrypt(key, nonce, associated, sealed)).toEqual(plaintext);
  });

  test("a sealed message with any bit, its data or its length changed does not open", () => {
    const key = new Uint8Array(32).fill(1);
    const nonce = new Uint8Array(12);
    const associated = ascii("header");
    const sealed = crypto.encrypt(key, nonce, associated, ascii("five bytes"));
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(crypto.decrypt(key, nonce, associated, changed)).toBeUndefined();
    }
    expect(crypto.decrypt(key, nonce, empty, sealed)).toBeUndefined();
    for (let length = 0; length < sealed.length; length++) {
      expect(crypto.decrypt(key, nonce, associated, sealed.subarray(0, length))).toBeUndefined();
    }
  });

  test("results are plain byte arrays whose slices are copies", () => {
    const secret = new Uint8Array(32).fill(3) as SecretKey;
    const key: PublicKey = crypto.publicKeyOf(secret);
    const nonce = new Uint8Array(12);
    const sealed = crypto.encrypt(secret, nonce, empty, key);
    const results = [
      crypto.sha256(key),
      crypto.ripemd160(key),
      crypto.hmacSha256(secret, key),
      crypto.hmacSha512(secret, key),
      key,
      crypto.sign(crypto.sha256(key), secret),
      crypto.ecdh(secret, key),
      crypto.secretKeyTweakAdd(secret, secret),
      sealed,
      crypto.decrypt(secret, nonce, empty, sealed) as Uint8Array,
    ];
    for (const bytes of results) expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
  });

  test("inputs are never changed", () => {
    const secret = new Uint8Array(32).fill(3) as SecretKey;
    const tweak = new Uint8Array(32).fill(5);
    crypto.secretKeyTweakAdd(secret, tweak);
    crypto.secretKeyTweakMultiply(secret, tweak);
    const digest = new Uint8Array(32).fill(0xff);
    crypto.sign(digest, secret);
    expect(toHex(secret)).toBe("03".repeat(32));
    expect(toHex(tweak)).toBe("05".repeat(32));
    expect(toHex(digest)).toBe("ff".repeat(32));
  });
});
