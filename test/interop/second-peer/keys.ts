/** Keys of a channel (BOLT 3 "Key Derivation") and the secrets that revoke ("Per-commitment Secret Requirements"). */
import { ascii, type Bytes, bigEndian, concat, same, sha256 } from "./bytes.ts";
import { addPoints, addSecrets, multiplyPoint, multiplySecret, pointOf } from "./curve.ts";

const FIRST_INDEX = 2n ** 48n - 1n;
const NAMES = ["funding", "revocation", "payment", "delayedPayment", "htlc"] as const;

type KeyName = (typeof NAMES)[number];
export type Basepoints = Readonly<Record<KeyName, Bytes>>;

/** The secrets of one side of one channel, all from one seed. */
export class ChannelSecrets {
  readonly secrets: Basepoints;
  readonly points: Basepoints;

  constructor(private readonly seed: Bytes) {
    const each = (make: (name: KeyName) => Bytes) =>
      Object.fromEntries(NAMES.map((name) => [name, make(name)])) as unknown as Basepoints;
    this.secrets = each((name) => sha256(seed, ascii(name)));
    this.points = each((name) => pointOf(this.secrets[name]));
  }

  /** The secret of our own commitment with this number, which revokes it. */
  perCommitmentSecret(number: number): Bytes {
    return descend(sha256(this.seed, ascii("revoke")), 48, FIRST_INDEX - BigInt(number));
  }

  perCommitmentPoint(number: number): Bytes {
    return pointOf(this.perCommitmentSecret(number));
  }
}

/** The peer's secrets, all of them, checked to come from one seed. */
export class ReceivedSecrets {
  readonly secrets: Bytes[] = [];
  private readonly buckets: { index: bigint; secret: Bytes }[] = [];

  insert(secret: Bytes): void {
    const index = FIRST_INDEX - BigInt(this.secrets.length);
    const bucket = trailingZeros(index);
    for (const known of this.buckets.slice(0, bucket)) {
      if (!same(descend(secret, bucket, known.index), known.secret)) {
        throw new Error(`secret ${this.secrets.length} is not of the chain of those before`);
      }
    }
    this.buckets[bucket] = { index, secret };
    this.secrets.push(secret);
  }
}

export function derivePoint(basepoint: Bytes, perCommitmentPoint: Bytes): Bytes {
  return addPoints(basepoint, pointOf(sha256(perCommitmentPoint, basepoint)));
}

export function deriveSecret(basepointSecret: Bytes, perCommitmentPoint: Bytes): Bytes {
  return addSecrets(basepointSecret, sha256(perCommitmentPoint, pointOf(basepointSecret)));
}

export function revocationPoint(basepoint: Bytes, perCommitmentPoint: Bytes): Bytes {
  return addPoints(
    multiplyPoint(basepoint, sha256(basepoint, perCommitmentPoint)),
    multiplyPoint(perCommitmentPoint, sha256(perCommitmentPoint, basepoint)),
  );
}

export function revocationSecret(basepointSecret: Bytes, perCommitmentSecret: Bytes): Bytes {
  const basepoint = pointOf(basepointSecret);
  const point = pointOf(perCommitmentSecret);
  return addSecrets(
    multiplySecret(basepointSecret, sha256(basepoint, point)),
    multiplySecret(perCommitmentSecret, sha256(point, basepoint)),
  );
}

/** The lower 48 bits by which commitment numbers are hidden (BOLT 3 "Commitment Transaction"). */
export function obscuringFactor(openersPayment: Bytes, acceptorsPayment: Bytes): bigint {
  return BigInt(`0x${Buffer.from(sha256(openersPayment, acceptorsPayment)).toString("hex", 26)}`);
}

export function randomFrom(seed: Bytes, count: number): Bytes {
  return sha256(concat(seed, ascii("random"), bigEndian(count, 4)));
}

/** `derive_secret` of BOLT 3: from a secret whose index has `bits` zeros at its end. */
function descend(base: Bytes, bits: number, index: bigint): Bytes {
  let secret = Uint8Array.from(base);
  for (let bit = bits - 1; bit >= 0; bit--) {
    if (((index >> BigInt(bit)) & 1n) === 0n) continue;
    secret[bit >> 3] = (secret[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    secret = Uint8Array.from(sha256(secret));
  }
  return secret;
}

function trailingZeros(index: bigint): number {
  let count = 0;
  while (count < 48 && ((index >> BigInt(count)) & 1n) === 0n) count++;
  return count;
}
