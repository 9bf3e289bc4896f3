/** A payer's node in this process: the firmware's own device with its payer app, on a wallet's folder. */
import { randomBytes } from "node:crypto";
import { networkNamed } from "../../core/chain/networks.ts";
import type { ChannelEvent } from "../../core/channel/effects.ts";
import type { ChannelRecord } from "../../core/channel/record.ts";
import type { MessageNamed } from "../../core/messages/message.ts";
import type { Crypto } from "../../core/ports/crypto.ts";
import { type ChannelId, milliSatoshi, type PublicKey } from "../../core/primitives/brands.ts";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { AppEvent } from "../../firmware/apps/app.ts";
import { PayerApp } from "../../firmware/apps/payer.ts";
import { Device } from "../../firmware/device.ts";
import { InvoicePayer } from "./invoice-payer.ts";
import type { Wallet } from "./wallet.ts";

const TICK_MS = 20;
/** Half of the week that a device demands as to_self_delay. */
const MAX_OFFLINE_BLOCKS = 504;
const MAX_UNSYNCED_MSAT = 100_000_000;
/** A host has the memory: one channel for each machine that it buys from. */
const MAX_CHANNELS = 256;
const TIMING = {
  pingAfterMs: 2000,
  deadAfterMs: 6000,
  handshakeTimeoutMs: 5000,
  minBackoffMs: 200,
  maxBackoffMs: 2000,
};

const nowSeconds = () => Math.floor(Date.now() / 1000);

function after(delayMs: number, work: () => void): () => void {
  const timer = setTimeout(work, delayMs);
  return () => clearTimeout(timer);
}

export type PayerEvent =
  | { readonly type: "channel"; readonly id: ChannelId; readonly event: ChannelEvent }
  | { readonly type: "app"; readonly event: AppEvent }
  | { readonly type: "peer"; readonly peer: PublicKey; readonly isConnected: boolean }
  | { readonly type: "alarm"; readonly text: string }
  | { readonly type: "invoice" }
  | { readonly type: "tip" };

export class PayerNode {
  readonly app = new PayerApp();
  /** Purchases that ended in this run, by reference in hexadecimal. */
  readonly ended = new Map<string, { readonly delivered: boolean; readonly note: string }>();
  device!: Device;
  invoices!: InvoicePayer;
  /** What was said of an invoice that was asked for. */
  invoiceAnswer: MessageNamed<"bolt11"> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private readonly listeners = new Set<(event: PayerEvent) => void>();

  private constructor(readonly wallet: Wallet) {}

  static async start(crypto: Crypto, wallet: Wallet, gatewayId: PublicKey): Promise<PayerNode> {
    const payer = new PayerNode(wallet);
    const tell = (event: PayerEvent) => {
      if (event.type === "app") payer.noteEnd(event.event);
      for (const listener of [...payer.listeners]) listener(event);
    };
    const onAlarm = (text: string) => tell({ type: "alarm", text });
    payer.invoices = new InvoicePayer({
      crypto,
      wallet,
      gatewayId,
      node: () => payer.device.node,
      nowSeconds,
      onAlarm,
      onEnded: () => tell({ type: "invoice" }),
    });
    payer.device = await Device.start({
      crypto,
      entropy: { random: (length) => new Uint8Array(randomBytes(length)) },
      store: wallet.store,
      signer: wallet.signer,
      app: payer.app,
      network: networkNamed(wallet.network),
      gatewayId,
      payoutScript: wallet.payoutScript,
      budget: {
        maxOfflineBlocks: MAX_OFFLINE_BLOCKS,
        maxUnsyncedMsat: milliSatoshi(MAX_UNSYNCED_MSAT),
      },
      timing: TIMING,
      maxChannels: MAX_CHANNELS,
      // A machine that has sold nothing yet must be able to give the first payment back: it keeps no reserve with us.
      policy: { reservePpm: 0 },
      nowMs: Date.now(),
      nowSeconds,
      clock: { nowMs: () => Date.now(), nowSeconds, after },
      onService: (_peer, message) => {
        if (message.type !== "bolt11") return false;
        payer.invoiceAnswer = message;
        tell({ type: "invoice" });
        return true;
      },
      events: {
        onChannelEvent: (id, event) => {
          payer.invoices.channelEvent(id, event);
          tell({ type: "channel", id, event });
        },
        onApp: (event) => tell({ type: "app", event }),
        onPeer: (peer, state) => tell({ type: "peer", peer, isConnected: state === "connected" }),
        onTip: () => {
          payer.invoices.tip();
          tell({ type: "tip" });
        },
        onProven: () => tell({ type: "tip" }),
        onAlarm,
      },
    });
    await payer.invoices.start();
    payer.timer = setInterval(() => {
      payer.device.tick(Date.now());
      payer.invoices.tick(Date.now());
    }, TICK_MS);
    return payer;
  }

  on(listener: (event: PayerEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Until `found` gives something: asked again at each event. Undefined after the time. */
  until<T>(
    found: () => T | undefined,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<T | undefined> {
    return new Promise((resolve) => {
      const end = (value: T | undefined) => {
        clearTimeout(timer);
        clearInterval(poll);
        stop();
        resolve(value);
      };
      const look = () => {
        const value = found();
        if (value !== undefined) end(value);
      };
      const timer = setTimeout(() => end(undefined), timeoutMs);
      const poll = setInterval(look, 5 * TICK_MS);
      const stop = this.on(look);
      signal?.addEventListener("abort", () => end(undefined), { once: true });
      look();
    });
  }

  private noteEnd(event: AppEvent): void {
    if (event.type !== "bought" && event.type !== "notDelivered") return;
    const note = event.type === "bought" ? "" : event.note;
    this.ended.set(toHex(event.reference), { delivered: event.type === "bought", note });
  }

  channelsWith(peer: PublicKey): readonly ChannelRecord[] {
    return this.device.node
      .channels()
      .flatMap(({ channel }) => (channel.kind === "live" ? [channel.record] : []))
      .filter(({ remoteNodeId }) => equal(remoteNodeId, peer));
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.device.stop();
    await this.wallet.store.close();
  }
}
