/** One device of the load: the core's node and chain client with a store in memory, reached over MQTT; it pays, and is paid. */
import { randomBytes } from "node:crypto";
import type { Checkpoint } from "../../core/chain/headers.ts";
import { blockHash } from "../../core/chain/headers.ts";
import { genesisHeader, REGTEST } from "../../core/chain/networks.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import { devicePolicy } from "../../core/channel/policy.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import { DEVICE_MAX_MESSAGE_BYTES } from "../../core/messages/codec.ts";
import { ChainClient } from "../../core/node/chain-client.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { Node } from "../../core/node/node.ts";
import {
  decodeInstructions,
  encodeInstructions,
  openPayment,
  sealPayment,
} from "../../core/payments/instructions.ts";
import { packPayments, unpackPayments } from "../../core/payments/push.ts";
import type { Outpoint } from "../../core/ports/chain.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import {
  blockHeight,
  type ChannelId,
  type MilliSatoshi,
  milliSatoshi,
  type PaymentHash,
  type PublicKey,
  paymentHash,
  preimage,
  satoshi,
} from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import { p2wpkh } from "../../core/transactions/script.ts";
import { topicName } from "../../core/transport/mqtt-topics.ts";
import { Kind } from "../../core/transport/packets.ts";
import { deviceFeatures } from "../../firmware/device.ts";
import { type MqttBroker, MqttUplink } from "../../firmware/links/mqtt-link.ts";
import { forwardFee } from "../../gateway/payments/forward-policy.ts";
import { lightMqtt } from "./light-mqtt.ts";

export interface LoadWorld {
  readonly crypto: Crypto;
  readonly checkpoint: Checkpoint;
  readonly broker: MqttBroker;
  readonly gatewayId: PublicKey;
  readonly nowMs: () => number;
  readonly terms: Terms;
  readonly told: Told;
}

/** What the gateway asks for a payment between two of its devices. */
export interface Terms {
  readonly feeBaseMsat: MilliSatoshi;
  readonly feeProportionalMillionths: number;
  readonly cltvExpiryDelta: number;
}

/** What devices tell of payments, by reference or payment hash in hexadecimal. */
export interface Told {
  /** Irrevocable at the payer. */
  paid(name: string): void;
  /** Irrevocably the payee's. */
  credited(name: string, device: LoadDevice, amountMsat: number): void;
  failed(name: string, reason: string): void;
  alarm(device: LoadDevice, text: string): void;
}

const FINAL_CLTV_DELTA = 40;
const entropy: Entropy = { random: (length) => new Uint8Array(randomBytes(length)) };
const driver = lightMqtt();

export class LoadDevice {
  readonly store = new MemoryStore();
  readonly nodeId: PublicKey;
  node!: Node;
  channelId: ChannelId | undefined;
  /** With the gateway, so far. */
  sessions = 0;
  /** When a process of the gateway last spoke in a session, or to begin one. */
  heardMs = 0;
  private chain!: ChainClient;
  private uplink!: MqttUplink;
  private readonly signer: SeedSigner;
  private readonly invoices = new Map<string, { secret: Uint8Array; preimage: Uint8Array }>();
  /** How the opening goes: the funding's script, then that the channel stands, or that it failed. */
  onOpening: (step: { script: Uint8Array } | "created" | "failed") => void = () => {};

  constructor(
    readonly index: number,
    private readonly world: LoadWorld,
  ) {
    this.signer = new SeedSigner(world.crypto, entropy.random(32));
    this.nodeId = this.signer.nodeId;
  }

  async start(): Promise<void> {
    const { crypto, checkpoint, gatewayId, broker, told, nowMs } = this.world;
    this.chain = new ChainClient({
      crypto,
      network: REGTEST,
      checkpoint,
      send: (message) => this.node?.sendService(gatewayId, message) ?? false,
      nowSeconds: () => Math.floor(Date.now() / 1_000),
      events: {
        onTip: () => {},
        onProven: () => {},
        onRefused: (reason) => told.alarm(this, `refused: ${reason}`),
        onPublished: () => {},
      },
    });
    this.node = await Node.start(
      {
        crypto,
        signer: this.signer,
        store: this.store,
        entropy,
        chain: this.chain,
        chainHash: blockHash(crypto, genesisHeader(REGTEST)),
        policy: { ...devicePolicy, channelTypes: ["zero_fee_commitments"] },
        features: deviceFeatures,
        maxMessageBytes: DEVICE_MAX_MESSAGE_BYTES,
        payoutScript: p2wpkh(crypto, this.nodeId),
        maxChannels: 8,
        maxLinks: 4,
        nowMs: nowMs(),
        events: {
          onChannelEvent: (id, event) => this.channelEvent(id, event),
          onPeer: (_, state) => {
            if (state !== "connected") return;
            this.sessions++;
            this.chain.gatewayConnected();
          },
          onServiceMessage: (_, message) => void this.chain.receive(message),
          onAlarm: (text) => told.alarm(this, text),
        },
      },
      this.chain.tipHeight,
    );
    this.chain.feed(this.node);
    this.uplink = new MqttUplink({
      driver,
      broker,
      entropy,
      clock: { nowMs, after },
      gateway: topicName(toHex(gatewayId)),
      device: topicName(toHex(this.nodeId)),
      attach: (link) => {
        this.node.attach(link, gatewayId);
        const { onBytes } = link;
        link.onBytes = (bytes) => {
          // Whoever has no session with us may be any process.
          if (bytes[0] !== Kind.noSession) this.heardMs = nowMs();
          onBytes(bytes);
        };
      },
    });
  }

  connect(): void {
    this.uplink.start();
  }

  /** Asks what the gateway answers: an idle session is silent for a minute. */
  ask(): void {
    this.chain.gatewayConnected();
  }

  tick(nowMs: number): void {
    this.node.tick(nowMs);
  }

  stop(): void {
    this.node.close("the load has ended");
    this.uplink.stop();
  }

  get isConnected(): boolean {
    return this.node.isConnected(this.world.gatewayId);
  }

  get record(): ChannelRecord | undefined {
    return this.channelId && this.node.record(this.channelId);
  }

  /** The channel is open and both sides have found each other again. */
  get isReady(): boolean {
    const [only] = this.node.channels();
    if (only?.channel.kind !== "live") return false;
    const { record, session } = only.channel;
    return record.phase === "normal" && session.reestablishReceived && session.connected;
  }

  get isQuiet(): boolean {
    const { record } = this;
    if (!record) return true;
    const { localSigned, localAcked, remoteAcked, remoteSigned } = record.pending;
    const pending = localSigned.length + localAcked.length + remoteAcked.length;
    return this.node.isIdle && pending + remoteSigned.length + record.base.htlcs.length === 0;
  }

  open(capacitySat: number, pushMsat: number): void {
    this.node.open({
      remoteNodeId: this.world.gatewayId,
      channelType: "zero_fee_commitments",
      fundingSatoshis: satoshi(capacitySat),
      pushMsat: milliSatoshi(pushMsat),
      feeratePerKw: 0,
    });
  }

  funded(outpoint: Outpoint): void {
    const [only] = this.node.channels();
    if (only) this.node.command(only.id, { type: "funded", outpoint });
  }

  /** To the gateway; the payment's name. */
  push(amountMsat: number): string {
    const reference = entropy.random(16);
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
    this.node.command(this.channelId as ChannelId, { type: "push", payments });
    return toHex(reference);
  }

  /** A hash to be paid at, and the secret that shows the payer meant this. */
  invoice(): { readonly hash: PaymentHash; readonly secret: Uint8Array } {
    const known = entropy.random(32);
    const secret = entropy.random(32);
    const hash = paymentHash(this.world.crypto.sha256(known));
    this.invoices.set(toHex(hash), { secret, preimage: known });
    return { hash, secret };
  }

  /** Through the gateway to another of its devices; the payment's name, and what it takes from this device. */
  payTo(payee: LoadDevice, amount: number): { readonly name: string; readonly sumMsat: number } {
    const { crypto, terms } = this.world;
    const { hash, secret } = payee.invoice();
    const amountMsat = milliSatoshi(amount);
    const destination = payee.nodeId;
    const request = {
      destination,
      paymentHash: hash,
      paymentSecret: secret,
      totalMsat: amountMsat,
    };
    const cltvExpiry = blockHeight(this.node.height + FINAL_CLTV_DELTA);
    const onion = encodeInstructions({
      type: "forward",
      destination,
      amountMsat,
      cltvExpiry,
      sealed: sealPayment(crypto, entropy, request),
      gateways: [],
    });
    const sumMsat = milliSatoshi(amountMsat + forwardFee(terms, amountMsat));
    this.node.command(this.channelId as ChannelId, {
      type: "addHtlc",
      amountMsat: sumMsat,
      paymentHash: hash,
      cltvExpiry: blockHeight(cltvExpiry + terms.cltvExpiryDelta),
      onion,
    });
    return { name: toHex(hash), sumMsat };
  }

  private channelEvent(id: ChannelId, event: ChannelEvent): void {
    const { told } = this.world;
    switch (event.type) {
      case "fundingNeeded":
        this.onOpening(event);
        return;
      case "created":
        this.channelId = event.channelId;
        this.onOpening("created");
        return;
      case "openFailed":
        this.onOpening("failed");
        return;
      case "pushSettled":
        for (const { reference } of unpackPayments(event.payments)) told.paid(toHex(reference));
        return;
      case "pushReceived":
        for (const { reference, amountMsat } of unpackPayments(event.payments)) {
          told.credited(toHex(reference), this, amountMsat);
        }
        return;
      case "htlcReceived":
        this.received(id, event);
        return;
      case "htlcFulfilled":
        told.paid(toHex(event.htlc.paymentHash));
        return;
      case "htlcSettled":
        if (event.fulfilled) told.credited(toHex(event.paymentHash), this, event.amountMsat);
        return;
      case "htlcFailed":
        told.failed(toHex(event.paymentHash), `the HTLC failed (${toHex(event.reason)})`);
        return;
      case "rejected":
        this.rejected(event);
        return;
      case "violation":
      case "forceClosing":
        told.alarm(this, event.type === "violation" ? event.text : event.reason);
        return;
      default:
        return;
    }
  }

  private rejected({ command, reason }: Extract<ChannelEvent, { type: "rejected" }>): void {
    const { told } = this.world;
    if (command.type === "addHtlc") told.failed(toHex(command.paymentHash), reason);
    else if (command.type === "push") {
      for (const one of unpackPayments(command.payments)) told.failed(toHex(one.reference), reason);
    } else told.alarm(this, `${command.type}: ${reason}`);
  }

  private received(id: ChannelId, { htlc }: Extract<ChannelEvent, { type: "htlcReceived" }>): void {
    const { crypto } = this.world;
    const invoice = this.invoices.get(toHex(htlc.paymentHash));
    const instructions = decodeInstructions(crypto, htlc.onion);
    const sealed = instructions.type === "final" ? instructions.sealed : new Uint8Array(0);
    const opened = openPayment(crypto, this.signer, sealed, htlc.paymentHash);
    const isOurs = invoice && opened && equal(opened.paymentSecret, invoice.secret);
    if (isOurs && opened.totalMsat === htlc.amountMsat) {
      const known = preimage(invoice.preimage);
      this.node.command(id, { type: "fulfillHtlc", htlcId: htlc.id, preimage: known });
    } else {
      this.node.command(id, { type: "failHtlc", htlcId: htlc.id, reason: new Uint8Array(0) });
    }
  }
}

function after(delayMs: number, work: () => void): () => void {
  const timer = setTimeout(work, delayMs);
  return () => clearTimeout(timer);
}
