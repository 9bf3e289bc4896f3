/** BOLT 8: the three acts of Noise_XK_secp256k1_ChaChaPoly_SHA256 with the prologue of docs/PROTOCOL.md, and the two ciphers that they give. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ascii, type Bytes, concat, hmacSha256, sha256 } from "./bytes.ts";
import { ecdh, pointOf } from "./curve.ts";

const EMPTY = new Uint8Array(0);
const VERSION = Uint8Array.of(0);
const ROTATE_AT = 1000;

export interface Ciphers {
  readonly send: Cipher;
  readonly receive: Cipher;
  readonly remoteId: Bytes;
}

/** What both roles keep between the acts. */
class Handshake {
  private h: Bytes;
  private ck: Bytes;
  private k: Bytes = EMPTY;

  constructor(responderId: Bytes) {
    this.ck = sha256(ascii("Noise_XK_secp256k1_ChaChaPoly_SHA256"));
    this.h = sha256(sha256(this.ck, ascii("picobolt/2")), responderId);
  }

  mixHash(bytes: Bytes): void {
    this.h = sha256(this.h, bytes);
  }

  mixKey(secret: Bytes): void {
    [this.ck, this.k] = hkdf(this.ck, secret);
  }

  seal(nonce: number, plaintext: Bytes): Bytes {
    const sealed = aead(this.k, nonce, this.h).encrypt(plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  open(nonce: number, sealed: Bytes): Bytes {
    const plaintext = aead(this.k, nonce, this.h).decrypt(sealed);
    this.mixHash(sealed);
    return plaintext;
  }

  split(): [Cipher, Cipher] {
    const [initiators, responders] = hkdf(this.ck, EMPTY);
    return [new Cipher(initiators, this.ck), new Cipher(responders, this.ck)];
  }
}

export class Initiator {
  private readonly state: Handshake;

  constructor(
    private readonly secret: Bytes,
    private readonly remoteId: Bytes,
    private readonly ephemeral: Bytes,
  ) {
    this.state = new Handshake(remoteId);
  }

  actOne(): Bytes {
    const point = pointOf(this.ephemeral);
    this.state.mixHash(point);
    this.state.mixKey(ecdh(this.ephemeral, this.remoteId));
    return concat(VERSION, point, this.state.seal(0, EMPTY));
  }

  /** Takes act two; the third act and the ciphers. */
  actThree(actTwo: Bytes): { readonly act: Bytes; readonly ciphers: Ciphers } {
    const remote = readAct(actTwo, 50).subarray(0, 33);
    this.state.mixHash(remote);
    this.state.mixKey(ecdh(this.ephemeral, remote));
    this.state.open(0, actTwo.subarray(34));
    const sealedId = this.state.seal(1, pointOf(this.secret));
    this.state.mixKey(ecdh(this.secret, remote));
    const act = concat(VERSION, sealedId, this.state.seal(0, EMPTY));
    const [send, receive] = this.state.split();
    return { act, ciphers: { send, receive, remoteId: this.remoteId } };
  }
}

export class Responder {
  private readonly state: Handshake;

  constructor(
    private readonly secret: Bytes,
    private readonly ephemeral: Bytes,
  ) {
    this.state = new Handshake(pointOf(secret));
  }

  actTwo(actOne: Bytes): Bytes {
    const remote = readAct(actOne, 50).subarray(0, 33);
    this.state.mixHash(remote);
    this.state.mixKey(ecdh(this.secret, remote));
    this.state.open(0, actOne.subarray(34));
    const point = pointOf(this.ephemeral);
    this.state.mixHash(point);
    this.state.mixKey(ecdh(this.ephemeral, remote));
    return concat(VERSION, point, this.state.seal(0, EMPTY));
  }

  finish(actThree: Bytes): Ciphers {
    const body = readAct(actThree, 66);
    const remoteId = this.state.open(1, body.subarray(0, 49));
    this.state.mixKey(ecdh(this.ephemeral, remoteId));
    this.state.open(0, body.subarray(49));
    const [receive, send] = this.state.split();
    return { send, receive, remoteId };
  }
}

/** One direction of a session; its key rotates after 1000 uses. */
export class Cipher {
  private nonce = 0;

  constructor(
    private key: Bytes,
    private ck: Bytes,
  ) {}

  seal(plaintext: Bytes): Bytes {
    const packet = aead(this.key, this.nonce, EMPTY).encrypt(plaintext);
    this.advance();
    return packet;
  }

  /** Throws, and does not move, if the packet is not the peer's next one. */
  open(packet: Bytes): Bytes {
    const plaintext = aead(this.key, this.nonce, EMPTY).decrypt(packet);
    this.advance();
    return plaintext;
  }

  private advance(): void {
    this.nonce++;
    if (this.nonce < ROTATE_AT) return;
    [this.ck, this.key] = hkdf(this.ck, this.key);
    this.nonce = 0;
  }
}

function readAct(act: Bytes, length: number): Bytes {
  if (act.length !== length) throw new Error(`an act of ${act.length} bytes instead of ${length}`);
  if (act[0] !== 0) throw new Error(`handshake version ${act[0]}`);
  return act.subarray(1);
}

function aead(key: Bytes, nonce: number, associated: Bytes) {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setUint32(4, nonce, true);
  return chacha20poly1305(key, bytes, associated);
}

function hkdf(salt: Bytes, input: Bytes): [Bytes, Bytes] {
  const secret = hmacSha256(salt, input);
  const first = hmacSha256(secret, Uint8Array.of(1));
  return [first, hmacSha256(secret, concat(first, Uint8Array.of(2)))];
}
