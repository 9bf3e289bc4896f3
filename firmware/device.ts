/** A device: node, chain by way of its gateway, one app; portable, everything that touches hardware comes in as a port. */

import { blockHash, type Checkpoint } from "../core/chain/headers.ts";
import { genesisHeader, type Network } from "../core/chain/networks.ts";
import {
  checkOfflineBudget,
  estimateOfflineBlocks,
  type OfflineBudget,
  type OfflineState,
} from "../core/chain/offline-budget.ts";
import type { ChannelPolicy } from "../core/channel/context.ts";
import type { ChannelEvent } from "../core/channel/effects.ts";
import { devicePolicy } from "../core/channel/policy.ts";
import { DEVICE_MAX_MESSAGE_BYTES } from "../core/messages/codec.ts";
import { featureBitmap } from "../core/messages/features.ts";
import type { Message } from "../core/messages/message.ts";
import { ChainClient } from "../core/node/chain-client.ts";
import { Node } from "../core/node/node.ts";
import { sumPayments } from "../core/payments/push.ts";
import type { Crypto, Entropy } from "../core/ports/crypto.ts";
import type { Link } from "../core/ports/link.ts";
import type { NodeSigner } from "../core/ports/signer.ts";
import type { Store } from "../core/ports/store.ts";
import {
  type BlockHeight,
  type ChannelId,
  channelId,
  milliSatoshi,
  type PublicKey,
  type Txid,
  txid,
} from "../core/primitives/brands.ts";
import { equal, toHex } from "../core/primitives/bytes.ts";
import { assert } from "../core/primitives/errors.ts";
import type { SessionTiming } from "../core/transport/timing.ts";
import type { App, AppEvent } from "./apps/app.ts";
import { Inbox } from "./apps/inbox.ts";
import type { PriceList } from "./apps/price-list.ts";
import type { Clock, Pins } from "./board.ts";
import { DeviceTower, type DeviceTowerOptions, type TowerStatus } from "./device-tower.ts";
import { newestCheckpoint, storeCheckpoint } from "./kept-checkpoint.ts";
import { Unsynced } from "./unsynced.ts";

export interface DeviceOptions {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly store: Store;
  readonly signer: NodeSigner;
  readonly app: App;
  readonly network: Network;
  /** Newest trusted block in the image; the network's genesis where absent. */
  readonly checkpoint?: Checkpoint;
  readonly gatewayId: PublicKey;
  /** Watches for this device; another node than the gateway, against whom it does. */
  readonly towerId?: PublicKey | undefined;
  readonly payoutScript: Uint8Array;
  readonly budget: OfflineBudget;
  readonly policy?: Partial<ChannelPolicy>;
  /** What its memory has room for; MAX_CHANNELS and MAX_LINKS where absent. */
  readonly maxChannels?: number | undefined;
  readonly maxLinks?: number | undefined;
  readonly timing?: SessionTiming;
  readonly nowMs: number;
  /** Of the board, for the app. */
  readonly pins?: Pins | undefined;
  readonly clock?: Clock | undefined;
  /** The owner's price list; absent: the app's own settings say what is sold. */
  readonly prices?: PriceList | undefined;
  /** Wall clock, where there is one. */
  nowSeconds?(): number | undefined;
  /** The program's own: whether it took the message; why no payment is taken now. */
  onService?(peer: PublicKey, message: Message): boolean;
  declineReason?(): string | undefined;
  readonly events: DeviceEvents;
}

export interface DeviceEvents {
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  onApp(event: AppEvent): void;
  onPeer(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  onTip(height: BlockHeight, isSynced: boolean): void;
  onProven(txid: string, height: BlockHeight): void;
  onAlarm(text: string): void;
}

/** What may still be taken without its gateway. */
export interface BudgetLeft {
  readonly blocks: number;
  readonly amountMsat: number;
  /** Why nothing is taken now; absent: payments are. */
  readonly declineReason: string | undefined;
  /** Where a tower watches: how far. */
  readonly tower: TowerStatus | undefined;
}

const zeroFeeAlone = ["zero_fee_commitments"] as const;
const MAX_CHANNELS = 8;
const MAX_LINKS = 4;

export const deviceFeatures = featureBitmap({
  required: ["staticRemotekey", "channelType", "pushUpdates"],
  optional: [
    "upfrontShutdownScript",
    "shutdownAnysegwit",
    "zeroFeeCommitments",
    "scidAlias",
    "zeroconf",
    "simpleClose",
    "zeroReserve",
  ],
});

export class Device {
  readonly chain: ChainClient;
  private running: Node | undefined;
  /** Received since the gateway last answered. */
  private unsynced!: Unsynced;
  private tower: DeviceTower | undefined;
  /** Payments were declined since the tower last answered. */
  private declined = false;
  private nowMs: number;
  /** When a header was verified, or the start. */
  private seenChainMs: number;

  /** Own openings that wait for their funding, by temporary channel id; with its txid once there is one. */
  private readonly openings = new Map<string, Txid | undefined>();

  private constructor(
    private readonly options: DeviceOptions,
    from: { readonly checkpoint: Checkpoint; readonly verifiedAtSeconds?: number | undefined },
  ) {
    const { crypto, network, events } = options;
    this.nowMs = options.nowMs;
    this.seenChainMs = options.nowMs;
    this.chain = new ChainClient({
      crypto,
      network,
      ...from,
      // While the node starts there is nobody to send to: what is watched is named again on connection.
      send: (message) => this.running?.sendService(options.gatewayId, message) ?? false,
      nowSeconds: () => options.nowSeconds?.(),
      events: {
        onTip: (height, isSynced) => {
          this.unsynced.clear();
          this.seenChainMs = this.nowMs;
          events.onTip(height, isSynced);
          this.guarded(() => this.running && options.app.onTip?.());
        },
        onProven: (id, height) => events.onProven(id, height),
        onRefused: (reason) => events.onAlarm(`refused from the gateway: ${reason}`),
        onPublished: ({ id, accepted, reason }) => {
          if (!accepted) events.onAlarm(`the gateway could not publish ${id}: ${reason}`);
        },
        onCheckpoint: (checkpoint, at) => void storeCheckpoint(options, checkpoint, at),
      },
    });
  }

  static async start(options: DeviceOptions): Promise<Device> {
    const device = new Device(options, await newestCheckpoint(options));
    const { crypto, network, events, app } = options;
    const lost = () => events.onAlarm("what was received since the gateway answered is not stored");
    const { maxUnsyncedMsat } = options.budget;
    device.unsynced = await Unsynced.load(options.store, maxUnsyncedMsat, lost);
    const inbox = app.takesPayments ? await Inbox.open(options.store) : undefined;
    const store = inbox ?? options.store;
    const { towerId: tower } = options;
    if (tower) device.tower = new DeviceTower({ ...options, store, tower, ...device.towerPorts() });
    // Nobody could pay for another type's commitment in its place.
    const policy = { ...devicePolicy, channelTypes: zeroFeeAlone, ...options.policy };
    // Rule `offline-budget`: a revoked state must never be out of reach before the device declines payments.
    assert(
      options.budget.maxOfflineBlocks < policy.toSelfDelay,
      `maxOfflineBlocks must be below to_self_delay (${policy.toSelfDelay} blocks)`,
    );
    device.running = await Node.start(
      {
        ...options,
        store: device.tower?.store ?? store,
        chain: device.chain,
        chainHash: blockHash(crypto, genesisHeader(network)),
        policy,
        features: deviceFeatures,
        maxMessageBytes: DEVICE_MAX_MESSAGE_BYTES,
        maxChannels: options.maxChannels ?? MAX_CHANNELS,
        maxLinks: options.maxLinks ?? MAX_LINKS,
        declineReason: () => device.declineReason(),
        events: {
          onChannelEvent: (id, event) => device.channelEvent(id, event),
          onPeer: (peer, state, reason) => device.peer(peer, state, reason),
          onServiceMessage: (peer, message) => device.service(peer, message),
          onAlarm: (text) => events.onAlarm(text),
        },
      },
      device.chain.tipHeight,
    );
    device.chain.feed(device.node);
    const { node } = device;
    const tell = (event: AppEvent) => events.onApp(event);
    const invoices = {
      network: network.name === "testnet4" ? ("testnet" as const) : network.name,
      signer: options.signer,
      gatewayId: options.gatewayId,
      chainSeconds: () => device.chain.freshness.tipTimeSeconds,
    };
    const declineReason = () => device.declineReason();
    await app.start({ ...options, node, store, inbox, invoices, declineReason, tell });
    return device;
  }

  get node(): Node {
    if (!this.running) throw new Error("the device is still starting");
    return this.running;
  }

  /** With `remoteNodeId` the device calls over this link, else it waits to be called. */
  attach(link: Link, remoteNodeId?: PublicKey): void {
    this.node.attach(link, remoteNodeId);
  }

  tick(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs);
    this.node.tick(nowMs);
    this.tower?.tick(nowMs);
  }

  stop(): void {
    this.guarded(() => this.options.app.stop?.());
    this.node.close("the device is stopping");
    this.tower?.stop();
  }

  /** How far it may still go without its gateway (rule `offline-budget`), for its owner. */
  get budgetLeft(): BudgetLeft {
    const { maxOfflineBlocks, maxUnsyncedMsat } = this.options.budget;
    const offlineBlocks = estimateOfflineBlocks(this.offlineState());
    return {
      blocks: Math.max(0, maxOfflineBlocks - (offlineBlocks ?? 0)),
      amountMsat: Math.max(0, maxUnsyncedMsat - this.unsyncedMsat),
      declineReason: this.declineReason(),
      tower: this.tower?.status,
    };
  }

  private towerPorts(): Pick<DeviceTowerOptions, "node" | "onProtected" | "onAlarm"> {
    return {
      node: () => this.running,
      onProtected: () => {
        if (!this.declined || this.declineReason() !== undefined) return;
        this.declined = false;
        this.guarded(() => this.options.app.onTip?.()); // its customers hear of it
      },
      onAlarm: (text) => this.options.events.onAlarm(text),
    };
  }

  /** With a tower its receipts count, without one the gateway's answers. */
  private get unsyncedMsat(): number {
    return this.tower ? this.tower.exposureMsat : this.unsynced.amountMsat;
  }

  private offlineState(): OfflineState {
    const { tipTimeSeconds, tipVerifiedAtSeconds } = this.chain.freshness;
    return {
      nowSeconds: this.options.nowSeconds?.(),
      tipVerifiedAtSeconds,
      tipTimeSeconds,
      uptimeSeconds: Math.floor((this.nowMs - this.seenChainMs) / 1000),
      unsyncedMsat: milliSatoshi(this.unsyncedMsat),
    };
  }

  /** Why no new payment is taken right now (rule `offline-budget`). */
  private declineReason(): string | undefined {
    const state = this.offlineState();
    const decision = checkOfflineBudget(this.options.budget, state, milliSatoshi(0));
    if (decision.ok) return this.options.declineReason?.();
    this.declined = true;
    return decision.reason;
  }

  private peer(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void {
    this.options.events.onPeer(peer, state, reason);
    this.tower?.peer();
    if (state === "connected" && equal(peer, this.options.gatewayId)) {
      this.chain.gatewayConnected();
      this.releaseFundings();
    }
    this.guarded(() => this.options.app.onPeer(peer, state === "connected"));
  }

  private service(peer: PublicKey, message: Message): void {
    if (this.options.onService?.(peer, message)) return;
    if (this.tower?.receive(peer, message)) return;
    // A gateway is also a peer that may buy.
    if (equal(peer, this.options.gatewayId)) {
      if (message.type === "funding_outpoint") this.funded(message);
      if (message.type === "funding_outpoint" || this.chain.receive(message)) return;
    }
    this.guarded(() => this.options.app.onMessage(peer, message));
  }

  /** An app that fails must not take the channel or the session with it that told it something. */
  private guarded(work: () => void): void {
    try {
      work();
    } catch (cause) {
      const { app, events } = this.options;
      const text = cause instanceof Error ? cause.message : String(cause);
      events.onAlarm(`the app ${app.name} failed: ${text}`);
    }
  }

  private channelEvent(id: ChannelId, event: ChannelEvent): void {
    const { gatewayId, events, app } = this.options;
    if (event.type === "pushReceived") this.unsynced.add(sumPayments(event.payments));
    if (event.type === "htlcSettled" && event.fulfilled) this.unsynced.add(event.amountMsat);
    if (event.type === "fundingNeeded") {
      const { script, amountSatoshis } = event;
      this.openings.set(toHex(id), undefined);
      const request: Message = {
        type: "funding_request",
        temporaryChannelId: id,
        script,
        amountSatoshis,
      };
      if (!this.node.sendService(gatewayId, request)) {
        this.node.command(id, { type: "close", feeratePerKw: 0 });
      }
    }
    if (event.type === "created" && event.broadcastFunding) {
      this.openings.delete(toHex(id));
      this.releaseFunding(event.channelId);
    }
    if (event.type === "openFailed") this.openingFailed(id);
    if (event.type === "closed" || event.type === "forgotten") this.chain.channelEnded();
    events.onChannelEvent(id, event);
    this.guarded(() => app.onChannelEvent(id, event));
  }

  /** The gateway's coins are free again; where it does not hear of it, it gives them back by itself. */
  private openingFailed(id: ChannelId): void {
    const funding = this.openings.get(toHex(id));
    this.openings.delete(toHex(id));
    if (funding) this.giveBack(funding);
  }

  private giveBack(funding: Txid): void {
    const isInUse = this.node.channels().some(({ channel }) => {
      return channel.kind === "live" && equal(channel.record.terms.fundingOutpoint.txid, funding);
    });
    if (isInUse) return;
    const release: Message = { type: "funding_release", txid: funding, broadcast: false };
    this.node.sendService(this.options.gatewayId, release);
  }

  private funded(message: Extract<Message, { type: "funding_outpoint" }>): void {
    const id = channelId(message.temporaryChannelId.slice());
    const key = toHex(id);
    // A gateway has a say in openings that asked for its coins, and in no other channel.
    if (!this.openings.has(key)) {
      if (message.txid) this.giveBack(txid(message.txid.slice()));
      return;
    }
    if (this.openings.get(key) !== undefined) return;
    if (message.txid) {
      const outpoint = { txid: txid(message.txid.slice()), vout: message.vout };
      this.openings.set(key, outpoint.txid);
      this.node.command(id, { type: "funded", outpoint });
      return;
    }
    this.options.events.onAlarm(
      `the gateway does not fund ${toHex(id).slice(0, 16)}: ${message.reason}`,
    );
    this.node.command(id, { type: "close", feeratePerKw: 0 });
  }

  /** The record is durable: the gateway may broadcast. Said again until the funding is seen to confirm. */
  private releaseFunding(id: ChannelId): void {
    const record = this.node.record(id);
    if (!record?.terms.localIsOpener || record.fundingHeight !== undefined) return;
    const { txid: funding } = record.terms.fundingOutpoint;
    this.node.sendService(this.options.gatewayId, {
      type: "funding_release",
      txid: funding,
      broadcast: true,
    });
  }

  private releaseFundings(): void {
    for (const { id } of this.node.channels()) this.releaseFunding(id);
  }
}
