/** Bytes as actions of three nodes: two are honest, the third also says whatever the bytes say. */

import { totalMsat } from "../../../core/channel/state.ts";
import { decodeMessage, messageLimits } from "../../../core/messages/codec.ts";
import { packPayments } from "../../../core/payments/push.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  paymentHash,
  preimage,
  toMilliSatoshi,
} from "../../../core/primitives/brands.ts";
import { ProtocolViolation } from "../../../core/primitives/errors.ts";
import { type FuzzTarget, once, promise } from "../target.ts";
import { crypto, type Party, ThreeNodes } from "../three-nodes.ts";

const MAX_ACTIONS = 60;
const FAR = 4_000;

class Bytes {
  private at = 0;
  constructor(private readonly input: Uint8Array) {}
  get isAtEnd(): boolean {
    return this.at >= this.input.length;
  }
  next(): number {
    return this.input[this.at++] ?? 0;
  }
  take(length: number): Uint8Array {
    this.at += length;
    return this.input.slice(this.at - length, this.at);
  }
}

const opened = once(() => ThreeNodes.make());

/** The reference of payment number `n` in this run. */
function reference(n: number): Uint8Array {
  return Uint8Array.of(...new Uint8Array(14), n >> 8, n & 255);
}

const secretOf = (n: number) => preimage(crypto.sha256(Uint8Array.of(n)));

class Play {
  private payments = 0;
  constructor(
    private readonly world: ThreeNodes,
    private readonly bytes: Bytes,
  ) {}

  async act(): Promise<void> {
    const { world, bytes } = this;
    const what = bytes.next();
    const k = bytes.next() % 2;
    const id = world.channels[k] as ChannelId;
    const party = world.parties[k + (bytes.next() % 2)] as Party;
    switch (what % 13) {
      case 0:
        return this.push(party, id, bytes.next());
      case 1: {
        const n = bytes.next();
        const amountMsat = milliSatoshi(1 + n * n * 10_000);
        const hash = paymentHash(crypto.sha256(secretOf(n)));
        const cltvExpiry = blockHeight(world.height + FAR);
        party.node.command(id, { type: "addHtlc", amountMsat, paymentHash: hash, cltvExpiry });
        return;
      }
      case 2: {
        const htlcId = bytes.next();
        const secret = secretOf(bytes.next());
        party.node.command(id, { type: "fulfillHtlc", htlcId, preimage: secret });
        return;
      }
      case 3:
        party.node.command(id, { type: "failHtlc", htlcId: bytes.next(), reason: bytes.take(2) });
        return;
      case 4:
        world.wires[k]?.pump(1 + (bytes.next() % 16));
        return;
      case 5:
        world.reconnect(k);
        world.settle(2);
        return;
      case 6:
        if (world.wires[k]) world.wires[k].queue.length >>= 1;
        return;
      case 7:
        await world.restart(bytes.next() % 3);
        return;
      case 8:
        world.mine();
        return;
      case 9:
        party.node.command(id, { type: "updateFee", feeratePerKw: 253 + bytes.next() * 40 });
        return;
      case 10:
        world.tick();
        return;
      case 11:
        return this.corrupt(k, bytes.next(), bytes.next());
      default:
        return this.lie(bytes.take(bytes.next()));
    }
  }

  private push(party: Party, id: ChannelId, n: number): void {
    this.payments++;
    const payments = packPayments([
      { reference: reference(this.payments), amountMsat: milliSatoshi(1 + n * 1_000_000) },
    ]);
    party.node.command(id, { type: "push", payments });
  }

  private corrupt(k: number, at: number, by: number): void {
    const next = this.world.wires[k]?.queue[0];
    if (!next) return;
    const index = at % next.bytes.length;
    next.bytes[index] = (next.bytes[index] as number) ^ by;
  }

  /** Carol says it, authenticated and well-formed: its channel id is the true one where it has one. */
  private lie(said: Uint8Array): void {
    try {
      const message = decodeMessage(said, messageLimits(4096));
      if (message.type === "unknown") return;
      const isOfChannel = "channelId" in message;
      const whole = isOfChannel ? { ...message, channelId: this.world.channels[1] } : message;
      this.world.say(2, 1, whole as never);
      this.world.wires[1]?.pump(4);
    } catch (error) {
      if (!(error instanceof ProtocolViolation)) throw error;
    }
  }
}

const threeNodes: FuzzTarget = {
  name: "three-nodes",
  maxBytes: 400,
  slowMs: 4_000,
  seeds: () => [
    Uint8Array.of(0, 0, 0, 9, 4, 0, 0, 15, 0, 1, 1, 3, 4, 1, 0, 15),
    Uint8Array.of(1, 0, 0, 5, 4, 0, 0, 15, 2, 0, 1, 0, 5, 4, 0, 0, 15, 7, 0, 0, 1),
    Uint8Array.of(12, 1, 1, 5, 0x84, 0x18, 0x84, 1, 2, 3, 5, 1, 0),
    Uint8Array.of(0, 0, 0, 1, 11, 0, 0, 5, 1, 4, 0, 0, 9, 5, 0, 0, 6, 1, 0, 8, 0, 0),
  ],
  isRefusal: () => false,
  async run(input) {
    const world = await (await opened()).copy();
    const bytes = new Bytes(input);
    const play = new Play(world, bytes);
    for (let i = 0; i < MAX_ACTIONS && !bytes.isAtEnd; i++) await play.act();
    world.reconnect(0);
    world.settle();
    verdict(world);
  },
};

/** Alice and Bob are honest, whatever Carol did to Bob: their channel lives, and both say the same of it. */
function verdict(world: ThreeNodes): void {
  const [alice, bob] = world.parties;
  const id = world.channels[0] as ChannelId;
  for (const party of [alice, bob]) {
    promise(!party.alarms.some((text) => text.includes("halted")), `halted: ${party.alarms[0]}`);
    const forced = party.events.find((e) => e.id === id && e.event.type === "forceClosing");
    promise(forced === undefined, "the channel of two honest nodes is never closed by force");
  }
  const ours = alice.node.record(id);
  const theirs = bob.node.record(id);
  promise(ours && theirs, "the channel of two honest nodes is there");
  for (const record of [ours, theirs, bob.node.record(world.channels[1] as ChannelId)]) {
    if (!record) continue;
    const funded = toMilliSatoshi(record.terms.fundingSatoshis);
    promise(totalMsat(record.base) === funded, "value is conserved");
  }
  promise(
    ours.base.toLocalMsat === theirs.base.toRemoteMsat,
    "both say the same of Alice's balance",
  );
  promise(ours.base.toRemoteMsat === theirs.base.toLocalMsat, "both say the same of Bob's balance");
}

export const nodeTargets: readonly FuzzTarget[] = [threeNodes];
