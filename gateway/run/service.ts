/** The gateway as a service: every part of it started in order from one configuration, and stopped in the opposite order. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import type { Store } from "../../core/ports/store.ts";
import { publicKey } from "../../core/primitives/brands.ts";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { type IdentityCard, PROTOCOL_VERSION } from "../../core/transport/identity.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { channelEventJson, plain } from "../api/event-json.ts";
import { paymentJson } from "../api/payment-json.ts";
import type { Backups } from "../backup/backups.ts";
import { toDisplay } from "../chain/bitcoind/units.ts";
import { chooseCrypto } from "../crypto/choose.ts";
import { LanDiscovery } from "../discovery/lan.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { Gateway, type GatewayOptions } from "../gateway.ts";
import { EmbeddedBroker } from "../links/embedded-broker.ts";
import { KnownDevices } from "../links/known-devices.ts";
import { GatewayMqtt } from "../links/mqtt.ts";
import { SerialDevices } from "../links/serial-devices.ts";
import { listenTcp, type TcpListener } from "../links/tcp.ts";
import { type Alarm, AlarmBoard } from "../operations/alarm-board.ts";
import type { Alerts } from "../operations/alerts.ts";
import { watchService } from "../operations/watch-service.ts";
import type { NodeSecret } from "../secrets/node-secret.ts";
import { fileText } from "../secrets/unlock.ts";
import type { Settlement } from "../settlement/settlement.ts";
import { type RunningApi, startApi } from "./api.ts";
import { startBackups } from "./backup.ts";
import { type OpenSimChain, openChain, type RunningChain } from "./chain.ts";
import { isLoopback } from "./config.ts";
import { type DataDir, openDataDir } from "./data-dir.ts";
import { EventHub, type GatewayEvent } from "./event-hub.ts";
import { startFleet } from "./fleet.ts";
import { idleWarnings } from "./idle-settings.ts";
import type { Logger } from "./log.ts";
import { openNodeSeed } from "./node-seed.ts";
import { forwardPolicy, invoiceNetwork } from "./payment-settings.ts";
import { PeerBook } from "./peer-book.ts";
import { PeerDialers } from "./peer-dialers.ts";
import { openServiceStore, type ServiceStore } from "./service-store.ts";
import type { Config } from "./settings.ts";
import { openSettlement, startSettlement, withSettlement } from "./settlement.ts";
import { Sharing } from "./sharing.ts";
import { watchingEvent, watchingOptions } from "./towers.ts";

export interface ServiceOptions {
  readonly config: Config;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly version: string;
  readonly openSimChain: OpenSimChain;
  /** Asks the person at the terminal, where there is one. */
  readonly ask?: (question: string) => Promise<string>;
  /** A serial port with a device at its other end; part of the host, not of the gateway. */
  openSerial?(path: string): Promise<Link>;
}

const TICK_MS = 50;

export class GatewayService {
  readonly events = new EventHub();
  readonly startedAt = new Date();
  readonly peerBook = new PeerBook({
    events: this.events,
    linkName: (nodeId) => this.gateway.node.linkOf(publicKey(fromHex(nodeId)))?.name,
  });
  /** The gateway's own and its fleet's. */
  readonly alarms = new AlarmBoard({
    now: () => new Date(),
    onRaised: (alarm) => this.tellAlarm(alarm, "raised"),
    onCleared: (alarm) => this.tellAlarm(alarm, "cleared"),
    onNotice: (text) => {
      this.options.log.warn(text);
      this.events.emit({ type: "alarm", text });
    },
  });
  crypto!: Crypto;
  dataDir!: DataDir;
  chain!: RunningChain;
  records!: ServiceStore;
  /** Where this is one of several processes. */
  sharing: Sharing | undefined;
  gateway!: Gateway;
  settlement: Settlement | undefined;
  backups: Backups | undefined;
  peers: TcpListener | undefined;
  mqtt: GatewayMqtt | undefined;
  /** The gateway's own devices. */
  fleet: Fleet | undefined;
  broker: EmbeddedBroker | undefined;
  /** Without a password. */
  brokerUrl: string | undefined;
  dialers!: PeerDialers;
  api: RunningApi | undefined;
  discovery: LanDiscovery | undefined;
  alerts!: Alerts;
  /** Why the process must end, once it must. */
  readonly mustEnd: Promise<string>;
  private onEnd: (reason: string) => void = () => {};
  private readonly ends: { readonly what: string; end(): Promise<unknown> | unknown }[] = [];

  private constructor(readonly options: ServiceOptions) {
    this.mustEnd = new Promise((done) => {
      this.onEnd = done;
    });
  }

  /** Everything runs when it resolves; what was started before a failure is stopped. */
  static async start(options: ServiceOptions): Promise<GatewayService> {
    const service = new GatewayService(options);
    try {
      await service.startParts();
      return service;
    } catch (cause) {
      await service.stop();
      throw cause;
    }
  }

  get store(): Store {
    return this.records.store;
  }

  get nodeId(): string {
    return toHex(this.gateway.node.nodeId);
  }

  /** In the opposite order; one part that cannot stop does not keep the others. */
  async stop(): Promise<void> {
    for (const { what, end } of this.ends.splice(0).reverse()) {
      try {
        await end();
      } catch (cause) {
        this.options.log.error({ part: what, reason: String(cause) }, "could not be stopped");
      }
    }
  }

  /** What runs is stopped by `end` when the service stops. */
  atStop(what: string, end: () => Promise<unknown> | unknown): void {
    this.ends.push({ what, end });
  }

  private async startParts(): Promise<void> {
    const { config, log, env, ask } = this.options;
    this.crypto = chooseCrypto();
    this.dataDir = openDataDir(config.data_dir);
    this.atStop("data dir", () => this.dataDir.release());
    this.chain = await openChain(config, this.crypto, this.options.openSimChain);
    this.atStop("chain", () => this.chain.close?.());
    const seed = await openNodeSeed({
      path: this.dataDir.at("seed"),
      config,
      env,
      isPlayMoney: this.chain.isPlayMoney,
      ...(ask && { ask }),
    });
    if (seed.warning) log.warn(seed.warning);
    const signer = new SeedSigner(this.crypto, seed.secret.seed(this.crypto));
    this.records = await openServiceStore({
      config,
      network: this.chain.network,
      usualPath: this.dataDir.at(`${this.chain.network}.sqlite`),
      towerPath: this.dataDir.at(`${this.chain.network}.tower.sqlite`),
      nodeId: signer.nodeId,
    });
    this.atStop("records", () => this.records.close?.());
    if (this.records.postgres) for (const text of idleWarnings(config)) log.warn(text);
    this.sharing = Sharing.of(this, this.records.postgres);
    await this.startGateway(signer);
    this.backups = await startBackups(this, seed.secret);
    this.fleet = await startFleet(this);
    await this.startPeers();
    await this.startMqtt();
    this.startSerial();
    this.startDiscovery();
    if (this.settlement) await startSettlement(this, this.settlement);
    await this.startApi(seed.secret);
    this.alerts = watchService(this);
    log.info({ nodeId: this.nodeId, chain: this.chain.source.name }, "the gateway runs");
  }

  private async startGateway(signer: SeedSigner): Promise<void> {
    const { config } = this.options;
    const card = this.card(toHex(signer.nodeId));
    const most = config["devices.max_channel_sat"];
    const { settlement } = this.records;
    this.settlement = settlement && (await openSettlement(this, settlement));
    const given: GatewayOptions = {
      crypto: this.crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      store: this.store,
      signer,
      source: this.chain.source,
      wallet: this.chain.wallet,
      nowMs: performance.now(),
      card: () => card,
      payments: {
        ledger: this.records.ledger,
        network: invoiceNetwork(this.chain.network),
        policy: forwardPolicy(config),
        chainRefusal: () => this.chain.health.staleness(),
        nowSeconds: () => Math.floor(Date.now() / 1_000),
        onPayment: (payment, reason) =>
          this.events.emit({
            type: "payment",
            ...paymentJson(payment),
            ...(reason !== undefined && { failure: reason }),
          }),
      },
      routing: true,
      ...this.sharing?.forGateway,
      watching: watchingOptions(config, this.records.tower),
      serviceRefusal: () =>
        config["devices.serve"] === "all" ? undefined : "this gateway serves no devices",
      fundingRefusal: (_, amount) =>
        amount <= most ? undefined : `this gateway funds channels of ${most} sat at most`,
      events: {
        onChannelEvent: (id, event) =>
          this.events.emit({
            type: "channel",
            channel_id: toHex(id),
            event: channelEventJson(event),
          }),
        onPeer: (peer, state, reason) => {
          if (state === "disconnected") this.sharing?.runner.peerGone(peer);
          this.events.emit({ type: "peer", node_id: toHex(peer), state, reason: reason ?? "" });
        },
        onBlock: (height) => this.events.emit({ type: "block", height }),
        onPublished: (step) => this.events.emit({ type: "published", step: plain(step) }),
        onDeviceFunded: (device, txid, amount) =>
          this.events.emit({
            type: "device-funded",
            node_id: toHex(device),
            txid: toDisplay(txid),
            amount_sat: amount,
          }),
        onAlarm: (text) => this.alarm(text),
        onWatching: (event) => this.watched(watchingEvent(event)),
        onServiceMessage: (peer, message) => void this.fleet?.receive(peer, message),
        onStorageReturned: (peer, blob) => this.backups?.copies.returned(toHex(peer), blob),
      },
    };
    this.gateway = await Gateway.start(withSettlement(given, this.settlement));
    this.atStop("node", () => this.gateway.stop());
    const timer = setInterval(() => this.gateway.tick(performance.now()), TICK_MS);
    this.atStop("timer", () => clearInterval(timer));
    this.sharing?.start();
  }

  private watched(event: GatewayEvent): void {
    if (event.type === "alarm") this.alarm(String(event.text));
    else this.events.emit(event);
  }

  /** Another process may run what ran here: this one must end, whoever runs it starts it anew. */
  loseAll(reason: string): void {
    this.alarm(`the leases are lost, nothing is sent any more: ${reason}`);
    this.records.postgres?.giveUp(reason);
    this.onEnd(reason);
  }

  alarm(text: string): void {
    this.alarms.notice(text);
  }

  private tellAlarm({ name, text, channelId, nodeId }: Alarm, state: "raised" | "cleared"): void {
    const { log } = this.options;
    const about = {
      ...(channelId !== undefined && { channel_id: channelId }),
      ...(nodeId !== undefined && { node_id: nodeId }),
    };
    if (state === "raised") log.warn({ alarm: name, ...about }, text);
    else log.info({ alarm: name, ...about }, `no more: ${text}`);
    this.events.emit({ type: "alarm", name, state, ...about, text });
  }

  private async startPeers(): Promise<void> {
    const { config } = this.options;
    const onProblem = (text: string) => this.alarm(`peers: ${text}`);
    const peers = await listenTcp({
      host: config["p2p.host"],
      port: config["p2p.port"],
      attach: (link) => this.gateway.attach(link),
      onProblem,
    });
    this.peers = peers;
    this.atStop("peers", () => peers.close());
    const isConnected = (nodeId: string) =>
      this.gateway.node.isConnected(publicKey(fromHex(nodeId))) ||
      this.sharing?.mayCall(nodeId) === false;
    this.dialers = new PeerDialers({
      store: this.store,
      attach: (link, nodeId) => this.gateway.attach(link, publicKey(fromHex(nodeId))),
      isConnected,
      onProblem: (text) => this.alarm(text),
    });
    this.atStop("dialers", () => this.dialers.close());
    await this.dialers.resume();
    for (const { nodeId, host, port } of config["p2p.bootstrap_peers"]) {
      this.dialers.dial({ nodeId, host, port });
    }
  }

  private async startApi(secret: NodeSecret): Promise<void> {
    const api = await startApi(this, secret);
    this.api = api;
    this.atStop("api", () => api.close());
  }

  private async startMqtt(): Promise<void> {
    const { config } = this.options;
    let url = config["mqtt.url"] ?? fileText(config["mqtt.url_file"]);
    if (url === undefined) {
      this.broker = await EmbeddedBroker.start(config["mqtt.port"]);
      this.atStop("broker", () => this.broker?.close());
      url = this.broker.url;
    }
    const { protocol, host } = new URL(url);
    this.brokerUrl = `${protocol}//${host}`;
    const caFile = config["mqtt.ca_file"];
    const { node } = this.gateway;
    const known = new KnownDevices(node, () => performance.now());
    const mqtt = new GatewayMqtt({
      url,
      ...(caFile !== undefined && { ca: new Uint8Array(readFileSync(caFile)) }),
      gateway: topicName(this.nodeId),
      ...(this.sharing && {
        worker: this.sharing.name,
        isOurs: (device: string) => this.sharing?.places.isOurs(device) ?? true,
      }),
      // The broker inside knows no other.
      version: this.broker ? "3.1.1" : config["mqtt.version"],
      attach: (link) => this.gateway.attach(link),
      isKnown: (device) => known.has(device),
      onPresence: (device, presence) => this.events.emit({ type: "presence", device, presence }),
      onProblem: (text) => this.alarm(text),
    });
    this.mqtt = mqtt;
    this.atStop("mqtt", () => mqtt.close());
  }

  private startSerial(): void {
    const { config, openSerial } = this.options;
    const paths = config["links.serial"];
    if (paths.length === 0) return;
    if (!openSerial) throw new Error("serial ports cannot be opened by this program");
    const serial = new SerialDevices({
      paths,
      open: openSerial,
      attach: (link, nodeId) => this.gateway.attach(link, nodeId),
      onProblem: (text) => this.alarm(text),
    });
    this.atStop("serial ports", () => serial.close());
  }

  /** A network without multicast is a pity, and no reason not to run. */
  private startDiscovery(): void {
    const { config } = this.options;
    if (!config["discovery.lan"]) return;
    const place =
      config["discovery.interface"] ?? (isLoopback(config["p2p.host"]) ? "127.0.0.1" : undefined);
    const discovery = new LanDiscovery({
      ...(place !== undefined && { interface: place }),
      onProblem: (text) => this.alarm(text),
    });
    this.discovery = discovery;
    this.atStop("discovery", () => discovery.close());
    discovery.announce({
      nodeId: this.nodeId,
      name: config.name,
      network: this.chain.network,
      roles: config["tower.serve"] && this.records.tower ? ["gateway", "tower"] : ["gateway"],
      port: this.peers?.port ?? config["p2p.port"],
    });
    discovery.look((node) => {
      if (node.nodeId !== this.nodeId) this.events.emit({ ...node, type: "discovered" });
    });
  }

  private card(nodeId: string): IdentityCard {
    const { config, version } = this.options;
    return {
      protocolVersion: PROTOCOL_VERSION,
      nodeId: publicKey(fromHex(nodeId)),
      name: config.name,
      model: "gateway",
      firmwareVersion: version,
      claimed: true,
    };
  }
}
