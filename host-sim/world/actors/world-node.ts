/** One node of a world, as far as all kinds are the same: its keys, its store and its wallet, which outlive its power cuts. */
import type { ChannelPolicy } from "../../../core/channel/context.ts";
import type { ChannelEvent } from "../../../core/channel/effects.ts";
import type { ChannelRecord } from "../../../core/channel/record.ts";
import { SeedSigner } from "../../../core/keys/seed-signer.ts";
import { HOST_MAX_MESSAGE_BYTES } from "../../../core/messages/codec.ts";
import type { Message } from "../../../core/messages/message.ts";
import type { Node } from "../../../core/node/node.ts";
import type { Entropy } from "../../../core/ports/crypto.ts";
import type { ChannelSigner, NodeSigner } from "../../../core/ports/signer.ts";
import type { ChannelId, PaymentHash, PublicKey } from "../../../core/primitives/brands.ts";
import { toHex } from "../../../core/primitives/bytes.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import type { ChainPublisher, PublisherStep } from "../../../gateway/chain/publisher.ts";
import type { Watching, WatchingOptions } from "../../../gateway/tower/watching.ts";
import type { SimLab } from "../../chain/sim-lab.ts";
import type { SimWallet } from "../../chain/sim-wallet.ts";
import { PowerCut } from "../../flash/nor-flash.ts";
import { Random } from "../../random.ts";
import { CheckingStore } from "../checkers/checking-store.ts";
import { type DiskFaults, SimDisk } from "../disk.ts";
import { FlashMedium } from "../flash-medium.ts";
import { FileMedium, type Medium } from "../medium.ts";
import { Power } from "../power.ts";
import { BlockGate } from "./powered-source.ts";
import { type SignerWatch, watchedSigner } from "./watched-signer.ts";

/** Whom a node tells what happens to it. */
export interface NodeWatch {
  /** Whether this HTLC that the node is offered is to go on to another one. */
  isForwarded(node: WorldNode, hash: PaymentHash): boolean;
  event(node: WorldNode, id: ChannelId, event: ChannelEvent): void;
  alarm(node: WorldNode, text: string): void;
  sent(node: WorldNode, id: ChannelId, message: Message): void;
  /** What leaves in the place of a message. */
  said(node: WorldNode, message: Message): readonly Message[];
  /** What a device is told of the chain in the place of a message. */
  toldOfChain(node: WorldNode, message: Message): readonly Message[];
  /** Whether its gateway works on what a device asks. */
  isServing(node: WorldNode, message: Message): boolean;
  step(node: WorldNode, step: PublisherStep): void;
  watching(node: WorldNode, type: string): void;
  powerCut(node: WorldNode): void;
  signer(node: WorldNode): SignerWatch;
}

export interface NodePlace {
  readonly seed: number;
  readonly lab: SimLab;
  readonly wallet: SimWallet;
  readonly watch: NodeWatch;
  /** Of the flash that its store is on; absent: a file. */
  readonly flashBytes?: number | undefined;
  /** In the place of what its kind of node asks for. */
  readonly policy: Partial<ChannelPolicy>;
}

export abstract class WorldNode {
  readonly signer: SeedSigner;
  readonly payoutScript: Uint8Array;
  readonly wallet: SimWallet;
  /** Outlives its power cuts. */
  readonly memory: Medium;
  readonly checking: CheckingStore;
  readonly gate = new BlockGate();
  readonly faults: DiskFaults = { slow: false, refusing: 0, full: false, loses: () => false };
  /** Of the run that there is, or of the last one. */
  power = new Power();
  disk: SimDisk | undefined;
  /** Undefined while it starts, and while it has no power. */
  node: Node | undefined;
  publisher: ChainPublisher | undefined;
  /** To have a tower, or to be one; set before it first starts. */
  watchingOptions: WatchingOptions = {};
  watching: Watching | undefined;
  /** Told and not yet handled by the application; lost with the power. */
  events: { readonly id: ChannelId; readonly event: ChannelEvent }[] = [];
  /** Its clock is ahead of the world's by so much. */
  skewMs = 0;
  isByzantine = false;
  /** An older image of its disk came back. */
  isRestored = false;
  runs = 0;
  protected nowMs = 0;
  /** It has started, and may be called. */
  protected isReady = false;
  private drawn = 0;
  private readonly signers = new Map<number, ChannelSigner>();

  constructor(
    readonly index: number,
    protected readonly place: NodePlace,
  ) {
    const { lab, seed, wallet, flashBytes } = place;
    const { crypto } = lab.chain;
    this.wallet = wallet;
    this.signer = new SeedSigner(crypto, this.bytes("seed"));
    this.payoutScript = p2wpkh(crypto, this.signer.nodeId);
    this.memory = flashBytes ? new FlashMedium(flashBytes) : new FileMedium(seed);
    this.checking = new CheckingStore(
      this.memory,
      (key) => this.channelSigner(key).basepoints,
      HOST_MAX_MESSAGE_BYTES,
    );
    this.power.cut();
  }

  get policy(): Partial<ChannelPolicy> {
    return this.place.policy;
  }

  get name(): string {
    return `n${this.index}`;
  }

  get nodeId(): PublicKey {
    return this.signer.nodeId;
  }

  get isUp(): boolean {
    return this.power.isOn && this.isReady;
  }

  /** Whether it hears of a block that is mined now, and of those up to this height. */
  abstract hearsOf(height: number): boolean;

  /** Of this node's keys, not the one that its run uses. */
  channelSigner(keyIndex: number): ChannelSigner {
    const known = this.signers.get(keyIndex) ?? this.signer.channel(keyIndex);
    this.signers.set(keyIndex, known);
    return known;
  }

  /** Of all live channels, to be compared. */
  channelIds(): string {
    const live = (this.node?.channels() ?? []).filter(({ channel }) => channel.kind === "live");
    return live
      .map(({ id }) => toHex(id))
      .sort()
      .join();
  }

  record(id: ChannelId): ChannelRecord | undefined {
    return this.node?.record(id);
  }

  tick(nowMs: number): void {
    if (!this.isUp) return;
    this.nowMs = nowMs + this.skewMs;
    this.ticked(this.nowMs);
  }

  /** Starts, or starts again from its store; it is up some turns later. */
  start(nowMs: number): Promise<void> {
    if (this.power.isOn) throw new Error(`${this.name} runs already`);
    const { seed, watch } = this.place;
    const power = new Power();
    this.power = power;
    this.isReady = false;
    this.runs++;
    const disk = new SimDisk(this.checking, power, this.faults);
    this.disk = disk;
    power.onCut = () => {
      disk.lose(Random.of("kept", seed, this.index, this.runs).below(disk.pending + 1));
      this.ended();
      this.node = undefined;
      this.events = [];
      watch.powerCut(this);
    };
    this.checking.restarts();
    try {
      this.memory.powerOn();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      power.cut();
      return Promise.resolve();
    }
    return this.run(power, disk, nowMs);
  }

  protected abstract run(power: Power, disk: SimDisk, nowMs: number): Promise<void>;
  protected abstract ticked(nowMs: number): void;
  /** The power went. */
  protected abstract ended(): void;

  /** What the node is about to say is looked at, and perhaps something else is said. */
  protected hear(node: Node, power: Power): void {
    const { watch } = this.place;
    const send = node.send.bind(node);
    node.send = (runner, message) => {
      if (power.isOn) watch.sent(this, runner.storedId, message);
      for (const said of watch.said(this, message)) this.say(() => send(runner, said));
    };
  }

  protected get watchedSigner(): NodeSigner {
    return watchedSigner(this.signer, this.place.watch.signer(this));
  }

  protected get entropy(): Entropy {
    return { random: (length) => this.bytes(`entropy ${++this.drawn}`).slice(0, length) };
  }

  private say(send: () => void): void {
    try {
      send();
    } catch (error) {
      if (!this.isByzantine) throw error; // a lie that has no encoding
    }
  }

  private bytes(what: string): Uint8Array {
    const text = `${this.place.seed} ${this.index} ${what}`;
    const ascii = Uint8Array.from(text, (char) => char.codePointAt(0) as number);
    return this.place.lab.chain.crypto.sha256(ascii);
  }
}
