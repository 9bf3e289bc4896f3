/** The gateway: a node with a Bitcoin node and a wallet behind it; funds, watches, punishes and settles, and serves devices (DESIGN §6). */
import type { ChannelPolicy, Feerates } from "../core/channel/context.ts";
import type { ChannelEvent } from "../core/channel/effects.ts";
import { channelIdOf } from "../core/channel/first-record.ts";
import { hostPolicy } from "../core/channel/policy.ts";
import { PUBLIC_KEY_BYTES } from "../core/crypto/checks.ts";
import { HOST_MAX_MESSAGE_BYTES } from "../core/messages/codec.ts";
import type { Message } from "../core/messages/message.ts";
import { Node } from "../core/node/node.ts";
import type { NodeOptions } from "../core/node/options.ts";
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
  publicKey,
  type Satoshi,
  type Txid,
} from "../core/primitives/brands.ts";
import type { IdentityCard } from "../core/transport/identity.ts";
import type { SessionTiming } from "../core/transport/timing.ts";
import { PeerStorage } from "./backup/peer-storage.ts";
import { CoinReserve } from "./chain/coin-reserve.ts";
import { type ChainFollowing, followChain, processedHeight } from "./chain/follow.ts";
import { whyUnfunded } from "./chain/insufficient-funds.ts";
import { ChainPublisher, type PublisherStep } from "./chain/publisher.ts";
import { gatewayFeatures, routingFeatures } from "./gateway-features.ts";
import type { Entrusting } from "./payments/attempts.ts";
import { defaultForwardPolicy } from "./payments/forward-policy.ts";
import { Payments, type PaymentsOptions } from "./payments/payments.ts";
import { Routing } from "./routing/routing.ts";
import { ChainService } from "./service/chain-service.ts";
import { FundingService } from "./service/funding-service.ts";
import { HeldFundings } from "./service/held-fundings.ts";
import { InvoiceRelay } from "./service/invoice-relay.ts";
import { payoutScript } from "./service/payout-script.ts";
import { Watching, type WatchingEvent, type WatchingOptions } from "./tower/watching.ts";
import { SharedChannels } from "./workers/shared-channels.ts";

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
  /** For tests: without it idle channels rest after half a minute. */
  readonly restAfterMs?: number;
  readonly nowMs: number;
  /** Told to whoever asks on a link; without it nobody is told. */
  card?(): IdentityCard;
  /** Why a device hears nothing of the chain and has nothing published by our coins; undefined: it does. Without it nobody is served. */
  serviceRefusal?(device: PublicKey): string | undefined;
  /** Why a device's channel is not funded from this wallet; undefined: it is. Without it nobody's is: its balance is the device's. */
  fundingRefusal?(device: PublicKey, amount: Satoshi): string | undefined;
  /** Watchtowers: to be one, to have one. */
  readonly watching?: WatchingOptions;
  /** Without it HTLCs are nobody's: neither forwarded nor settled here. */
  readonly payments?: Pick<
    PaymentsOptions,
    | "ledger"
    | "network"
    | "policy"
    | "nowSeconds"
    | "nextHop"
    | "findRoute"
    | "routes"
    | "onPayment"
    | "circular"
    | "chainRefusal"
  >;
  /** Where several processes share the store: which part of it is run here (gateway/workers). */
  readonly share?: Pick<NodeOptions, "servesPeer" | "keyIndices"> & {
    readonly entrusting: Entrusting;
  };
  /** Channels with other gateways are announced, theirs are heard of, payments go over them; needs `payments`. */
  readonly routing?: boolean;
  readonly events: GatewayEvents;
}

export interface GatewayEvents {
  onChannelEvent(id: ChannelId, event: ChannelEvent): void;
  onPeer(peer: PublicKey, state: "connected" | "disconnected", reason?: string): void;
  onBlock(height: BlockHeight): void;
  onPublished(step: PublisherStep): void;
  onDeviceFunded(device: PublicKey, txid: Txid, amount: Satoshi): void;
  onAlarm(text: string): void;
  onWatching?(event: WatchingEvent): void;
  /** A peer gave the blob back that it keeps for us; empty where it has none. */
  onStorageReturned?(peer: PublicKey, blob: Uint8Array): void;
  /** A message of a device's app (core/messages/service.ts): none of the gateway's own services. */
  onServiceMessage?(device: PublicKey, message: Message): void;
}

/** Some 3 KB of memory each while they rest, and up to 1 KB in the store: what one machine carries (docs/PERFORMANCE.md). */
const MAX_CHANNELS = 32_768;
/** Each device on a broker is a link (gateway/links/device-links.ts), and peers and serial ports come besides. */
const MAX_LINKS = 20_480;
/** A channel that nothing happened to for so long takes less memory; to wake it takes under a millisecond. */
const REST_AFTER_MS = 30_000;

export class Gateway {
  node!: Node;
  readonly publisher: ChainPublisher;
  readonly watching: Watching;
  /** Channels that come from other processes and go to them. */
  readonly shared: SharedChannels;
  /** Of peers' blobs with us, and of ours with them. */
  readonly storage: PeerStorage;
  readonly payments: Payments | undefined;
  /** Channels between gateways, ours and others'. */
  readonly routing: Routing | undefined;
  /** Invoices of devices. */
  readonly invoiceRelay: InvoiceRelay;
  private readonly chainService: ChainService;
  private readonly fundingService: FundingService;
  private following: ChainFollowing | undefined;

  /** Where mutual closes and claims pay to. */
  payout: Uint8Array = new Uint8Array(0);
  /** As the chain's source told them last. */
  feerates: Feerates | undefined;

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
      onEntrustedOver: (by, id, claim) => {
        // A watchtower's claims stand under the txid of a cheat, and are its own to remember.
        if (by.length === PUBLIC_KEY_BYTES) this.chainService.claimOver(publicKey(by), id, claim);
      },
    });
    const send = (device: PublicKey, message: Parameters<Node["sendService"]>[1]) =>
      this.node.sendService(device, message);
    this.watching = new Watching(
      {
        crypto,
        signer: options.signer,
        store,
        source,
        publisher: this.publisher,
        send,
        onEvent: (event) => this.watched(event),
      },
      options.watching,
    );
    this.storage = new PeerStorage({
      store,
      node: () => this.node,
      onReturned: (peer, blob) => events.onStorageReturned?.(peer, blob),
      onProblem: (text) => events.onAlarm(text),
    });
    this.chainService = new ChainService({
      crypto,
      source,
      store,
      publisher: this.publisher,
      refusal: (device) =>
        options.serviceRefusal ? options.serviceRefusal(device) : "this gateway serves no devices",
      send,
      maxMessageBytes: (device) => this.node.peerMaxMessageBytes(device),
      devices: () => this.node.channels().map(({ remoteNodeId }) => remoteNodeId),
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
    const { entropy, signer, payments } = options;
    this.invoiceRelay = new InvoiceRelay({ nodeId: signer.nodeId, send });
    const onAlarm = (text: string) => events.onAlarm(text);
    const parts = { crypto, entropy, signer, node: () => this.node, onAlarm };
    if (payments && options.routing) {
      const policy = { ...defaultForwardPolicy, ...payments.policy };
      const nowSeconds = () => payments.nowSeconds();
      this.routing = new Routing({ ...parts, source, policy, nowSeconds });
    }
    const router = this.routing?.router;
    const entrusting = options.share?.entrusting;
    this.payments = payments && new Payments({ ...payments, ...parts, router, entrusting });
    this.shared = this.sharedChannels();
  }

  private sharedChannels(): SharedChannels {
    const { chainService, fundingService, storage, payments, options } = this;
    const entrusting = options.share?.entrusting;
    const parts = { chainService, fundingService, storage, payments, entrusting };
    return new SharedChannels({
      ...parts,
      node: () => this.node,
      following: () => this.following,
    });
  }

  static async start(options: GatewayOptions): Promise<Gateway> {
    const { store, source, events } = options;
    const { servesPeer } = options.share ?? {};
    const onProblem = (text: string) => events.onAlarm(text);
    const gateway = new Gateway(options, await HeldFundings.load(store, onProblem, servesPeer));
    const { height } = await source.tip();
    gateway.payout = options.payoutScript ?? (await payoutScript(options));
    gateway.watching.start(gateway.payout);
    gateway.node = await Node.start(
      {
        ...options,
        ...options.share,
        store: gateway.watching.store,
        chain: gateway.publisher,
        chainHash: source.genesisHash,
        policy: { ...hostPolicy, ...options.policy },
        features: gateway.routing ? routingFeatures : gatewayFeatures,
        maxMessageBytes: HOST_MAX_MESSAGE_BYTES,
        payoutScript: gateway.payout,
        maxChannels: MAX_CHANNELS,
        maxLinks: MAX_LINKS,
        restAfterMs: options.restAfterMs ?? REST_AFTER_MS,
        events: {
          onChannelEvent: (id, event) => gateway.channelEvent(id, event),
          onPeer: (peer, state, reason) => {
            if (state === "disconnected") gateway.chainService.deviceGone(peer);
            gateway.invoiceRelay.peer(peer, state);
            if (state === "connected") void gateway.storage.connected(peer);
            gateway.watching.peer(peer, state);
            gateway.routing?.peer(peer, state);
            events.onPeer(peer, state, reason);
          },
          onServiceMessage: (peer, message) => {
            if (gateway.routing?.receive(peer, message)) return;
            if (gateway.storage.receive(peer, message)) return;
            if (gateway.watching.receive(peer, message)) return;
            if (gateway.chainService.receive(peer, message)) return;
            if (gateway.invoiceRelay.receive(peer, message)) return;
            gateway.fundingService.receive(peer, message);
            events.onServiceMessage?.(peer, message);
          },
          onAlarm: (text) => events.onAlarm(text),
        },
      },
      (await processedHeight(store)) ?? blockHeight(height),
    );
    await gateway.payments?.start();
    await gateway.chainService.load(servesPeer);
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
    this.payments?.tick(nowMs);
    this.watching.tick(nowMs);
    this.routing?.tick(nowMs);
    this.invoiceRelay.tick(nowMs);
    this.storage.tick(nowMs);
  }

  async stop(): Promise<void> {
    this.node.close("the gateway is stopping");
    await this.following?.stop();
    await this.storage.stop();
    await this.fundingService.idle();
    await this.publisher.close();
    await this.options.source.close();
    await this.watching.store.close();
  }

  private async follow(): Promise<void> {
    const { node, chainService, watching, routing } = this;
    const { source, store, wallet, events } = this.options;
    const reserve = new CoinReserve({ wallet, source });
    let isCaughtUp = false;
    const blockConnected = (block: BlockEvent) => {
      node.blockConnected(block);
      chainService.blockConnected(block);
      watching.blockConnected(block);
      routing?.blockConnected(block);
      events.onBlock(block.height);
      if (!isCaughtUp) return;
      this.run(reserve.tend(block.height));
      this.run(this.fundingService.tend());
    };
    const rewind = (height: BlockHeight, isReread?: boolean) => {
      node.rewind(height, isReread);
      chainService.blockDisconnected(height);
      watching.rewind(height);
      routing?.rewind(height);
    };
    this.following = await followChain({
      node: {
        blockConnected,
        rewind,
        setFeerates: (feerates) => {
          this.feerates = feerates;
          node.setFeerates(feerates);
          watching.setFeerates(feerates);
        },
        channels: () => node.channels(),
        transactionConfirmed: (raw, height) => node.transactionConfirmed(raw, height),
        reconsider: () => node.reconsider(),
        get isAbreastOfChain() {
          return node.isAbreastOfChain;
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

  private watched(event: WatchingEvent): void {
    const { events } = this.options;
    if (event.side === "server" && event.event.type === "problem") events.onAlarm(event.event.text);
    events.onWatching?.(event);
  }

  private signerOf(id: ChannelId) {
    const record = this.node.record(id);
    return record && this.options.signer.channel(record.terms.keyIndex);
  }

  private channelEvent(id: ChannelId, event: ChannelEvent): void {
    this.payments?.channelEvent(id, event);
    this.routing?.channelEvent(id, event);
    this.options.events.onChannelEvent(id, event);
    const { fundingService } = this;
    if (event.type === "fundingNeeded") this.run(this.fund(id, event));
    if (event.type === "created" && event.broadcastFunding) {
      this.run(fundingService.broadcastOwn(id));
    }
    if (event.type === "closed") this.storage.channelEnded(id);
    if (event.type === "openFailed") this.run(fundingService.releaseOwn(id));
  }

  private run(work: Promise<void>): void {
    work.catch((cause: unknown) => {
      this.options.events.onAlarm(cause instanceof Error ? cause.message : String(cause));
    });
  }

  private isOwnChannel(outpoint: Outpoint): boolean {
    return this.node.record(channelIdOf(outpoint))?.terms.localIsOpener === true;
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
      const reason = await whyUnfunded(cause, this.options.wallet, amountSatoshis);
      this.node.command(id, { type: "close", feeratePerKw: 0, reason });
      throw new Error(reason, { cause });
    }
  }
}
