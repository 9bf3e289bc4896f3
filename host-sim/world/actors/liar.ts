/** A byzantine node: what its own core would say is withheld, changed or said again, and anything is said at any time, in floods too. */
import type { Message } from "../../../core/messages/message.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import { ProtocolViolation } from "../../../core/primitives/errors.ts";
import { Random } from "../../random.ts";
import { LIAR } from "../options.ts";
import type { World } from "../world.ts";
import type { WorldNode } from "./world-node.ts";

const MAX_KEPT = 300;
const MAX_FLOOD = 200;

export class Liar {
  /** Heard from anyone, to be said again. */
  private readonly kept: Message[] = [];
  /** So many of the next messages are withheld, or changed. */
  private withheld = 0;
  private tampered = 0;

  constructor(
    private readonly world: World,
    readonly index: number,
    private readonly random: Random,
  ) {}

  /** Whatever a node is about to say to another one. */
  heard(message: Message): void {
    if (this.kept.length < MAX_KEPT) this.kept.push(message);
    else this.kept[this.random.below(MAX_KEPT)] = message;
  }

  /** What its own node says in the place of a message. */
  said(node: WorldNode, message: Message): readonly Message[] {
    if (!node.isByzantine) return [message];
    if (this.withheld > 0) {
      this.withheld--;
      this.world.note(`${node.name} withholds ${message.type}`);
      return [];
    }
    if (this.tampered > 0) {
      this.tampered--;
      return [this.changed(message)];
    }
    return [message];
  }

  /** In a step of the world. */
  act(random: Random): void {
    const node = this.world.node(this.index);
    const peers = this.peers(node);
    if (!node.isUp || peers.length === 0 || this.kept.length === 0) return;
    const said = random.oneOf(this.kept);
    const peer = random.oneOf(peers);
    switch (random.oneOf(["withhold", "tamper", "tamper", "replay", "change", "flood"] as const)) {
      case "withhold":
        this.withheld = random.between(1, 4);
        break;
      case "tamper":
        this.tampered = random.between(1, 3);
        break;
      case "replay":
        this.say(node, peer, this.addressed(said, peer, random));
        break;
      case "change":
        this.say(node, peer, this.changed(this.addressed(said, peer, random)));
        break;
      case "flood": {
        const message = this.addressed(said, peer, random);
        const times = random.between(10, MAX_FLOOD);
        for (let i = 0; i < times; i++) this.say(node, peer, message);
      }
    }
  }

  stop(): void {
    this.withheld = 0;
    this.tampered = 0;
  }

  private peers(node: WorldNode): readonly WorldNode[] {
    const { nodes } = this.world;
    return nodes.filter((one) => one !== node && node.node?.isConnected(one.nodeId));
  }

  private say(node: WorldNode, peer: WorldNode, message: Message): void {
    this.world.note(`${node.name} lies ${message.type}`);
    try {
      node.node?.sendService(peer.nodeId, message);
    } catch (error) {
      // Not even a liar can put this into bytes.
      if (!(error instanceof ProtocolViolation || error instanceof Error)) throw error;
    }
  }

  /** To a channel with this peer. */
  private addressed(message: Message, peer: WorldNode, random: Random): Message {
    if (!("channelId" in message)) return message;
    const { channels } = this.world.book;
    const ids = channels.flatMap(({ id, opener, acceptor }) =>
      id && [opener, acceptor].includes(this.index) && [opener, acceptor].includes(peer.index)
        ? [id]
        : [],
    );
    const isTheirs = ids.some((id) => equal(id, message.channelId));
    if (ids.length === 0 || isTheirs) return message;
    return { ...message, channelId: random.oneOf(ids) };
  }

  private changed(message: Message): Message {
    this.world.note(`changed ${message.type}`);
    return changedMessage(message, this.random);
  }
}

/** Those of a world. */
export function liarsIn(world: World): readonly Liar[] {
  const { seed, liars } = world.options;
  return liars.map(
    (index) => new Liar(world, index, Random.of(index === LIAR ? "liar" : "accomplice", seed)),
  );
}

/** What a node says in the place of a message; every liar hears it. */
export function saidBy(
  liars: readonly Liar[],
  node: WorldNode,
  message: Message,
): readonly Message[] {
  for (const liar of liars) liar.heard(message);
  const own = liars.find(({ index }) => index === node.index);
  return own?.said(node, message) ?? [message];
}

/** One of its fields says something else. */
export function changedMessage(message: Message, random: Random): Message {
  const names = Object.keys(message).filter((name) => name !== "type");
  if (names.length === 0) return message;
  const name = random.oneOf(names);
  const fields = { ...message } as Record<string, unknown>;
  fields[name] = changedField(fields[name], random);
  return fields as unknown as Message;
}

function changedField(value: unknown, random: Random): unknown {
  if (value instanceof Uint8Array) {
    const bytes = value.slice();
    if (bytes.length === 0) return bytes;
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    return bytes;
  }
  if (typeof value === "number") {
    return random.oneOf([0, 1, Math.max(0, value - 1), value + 1, value * 2, 0xffff_ffff]);
  }
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return random.oneOf(["", `${value}!`, "x".repeat(200)]);
  if (Array.isArray(value)) {
    if (value.length === 0 || random.oneIn(3)) return [...value, ...value.slice(0, 1)];
    if (random.oneIn(2)) return value.slice(1);
    return [changedField(value[0], random), ...value.slice(1)];
  }
  return value;
}
