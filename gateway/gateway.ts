/** The gateway: a node with a Bitcoin node and a wallet behind it; funds, watches, punishes and settles, and serves devices (DESIGN §6). */
import type { ChannelPolicy } from "../core/channel/context.ts";
import type { ChannelEvent } from "../core/channel/effects.ts";
import { hostPolicy } from "../core/channel/policy.ts";
import { HOST_MAX_MESSAGE_BYTES } from "../core/messages/codec.ts";
import { featureBitmap } from "../core/messages/features.ts";
import type { Message } from "../core/messages/message.ts";
import { Node } from "../core/node/node.ts";
import type { BlockEvent, ChainSource, ChainWallet, Outpoint } from "../core/ports/chain.ts";
import type { Crypto, Entropy } from "../core/ports/crypto.ts";
import type { Link } from "../core/ports/link.ts";
import type { NodeSigner } from "../core/ports/signer.ts";
import type { Store } from "../core/ports/store.ts";
import {
  type BlockHeight,
  blockHeight,
  type ChannelId,
  channelId,
  type PublicKey,
  type Satoshi,
  type Txid,
} from "../core/primitives/brands.ts";
import { equal } from "../core/primitives/bytes.ts";
import type { IdentityCard } from "../core/transport/identity.ts";
import type { SessionTiming } from "../core/transport/timing.ts";
import { CoinReserve } from "./chain/coin-reserve.ts";
import { type ChainFollowing, followChain, processedHeight } from "./chain/follow.ts";
import { ChainPublisher, type PublisherStep } from "./chain/publisher.ts";
import { ChainService } from "./service/chain-service.ts";
import { FundingService } from "./service/funding-service.ts";
import { HeldFundings } from "./service/held-fundings.ts";

export interface GatewayOptions {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly store: Store;
  readonly signer: NodeSigner;
  readonly source: ChainSource;
  readonly wallet: ChainWallet;
  /** Where mutual closes and claims pay to; from the wallet where absent. */
  readonly payoutScript?: Uint8Array;
  readonly policy?: Partial<ChannelPolicy>;
  readonly timing?: SessionTiming;
  readonly nowMs: number;
  /** Told to whoever asks on a link; without it nobody is told. */
  card?(): IdentityCard;
  /** Why a device hears nothing of the chain and has nothing published by our coins; undefined: it does. Without it nobody is served. */
  serviceRefusal?(device: PublicKey): string | undefined;
  /** Why a device's channel is not funded from this wallet; undefined: it is. Without it nobody's is: its balance is the device's. */
  fundingRefusal?(device: PublicKey, amount: Satoshi): string | undefined;
  readonly events: GatewayEvents;
}

export interface GatewayEvents {
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  onPeer(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  onBlock(height: BlockHeight): void;
  onPublished(step: PublisherStep): void;
  onDeviceFunded(device: PublicKey, txid: Txid, amount: Satoshi): void;
  onAlarm(text: string): void;
  /** A message of a device's app (core/messages/service.ts): none of the gateway's own services. */
  onServiceMessage?(device: PublicKey, message: Message): void;
}

const MAX_CHANNELS = 10_000;
const MAX_LINKS = 4_096;
const PAYOUT_KEY = "payout-script";

export const gatewayFeatures = featureBitmap({
  required: ["staticRemotekey", "channelType"],
  optional: [
    "upfrontShutdownScript",
    "anchors",
    "shutdownAnysegwit",
    "zeroFeeCommitments",
    "scidAlias",
    "zeroconf",
    "simpleClose",
    "pushUpdates",
    "zeroReserve",
  ],
});

export class Gateway {
  node!: Node;
  readonly publisher: ChainPublisher;
  private readonly chainService: ChainService;
  private readonly fundingService: FundingService;
  private following: ChainFollowing | undefined;

  /** Where mutual closes and claims pay to. */
  payout: Uint8Array = new Uint8Array(0);

  private constructor(
    private readonly options: GatewayOptions,
    held: HeldFundings,
  ) {
    const { crypto, source, wallet, store, events } = options;
    this.publisher = new ChainPublisher({
      crypto,
      source,
      wallet,
      signerOf: (id) => this.signerOf(id),
      onStep: (step) => events.onPublished(step),
    });
    const send = (device: PublicKey, message: Parameters<Node["sendService"]>[1]) =>
      this.node.sendService(device, message);
    this.chainService = new ChainService({
      crypto,
      source,
      store,
      publisher: this.publisher,
      refusal: (device) =>
        options.serviceRefusal ? options.serviceRefusal(device) : "this gateway serves no devices",
      send,
      maxMessageBytes: (device) => this.node.peerMaxMessageBytes(device),
      onProblem: (text) => events.onAlarm(text),
    });
    this.fundingService = new FundingService({
      crypto,
      wallet,
      held,
      feeratePerKw: () => source.feeratePerKw("soon"),
      broadcast: (raw) => source.broadcast(raw),
      height: () => this.node.height,
      isOwnChannel: (outpoint) => this.isOwnChannel(outpoint),
      abandonOwn: (id) => this.node.command(channelId(id), { type: "close", feeratePerKw: 0 }),
      refusal: (device, amount) =>
        options.fundingRefusal
          ? options.fundingRefusal(device, amount)
          : "this gateway funds no channels of devices",
      send,
      onFunded: (device, txid, amount) => events.onDeviceFunded(device, txid, amount),
      onProblem: (text) => events.onAlarm(text),
    });
  }

  static async start(options: GatewayOptions): Promise<Gateway> {
    const { store, source, events } = options;
    const gateway = new Gateway(options, await HeldFundings.load(store));
    const { height } = await source.tip();
    gateway.payout = options.payoutScript ?? (await gateway.payoutScript());
    gateway.node = await Node.start(
      {
        ...options,
        chain: gateway.publisher,
        chainHash: source.genesisHash,
        policy: { ...hostPolicy, ...options.policy },
        features: gatewayFeatures,
        maxMessageBytes: HOST_MAX_MESSAGE_BYTES,
        payoutScript: gateway.payout,
        maxChannels: MAX_CHANNELS,
        maxLinks: MAX_LINKS,
        events: {
          onChannelEvent: (id, event) => gateway.channelEvent(id, event),
          onPeer: (peer, state, reason) => {
            if (state === "disconnected") gateway.chainService.deviceGone(peer);
            events.onPeer(peer, state, reason);
          },
          onServiceMessage: (peer, message) => {
            if (gateway.chainService.receive(peer, message)) return;
            gateway.fundingService.receive(peer, message);
            events.onServiceMessage?.(peer, message);
          },
          onAlarm: (text) => events.onAlarm(text),
        },
      },
      (await processedHeight(store)) ?? blockHeight(height),
    );
    await gateway.chainService.load();
    await gateway.follow();
    await gateway.fundingService.resume();
    return gateway;
  }

  /** With `remoteNodeId` the gateway calls over this link, else it waits to be called. */
  attach(link: Link, remoteNodeId?: PublicKey): void {
    this.node.attach(link, remoteNodeId);
  }

  tick(nowMs: number): void {
    this.node.tick(nowMs);
  }

  async stop(): Promise<void> {
    this.node.close("the gateway is stopping");
    await this.following?.stop();
    await this.fundingService.idle();
    await this.publisher.close();
    await this.options.source.close();
    await this.options.store.close();
  }

  /** One script for all channels, kept: claims made before and after a restart pay the same. */
  private async payoutScript(): Promise<Uint8Array> {
    const { store, wallet } = this.options;
    const known = await store.getValue(PAYOUT_KEY);
    if (known) return known;
    const script = await wallet.newScript();
    await store.setValue(PAYOUT_KEY, script);
    return script;
  }

  private async follow(): Promise<void> {
    const { node, chainService } = this;
    const { source, store, wallet, events } = this.options;
    const reserve = new CoinReserve({ wallet, source });
    let isCaughtUp = false;
    const blockConnected = (block: BlockEvent) => {
      node.blockConnected(block);
      chainService.blockConnected(block);
      events.onBlock(block.height);
      if (!isCaughtUp) return;
      this.run(reserve.tend());
      this.run(this.fundingService.tend());
    };
    const rewind = (height: BlockHeight, isReread?: boolean) => {
      node.rewind(height, isReread);
      chainService.blockDisconnected(height);
    };
    this.following = await followChain({
      node: {
        blockConnected,
        rewind,
        setFeerates: (feerates) => node.setFeerates(feerates),
        channels: () => node.channels(),
        get isIdle() {
          return node.isIdle;
        },
      },
      source,
      store,
      publisher: this.publisher,
      onError: (error) => events.onAlarm(`following the chain: ${error.message}`),
    });
    await this.following.caughtUp;
    isCaughtUp = true;
  }

  private signerOf(id: ChannelId) {
    const record = this.node.record(id);
    return record && this.options.signer.channel(record.terms.keyIndex);
  }

  private channelEvent(id: ChannelId, event: ChannelEvent): void {
    this.options.events.onChannelEvent(id, event);
    const { fundingService } = this;
    if (event.type === "fundingNeeded") this.run(this.fund(id, event));
    if (event.type === "created" && event.broadcastFunding) {
      this.run(fundingService.broadcastOwn(id));
    }
    if (event.type === "openFailed") this.run(fundingService.releaseOwn(id));
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.events.onAlarm(cause instanceof Error ? cause.message : String(cause));
    });
  }

  private isOwnChannel({ txid, vout }: Outpoint): boolean {
    return this.node.channels().some(({ channel }) => {
      if (channel.kind !== "live" || !channel.record.terms.localIsOpener) return false;
      const { fundingOutpoint } = channel.record.terms;
      return equal(fundingOutpoint.txid, txid) && fundingOutpoint.vout === vout;
    });
  }

  /** An opening that ended meanwhile is not there to be told: its coins are given back. */
  private async fund(
    id: ChannelId,
    { script, amountSatoshis }: Extract<ChannelEvent, { type: "fundingNeeded" }>,
  ): Promise<void> {
    try {
      const outpoint = await this.fundingService.makeOwn(id, script, amountSatoshis);
      const isThere = this.node.command(id, { type: "funded", outpoint });
      if (!isThere) await this.fundingService.releaseOwn(id);
    } catch (cause) {
      this.node.command(id, { type: "close", feeratePerKw: 0 });
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`a channel could not be funded: ${reason}`, { cause });
    }
  }
}
