/** A node with a chain of its own: production core, publisher and block feed on simulated ports; devices see the chain through it. */
import { hostPolicy } from "../../../core/channel/policy.ts";
import type { Message } from "../../../core/messages/message.ts";
import { Node } from "../../../core/node/node.ts";
import type { NodeEvents } from "../../../core/node/options.ts";
import type { ChainSource } from "../../../core/ports/chain.ts";
import type { NodeSigner } from "../../../core/ports/signer.ts";
import { blockHeight, type PublicKey } from "../../../core/primitives/brands.ts";
import { equal } from "../../../core/primitives/bytes.ts";
import { followChain, processedHeight } from "../../../gateway/chain/follow.ts";
import { ChainPublisher } from "../../../gateway/chain/publisher.ts";
import { MemoryLedger } from "../../../gateway/payments/memory-ledger.ts";
import { Payments } from "../../../gateway/payments/payments.ts";
import { ChainService } from "../../../gateway/service/chain-service.ts";
import { Watching } from "../../../gateway/tower/watching.ts";
import { SimSource } from "../../chain/sim-source.ts";
import type { SimDisk } from "../disk.ts";
import { never, type Power } from "../power.ts";
import { FEATURES, FORWARD_POLICY } from "./policies.ts";
import { poweredSource } from "./powered-source.ts";
import { WorldNode } from "./world-node.ts";

/** What one run is made of, beside its node. */
interface Parts {
  readonly disk: SimDisk;
  readonly source: ChainSource;
  readonly publisher: ChainPublisher;
}

export class WorldGateway extends WorldNode {
  /** Devices that it serves; set before it first starts. */
  devices: readonly PublicKey[] = [];
  private payments: Payments | undefined;
  private readonly ledger = new MemoryLedger();
  private source: SimSource | undefined;

  hearsOf(): boolean {
    return this.isUp && !this.gate.isClosed;
  }

  protected ticked(nowMs: number): void {
    this.node?.tick(nowMs);
    this.payments?.tick(nowMs);
    this.watching?.tick(nowMs);
  }

  protected ended(): void {
    void this.source?.close();
    this.payments = undefined;
    this.watching = undefined;
    this.publisher = undefined;
  }

  protected async run(power: Power, disk: SimDisk, nowMs: number): Promise<void> {
    const { lab, watch } = this.place;
    this.source = new SimSource(lab.chain, lab.feerates);
    const source = poweredSource(this.source, power, this.gate);
    const signer = this.watchedSigner;
    const publisher = this.publishing(power, source, signer);
    const parts = { disk, source, publisher };
    const watching = this.watchingOver(power, parts);
    const service = this.devices.length > 0 ? this.serving(power, parts) : undefined;
    watching.start(this.payoutScript);
    const height = (await processedHeight(disk)) ?? blockHeight(0);
    const node = await Node.start(
      {
        crypto: lab.chain.crypto,
        signer,
        store: watching.store,
        entropy: this.entropy,
        chain: publisher,
        chainHash: lab.genesisHash,
        policy: { ...hostPolicy, ...this.place.policy },
        features: FEATURES,
        maxMessageBytes: 65_535,
        payoutScript: this.payoutScript,
        maxChannels: 16,
        maxLinks: 16,
        events: this.eventsOf(power, watching, service),
        nowMs: nowMs + this.skewMs,
      },
      height,
    );
    if (!power.isOn) return;
    this.hear(node, power);
    this.node = node;
    this.watching = watching;
    this.publisher = publisher;
    const payments = this.forwarding(node, power);
    await payments.start();
    if (!power.isOn) return;
    this.payments = payments;
    await service?.load();
    await followChain({
      node: followed(node, { watching, service }, power),
      source,
      store: disk,
      publisher,
      onError: (error) => power.isOn && watch.alarm(this, `following: ${error.message}`),
    });
    this.isReady = power.isOn;
  }

  private publishing(power: Power, source: ChainSource, signer: NodeSigner): ChainPublisher {
    const { lab, watch } = this.place;
    return new ChainPublisher({
      crypto: lab.chain.crypto,
      source,
      wallet: this.wallet,
      signerOf: (id) => {
        const record = this.record(id);
        return record && signer.channel(record.terms.keyIndex);
      },
      onStep: (step) => power.isOn && watch.step(this, step),
    });
  }

  private watchingOver(power: Power, { disk, source, publisher }: Parts): Watching {
    const { lab, watch } = this.place;
    return new Watching(
      {
        crypto: lab.chain.crypto,
        signer: this.signer,
        store: disk,
        source,
        publisher,
        send: (to, message) => power.isOn && this.node?.sendService(to, message) === true,
        onEvent: ({ event }) => {
          if (power.isOn) watch.watching(this, event.type);
        },
      },
      this.watchingOptions,
    );
  }

  /** As gateway/gateway.ts serves its devices. */
  private serving(power: Power, { disk, source, publisher }: Parts): ChainService {
    const { lab, watch } = this.place;
    const isServed = (device: PublicKey) => this.devices.some((one) => equal(one, device));
    return new ChainService({
      crypto: lab.chain.crypto,
      source,
      store: disk,
      publisher,
      refusal: (device) => (isServed(device) ? undefined : "no device of this gateway"),
      send: (device, message) => {
        if (!power.isOn) return false;
        for (const said of watch.toldOfChain(this, message)) {
          if (!this.told(device, said)) return false;
        }
        return true;
      },
      maxMessageBytes: (device) => this.node?.peerMaxMessageBytes(device) ?? 0,
      devices: () => this.devices,
      onProblem: (text) => power.isOn && watch.alarm(this, text),
    });
  }

  private told(device: PublicKey, message: Message): boolean {
    try {
      return this.node?.sendService(device, message) === true;
    } catch (error) {
      if (!this.isByzantine) throw error;
      return true; // a lie that has no encoding
    }
  }

  private eventsOf(power: Power, watching: Watching, service?: ChainService): NodeEvents {
    const { watch } = this.place;
    return {
      onChannelEvent: (id, event) => {
        if (!power.isOn) return;
        this.events.push({ id, event });
        watch.event(this, id, event);
        const isOthers =
          event.type === "htlcReceived" && !watch.isForwarded(this, event.htlc.paymentHash);
        if (!isOthers) this.payments?.channelEvent(id, event);
      },
      onPeer: (peer, state) => {
        if (!power.isOn) return;
        if (state === "disconnected") service?.deviceGone(peer);
        watching.peer(peer, state);
      },
      onServiceMessage: (peer, message) => {
        if (!power.isOn || watching.receive(peer, message)) return;
        if (watch.isServing(this, message)) service?.receive(peer, message);
      },
      onAlarm: (text) => power.isOn && watch.alarm(this, text),
    };
  }

  /** What is forwarded is written into a ledger beside the store. */
  private forwarding(node: Node, power: Power): Payments {
    const { lab, watch } = this.place;
    return new Payments({
      crypto: lab.chain.crypto,
      entropy: this.entropy,
      signer: this.signer,
      ledger: poweredLedger(this.ledger, power),
      network: "regtest",
      policy: FORWARD_POLICY,
      node: () => node,
      nowSeconds: () => Math.floor(this.nowMs / 1000),
      onAlarm: (text) => power.isOn && watch.alarm(this, `payments: ${text}`),
    });
  }
}

/** A run without power is told nothing, and keeps nobody waiting. */
function followed(
  node: Node,
  {
    watching,
    service,
  }: { readonly watching: Watching; readonly service: ChainService | undefined },
  power: Power,
): Parameters<typeof followChain>[0]["node"] {
  const whilePowered = (work: () => void) => {
    if (power.isOn) work();
  };
  return {
    blockConnected: (block) =>
      whilePowered(() => {
        node.blockConnected(block);
        service?.blockConnected(block);
        watching.blockConnected(block);
      }),
    rewind: (from, isReread) =>
      whilePowered(() => {
        node.rewind(from, isReread);
        service?.blockDisconnected(from);
        watching.rewind(from);
      }),
    setFeerates: (feerates) =>
      whilePowered(() => {
        node.setFeerates(feerates);
        watching.setFeerates(feerates);
      }),
    channels: () => node.channels(),
    transactionConfirmed: (raw, height) =>
      whilePowered(() => node.transactionConfirmed(raw, height)),
    reconsider: () => whilePowered(() => node.reconsider()),
    get isAbreastOfChain() {
      return !power.isOn || node.isAbreastOfChain;
    },
  };
}

/** What a run writes after its power went is never written. */
function poweredLedger(ledger: MemoryLedger, power: Power): MemoryLedger {
  return new Proxy(ledger, {
    get: (target, name: keyof MemoryLedger) => {
      const method = target[name] as (...args: unknown[]) => unknown;
      const isWrite = name === "put" || name === "claim" || name === "putInvoice";
      return (...args: unknown[]) => {
        const isAllowed = isWrite ? power.spend() : power.isOn;
        return isAllowed ? method.apply(target, args) : never();
      };
    },
  });
}
