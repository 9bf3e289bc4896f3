/** Encrypted packets with key rotation (BOLT 8 "Lightning Message Specification", "Key Rotation"), as BOLT 8 and as devices write them. */
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
/** A key is used for this many nonces. */
export const NONCES_PER_KEY = 1000;

const NONE = new Uint8Array(0);

/** The key of one direction; `chainingKey` is what the next key is derived from. */
export interface DirectionKeys {
  readonly key: Uint8Array;
  readonly chainingKey: Uint8Array;
}

const KEY_BYTES = 32;
const NONCE_AT = 2 * KEY_BYTES;
const NONCE_BYTES = 12;
/** Of one direction: the key, the chaining key, the nonce. */
export const CIPHER_BYTES = NONCE_AT + NONCE_BYTES;

/** Where a direction's keys are: a host has thousands of sessions, and each piece of memory costs it more than what is in it. */
export interface CipherPlace {
  readonly memory: Uint8Array;
  readonly at: number;
}

const ownPlace = (): CipherPlace => ({ memory: new Uint8Array(CIPHER_BYTES), at: 0 });

/** Key, nonce and rotation of one direction. */
class CipherState {
  /** Nonces of this key so far. */
  private used = 0;
  private readonly memory: Uint8Array;
  private readonly at: number;

  constructor(
    private readonly crypto: Crypto,
    keys: DirectionKeys,
    { memory, at }: CipherPlace,
  ) {
    this.memory = memory;
    this.at = at;
    this.keep(keys);
  }

  /** With the nonce `ahead` of the next one; moves nothing. */
  encrypt(ahead: number, plaintext: Uint8Array): Uint8Array {
    return this.crypto.encrypt(this.key, this.nonceOf(this.used + ahead), NONE, plaintext);
  }

  /** With the nonce `ahead` of the next one, of the next key where that is further on; moves nothing. */
  decrypt(ahead: number, ciphertext: Uint8Array): Uint8Array | undefined {
    assert(ahead >= 0 && ahead < NONCES_PER_KEY, "one rotation at most");
    const position = this.used + ahead;
    const key = position < NONCES_PER_KEY ? this.key : this.nextKeys().key;
    return this.crypto.decrypt(key, this.nonceOf(position % NONCES_PER_KEY), NONE, ciphertext);
  }

  advance(nonces: 1 | 2): void {
    this.used += nonces;
    if (this.used < NONCES_PER_KEY) return;
    const next = this.nextKeys();
    this.keep(next);
    wipe(next.key);
    wipe(next.chainingKey);
    this.used = 0;
  }

  wipe(): void {
    wipe(this.part(0, CIPHER_BYTES));
  }

  private part(from: number, to: number): Uint8Array {
    return this.memory.subarray(this.at + from, this.at + to);
  }

  private get key(): Uint8Array {
    return this.part(0, KEY_BYTES);
  }

  private keep({ key, chainingKey }: DirectionKeys): void {
    this.memory.set(key, this.at);
    this.memory.set(chainingKey, this.at + KEY_BYTES);
  }

  private nextKeys(): DirectionKeys {
    const oldChainingKey = this.part(KEY_BYTES, NONCE_AT);
    const [chainingKey, key] = hkdf(this.crypto, oldChainingKey, this.key);
    return { key, chainingKey };
  }

  /** 32 zero bits, then a little-endian 64-bit number below 1000. */
  private nonceOf(number: number): Uint8Array {
    const nonce = this.part(NONCE_AT, CIPHER_BYTES);
    nonce[4] = number;
    nonce[5] = number >> 8;
    return nonce;
  }
}

/** Encrypts one direction, either BOLT 8's messages or packets: never both. */
export class SendingCipher {
  private readonly state: CipherState;
  private sealed = 0;

  constructor(crypto: Crypto, keys: DirectionKeys, place = ownPlace()) {
    this.state = new CipherState(crypto, keys, place);
  }

  /** Messages or packets so far; the next one has this number. */
  get count(): number {
    return this.sealed;
  }

  /** The next packet, whose length the frame knows: one nonce. */
  sealPacket(plaintext: Uint8Array): Uint8Array {
    assert(plaintext.length <= MAX_NOISE_MESSAGE_BYTES, "packet too large");
    const packet = this.state.encrypt(0, plaintext);
    this.state.advance(1);
    this.sealed++;
    return packet;
  }

  /** BOLT 8's encrypted length and message (Lightning peers over TCP): two nonces. */
  seal(message: Uint8Array): { readonly header: Uint8Array; readonly body: Uint8Array } {
    assert(message.length <= MAX_NOISE_MESSAGE_BYTES, "message too large for BOLT 8");
    const length = Uint8Array.of(message.length >> 8, message.length);
    const header = this.state.encrypt(0, length);
    const body = this.state.encrypt(1, message);
    this.state.advance(2);
    this.sealed++;
    return { header, body };
  }

  wipe(): void {
    this.state.wipe();
  }
}

/** Decrypts one direction; what does not fit changes nothing. */
export class ReceivingCipher {
  private readonly state: CipherState;
  private opened = 0;

  constructor(crypto: Crypto, keys: DirectionKeys, place = ownPlace()) {
    this.state = new CipherState(crypto, keys, place);
  }

  /** Messages or packets so far; the next one has this number. */
  get count(): number {
    return this.opened;
  }

  /** The next packet's plaintext; undefined where it is not authentic. */
  openPacket(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length < TAG_BYTES) return undefined;
    const plaintext = this.state.decrypt(0, packet);
    if (plaintext === undefined) return undefined;
    this.state.advance(1);
    this.opened++;
    return plaintext;
  }

  /** The packet is the peer's, `ahead` (1 to 999) packets after the next one: those between are lost. */
  isAuthenticAhead(ahead: number, packet: Uint8Array): boolean {
    return packet.length >= TAG_BYTES && this.state.decrypt(ahead, packet) !== undefined;
  }

  /** The length that an encrypted header of 18 bytes announces; undefined where it is not authentic. */
  openLength(header: Uint8Array): number | undefined {
    return lengthOf(this.state.decrypt(0, header));
  }

  /** The next message, from its body with the tag; undefined where it is not authentic. */
  openBody(body: Uint8Array): Uint8Array | undefined {
    const message = this.state.decrypt(1, body);
    if (message === undefined) return undefined;
    this.state.advance(2);
    this.opened++;
    return message;
  }

  /** The next message, from its whole packet; undefined where it is not authentic. */
  open(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length < NOISE_OVERHEAD_BYTES) return undefined;
    const length = this.openLength(packet.subarray(0, HEADER_BYTES));
    if (length !== packet.length - NOISE_OVERHEAD_BYTES) return undefined;
    return this.openBody(packet.subarray(HEADER_BYTES));
  }

  wipe(): void {
    this.state.wipe();
  }
}

function lengthOf(plain: Uint8Array | undefined): number | undefined {
  if (plain?.length !== 2) return undefined;
  return (plain[0] as number) * 256 + (plain[1] as number);
}
