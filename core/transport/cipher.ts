/** Encrypted messages with key rotation (BOLT 8 "Lightning Message Specification", "Key Rotation"). */
import type { Crypto } from "../ports/crypto.ts";
import { wipe } from "../primitives/bytes.ts";
import { assert } from "../primitives/errors.ts";
import { hkdf } from "./hkdf.ts";

export const MAX_NOISE_MESSAGE_BYTES = 65535;
export const TAG_BYTES = 16;
/** Encrypted length (2) and its tag. */
export const HEADER_BYTES = 2 + TAG_BYTES;
/** What BOLT 8 adds to a message. */
export const NOISE_OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES;
/** Two nonces a message, a new key every 1000. */
export const MESSAGES_PER_KEY = 500;

const NONE = new Uint8Array(0);

/** The key of one direction; `chainingKey` is what the next key is derived from. */
export interface DirectionKeys {
  readonly key: Uint8Array;
  readonly chainingKey: Uint8Array;
}

/** Key, nonce and rotation of one direction. */
class CipherState {
  /** Messages so far. */
  count = 0;
  private readonly nonce = new Uint8Array(12);

  constructor(
    private readonly crypto: Crypto,
    private keys: DirectionKeys,
  ) {
    this.keys = { key: keys.key.slice(), chainingKey: keys.chainingKey.slice() };
  }

  encrypt(part: 0 | 1, plaintext: Uint8Array): Uint8Array {
    return this.crypto.encrypt(this.keys.key, this.nonceOf(this.count, part), NONE, plaintext);
  }

  decrypt(part: 0 | 1, ciphertext: Uint8Array): Uint8Array | undefined {
    return this.crypto.decrypt(this.keys.key, this.nonceOf(this.count, part), NONE, ciphertext);
  }

  /** As `decrypt` of a header, but of the message `ahead` places further on. */
  decryptAhead(ahead: number, ciphertext: Uint8Array): Uint8Array | undefined {
    assert(ahead > 0 && ahead <= MESSAGES_PER_KEY, "one rotation at most");
    const position = (this.count % MESSAGES_PER_KEY) + ahead;
    const rotates = position >= MESSAGES_PER_KEY;
    const key = rotates ? this.nextKeys().key : this.keys.key;
    return this.crypto.decrypt(key, this.nonceOf(position, 0), NONE, ciphertext);
  }

  advance(): void {
    this.count++;
    if (this.count % MESSAGES_PER_KEY !== 0) return;
    const next = this.nextKeys();
    this.wipe();
    this.keys = next;
  }

  wipe(): void {
    wipe(this.keys.key);
    wipe(this.keys.chainingKey);
  }

  private nextKeys(): DirectionKeys {
    const [chainingKey, key] = hkdf(this.crypto, this.keys.chainingKey, this.keys.key);
    return { key, chainingKey };
  }

  /** 32 zero bits, then a little-endian 64-bit number below 1000. */
  private nonceOf(count: number, part: 0 | 1): Uint8Array {
    const number = 2 * (count % MESSAGES_PER_KEY) + part;
    this.nonce[4] = number;
    this.nonce[5] = number >> 8;
    return this.nonce;
  }
}

/** Encrypts the messages of one direction. */
export class SendingCipher {
  private readonly state: CipherState;
  private readonly length = new Uint8Array(2);

  constructor(crypto: Crypto, keys: DirectionKeys) {
    this.state = new CipherState(crypto, keys);
  }

  /** Messages so far; the next one has this number. */
  get count(): number {
    return this.state.count;
  }

  /** The two parts of the packet, so that framing can write them without joining them first. */
  seal(message: Uint8Array): { readonly header: Uint8Array; readonly body: Uint8Array } {
    assert(message.length <= MAX_NOISE_MESSAGE_BYTES, "message too large for BOLT 8");
    this.length[0] = message.length >> 8;
    this.length[1] = message.length;
    const header = this.state.encrypt(0, this.length);
    const body = this.state.encrypt(1, message);
    this.state.advance();
    return { header, body };
  }

  wipe(): void {
    this.state.wipe();
  }
}

/** Decrypts the messages of one direction; a packet that does not fit changes nothing. */
export class ReceivingCipher {
  private readonly state: CipherState;

  constructor(crypto: Crypto, keys: DirectionKeys) {
    this.state = new CipherState(crypto, keys);
  }

  /** Messages so far; the next one has this number. */
  get count(): number {
    return this.state.count;
  }

  /** The length that an encrypted header of 18 bytes announces; undefined where it is not authentic. */
  openLength(header: Uint8Array): number | undefined {
    return lengthOf(this.state.decrypt(0, header));
  }

  /** The next message, from its body with the tag; undefined where it is not authentic. */
  openBody(body: Uint8Array): Uint8Array | undefined {
    const message = this.state.decrypt(1, body);
    if (message !== undefined) this.state.advance();
    return message;
  }

  /** The next message, from its whole packet; undefined where it is not authentic. */
  open(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length < NOISE_OVERHEAD_BYTES) return undefined;
    const length = this.openLength(packet.subarray(0, HEADER_BYTES));
    if (length !== packet.length - NOISE_OVERHEAD_BYTES) return undefined;
    return this.openBody(packet.subarray(HEADER_BYTES));
  }

  /** The packet is the peer's, `ahead` (1 to 500) messages after the next one: those between are lost. */
  isAuthenticAhead(ahead: number, packet: Uint8Array): boolean {
    if (packet.length < NOISE_OVERHEAD_BYTES) return false;
    return this.state.decryptAhead(ahead, packet.subarray(0, HEADER_BYTES)) !== undefined;
  }

  wipe(): void {
    this.state.wipe();
  }
}

function lengthOf(plain: Uint8Array | undefined): number | undefined {
  if (plain?.length !== 2) return undefined;
  return (plain[0] as number) * 256 + (plain[1] as number);
}
