/** A whole node whose every port is a call with bytes, so that the same node can be driven in Node and inside XS, and compared. */
import type { ChannelPolicy } from "../../core/channel/context.ts";
import type { Command, OpenCommand } from "../../core/channel/inputs.ts";
import type { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Node } from "../../core/node/node.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import type { Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";
import type { BlockHeight, ChannelId, PublicKey } from "../../core/primitives/brands.ts";
import { decodeParts, encodeParts } from "./parts.ts";
import { decodeValue, encodeValue } from "./values.ts";

/** What the node is made of: the classes of the bundle under test, never imported here. */
export interface CoreParts {
  readonly Node: typeof Node;
  readonly SeedSigner: typeof SeedSigner;
  readonly devicePolicy: ChannelPolicy;
}

/** The other side of every port; it answers at once. Names: send, watch, publish, close, event, peer, alarm, store-…. */
export type HostCall = (name: string, ...parameters: Uint8Array[]) => readonly Uint8Array[];

export interface NodeSetup {
  readonly seed: Uint8Array;
  /** Of the node's pseudorandom bytes; another one after each start. */
  readonly entropySeed: Uint8Array;
  readonly features: Uint8Array;
  readonly chainHash: Uint8Array;
  readonly payoutScript: Uint8Array;
  readonly maxMessageBytes: number;
  readonly height: number;
  readonly nowMs: number;
}

const EMPTY = new Uint8Array(0);

export class PortableNode {
  #node: Node | undefined;
  #link: HostLink | undefined;

  constructor(
    private readonly core: CoreParts,
    private readonly crypto: Crypto,
    private readonly host: HostCall,
  ) {}

  async start(setup: NodeSetup): Promise<void> {
    const { crypto, host } = this;
    let drawn = 0;
    const random = (length: number) => {
      const input = new Uint8Array(setup.entropySeed.length + 2);
      input.set(setup.entropySeed);
      input.set([++drawn >> 8, drawn & 255], setup.entropySeed.length);
      return crypto.sha256(input).slice(0, length);
    };
    const tell = (name: string) => (value: unknown) => void host(name, encodeValue(value));
    this.#node = await this.core.Node.start(
      {
        crypto,
        signer: new this.core.SeedSigner(crypto, setup.seed),
        store: new HostStore(host),
        entropy: { random },
        chain: {
          watch: tell("watch"),
          publish: (_id, claim) => tell("publish")(claim),
          publishClose: (_id, raw) => void host("close", raw),
        },
        chainHash: setup.chainHash,
        policy: this.core.devicePolicy,
        features: setup.features,
        maxMessageBytes: setup.maxMessageBytes,
        payoutScript: setup.payoutScript,
        maxChannels: 4,
        maxLinks: 4,
        events: {
          onChannelEvent: (id, event) => tell("event")({ id, event }),
          onPeer: (id, state, reason) => tell("peer")({ id, state, reason }),
          onServiceMessage: (_id, message) => tell("service")(message),
          onAlarm: (text) => tell("alarm")(text),
        },
        nowMs: setup.nowMs,
      },
      setup.height as BlockHeight,
    );
  }

  /** One of the steps below; `parameter` is bytes off the link, or an encoded value. */
  perform(step: string, parameter: Uint8Array): Uint8Array | undefined {
    const node = this.#node;
    if (node === undefined) throw new Error("the node is not started");
    if (step === "bytes") {
      this.#link?.onBytes(parameter);
      return undefined;
    }
    const value = decodeValue(parameter) as never;
    switch (step) {
      case "attach":
        this.#link = new HostLink(this.host);
        node.attach(this.#link, (value as { remoteNodeId?: PublicKey }).remoteNodeId);
        return undefined;
      case "unplug":
        this.#link?.onClosed("the cable was pulled");
        this.#link = undefined;
        return undefined;
      case "tick":
        node.tick(value);
        return undefined;
      case "open":
        return node.open(value as OpenCommand);
      case "command": {
        const { id, command } = value as { id: ChannelId; command: Exclude<Command, OpenCommand> };
        if (!node.command(id, command)) throw new Error("no such channel");
        return undefined;
      }
      case "block":
        this.#block(node, value);
        return undefined;
      default:
        throw new Error(`no step ${step}`);
    }
  }

  #block(node: Node, value: { readonly height: BlockHeight; readonly raws: Uint8Array[] }): void {
    const { height, raws } = value;
    node.blockConnected({ height, transactions: raws.map((raw) => ({ raw, height })) as never });
  }
}

class HostLink implements Link {
  readonly name = "cable";
  readonly kind = "stream";
  onBytes: (bytes: Uint8Array) => void = () => {};
  onClosed: (reason: string) => void = () => {};
  constructor(private readonly host: HostCall) {}

  send(bytes: Uint8Array): void {
    this.host("send", bytes);
  }

  close(): void {
    this.onClosed("closed");
  }
}

/** A store that is durable on the other side, with every record encoded. */
class HostStore implements Store {
  readonly name = "host";
  constructor(private readonly host: HostCall) {}

  load(): readonly StoredChannel[] {
    return this.host("store-load").map((stored) => {
      const [channelId, record, ...archive] = decodeParts(stored);
      return { channelId: channelId as ChannelId, record: record as Uint8Array, archive };
    });
  }

  commit(change: StoreCommit): { readonly duplicateCredits: readonly number[] } {
    const { channelId, credits = EMPTY, debits = EMPTY, archive = [] } = change;
    const [duplicates = EMPTY] = change.remove
      ? this.host("store-remove", channelId)
      : this.host(
          "store-commit",
          channelId,
          change.record(),
          credits,
          debits,
          encodeParts(archive),
        );
    return { duplicateCredits: Array.from(duplicates) };
  }

  isDebited(reference: Uint8Array): boolean {
    return this.host("store-is-debited", reference).length > 0;
  }

  isCredited(reference: Uint8Array): boolean {
    return this.host("store-is-credited", reference).length > 0;
  }

  getValue(key: string): Uint8Array | undefined {
    return this.host("store-get", encodeValue(key))[0];
  }

  setValue(key: string, value: Uint8Array): void {
    this.host("store-set", encodeValue(key), value);
  }

  close(): void {}
}
