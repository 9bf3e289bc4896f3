/** Whole sessions: bytes of strangers on a link, acts of a handshake, and packets of a peer that is who it says. */
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { encodeCbor } from "../../../core/messages/cbor.ts";
import type { Link } from "../../../core/ports/link.ts";
import { type SecretKey, secretKey } from "../../../core/primitives/brands.ts";
import { concat, concatAll, equal } from "../../../core/primitives/bytes.ts";
import { encodeFrame, FrameDecoder } from "../../../core/transport/framing.ts";
import {
  acceptHandshake,
  answerHandshake,
  finishHandshake,
  startHandshake,
} from "../../../core/transport/noise.ts";
import { Kind } from "../../../core/transport/packets.ts";
import { Session } from "../../../core/transport/session.ts";
import { chooseCrypto } from "../../../gateway/crypto/choose.ts";
import { paperCrypto } from "../paper-crypto.ts";
import { type FuzzTarget, promise } from "../target.ts";

const real = chooseCrypto();
const crypto = paperCrypto(real);
const alice = new SeedSigner(real, new Uint8Array(32).fill(1));
const bob = new SeedSigner(real, new Uint8Array(32).fill(2));
const ephemeral = (n: number): SecretKey => secretKey(new Uint8Array(32).fill(n));
const MAX_MESSAGE = 1024;

/** Acts one, two and three as real peers make them, with changes: [act, where, by, …]. */
const noise: FuzzTarget = {
  name: "noise",
  maxBytes: 64,
  seeds: () => [
    Uint8Array.of(0),
    Uint8Array.of(0, 5, 1),
    Uint8Array.of(1, 5, 1),
    Uint8Array.of(2, 5, 1),
  ],
  run(input) {
    const [which = 0, ...changes] = input;
    let isChanged = false;
    const act = (number: number, bytes: Uint8Array) => {
      if (which % 3 !== number) return bytes;
      const out = bytes.slice();
      for (let i = 0; i + 1 < changes.length; i += 2) {
        const at = (changes[i] as number) % out.length;
        out[at] = (out[at] as number) ^ (changes[i + 1] as number);
      }
      const whole = changes.length % 2 === 1 ? out.slice(0, -1) : out;
      isChanged = !equal(whole, bytes);
      return whole;
    };
    const initiator = { crypto: real, identity: alice };
    const responder = { crypto: real, identity: bob };
    const one = startHandshake(initiator, bob.nodeId, ephemeral(3));
    const two = answerHandshake(responder, act(0, one.actOne), ephemeral(4));
    const three = finishHandshake(initiator, one.state, act(1, two.actTwo));
    const { remoteNodeId } = acceptHandshake(responder, two.state, act(2, three.actThree));
    promise(equal(remoteNodeId, alice.nodeId), "only alice is alice");
    promise(!isChanged, "a handshake that was changed does not end");
  },
};

class FuzzLink implements Link {
  readonly name = "fuzz";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  readonly sent: Uint8Array[] = [];
  constructor(readonly kind: "stream" | "datagram") {}
  send(bytes: Uint8Array): void {
    this.sent.push(bytes.slice());
  }
  close(): void {
    this.onClosed("closed");
  }
}

/** [kind of link, whether a session is there, then pieces: length and bytes, or 255 and a time that passes]. */
const session: FuzzTarget = {
  name: "session",
  maxBytes: 1024,
  seeds: () => {
    const packet = concat(Uint8Array.of(0x80), concat(encodeCbor([16, new Uint8Array(0)]), TAG));
    const one = startHandshake({ crypto, identity: bob }, alice.nodeId, ephemeral(3));
    const actOne = concat(Uint8Array.of(Kind.actOne), one.actOne);
    return [
      Uint8Array.of(0, 1, ...piece(encodeFrame([packet])), 255, 9),
      Uint8Array.of(0, 0, ...piece(encodeFrame([actOne]))),
      Uint8Array.of(1, 0, ...piece(actOne), ...piece(Uint8Array.of(Kind.whoAreYou))),
      Uint8Array.of(1, 1, ...piece(concat(Uint8Array.of(0x80, 0), packet.subarray(1)))),
    ];
  },
  run(input) {
    const link = new FuzzLink((input[0] ?? 0) % 2 === 0 ? "stream" : "datagram");
    const told = { messages: 0, established: 0 };
    let drawn = 0;
    let nowMs = 0;
    const shared = {
      crypto,
      identity: alice,
      entropy: { random: (length: number) => new Uint8Array(length).fill(1 + (++drawn % 200)) },
      maxMessageBytes: MAX_MESSAGE,
      events: {
        onEstablished: () => void told.established++,
        onMessage: () => void told.messages++,
        onClosed: () => {},
      },
    };
    const made = new Session(shared, { link, nowMs });
    if ((input[1] ?? 0) % 2 === 1) {
      establish(link);
      promise(told.established === 1, "a handshake with a peer ends");
    }
    const before = sizeOf(link.sent);
    for (let at = 2; at < input.length; ) {
      const length = input[at++] as number;
      if (length === 255) {
        nowMs += (input[at++] ?? 0) * 100;
        made.tick(nowMs);
      } else {
        link.onBytes(input.slice(at, at + length));
        at += length;
      }
    }
    const answered = sizeOf(link.sent) - before;
    // A packet of one byte of message may be a ping that asks for many bytes: BOLT 1 bounds that, and so do we.
    promise(
      answered <= 4096 + input.length * MAX_MESSAGE,
      "what strangers say is not answered at length",
    );
    promise(told.messages <= input.length, "no message comes from nowhere");
  },
};

const TAG = new Uint8Array(16);

/** Bob's handshake with whoever listens on the link. */
function establish(link: FuzzLink): void {
  const context = { crypto, identity: bob, prologue: "picobolt/2" };
  const one = startHandshake(context, alice.nodeId, ephemeral(5));
  deliver(link, concat(Uint8Array.of(Kind.actOne), one.actOne));
  const answer = link.sent.at(-1);
  if (!answer) return;
  let frame = answer;
  const decoder = new FrameDecoder(MAX_MESSAGE, (whole) => {
    frame = whole.slice();
  });
  if (link.kind === "stream") decoder.push(answer);
  const finished = finishHandshake(context, one.state, frame.subarray(1));
  deliver(link, concat(Uint8Array.of(Kind.actThree), finished.actThree));
}

function deliver(link: FuzzLink, frame: Uint8Array): void {
  link.onBytes(link.kind === "stream" ? encodeFrame([frame]) : frame);
}

function piece(bytes: Uint8Array): readonly number[] {
  return bytes.length < 255 ? [bytes.length, ...bytes] : [];
}

function sizeOf(frames: readonly Uint8Array[]): number {
  return concatAll(frames).length;
}

export const sessionTargets: readonly FuzzTarget[] = [noise, session];
