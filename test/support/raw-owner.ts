/** An owner's side of a session that sends whatever bytes a test wants, where the owner's own client sends what is in order. */
import { blockHash } from "../../core/chain/headers.ts";
import { genesisHeader, REGTEST } from "../../core/chain/networks.ts";
import { featureBitmap } from "../../core/messages/features.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { Link } from "../../core/ports/link.ts";
import type { PublicKey } from "../../core/primitives/brands.ts";
import { encodeFrame } from "../../core/transport/framing.ts";
import { Session } from "../../core/transport/session.ts";
import { entropy, noble, type Owner, until } from "./program-lab.ts";

type Answer = MessageNamed<"admin_response">;
interface Current {
  seal(plaintext: Uint8Array): readonly Uint8Array[];
}

export class RawOwner {
  /** Why each of its sessions ended, in turn. */
  readonly ends: string[] = [];
  private readonly waiting = new Map<number, (answer: string) => void>();
  private readonly session: Session;
  private readonly timer: ReturnType<typeof setInterval>;
  private ready = 0;
  private nextId = 1;

  private constructor(
    private readonly link: Link,
    owner: Owner,
    deviceId: PublicKey,
  ) {
    const shared = {
      crypto: noble,
      entropy,
      identity: {
        nodeId: owner.nodeId,
        ecdh: (point: PublicKey) => noble.ecdh(owner.secret, point),
      },
      maxMessageBytes: 65_535,
      events: {
        onEstablished: () => this.greet(),
        onMessage: (message: Message) => this.receive(message),
        onClosed: (reason: string) => this.ended(reason),
      },
    };
    this.session = new Session(shared, { link, remoteNodeId: deviceId, nowMs: now() });
    this.timer = setInterval(() => this.session.tick(now()), 20);
  }

  static async connect(link: Link, owner: Owner, deviceId: PublicKey): Promise<RawOwner> {
    const made = new RawOwner(link, owner, deviceId);
    await made.isReady();
    return made;
  }

  /** Established and greeted, now or again after an end. */
  async isReady(): Promise<void> {
    this.session.wake();
    await until(() => this.ready > this.ends.length);
  }

  /** "done", or the words of the refusal; "ended: …" where the session did before an answer came. */
  ask(method: string, params?: Uint8Array): Promise<string> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.session.send({ type: "admin_request", id, method, params });
    });
  }

  /** A packet whose content nobody checked, under the session's own keys. */
  sendContent(plaintext: Uint8Array): void {
    const { current } = this.session as unknown as { current: Current };
    this.link.send(encodeFrame(current.seal(plaintext)).slice());
  }

  close(): void {
    clearInterval(this.timer);
    this.session.close();
  }

  private greet(): void {
    this.session.send({
      type: "init",
      features: featureBitmap({
        required: [],
        optional: ["staticRemotekey", "channelType", "pushUpdates"],
      }),
      chainHashes: [blockHash(noble, genesisHeader(REGTEST))],
      maxMessageBytes: 65_535,
    });
  }

  private receive(message: Message): void {
    if (message.type === "init") this.ready = this.ends.length + 1;
    if (message.type === "admin_response") this.settle(message);
  }

  private settle({ id, error }: Answer): void {
    this.waiting.get(id)?.(error ?? "done");
    this.waiting.delete(id);
  }

  private ended(reason: string): void {
    this.ends.push(reason);
    for (const resolve of this.waiting.values()) resolve(`ended: ${reason}`);
    this.waiting.clear();
  }
}

function now(): number {
  return Math.floor(performance.now());
}
