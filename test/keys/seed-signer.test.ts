/**
 * A node and its channels from one seed: the same keys every time, and no signature or secret that
 * would lose money.
 */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import {
  deriveChild,
  derivePath,
  formatPublicKey,
  masterKey,
  parsePath,
  toExtendedPublicKey,
} from "../../core/keys/bip32.ts";
import { deriveSecretKey } from "../../core/keys/derivation.ts";
import { SignerRefusalError } from "../../core/keys/refusal.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { generateFromSeed, secretIndex } from "../../core/keys/shachain.ts";
import type { ClaimKey } from "../../core/ports/signer.ts";
import { commitmentNumber, type SecretKey } from "../../core/primitives/brands.ts";
import { toHex } from "../../core/primitives/bytes.ts";
import { noble, providers } from "../support/crypto-providers.ts";

const seed = new Uint8Array(32).fill(1);
const hash = new Uint8Array(32).fill(7);
const otherHash = new Uint8Array(32).fill(8);
const at = commitmentNumber;
const secretOf = (path: string) =>
  derivePath(noble, masterKey(noble, seed), parsePath(path)).secretKey;

const newChannel = (keyIndex = 0) => new SeedSigner(noble, seed).channel(keyIndex);

function storedChannel(localNumber: number, remoteNumber = localNumber, outdated = false) {
  const channel = newChannel();
  channel.stored({ localNumber, remoteNumber, outdated });
  return channel;
}

/** The rule under which `call` is refused; undefined where it is not. */
function refusal(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof SignerRefusalError) return error.tag;
    throw error;
  }
}

describe("one seed", () => {
  it.each(providers.map((crypto) => [crypto.name, crypto] as const))(
    "gives the documented paths with %s",
    (_, crypto) => {
      const signer = new SeedSigner(crypto, seed);
      const { basepoints } = signer.channel(5);
      const point = (path: string) => noble.publicKeyOf(secretOf(path));
      expect(signer.nodeId).toEqual(point("m/9735'/0'"));
      expect(basepoints).toEqual({
        fundingPubkey: point("m/9735'/1'/5'/0'"),
        revocationBasepoint: point("m/9735'/1'/5'/1'"),
        paymentBasepoint: point("m/9735'/1'/5'/2'"),
        delayedPaymentBasepoint: point("m/9735'/1'/5'/3'"),
        htlcBasepoint: point("m/9735'/1'/5'/4'"),
      });
      const secret = generateFromSeed(noble, secretOf("m/9735'/1'/5'/5'"), secretIndex(at(3)));
      expect(signer.channel(5).perCommitmentPoint(at(3))).toEqual(noble.publicKeyOf(secret));
    },
  );

  it("gives other keys to each channel", () => {
    const keys = [0, 1, 2 ** 31 - 1].flatMap((index) =>
      Object.values(newChannel(index).basepoints).map(toHex),
    );
    expect(new Set(keys).size).toBe(15);
    for (const index of [-1, 0.5, 2 ** 31]) expect(() => newChannel(index)).toThrow(/index/);
  });

  it("must have 32 bytes", () => {
    expect(() => new SeedSigner(noble, new Uint8Array(31))).toThrow(/32 bytes/);
  });

  it("is never shown, nor is any secret that comes from it", () => {
    const signer = new SeedSigner(noble, seed);
    const channel = signer.channel(0);
    const refused = (() => {
      try {
        return channel.revokeLocal(at(0));
      } catch (error) {
        return error;
      }
    })();
    const things = [signer, channel, refused];
    const shown = things
      .map((thing) => JSON.stringify(thing) + String(thing) + inspect(thing, { depth: 9 }))
      .join();
    const secrets = [seed, secretOf("m/9735'/0'")].concat(
      [0, 1, 2, 3, 4, 5].map((role) => secretOf(`m/9735'/1'/0'/${role}'`)),
    );
    for (const secret of secrets) {
      expect(shown).not.toContain(toHex(secret));
      expect(shown).not.toContain([...secret].slice(0, 4).join(", "));
    }
  });
});

describe("the node's key", () => {
  const signer = new SeedSigner(noble, seed);

  it("signs and agrees on secrets", () => {
    expect(noble.verify(signer.sign(hash), hash, signer.nodeId)).toBe(true);
    const peer = new SeedSigner(noble, new Uint8Array(32).fill(2));
    expect(signer.ecdh(peer.nodeId)).toEqual(peer.ecdh(signer.nodeId));
  });
});

describe("secret-after-successor-stored", () => {
  const tag = "secret-after-successor-stored";

  it("keeps the secret of the newest stored commitment, and of later ones", () => {
    const channel = storedChannel(5);
    expect(refusal(() => channel.revokeLocal(at(5)))).toBe(tag);
    expect(refusal(() => channel.revokeLocal(at(6)))).toBe(tag);
  });

  it("reveals those before it, which are the secrets of their points", () => {
    const channel = storedChannel(5);
    for (const number of [4, 0]) {
      const secret = channel.revokeLocal(at(number));
      expect(noble.publicKeyOf(secret)).toEqual(channel.perCommitmentPoint(at(number)));
    }
  });

  it("reveals nothing while nothing is stored", () => {
    expect(refusal(() => newChannel().revokeLocal(at(0)))).toBe(tag);
  });

  it("is not weakened by a lower report", () => {
    const channel = storedChannel(5);
    channel.stored({ localNumber: 3, remoteNumber: 3, outdated: false });
    expect(refusal(() => channel.revokeLocal(at(4)))).toBeUndefined();
    expect(refusal(() => channel.signLocalCommitment(at(4), hash))).toBe("never-broadcast-revoked");
  });
});

describe("no-conflicting-signature", () => {
  const tag = "no-conflicting-signature";

  it("signs each remote commitment once, or the same one again", () => {
    const channel = storedChannel(0);
    const first = channel.signRemoteCommitment(at(1), hash);
    expect(channel.signRemoteCommitment(at(1), hash)).toEqual(first);
    expect(noble.verify(first, hash, channel.basepoints.fundingPubkey)).toBe(true);
    expect(refusal(() => channel.signRemoteCommitment(at(1), otherHash))).toBe(tag);
    expect(refusal(() => channel.signRemoteCommitment(at(2), otherHash))).toBeUndefined();
  });

  it("signs nothing below the newest that was signed", () => {
    const channel = storedChannel(0);
    channel.signRemoteCommitment(at(2), hash);
    expect(refusal(() => channel.signRemoteCommitment(at(1), hash))).toBe(tag);
  });

  it("signs nothing below the newest that is stored as signed, also after a restart", () => {
    const channel = storedChannel(7);
    expect(refusal(() => channel.signRemoteCommitment(at(6), hash))).toBe(tag);
    expect(refusal(() => channel.signRemoteCommitment(at(7), hash))).toBeUndefined();
    expect(refusal(() => channel.signRemoteCommitment(at(7), otherHash))).toBe(tag);
  });

  it("is not fooled by a caller that changes the hash afterwards", () => {
    const channel = storedChannel(0);
    const shared = hash.slice();
    channel.signRemoteCommitment(at(1), shared);
    shared.set(otherHash);
    expect(refusal(() => channel.signRemoteCommitment(at(1), otherHash))).toBe(tag);
  });

  it("signs the first remote commitment before anything is stored", () => {
    expect(refusal(() => newChannel().signRemoteCommitment(at(0), hash))).toBeUndefined();
  });
});

describe("never-broadcast-revoked", () => {
  const tag = "never-broadcast-revoked";

  it("signs the newest stored commitment of ours for broadcast, and none before it", () => {
    const channel = storedChannel(5);
    const signature = channel.signLocalCommitment(at(5), hash);
    expect(noble.verify(signature, hash, channel.basepoints.fundingPubkey)).toBe(true);
    expect(refusal(() => channel.signLocalCommitment(at(4), hash))).toBe(tag);
  });

  it("signs none at all before it is told what is stored", () => {
    expect(refusal(() => newChannel().signLocalCommitment(at(0), hash))).toBe(tag);
  });

  it("signs none ever again once the record knows itself to be outdated", () => {
    const channel = storedChannel(5, 5, true);
    expect(refusal(() => channel.signLocalCommitment(at(5), hash))).toBe(tag);
    channel.stored({ localNumber: 6, remoteNumber: 6, outdated: false });
    expect(refusal(() => channel.signLocalCommitment(at(6), hash))).toBe(tag);
    expect(refusal(() => channel.signLocalCommitment(at(99), hash))).toBe(tag);
  });

  it("still signs a mutual close then", () => {
    const channel = storedChannel(5, 5, true);
    const signature = channel.signClosing(hash);
    expect(noble.verify(signature, hash, channel.basepoints.fundingPubkey)).toBe(true);
  });
});

const perCommitmentSecret = new Uint8Array(32).fill(9) as SecretKey;
const perCommitmentPoint = noble.publicKeyOf(perCommitmentSecret);
const claimKeys: readonly ClaimKey[] = [
  { role: "payment" },
  { role: "funding" },
  { role: "delayed", perCommitmentPoint },
  { role: "htlc", perCommitmentPoint },
  { role: "revocation", perCommitmentSecret },
];

describe("claims", () => {
  it.each(claimKeys)("are signed by the $role key that is named", (key) => {
    const channel = newChannel();
    const signature = channel.signClaim(key, hash);
    expect(noble.verify(signature, hash, channel.claimPublicKey(key))).toBe(true);
  });

  it("use one HTLC key per commitment, also when commitments alternate", () => {
    const channel = newChannel();
    const other = noble.publicKeyOf(new Uint8Array(32).fill(10) as SecretKey);
    for (const point of [perCommitmentPoint, other, perCommitmentPoint]) {
      const key = channel.claimPublicKey({ role: "htlc", perCommitmentPoint: point });
      expect(noble.verify(channel.signRemoteHtlc(point, hash), hash, key)).toBe(true);
    }
  });
});

describe("a cold payout", () => {
  const owner = masterKey(noble, new Uint8Array(32).fill(3));
  const payoutKey = formatPublicKey(noble, toExtendedPublicKey(noble, owner), "testnet");
  const channel = new SeedSigner(noble, seed, { payoutKey }).channel(4);
  const ownerSecret = (branch: number, keyIndex: number) =>
    deriveChild(noble, deriveChild(noble, owner, branch), keyIndex).secretKey;

  it("pays to children of the owner's key, one pair for each channel", () => {
    expect(channel.coldPayout).toBe(true);
    expect(channel.basepoints.paymentBasepoint).toEqual(noble.publicKeyOf(ownerSecret(0, 4)));
    expect(channel.basepoints.delayedPaymentBasepoint).toEqual(
      noble.publicKeyOf(ownerSecret(1, 4)),
    );
  });

  it("keeps all other keys as they are without it", () => {
    const warm = newChannel(4);
    expect(warm.coldPayout).toBe(false);
    expect(channel.basepoints).toMatchObject({
      fundingPubkey: warm.basepoints.fundingPubkey,
      revocationBasepoint: warm.basepoints.revocationBasepoint,
      htlcBasepoint: warm.basepoints.htlcBasepoint,
    });
  });

  it("names the keys that only the owner can sign with", () => {
    const delayed = { role: "delayed", perCommitmentPoint } as const;
    const secret = deriveSecretKey(
      noble,
      ownerSecret(1, 4),
      channel.basepoints.delayedPaymentBasepoint,
      perCommitmentPoint,
    );
    expect(channel.claimPublicKey(delayed)).toEqual(noble.publicKeyOf(secret));
  });

  it.each(claimKeys)("signs a $role claim unless the key is the owner's", (key) => {
    const cold = key.role === "payment" || key.role === "delayed";
    expect(refusal(() => channel.signClaim(key, hash))).toBe(cold ? "cold-payout" : undefined);
  });

  it.each(["", "xpub", payoutKey.slice(0, -1), "tprv8ZgxMBicQKsPd"])(
    "refuses %o for the owner's key",
    (bad) => {
      expect(() => new SeedSigner(noble, seed, { payoutKey: bad })).toThrow(/^extended-key: /);
    },
  );
});
