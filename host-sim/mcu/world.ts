/** An owner and a gateway on a simulated chain, with the emulated microcontroller at the other end of its UART: claims, opens, pays, is paid, loses power, settles. */
import { randomBytes } from "node:crypto";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import { SeedSigner } from "../../core/keys/seed-signer.ts";
import type { Message } from "../../core/messages/message.ts";
import { MemoryStore } from "../../core/node/memory-store.ts";
import { packPayments, unpackPayments } from "../../core/payments/push.ts";
import {
  blockHeight,
  type ChannelId,
  milliSatoshi,
  type PublicKey,
  satoshi,
} from "../../core/primitives/brands.ts";
import { equal } from "../../core/primitives/bytes.ts";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { Gateway } from "../../gateway/gateway.ts";
import type { SocketLink } from "../../gateway/links/socket-link.ts";
import { type SimLab, startSimLab } from "../chain/sim-lab.ts";
import type { McuImage } from "./build.ts";
import { ConsoleLines } from "./console-lines.ts";
import { Mcu, type Strapping } from "./emulator.ts";
import { cardOn, McuOwner } from "./owner.ts";

/** What nobody sells: the money comes back. */
export const NO_PRODUCT = 2;
const TICK_MS = 20;
const WAIT_MS = 60_000;
const POLICY = { minimumDepth: 3, irrevocableDepth: 6 };
const TIMING = {
  pingAfterMs: 5_000,
  deadAfterMs: 15_000,
  handshakeTimeoutMs: 10_000,
  minBackoffMs: 100,
  maxBackoffMs: 500,
};

type Faults = Omit<Strapping, "settings">;

export class McuWorld {
  readonly events: ChannelEvent[] = [];
  readonly messages: Message[] = [];
  readonly alarms: string[] = [];
  readonly lines: string[] = [];
  mcu!: Mcu;
  gateway!: Gateway;
  channel: ChannelId | undefined;
  readonly owner: McuOwner;
  private link!: SocketLink;
  private readonly lab: SimLab;
  /** Known once it is claimed; it makes its keys itself. */
  private deviceId!: PublicKey;
  private readonly timer: NodeJS.Timeout;
  private isConnected = false;
  private readonly startedMs = Date.now();

  private constructor(
    private readonly image: McuImage,
    private readonly folder: string,
    private readonly gatewaySigner: SeedSigner,
  ) {
    this.lab = startSimLab(chooseCrypto());
    this.owner = new McuOwner(gatewaySigner.nodeId);
    this.timer = setInterval(() => this.gateway?.tick(Date.now() - this.startedMs), TICK_MS);
  }

  static async start(image: McuImage, folder: string): Promise<McuWorld> {
    const crypto = chooseCrypto();
    const signer = new SeedSigner(crypto, new Uint8Array(randomBytes(32)));
    const world = new McuWorld(image, folder, signer);
    const wallet = await world.lab.wallet("gateway");
    world.gateway = await Gateway.start({
      crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      store: new MemoryStore(),
      signer,
      source: await world.lab.source(),
      wallet,
      policy: POLICY,
      timing: TIMING,
      nowMs: 0,
      serviceRefusal: () => undefined,
      fundingRefusal: () => undefined,
      events: {
        onChannelEvent: (_id, event) => void world.events.push(event),
        onPeer: (_peer, state) => {
          world.isConnected = state === "connected";
        },
        onBlock: () => {},
        onPublished: () => {},
        onDeviceFunded: () => {},
        onAlarm: (text) => void world.alarms.push(text),
        onServiceMessage: (_device, message) => void world.messages.push(message),
      },
    });
    return world;
  }

  /**
   * A new machine's first life: its owner claims it over the cable, which then is the gateway's. Answers the steps
   * that the flash had taken when it said who it is, and when it was claimed.
   */
  async claim(): Promise<{ readonly started: number; readonly claimed: number }> {
    await this.plugIn({});
    const { nodeId, claimed: isClaimed } = await cardOn(this.link);
    if (isClaimed) throw new Error("a new machine says that it has an owner");
    const { flashSteps: started } = await this.mcu.figures();
    await this.owner.claim(this.link, nodeId);
    const { flashSteps: claimed } = await this.mcu.figures();
    this.deviceId = nodeId;
    this.gateway.attach(this.link, nodeId);
    return { started, claimed };
  }

  /** Power on, and a cable to the gateway. */
  async powerOn(faults: Faults = {}): Promise<void> {
    await this.plugIn(faults);
    this.gateway.attach(this.link, this.deviceId);
  }

  private async plugIn(faults: Faults): Promise<void> {
    this.mcu = await Mcu.start(this.image, this.folder, faults);
    this.link = await this.mcu.openUart();
    const lines = new ConsoleLines((line) => void this.lines.push(line));
    this.link.onTap = (bytes) => lines.push(bytes);
  }

  /** SIGKILL: what the flash file holds at that moment is all that is left. */
  async powerOff(): Promise<void> {
    await this.mcu.kill();
    await this.until("the gateway to notice", () => !this.isConnected);
  }

  async connected(): Promise<void> {
    await this.until("the device to answer", () => this.isConnected);
  }

  /** Whether its channels go on before its power fails; `since`: an index into the events. */
  async resumed(since: number): Promise<boolean> {
    const count = this.records().length;
    const goOn = () =>
      this.events.slice(since).filter(({ type }) => type === "reestablished").length >= count;
    await this.until("the channels to go on", () => goOn() || !this.mcu.isRunning);
    return this.mcu.isRunning;
  }

  async open(fundingSatoshis: number, pushMsat = 0): Promise<void> {
    let since = this.events.length;
    const ask = async () => {
      await this.connected();
      since = this.events.length;
      this.gateway.node.open({
        remoteNodeId: this.deviceId,
        channelType: "zero_fee_commitments",
        fundingSatoshis: satoshi(fundingSatoshis),
        pushMsat: milliSatoshi(pushMsat),
        feeratePerKw: 0,
      });
    };
    await ask();
    await this.until("the channel to be signed", async () => {
      // A device that was claimed a moment ago begins anew, with its settings: that ends the session.
      if (this.has("openFailed", since)) await ask();
      return this.has("created", since);
    });
    await this.until("the channel to be open", async () => {
      await this.lab.mine(1);
      await new Promise((wake) => setTimeout(wake, 200));
      return this.records().every(({ phase }) => phase === "normal");
    });
    this.channel ??= this.records()[0]?.channelId;
  }

  /** The gateway's side of all channels. */
  records(): readonly ChannelRecord[] {
    return this.gateway.node
      .channels()
      .flatMap(({ channel }) => (channel.kind === "live" ? [channel.record] : []));
  }

  /** Pays for a product by push; returns its reference. */
  push(product: number, amountMsat: number): Uint8Array {
    const reference = new Uint8Array(randomBytes(16));
    reference.set([product >> 8, product]);
    const payments = packPayments([{ reference, amountMsat: milliSatoshi(amountMsat) }]);
    if (!this.channel || !this.gateway.node.command(this.channel, { type: "push", payments })) {
      throw new Error("there is no channel to push on");
    }
    return reference;
  }

  /** False: it was never under way, because the device was away. */
  async isPaid(reference: Uint8Array): Promise<boolean> {
    const concerns = (payments: Uint8Array) =>
      unpackPayments(payments).some((one) => equal(one.reference, reference));
    const isRejected = () =>
      this.events.some(
        (event) =>
          event.type === "rejected" &&
          event.command.type === "push" &&
          concerns(event.command.payments),
      );
    const isSettled = () =>
      this.events.some((event) => event.type === "pushSettled" && concerns(event.payments));
    await this.until("a push to settle", () => isSettled() || isRejected());
    return isSettled();
  }

  /** What became of a reference: once the push is irrevocable it is asked for again and again. */
  async outcome(reference: Uint8Array): Promise<Extract<Message, { type: "delivery" }>> {
    const found = () =>
      this.messages.find((one) => one.type === "delivery" && equal(one.reference, reference));
    if (!(await this.isPaid(reference))) throw new Error("the push was refused at once");
    let askedMs = Date.now();
    await this.until("the device to say what became of a payment", () => {
      if (found()) return true;
      if (Date.now() - askedMs > 1_000) {
        askedMs = Date.now();
        this.gateway.node.sendService(this.deviceId, { type: "delivery_request", reference });
      }
      return false;
    });
    return found() as Extract<Message, { type: "delivery" }>;
  }

  /** Buys by HTLC; resolves when it was fulfilled and delivered. */
  async buyByHtlc(product: number): Promise<void> {
    const since = this.messages.length;
    const request = since + 1;
    this.gateway.node.sendService(this.deviceId, { type: "invoice_request", request, product });
    const isAsked = (one: Message) => one.type === "invoice" && one.request === request;
    await this.until("an invoice", () => this.messages.some(isAsked));
    const invoice = this.messages.find(isAsked) as Extract<Message, { type: "invoice" }>;
    const { paymentHash, amountMsat, cltvExpiryDelta } = invoice;
    const from = this.events.length;
    const delivered = () => this.lines.filter((line) => line === "app delivered").length;
    const before = delivered();
    this.gateway.node.command(this.channel as ChannelId, {
      type: "addHtlc",
      amountMsat,
      paymentHash,
      cltvExpiry: blockHeight(this.gateway.node.height + cltvExpiryDelta + 1),
    });
    await this.until("the HTLC to be fulfilled", () => this.has("htlcFulfilled", from));
    // What power cuts off in the middle of a delivery would go back.
    await this.until("what was bought to come out", () => delivered() > before);
  }

  async close(): Promise<void> {
    const since = this.events.length;
    this.gateway.node.command(this.channel as ChannelId, { type: "close", feeratePerKw: 1000 });
    await this.until("the mutual close", () => this.has("closing", since));
  }

  has(type: ChannelEvent["type"], since = 0): boolean {
    return this.events.slice(since).some((event) => event.type === type);
  }

  /** No update of ours or theirs is under way. */
  get isQuiet(): boolean {
    return this.records().every(({ pending }) =>
      Object.values(pending).every((list) => !Array.isArray(list) || list.length === 0),
    );
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>, ms = WAIT_MS): Promise<void> {
    const end = Date.now() + ms;
    while (!(await isSo())) {
      if (Date.now() > end) {
        const said = [...this.lines.slice(-8), ...this.alarms.slice(-3)].join("\n");
        throw new Error(`waited ${ms / 1000} s in vain for ${what}; the device said:\n${said}`);
      }
      await new Promise((wake) => setTimeout(wake, 5));
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    if (this.mcu?.isRunning) await this.mcu.kill();
    await this.gateway.stop();
  }

  get gatewayId(): PublicKey {
    return this.gatewaySigner.nodeId;
  }
}
