/** One whole simulated world: nodes, links, a chain and a clock that only the seed moves; the first broken promise ends it. */
import { createHash } from "node:crypto";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { ChannelId } from "../../core/primitives/brands.ts";
import { milliSatoshi, satoshi } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import type { SimChain } from "../chain/sim-chain.ts";
import { SimLab } from "../chain/sim-lab.ts";
import { Random } from "../random.ts";
import { Carrier } from "./actors/carrier.ts";
import { ChainLiar } from "./actors/chain-liar.ts";
import { type Liar, liarsIn, saidBy } from "./actors/liar.ts";
import { makeNode } from "./actors/make-node.ts";
import { type Sleep, type TowerRoles, towerRoles, towerTables } from "./actors/tower.ts";
import type { NodeWatch, WorldNode } from "./actors/world-node.ts";
import { Application } from "./application.ts";
import { Book, type BookChannel } from "./book.ts";
import { CHECKERS } from "./checkers/all.ts";
import type { Checker } from "./checkers/checker.ts";
import { type LinkFaults, Wire } from "./links.ts";
import { MissedBlocks } from "./missed-blocks.ts";
import { DISTURBING, LIAR, type WorldOptions } from "./options.ts";
import { rememberingCrypto } from "./remembering-crypto.ts";

export interface Failure {
  readonly checker: string;
  readonly text: string;
  readonly step: number;
}

interface Backup {
  readonly node: WorldNode;
  readonly image: unknown;
  readonly channels: string;
  /** Channels that were ever opened in the world. */
  readonly opened: number;
}

const crypto = rememberingCrypto(chooseCrypto());
const NOT_WATCHED = { localSigned: () => {}, remoteSigned: () => {}, revoked: () => {} };
const FUNDING_SATOSHIS = 1_000_000;
const DEEP_BLOCKS = 8;
const MAX_CHANNELS_OF_EDGE = 5;

export class World {
  readonly crypto: Crypto = crypto;
  readonly lab = new SimLab(crypto);
  readonly nodes: WorldNode[] = [];
  readonly applications: Application[] = [];
  readonly wires: (Wire | undefined)[] = [];
  readonly book = new Book();
  readonly minerScript: Uint8Array;
  readonly linkFaults: LinkFaults = { loses: false, corrupts: false, repeats: false };
  nowMs = 1_000;
  /** Blocks that faults may still bring: HTLCs of open channels do not run out before faults stop. */
  blocksLeft = 60;
  /** Of each node that is down or away: the step at which it comes back. */
  readonly backAt: (number | undefined)[] = [];
  /** And of each full disk. */
  readonly roomAt: (number | undefined)[] = [];
  /** And of each cut link. */
  readonly linkBackAt: (number | undefined)[] = [];
  /** They tell their nodes what to say. */
  readonly liars: readonly Liar[];
  /** And node LIAR what to tell its devices of the chain. */
  readonly chainLiar: ChainLiar | undefined;
  /** Has all links in its hands, where the world has one. */
  readonly carrier: Carrier | undefined;
  /** Who watches for whom, where a world has a tower. */
  readonly roles: TowerRoles | undefined;
  /** Of whom the tower watches for: until the height that ends it. */
  sleep: Sleep | undefined;
  /** An older image of a node's disk, and what it had then. */
  backup: Backup | undefined;
  currentStep = 0;
  failure: Failure | undefined;
  payments = 0;
  private readonly missed = new MissedBlocks(this);
  private readonly checkers: readonly Checker[];
  private readonly hash = createHash("sha256");

  private constructor(
    readonly options: WorldOptions,
    private readonly print: ((line: string) => void) | undefined,
  ) {
    const fail = (checker: string) => (text: string) => {
      this.note(`BROKEN ${checker}: ${text}`);
      this.failure ??= { checker, text, step: this.currentStep };
    };
    this.checkers = CHECKERS.map(([name, make]) => make(this, fail(name)));
    this.minerScript = Uint8Array.of(0x51);
    if (this.has("tower")) this.roles = towerRoles(options);
    if (this.has("carriers")) this.carrier = new Carrier(this, Random.of("carrier", options.seed));
    this.liars = liarsIn(this);
    if (this.isLiar(LIAR) && options.gateways.includes(LIAR)) {
      this.chainLiar = new ChainLiar(this, Random.of("chain liar", options.seed));
    }
  }

  /** Nodes with filled wallets, on their links; no channel yet. */
  static async make(options: WorldOptions, print?: (line: string) => void): Promise<World> {
    const world = new World(options, print);
    for (let index = 0; index < options.nodes; index++) {
      const node = await makeNode(world, index, world.watch());
      node.isByzantine = world.isLiar(index);
      if (world.roles?.tower === index) node.watchingOptions = { serve: { tables: towerTables() } };
      world.nodes.push(node);
      world.applications.push(new Application(world, node));
      world.backAt.push(undefined);
      world.missed.heard(index);
    }
    const { client, tower } = world.roles ?? {};
    if (client !== undefined && tower !== undefined) {
      world.node(client).watchingOptions = { tower: world.node(tower).nodeId };
    }
    for (const node of world.nodes) await node.start(world.nowMs);
    // What filled the wallets is deeper than any reorganisation.
    world.mine(DEEP_BLOCKS);
    await world.turn();
    for (let edge = 0; edge < options.edges.length; edge++) world.connect(edge);
    await world.turn();
    return world;
  }

  get chain(): SimChain {
    return this.lab.chain;
  }

  get height(): number {
    return this.chain.height;
  }

  get digest(): string {
    return this.hash.copy().digest("hex");
  }

  has(name: Parameters<WorldOptions["classes"]["has"]>[0]): boolean {
    return this.options.classes.has(name);
  }

  node(index: number): WorldNode {
    return this.nodes[index] as WorldNode;
  }

  isDevice(index: number): boolean {
    return this.options.gateways[index] !== undefined;
  }

  /** What it says and signs is nobody's promise. */
  isLiar(index: number): boolean {
    return this.options.liars.includes(index);
  }

  /** Whether both sides are to mean the same: neither lies, and neither lost its memory. */
  isSound({ opener, acceptor, restored }: BookChannel): boolean {
    return !restored && !this.isLiar(opener) && !this.isLiar(acceptor);
  }

  /** A line of the trace: what makes two runs the same. */
  note(line: string): void {
    const text = `${this.currentStep} ${line}`;
    this.hash.update(`${text}\n`);
    this.print?.(text);
  }

  /** Everything that does not wait for the world happens. */
  async turn(): Promise<void> {
    await new Promise((wake) => setImmediate(wake));
  }

  /** A new wire in the place of the old one, where both ends have power. */
  connect(edge: number): void {
    const { caller, callee, kind } = this.options.edges[edge] as WorldOptions["edges"][number];
    const [a, b] = [this.node(caller), this.node(callee)];
    if (!a.isUp || !b.isUp) return;
    for (const { index } of [a, b]) this.applications[index]?.recoverOnce();
    this.wires[edge]?.cut("another wire takes its place");
    const wire = new Wire(`edge${edge}`, kind, [a.power, b.power]);
    this.wires[edge] = wire;
    if (this.carrier) wire.onCarried = (from, bytes) => this.carrier?.carried(edge, from, bytes);
    this.linkBackAt[edge] = undefined;
    a.node?.attach(wire.ends[0], b.nodeId);
    b.node?.attach(wire.ends[1]);
  }

  isConnected(edge: number): boolean {
    const wire = this.wires[edge];
    return wire !== undefined && !wire.isCut;
  }

  /** Whether both ends say that they talk to each other. */
  isTalking(edge: number): boolean {
    const { caller, callee } = this.options.edges[edge] as WorldOptions["edges"][number];
    const [a, b] = [this.node(caller), this.node(callee)];
    if (!a.isUp || !b.isUp) return false;
    return Boolean(a.node?.isConnected(b.nodeId) && b.node?.isConnected(a.nodeId));
  }

  /** Blocks that may come now. */
  blocksAllowed(): number {
    return this.missed.allowed();
  }

  /** While a node sleeps there is a block in every step, and then it comes back. */
  sleepOn(): void {
    const { sleep } = this;
    if (!sleep) return;
    if (this.blocksAllowed() > 0) this.mine(1);
    if (this.height >= sleep.until) this.wake(sleep);
  }

  wake({ index }: Sleep): void {
    this.sleep = undefined;
    this.missed.heard(index);
    this.backAt[index] = this.currentStep;
  }

  cutPower(index: number, steps: number): void {
    if (this.sleep?.index === index) return; // it comes back when it has slept enough
    this.backAt[index] = this.currentStep + steps;
    this.node(index).power.cut();
  }

  deliver(random: Random, most: number): void {
    for (const wire of this.wires) wire?.deliver(random, this.linkFaults, most);
  }

  tick(milliseconds: number): void {
    this.nowMs += milliseconds;
    for (const node of this.nodes) node.tick(this.nowMs);
  }

  mine(blocks: number, isEmpty = false): void {
    for (let i = 0; i < blocks; i++) {
      this.chain.mineBlock(this.minerScript, isEmpty ? [] : undefined);
      this.note(`block ${this.height}`);
    }
  }

  open(edge: number, random: Random): BookChannel | undefined {
    const { caller, callee, channelType } = this.options.edges[
      edge
    ] as WorldOptions["edges"][number];
    const isTaken =
      this.book.channels.filter((one) => one.edge === edge).length >= MAX_CHANNELS_OF_EDGE;
    if (isTaken || !this.isTalking(edge)) return undefined;
    const isByCaller = random.oneIn(2);
    const byCaller = this.isDevice(callee) || (isByCaller && !this.isDevice(caller));
    const [opener, acceptor] = byCaller ? [caller, callee] : [callee, caller];
    const pushMsat = 1000 * random.between(100_000, 600_000);
    const temporaryId = this.node(opener).node?.open({
      remoteNodeId: this.node(acceptor).nodeId,
      channelType,
      fundingSatoshis: satoshi(FUNDING_SATOSHIS),
      pushMsat: milliSatoshi(pushMsat),
      feeratePerKw: 1_000,
    });
    if (!temporaryId) return undefined;
    const channel: BookChannel = {
      edge,
      opener,
      acceptor,
      channelType,
      fundingSatoshis: FUNDING_SATOSHIS,
      pushMsat,
      temporaryId,
      created: false,
      failed: false,
      endings: new Map(),
      forceClosed: false,
      forceAsked: false,
      cheated: this.isLiar(caller) || this.isLiar(callee),
      restored: false,
    };
    this.book.channels.push(channel);
    this.note(`open ${channelType} n${opener} n${acceptor}`);
    return channel;
  }

  /** Applications act, stores and chain go on, promises are looked at. */
  async finishStep(): Promise<void> {
    await this.turn();
    for (const application of this.applications) {
      if (application.self.isUp) await application.react();
    }
    await this.turn();
    for (const checker of this.checkers) checker.step?.();
  }

  async finish(): Promise<void> {
    for (const checker of this.checkers) await checker.end?.();
  }

  fail(checker: string, text: string): void {
    this.note(`BROKEN ${checker}: ${text}`);
    this.failure ??= { checker, text, step: this.currentStep };
  }

  channelOf(id: ChannelId): BookChannel | undefined {
    const hex = toHex(id);
    return this.book.channels.find(
      (channel) => toHex(channel.temporaryId) === hex || (channel.id && toHex(channel.id) === hex),
    );
  }

  close(): void {
    for (const node of this.nodes) node.power.cut();
  }

  private watch(): NodeWatch {
    return {
      isForwarded: (node, hash) =>
        this.book.htlcs.some(
          ({ to, next, hash: of }) => to === node.index && next && equal(of, hash),
        ),
      event: (node, id, event) => {
        this.note(`${node.name} ${event.type}${detail(event)}`);
        this.remember(node, id, event);
        for (const checker of this.checkers) checker.event?.(node, id, event);
      },
      alarm: (node, text) => {
        this.note(`${node.name} alarm ${text}`);
        for (const checker of this.checkers) checker.alarm?.(node, text);
      },
      said: (node, message) => saidBy(this.liars, node, message),
      sent: (node, id, message) => {
        this.note(`${node.name} sends ${message.type}`);
        if (this.isLiar(node.index)) return;
        for (const checker of this.checkers) checker.sent?.(node, id, message);
      },
      toldOfChain: ({ index }, message) =>
        (this.isLiar(index) && this.chainLiar?.told(message)) || [message],
      isServing: ({ index }, message) =>
        !this.isLiar(index) || this.chainLiar?.isServing(message) !== false,
      step: (node, step) =>
        this.note(`${node.name} ${step.type} ${step.purpose} ${step.reason ?? ""}`),
      watching: (node, type) => this.note(`${node.name} tower ${type}`),
      powerCut: (node) => {
        this.note(`${node.name} is without power`);
        this.backAt[node.index] ??= this.currentStep + 3;
        this.options.edges.forEach(({ caller, callee }, edge) => {
          if (caller === node.index || callee === node.index) {
            this.wires[edge]?.cut("the other end is gone");
          }
        });
      },
      signer: (node) => {
        if (this.isLiar(node.index)) return NOT_WATCHED;
        const watches = this.checkers.flatMap((checker) => checker.signer?.(node) ?? []);
        return {
          localSigned: (key, n) => watches.forEach((one) => void one.localSigned?.(key, n)),
          remoteSigned: (key, n, hash) =>
            watches.forEach((one) => void one.remoteSigned?.(key, n, hash)),
          revoked: (key, n) => watches.forEach((one) => void one.revoked?.(key, n)),
        };
      },
    };
  }

  private mayRunOut({ opener, acceptor }: BookChannel): boolean {
    const isDisturbed = [...this.options.classes].some((name) => DISTURBING.has(name));
    return this.book.htlcs.some(
      ({ from, to, isShort, plan }) =>
        isShort &&
        [opener, acceptor].includes(from) &&
        [opener, acceptor].includes(to) &&
        (isDisturbed || (plan !== "fulfil" && plan !== "fail")),
    );
  }

  private remember(node: WorldNode, id: ChannelId, event: ChannelEvent): void {
    const channel = this.channelOf(id);
    if (!channel) return;
    if (event.type === "receipt" || event.type === "htlcFulfilled") this.payments++;
    if (event.type === "forceClosing") {
      channel.forceClosed = true;
      // Somebody did not answer in time, or was not there; its own word of that may be lost with its power.
      const peer = this.node(channel.opener + channel.acceptor - node.index);
      const isLate =
        event.reason.startsWith("HTLC ") ||
        (peer.runs > 1 && event.reason.startsWith("the peer failed the channel"));
      if (this.mayRunOut(channel) && isLate) channel.forceAsked = true;
    }
    if (event.type === "closed") channel.endings.set(node.index, "closed");
    if (event.type === "forgotten") channel.endings.set(node.index, "forgotten");
  }
}

function detail(event: ChannelEvent): string {
  if (event.type === "rejected") return ` ${event.command.type}: ${event.reason}`;
  if ("reason" in event && typeof event.reason === "string") return ` ${event.reason}`;
  return event.type === "violation" ? ` ${event.tag}: ${event.text}` : "";
}
