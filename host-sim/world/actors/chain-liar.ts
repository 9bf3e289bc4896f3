/** What a lying gateway does to its devices' view of the chain: silence, proofs withheld, old branches, headers without work, proofs of what never was. */
import { blockHash } from "../../../core/chain/headers.ts";
import type { Message } from "../../../core/messages/message.ts";
import type { Crypto } from "../../../core/ports/crypto.ts";
import { type PublicKey, satoshi } from "../../../core/primitives/brands.ts";
import { equal, toHex } from "../../../core/primitives/bytes.ts";
import { p2wpkh } from "../../../core/transactions/script.ts";
import { serializeTransaction, unsignedInput } from "../../../core/transactions/transaction.ts";
import type { SimBlock } from "../../chain/sim-chain.ts";
import type { Random } from "../../random.ts";
import { LIAR } from "../options.ts";
import type { World } from "../world.ts";
import { changedMessage } from "./liar.ts";
import type { WorldDevice } from "./world-device.ts";

const TRICKS = [
  "silence",
  "deaf",
  "no proofs",
  "change",
  "change",
  "replay",
  "old branch",
  "old branch",
  "no work",
  "no such spend",
  "no such spend",
  "feerates",
] as const;
const MAX_KEPT = 60;
const MAX_FEERATE = 0xffff_ffff;
const TIME_AT = 68;
const NONCE_AT = 76;

export class ChainLiar {
  /** From whom a spend was kept while blocks went on: it may lose what it could not see. */
  readonly deceived = new Set<number>();
  private readonly kept: Message[] = [];
  /** Of the next messages, so many are said changed, too. */
  private changing = 0;
  /** Until these steps. */
  private silentUntil: number | undefined;
  private mutedUntil: number | undefined;
  private deafUntil: number | undefined;
  /** Every block that there ever was, by its hash. */
  private readonly blocks = new Map<string, SimBlock>();

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {
    world.chain.onChange(() => this.remember());
  }

  /** What a device is told in the place of a message. */
  told(message: Message): readonly Message[] {
    if (this.kept.length >= MAX_KEPT) this.kept.splice(this.random.below(MAX_KEPT), 1);
    this.kept.push(message);
    if (this.silentUntil !== undefined) return [];
    if (this.mutedUntil !== undefined && message.type === "chain_transaction") {
      for (const { index } of this.devices) this.deceived.add(index);
      return [];
    }
    if (this.changing === 0) return [message];
    this.changing--;
    // The truth comes besides: what is withheld is another lie.
    const changed = changedMessage(message, this.random);
    if (this.isMined(changed, message)) return [message];
    return this.random.oneIn(2) ? [changed, message] : [message, changed];
  }

  /** On regtest a change makes a block of its own every second time: nobody forges so elsewhere. */
  private isMined(changed: Message, message: Message): boolean {
    if (changed.type !== "chain_headers" || message.type !== "chain_headers") return false;
    for (let at = 0; at < changed.headers.length; at += 80) {
      const header = changed.headers.slice(at, at + 80);
      const isChanged = !equal(header, message.headers.slice(at, at + 80));
      if (isChanged && !isUnmined(this.world.crypto, header)) return true;
    }
    return false;
  }

  /** Whether it does what a device asks. */
  isServing(message: Message): boolean {
    const isDeaf = this.deafUntil !== undefined && message.type === "chain_publish";
    return !isDeaf && this.silentUntil === undefined;
  }

  /** Its devices can do nothing about what they see of the chain. */
  get isWithoutService(): boolean {
    return (this.silentUntil ?? this.deafUntil) !== undefined;
  }

  /** In a step of the world. */
  act(random: Random): void {
    const { world } = this;
    const liar = world.node(LIAR);
    const able = this.devices.filter(({ nodeId }) => liar.node?.isConnected(nodeId));
    if (!liar.isUp || able.length === 0) return;
    const device = random.oneOf(able);
    const trick = random.oneOf(TRICKS);
    world.note(`${liar.name} lies of the chain: ${trick}`);
    switch (trick) {
      case "silence":
        this.silentUntil ??= world.currentStep + random.between(2, 15);
        break;
      case "deaf":
        this.deafUntil ??= world.currentStep + random.between(2, 15);
        break;
      case "no proofs":
        if (random.oneIn(3)) this.mutedUntil ??= world.currentStep + random.between(2, 15);
        break;
      case "change":
        this.changing = random.between(1, 4);
        break;
      case "replay":
        if (this.kept.length > 0) this.say(device, random.oneOf(this.kept));
        break;
      case "old branch":
        this.oldBranch(device, random);
        break;
      case "no work":
        this.sayHeaders(device, world.height + 1, [this.withoutWork()]);
        break;
      case "no such spend":
        this.noSuchSpend(device, random);
        break;
      case "feerates":
        this.sayHeaders(device, world.height, [this.block(world.height).header], MAX_FEERATE);
    }
  }

  /** What was withheld is asked for anew, on a new link. */
  stepBegins(): void {
    const { currentStep, options, wires } = this.world;
    // What a device asked for in vain it asks for at the next block.
    if ((this.deafUntil ?? currentStep + 1) <= currentStep) this.deafUntil = undefined;
    const isOver = [this.silentUntil, this.mutedUntil].some((at = currentStep + 1) => {
      return at <= currentStep;
    });
    if (!isOver) return;
    this.silentUntil = undefined;
    this.mutedUntil = undefined;
    options.edges.forEach(({ caller, callee }, edge) => {
      if (caller === LIAR || callee === LIAR) wires[edge]?.cut("the gateway was silent");
    });
  }

  stop(): void {
    this.changing = 0;
    this.silentUntil &&= 0;
    this.mutedUntil &&= 0;
    this.deafUntil &&= 0;
    this.stepBegins();
  }

  private get devices(): readonly WorldDevice[] {
    const { options, nodes } = this.world;
    return nodes.filter(({ index }) => options.gateways[index] === LIAR) as WorldDevice[];
  }

  private block(height: number): SimBlock {
    return this.world.chain.block(height) as SimBlock;
  }

  private remember(): void {
    for (let { height } = this.world.chain; height >= 0; height--) {
      const block = this.block(height);
      const hash = toHex(block.hash);
      if (this.blocks.has(hash)) return;
      this.blocks.set(hash, block);
    }
  }

  /** One that a reorganisation took out of the chain, from where it left it. */
  private oldBranch(device: WorldDevice, random: Random): void {
    const isStale = ({ height, hash }: SimBlock) => {
      const ours = this.world.chain.block(height);
      return !ours || !equal(ours.hash, hash);
    };
    const stale = [...this.blocks.values()].filter(isStale);
    if (stale.length === 0) return;
    const branch = [random.oneOf(stale)];
    for (;;) {
      const before = this.blocks.get(toHex((branch[0] as SimBlock).header.subarray(4, 36)));
      if (!before || !isStale(before)) break;
      branch.unshift(before);
    }
    const headers = branch.map(({ header }) => header);
    this.sayHeaders(device, (branch[0] as SimBlock).height, headers);
  }

  /** On top of the chain; on regtest every second hash is good enough. */
  private withoutWork(): Uint8Array {
    const { header, hash } = this.block(this.world.height);
    const forged = header.slice();
    const view = new DataView(forged.buffer);
    forged.set(hash, 4);
    view.setUint32(TIME_AT, view.getUint32(TIME_AT, true) + 600, true);
    for (let nonce = 0; ; nonce++) {
      view.setUint32(NONCE_AT, nonce, true);
      if (isUnmined(this.world.crypto, forged)) return forged;
    }
  }

  /** A channel's funding went elsewhere, says the gateway, and shows a block that is there. */
  private noSuchSpend(device: WorldDevice, random: Random): void {
    const { world } = this;
    const records = world.book.channels.flatMap(({ id }) => {
      const record = id && device.record(id);
      return record ? [record] : [];
    });
    if (records.length === 0) return;
    const { fundingOutpoint } = random.oneOf(records).terms;
    const script = p2wpkh(world.crypto, world.node(LIAR).nodeId);
    const input = { ...unsignedInput(fundingOutpoint, 0), witness: [new Uint8Array(64)] };
    const raw = serializeTransaction({
      version: 2,
      inputs: [input],
      outputs: [{ script, amount: satoshi(900_000) }],
      locktime: 0,
    });
    const height = world.height - random.below(4);
    const { transactions } = this.block(height);
    const branch = transactions.length > 1 ? [transactions[0]?.txid as Uint8Array] : [];
    this.say(device, { type: "chain_transaction", raw, height, index: branch.length, branch });
  }

  private sayHeaders(
    device: WorldDevice,
    fromHeight: number,
    headers: readonly Uint8Array[],
    feerate = 1_000,
  ): void {
    const packed = new Uint8Array(headers.length * 80);
    headers.forEach((header, i) => void packed.set(header, i * 80));
    const feeratesPerKw = { now: feerate, soon: feerate, economy: feerate };
    const tipHeight = fromHeight + headers.length - 1;
    const said = { fromHeight, headers: packed, tipHeight, feeratesPerKw };
    this.say(device, { type: "chain_headers", ...said });
  }

  private say({ nodeId }: { readonly nodeId: PublicKey }, message: Message): void {
    try {
      this.world.node(LIAR).node?.sendService(nodeId, message);
    } catch {
      // Not even a liar can put this into bytes.
    }
  }
}

function isUnmined(crypto: Crypto, header: Uint8Array): boolean {
  return (blockHash(crypto, header).at(-1) as number) >= 0x80;
}
