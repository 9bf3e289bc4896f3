/** The node of a device as its settings stand: one that only its future owner speaks with, or the whole Device with its app. */
import { blockHash } from "../../core/chain/headers.ts";
import {
  genesisHeader,
  MAINNET,
  type Network,
  REGTEST,
  SIGNET,
  TESTNET4,
} from "../../core/chain/networks.ts";
import { devicePolicy } from "../../core/channel/policy.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { DEVICE_MAX_MESSAGE_BYTES } from "../../core/messages/codec.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Node } from "../../core/node/node.ts";
import type { NodeOptions } from "../../core/node/options.ts";
import {
  blockHeight,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import type { IdentityCard } from "../../core/transport/identity.ts";
import { makeBackup } from "../admin/backup.ts";
import type { App, AppHost } from "../apps/app.ts";
import { makeApp } from "../apps/catalog.ts";
import type { PriceList } from "../apps/price-list.ts";
import type { Board, Image } from "../board.ts";
import { Device, type DeviceEvents, type DeviceOptions, deviceFeatures } from "../device.ts";
import type { Ownership } from "../owner/ownership.ts";
import type { Settings } from "../settings/settings.ts";
import type { FlashLogStore } from "../store/flash-log.ts";
import { cardOf } from "./card.ts";
import { MAX_HUB_LINKS } from "./link-hub.ts";

export interface RunnerParts {
  readonly board: Board;
  readonly image: Image;
  readonly seed: Uint8Array;
  readonly records: FlashLogStore;
  readonly prices: PriceList;
  readonly ownership: Ownership;
  readonly events: DeviceEvents;
  onService(peer: PublicKey, message: Message): boolean;
}

/** One life of the node. */
export interface RunningNode {
  readonly node: Node;
  readonly device: Device | undefined;
  readonly app: App | undefined;
  /** Why the owner's app does not run. */
  readonly appFault: string | undefined;
  tick(nowMs: number): void;
  stop(): void;
}

/** What a gateway keeps for anybody with a channel (docs/PROTOCOL.md "Peer storage"). */
const MAX_COPY_BYTES = 4_000;

const networks: Readonly<Record<Image["network"], Network>> = {
  mainnet: MAINNET,
  testnet4: TESTNET4,
  signet: SIGNET,
  regtest: REGTEST,
};

/** As its settings stand: they change a moment before the node does. */
function currentCard(parts: RunnerParts, nodeId: PublicKey): IdentityCard {
  const { settings } = parts.ownership;
  return cardOf(parts, { nodeId, name: settings?.name, claimed: settings !== undefined });
}

/** Without channels, chain or store: there is no owner whose money it could be. */
export async function startUnclaimed(parts: RunnerParts): Promise<RunningNode> {
  const { board, image, seed, events, onService } = parts;
  const { crypto, entropy, clock } = board;
  const signer = new SeedSigner(crypto, seed);
  const nothing = () => {};
  const node = await Node.start(
    {
      crypto,
      signer,
      entropy,
      store: new MemoryStore(),
      chain: { watch: nothing, publish: nothing, publishClose: nothing },
      chainHash: blockHash(crypto, genesisHeader(networks[image.network])),
      policy: devicePolicy,
      features: deviceFeatures,
      maxMessageBytes: DEVICE_MAX_MESSAGE_BYTES,
      payoutScript: new Uint8Array(0),
      maxChannels: 0,
      maxLinks: MAX_HUB_LINKS,
      nowMs: clock.nowMs(),
      card: () => currentCard(parts, signer.nodeId),
      events: {
        onChannelEvent: nothing,
        onPeer: (peer, state, reason) => events.onPeer(peer, state, reason),
        onServiceMessage: (peer, message) => void onService(peer, message),
        onAlarm: (text) => events.onAlarm(text),
      },
    },
    blockHeight(0),
  );
  return {
    node,
    device: undefined,
    app: undefined,
    appFault: undefined,
    tick: (nowMs) => node.tick(nowMs),
    stop: () => node.close("the device is stopping"),
  };
}

export async function startClaimed(parts: RunnerParts, settings: Settings): Promise<RunningNode> {
  const { board, image, seed, records, prices, events, onService } = parts;
  const { crypto, entropy, clock, pins } = board;
  const signer = new SeedSigner(crypto, seed, { payoutKey: settings.payout.key });
  const chosen = new ChosenApp(settings);
  const { policy } = settings;
  // Made in the next beat: where this is told the stack is deep already.
  let isCopyDue = false;
  const keepCopy = () => {
    isCopyDue = true;
  };
  const options: DeviceOptions & Pick<NodeOptions, "card"> = {
    crypto,
    entropy,
    store: records,
    signer,
    app: chosen,
    network: networks[image.network],
    gatewayId: settings.gateway,
    towerId: settings.tower,
    payoutScript: settings.payout.script,
    budget: {
      maxOfflineBlocks: policy.maxOfflineBlocks,
      maxUnsyncedMsat: milliSatoshi(policy.maxUnsyncedMsat),
    },
    policy: {
      minFundingSatoshis: satoshi(policy.minFundingSat),
      maxFundingSatoshis: satoshi(policy.maxFundingSat),
      minimumDepth: policy.minimumDepth,
      acceptsZeroConf: (opener) => policy.zeroConf && equal(opener, settings.gateway),
    },
    maxChannels: policy.maxChannels,
    maxLinks: MAX_HUB_LINKS,
    nowMs: clock.nowMs(),
    pins,
    clock,
    // An empty one would sell nothing: the app's own settings count then.
    prices: prices.total > 0 ? prices : undefined,
    nowSeconds: () => clock.nowSeconds(),
    onService,
    declineReason: () => chosen.fault,
    card: () => currentCard(parts, signer.nodeId),
    events: {
      ...events,
      onPeer: (peer, state, reason) => {
        events.onPeer(peer, state, reason);
        if (state === "connected" && equal(peer, settings.gateway)) keepCopy();
      },
      onChannelEvent: (id, event) => {
        events.onChannelEvent(id, event);
        if (event.type === "ready") keepCopy();
      },
    },
  };
  const device = await Device.start(options);
  if (chosen.fault) events.onAlarm(chosen.fault);
  return {
    node: device.node,
    device,
    app: chosen.inner,
    get appFault() {
      return chosen.fault;
    },
    tick: (nowMs) => {
      device.tick(nowMs);
      if (!isCopyDue) return;
      isCopyDue = false;
      keepAtGateway(board, settings, device.node);
    },
    stop: () => device.stop(),
  };
}

/** For the day that this device breaks: its owner's backup, which the gateway keeps and cannot read (BOLT 1 "peer_storage"). */
function keepAtGateway(board: Board, settings: Settings, node: Node): void {
  if (node.channels(settings.gateway).length === 0) return;
  const blob = makeBackup(board, settings, node);
  if (blob.length <= MAX_COPY_BYTES)
    node.sendService(settings.gateway, { type: "peer_storage", blob });
}

/** The owner's app, or none: a wrong setting keeps an app from running, and never the channels. */
class ChosenApp implements App {
  readonly name: string;
  readonly takesPayments: boolean;
  readonly inner: App | undefined;
  fault: string | undefined;

  constructor({ app, appConfig }: Settings) {
    this.name = app || "none";
    try {
      this.inner = app ? makeApp(app, appConfig) : undefined;
      if (!app) this.fault = "no app is set up on this device: nothing is sold here";
    } catch (cause) {
      this.fault = faultOf(this.name, cause);
    }
    // What was paid before stays in the inbox until an app serves it.
    this.takesPayments = this.inner?.takesPayments ?? true;
  }

  async start(host: AppHost): Promise<void> {
    try {
      await this.inner?.start(host);
    } catch (cause) {
      this.fault = faultOf(this.name, cause);
    }
  }

  stop(): void {
    this.inner?.stop?.();
  }

  onPeer(...[peer, connected]: Parameters<App["onPeer"]>): void {
    this.running?.onPeer(peer, connected);
  }

  onTip(): void {
    this.running?.onTip?.();
  }

  onChannelEvent(...[id, event]: Parameters<App["onChannelEvent"]>): void {
    this.running?.onChannelEvent(id, event);
  }

  onMessage(...[peer, message]: Parameters<App["onMessage"]>): boolean {
    return this.running?.onMessage(peer, message) ?? false;
  }

  private get running(): App | undefined {
    return this.fault === undefined ? this.inner : undefined;
  }
}

function faultOf(name: string, cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return `the app ${name} does not run: ${text}`;
}
