/** The handshake and the ciphers of BOLT 8, held to its vectors and to damage at every byte. */
import { describe, expect, it } from "vitest";
import type { Crypto } from "../../core/ports/crypto.ts";
import {
  type PublicKey,
  publicKey,
  type SecretKey,
  secretKey,
} from "../../core/primitives/brands.ts";
import { ascii, concat, fromHex, toHex } from "../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../core/primitives/errors.ts";
import { ReceivingCipher, SendingCipher } from "../../core/transport/cipher.ts";
import {
  acceptHandshake,
  answerHandshake,
  finishHandshake,
  type HandshakeContext,
  startHandshake,
  type TransportKeys,
} from "../../core/transport/noise.ts";
import { providers } from "../support/crypto-providers.ts";
import { describeVectors } from "../support/vectors.ts";

interface Step {
  readonly input?: string;
  readonly output?: string;
  readonly error?: string;
}
interface HandshakeVector {
  readonly name: string;
  readonly role: "initiator" | "responder";
  readonly steps: readonly Step[];
  readonly rs_pub?: string;
  readonly ls_priv: string;
  readonly e_priv: string;
  readonly chaining_key?: string;
  readonly result?: { readonly sk: string; readonly rk: string };
}
interface Vectors {
  readonly handshakes: readonly HandshakeVector[];
  readonly messages: {
    readonly plaintext: string;
    readonly ck: string;
    readonly sk: string;
    readonly outputs: Readonly<Record<string, string>>;
  };
}

const key = (hex: string): SecretKey => secretKey(fromHex(hex));
function nodeOf(crypto: Crypto, secret: SecretKey): HandshakeContext {
  const identity = {
    nodeId: crypto.publicKeyOf(secret),
    ecdh: (point: PublicKey) => crypto.ecdh(secret, point),
  };
  return { crypto, identity };
}
/** The tag of the violation that `step` ends in. */
function tagOf(step: () => unknown): string {
  try {
    step();
    return "accepted";
  } catch (error) {
    if (error instanceof ProtocolViolation) return error.tag;
    throw error;
  }
}

/** What a node of that role puts out, one output or error after the other, and the keys at the end. */
function play(crypto: Crypto, vector: HandshakeVector): { said: string[]; keys?: TransportKeys } {
  const node = nodeOf(crypto, key(vector.ls_priv));
  const ephemeral = key(vector.e_priv);
  const inputs = vector.steps.flatMap(({ input }) => (input === undefined ? [] : [fromHex(input)]));
  const said: string[] = [];
  let keys: TransportKeys | undefined;
  const next = () => inputs.shift() as Uint8Array;
  try {
    if (vector.role === "initiator") {
      const remote = publicKey(fromHex(vector.rs_pub as string));
      const { state, actOne } = startHandshake(node, remote, ephemeral);
      said.push(toHex(actOne));
      const finished = finishHandshake(node, state, next());
      said.push(toHex(finished.actThree));
      keys = finished.keys;
    } else {
      const { state, actTwo } = answerHandshake(node, next(), ephemeral);
      said.push(toHex(actTwo));
      const accepted = acceptHandshake(node, state, next());
      keys = accepted.keys;
      said.push(toHex(accepted.remoteNodeId));
    }
  } catch (error) {
    said.push((error as ProtocolViolation).tag);
  }
  return keys === undefined ? { said } : { said, keys };
}

const INITIATOR_ID = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa";

describe.each(providers.map((crypto) => [crypto.name, crypto] as const))("with %s", (_, crypto) => {
  describeVectors<Vectors>(
    "BOLT 8 appendix A",
    "bolt8-appendix-a-transport.json",
    ({ handshakes, messages }) => {
      it.each(handshakes)("$name", (vector) => {
        const { said, keys } = play(crypto, vector);
        // "ACT2_BAD_VERSION 1" is our act2-bad-version.
        const expected = vector.steps.flatMap(({ output, error }) => {
          if (output !== undefined) return [output];
          const [name] = error?.split(" ") ?? [];
          return name === undefined ? [] : [name.toLowerCase().replaceAll("_", "-")];
        });
        if (vector.result !== undefined && vector.role === "responder") expected.push(INITIATOR_ID);
        expect(said).toEqual(expected);
        expect(keys?.sending && toHex(keys.sending.key)).toBe(vector.result?.sk);
        expect(keys?.receiving && toHex(keys.receiving.key)).toBe(vector.result?.rk);
        expect(keys?.sending && toHex(keys.sending.chainingKey)).toBe(vector.chaining_key);
      });

      it("messages, with their keys rotated twice", () => {
        const keys = { key: fromHex(messages.sk), chainingKey: fromHex(messages.ck) };
        const sending = new SendingCipher(crypto, keys);
        const receiving = new ReceivingCipher(crypto, keys);
        const plaintext = fromHex(messages.plaintext);
        const outputs: Record<string, string> = {};
        for (let i = 0; i <= 1001; i++) {
          const { header, body } = sending.seal(plaintext);
          const packet = concat(header, body);
          if (i in messages.outputs) outputs[i] = toHex(packet);
          expect(receiving.open(packet)).toEqual(plaintext);
        }
        expect(outputs).toEqual(messages.outputs);
      });
    },
  );
});

describe("the handshake", () => {
  const [crypto] = [providers.at(-1) as Crypto];
  const secret = (byte: number) => secretKey(new Uint8Array(32).fill(byte));
  const alice = nodeOf(crypto, secret(1));
  const bob = nodeOf(crypto, secret(2));
  const started = startHandshake(alice, bob.identity.nodeId, secret(3));
  const answered = answerHandshake(bob, started.actOne, secret(4));
  const finished = finishHandshake(alice, started.state, answered.actTwo);
  const acts = [
    ["act one", started.actOne, (act: Uint8Array) => answerHandshake(bob, act, secret(4))],
    ["act two", answered.actTwo, (act: Uint8Array) => finishHandshake(alice, started.state, act)],
    [
      "act three",
      finished.actThree,
      (act: Uint8Array) => acceptHandshake(bob, answered.state, act),
    ],
  ] as const;

  it.each(acts)("notices one changed bit anywhere in %s", (_, act, step) => {
    expect(tagOf(() => step(act))).toBe("accepted");
    for (let i = 0; i < act.length; i++) {
      const changed = act.slice();
      changed[i] = (changed[i] as number) ^ (1 << (i & 7));
      expect(tagOf(() => step(changed))).toMatch(/^act[123]-bad-/);
    }
  });
  it.each(acts)("refuses %s at any other length", (_, act, step) => {
    for (let length = 0; length < act.length; length++) {
      expect(tagOf(() => step(act.subarray(0, length)))).toMatch(/^act[123]-read-failed$/);
    }
    expect(tagOf(() => step(concat(act, Uint8Array.of(0))))).toMatch(/^act[123]-read-failed$/);
  });
  it("fails at act one where another node was called", () => {
    const carol = nodeOf(crypto, secret(9));
    expect(tagOf(() => answerHandshake(carol, started.actOne, secret(4)))).toBe("act1-bad-tag");
  });
  it("does not take an act three that was recorded in an earlier handshake", () => {
    const again = answerHandshake(bob, started.actOne, secret(5));
    expect(tagOf(() => acceptHandshake(bob, again.state, finished.actThree))).toBe(
      "act3-bad-ciphertext",
    );
  });
  it("refuses a point that is not on the curve", () => {
    const act = started.actOne.slice();
    act.fill(0xff, 2, 34);
    expect(tagOf(() => answerHandshake(bob, act, secret(4)))).toBe("act1-bad-pubkey");
  });
});

describe("the ciphers", () => {
  const crypto = providers.at(-1) as Crypto;
  const keys = { key: new Uint8Array(32).fill(1), chainingKey: new Uint8Array(32).fill(2) };
  const hello = ascii("hello");
  const packetOf = (sending: SendingCipher, message = hello) => {
    const { header, body } = sending.seal(message);
    return concat(header, body);
  };

  it("change nothing when a packet does not fit, at whatever byte", () => {
    const receiving = new ReceivingCipher(crypto, keys);
    const packet = packetOf(new SendingCipher(crypto, keys));
    for (let i = 0; i < packet.length; i++) {
      const changed = packet.slice();
      changed[i] = (changed[i] as number) ^ 1;
      expect(receiving.open(changed)).toBeUndefined();
      expect(receiving.open(packet.subarray(0, i))).toBeUndefined();
    }
    expect(receiving.open(concat(packet, packet))).toBeUndefined();
    expect(receiving.open(packet)).toEqual(hello);
    expect(receiving.open(packet)).toBeUndefined();
  });
  it("carry messages of 0 to 65535 bytes", () => {
    const sending = new SendingCipher(crypto, keys);
    const receiving = new ReceivingCipher(crypto, keys);
    for (const length of [0, 1, 255, 256, 65535]) {
      const message = new Uint8Array(length).fill(7);
      expect(receiving.open(packetOf(sending, message))).toEqual(message);
    }
    expect(() => sending.seal(new Uint8Array(65536))).toThrow(/too large/);
  });
  it("can be read from a stream, header first (Lightning peers over TCP)", () => {
    const receiving = new ReceivingCipher(crypto, keys);
    const { header, body } = new SendingCipher(crypto, keys).seal(hello);
    expect(receiving.openLength(header)).toBe(5);
    expect(receiving.openBody(body)).toEqual(hello);
    expect(receiving.openLength(header)).toBeUndefined();
  });
  it("of packets take one nonce each, and a new key after 1000, as BOLT 8 counts", () => {
    const sending = new SendingCipher(crypto, keys);
    const receiving = new ReceivingCipher(crypto, keys);
    const bolt8 = new SendingCipher(crypto, keys);
    for (let i = 0; i < 1010; i += 2) {
      const packet = sending.sealPacket(hello);
      // BOLT 8 writes a length with even nonces, a message with odd ones.
      const second = sending.sealPacket(hello);
      expect(second).toEqual(bolt8.seal(hello).body);
      expect(receiving.openPacket(packet)).toEqual(hello);
      expect(receiving.openPacket(packet)).toBeUndefined();
      expect(receiving.openPacket(second)).toEqual(hello);
    }
    expect(receiving.count).toBe(1010);
  });
  it("know a packet from further on, also beyond a rotation, and do not move for it", () => {
    const sending = new SendingCipher(crypto, keys);
    const packets = Array.from({ length: 1501 }, () => sending.sealPacket(hello));
    const receiving = new ReceivingCipher(crypto, keys);
    for (let i = 0; i < 600; i++) receiving.openPacket(packets.shift() as Uint8Array);
    for (const ahead of [1, 2, 399, 400, 401, 499, 500]) {
      const packet = packets[ahead] as Uint8Array;
      expect(receiving.isAuthenticAhead(ahead, packet)).toBe(true);
      expect(receiving.isAuthenticAhead(ahead === 1 ? 2 : ahead - 1, packet)).toBe(false);
    }
    for (const packet of packets) expect(receiving.openPacket(packet)).toEqual(hello);
  });
  it("do not share keys with whoever made them", () => {
    const own = { key: keys.key.slice(), chainingKey: keys.chainingKey.slice() };
    const receiving = new ReceivingCipher(crypto, own);
    const sending = new SendingCipher(crypto, own);
    sending.wipe();
    expect(receiving.open(packetOf(new SendingCipher(crypto, keys)))).toEqual(hello);
  });
});
