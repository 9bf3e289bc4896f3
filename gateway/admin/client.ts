/** The owner's side of administration (docs/ADMIN.md): a session under the owner's key, and requests that a device answers one by one. */
import { blockHash } from "../../core/chain/headers.ts";
import { genesisHeader, type Network } from "../../core/chain/networks.ts";
import { MAX_ADMIN_BYTES } from "../../core/messages/admin.ts";
import {
  decodePlain,
  encodePlain,
  type PlainObject,
  type PlainValue,
} from "../../core/messages/admin-values.ts";
import { featureBitmap } from "../../core/messages/features.ts";
import type { Message, MessageNamed } from "../../core/messages/message.ts";
import type { Crypto, Entropy } from "../../core/ports/crypto.ts";
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, publicKey, type SecretKey } from "../../core/primitives/brands.ts";
import { Session } from "../../core/transport/session.ts";
import { type BackupContent, openBackup } from "./backup.ts";
import { type AdminCall, type PricedProduct, sendPrices, sendUpdate } from "./longer-calls.ts";

export interface AdminClientOptions {
  readonly crypto: Crypto;
  readonly entropy: Entropy;
  readonly link: Link;
  /** Of the device, as its identity card says; the handshake proves it. */
  readonly deviceId: PublicKey;
  readonly ownerSecret: SecretKey;
  readonly network: Network;
  /** For one request; 15 s where absent. */
  readonly timeoutMs?: number;
}

/** The device answered with an error; `code` is what stands before the colon. */
export class AdminRefusal extends Error {
  override readonly name = "AdminRefusal";
  readonly code: string;
  constructor(
    readonly method: string,
    text: string,
  ) {
    super(text.slice(text.indexOf(":") + 1).trim());
    this.code = text.slice(0, Math.max(0, text.indexOf(":")));
  }
}

/** There was no answer: a timeout, or a link that ended. Whether it was done is not known. */
export class AdminSilence extends Error {
  override readonly name: string = "AdminSilence";
}

/** The session ended while a request was under way; the client calls again by itself. */
class SessionLost extends AdminSilence {
  override readonly name = "SessionLost";
}

export interface ClaimRequest {
  readonly name: string;
  /** An extended public key, or wpkh(…) of one. */
  readonly payout: string;
  readonly gateway: Uint8Array;
  readonly network: Network["name"];
  readonly app?: string;
  readonly appConfig?: PlainObject;
  readonly policy?: PlainObject;
  readonly wifi?: { readonly ssid: string; readonly password: string };
  readonly mqtt?: PlainObject;
  /** A payer's: the machine that it walks up to over BLE. */
  readonly buysFrom?: { readonly machine: string; readonly nodeId?: Uint8Array };
  /** Printed on the device; needed over BLE. */
  readonly code?: string;
  /** Whose it shall be, where that is not who asks: a gateway's node id (docs/FLEET.md). */
  readonly owner?: Uint8Array;
}

export interface ChannelSummary {
  readonly id: Uint8Array;
  readonly peer: Uint8Array;
  readonly phase: string;
  readonly capacitySat: number;
  readonly localMsat: number;
  readonly remoteMsat: number;
  readonly keyIndex: number;
}

type Answer = MessageNamed<"admin_response">;

interface Waiting {
  readonly method: string;
  readonly settle: (answer: Answer) => void;
  readonly fail: (cause: Error) => void;
}

/** Who waits for the session. */
type Opening = Omit<Waiting, "method" | "settle"> & { readonly settle: () => void };

const DEFAULT_TIMEOUT_MS = 15_000;
const TICK_MS = 50;
const MAX_TRIES = 4;
const MAX_MESSAGE_BYTES = 65_535;

export class AdminClient {
  private readonly session: Session;
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly waiting = new Map<number, Waiting>();
  private readonly onReady: Opening[] = [];
  private isReady = false;
  private nextId = 1;
  private ended: string | undefined;

  private constructor(private readonly options: AdminClientOptions) {
    const { crypto, entropy, link, deviceId, ownerSecret } = options;
    const identity = {
      nodeId: crypto.publicKeyOf(ownerSecret),
      ecdh: (point: PublicKey) => crypto.ecdh(ownerSecret, point),
    };
    const shared = {
      crypto,
      entropy,
      identity,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      events: {
        onEstablished: () => this.greet(),
        onMessage: (message: Message) => this.receive(message),
        onClosed: (reason: string) => this.lost(reason),
      },
    };
    this.session = new Session(shared, { link, remoteNodeId: deviceId, nowMs: now() });
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** Throws AdminSilence where the device does not take the call in time. The link stays its caller's. */
  static async connect(options: AdminClientOptions): Promise<AdminClient> {
    const client = new AdminClient(options);
    try {
      await client.ready();
    } catch (cause) {
      client.close();
      throw cause;
    }
    return client;
  }

  get deviceId(): PublicKey {
    return this.options.deviceId;
  }

  /** Any method; throws AdminRefusal or AdminSilence. */
  async call(method: string, params?: PlainObject, timeoutMs?: number): Promise<PlainValue> {
    await this.ready();
    const id = this.nextId++;
    const encoded = params === undefined ? undefined : encodePlain(params);
    if (encoded && encoded.length > MAX_ADMIN_BYTES) {
      // Sent, it would end the session.
      const text = `${method} has ${encoded.length} bytes, a device takes ${MAX_ADMIN_BYTES}: send less at once`;
      throw new AdminRefusal(method, `too-large: ${text}`);
    }
    const answer = await this.within<Answer>(timeoutMs, method, (settle, fail) => {
      this.waiting.set(id, { method, settle, fail });
      const request: Message = { type: "admin_request", id, method, params: encoded };
      if (!this.session.send(request)) {
        fail(new AdminSilence(`${method} was not sent: the session with the device has ended`));
      }
    }).finally(() => this.waiting.delete(id));
    if (answer.error !== undefined) throw new AdminRefusal(method, answer.error);
    return answer.result === undefined ? null : decodePlain(answer.result.slice());
  }

  async info(): Promise<PlainObject> {
    return object(await this.call("info"));
  }

  async claim(request: ClaimRequest): Promise<PlainObject> {
    const claim = () => this.call("claim", request as unknown as PlainObject);
    return object(await this.persist(claim));
  }

  async settings(): Promise<PlainObject> {
    return object(await this.call("settings.get"));
  }

  /** Only what is named changes; the device starts its node anew where it must. */
  async setSettings(changes: PlainObject): Promise<PlainObject> {
    return object(await this.call("settings.set", changes));
  }

  async prices(): Promise<readonly PricedProduct[]> {
    const products: PricedProduct[] = [];
    for (let page = 0, pages = 1; page < pages; page++) {
      const answer = object(await this.call("priceList.get", { page }));
      pages = answer.pages as number;
      for (const one of answer.products as readonly (readonly PlainValue[])[]) {
        const [id, name, priceMsat] = one as [number, string, number];
        products.push({ id, name, priceMsat });
      }
    }
    return products;
  }

  /** In rising order of their numbers; the list goes live all at once. */
  async setPrices(
    products: readonly PricedProduct[],
    onProgress?: (done: number) => void,
  ): Promise<void> {
    await this.persist(() => sendPrices(this.caller, products, onProgress));
  }

  async channels(): Promise<readonly ChannelSummary[]> {
    const all: ChannelSummary[] = [];
    for (;;) {
      const answer = object(await this.call("channels", { from: all.length }));
      const page = answer.channels as unknown as readonly ChannelSummary[];
      for (const one of page) all.push(one);
      if (page.length === 0 || all.length >= (answer.total as number)) return all;
    }
  }

  /** `key`: 16 bytes that make a repeated request the same one. */
  async open(request: {
    readonly amountSat: number;
    readonly key: Uint8Array;
    readonly pushMsat?: number;
    readonly peer?: Uint8Array;
  }): Promise<PlainObject> {
    return object(await this.call("open", request));
  }

  async closeChannel(id: Uint8Array, force = false): Promise<void> {
    await this.call("close", { id, force });
  }

  /** Lines, oldest first. */
  async logs(): Promise<readonly string[]> {
    const lines: string[] = [];
    for (let after = 0; ; ) {
      const answer = object(await this.call("logs", { after }));
      for (const line of answer.lines as readonly string[]) lines.push(line);
      if (answer.isEnd === true) return lines;
      after = answer.last as number;
    }
  }

  /** Encrypted to the owner's key. */
  async backup(): Promise<Uint8Array> {
    return object(await this.call("backup")).backup as Uint8Array;
  }

  /** The settings of a backup onto a device that this owner has claimed and that has no channels. */
  async restore(backup: Uint8Array): Promise<BackupContent> {
    const { crypto, ownerSecret } = this.options;
    const content = openBackup(crypto, ownerSecret, backup);
    await this.call("restore", { settings: content.settings });
    return content;
  }

  async reboot(): Promise<void> {
    await this.call("reboot");
  }

  /** Sends what the device lacks of an update file, and restarts it into the new image. */
  async update(
    file: Uint8Array,
    onProgress?: (done: number, total: number) => void,
  ): Promise<PlainObject> {
    return this.persist(() => sendUpdate(this.caller, file, onProgress));
  }

  /** Ends the session; the link stays open. */
  close(): void {
    if (this.ended === undefined) this.end("closed here");
    this.session.close();
  }

  /** For what is the same when done twice: a device whose node begins anew (after a claim) ends every session. */
  private async persist<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (cause) {
        const isOver = !(cause instanceof SessionLost) || this.ended !== undefined;
        if (isOver || tries === MAX_TRIES) throw cause;
      }
    }
  }

  private get caller(): AdminCall {
    return (method, params, timeoutMs) => this.call(method, params, timeoutMs);
  }

  private ready(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    const what = "the device did not answer the call";
    return this.within<void>(undefined, what, (settle, fail) => {
      this.onReady.push({ settle: () => settle(undefined), fail });
    });
  }

  private async within<T>(
    timeoutMs: number | undefined,
    what: string,
    work: (settle: (value: T) => void, fail: (cause: Error) => void) => void,
  ): Promise<T> {
    const ms = timeoutMs ?? this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    if (this.ended !== undefined) throw new AdminSilence(`${what}: ${this.ended}`);
    return new Promise<T>((resolve, reject) => {
      const text = `${what}: nothing within ${ms / 1000} s; is the device on and in reach?`;
      const timer = setTimeout(() => reject(new AdminSilence(text)), ms);
      const settle = (value: T) => {
        clearTimeout(timer);
        resolve(value);
      };
      const fail = (cause: Error) => {
        clearTimeout(timer);
        reject(cause);
      };
      work(settle, fail);
    });
  }

  private greet(): void {
    const { crypto, network } = this.options;
    this.session.send({
      type: "init",
      features: featureBitmap({
        required: [],
        optional: ["staticRemotekey", "channelType", "pushUpdates"],
      }),
      chainHashes: [blockHash(crypto, genesisHeader(network))],
      maxMessageBytes: MAX_MESSAGE_BYTES,
    });
  }

  private receive(message: Message): void {
    if (message.type === "init") {
      this.session.setPeerMaxMessage(message.maxMessageBytes);
      this.isReady = true;
      for (const { settle } of this.onReady.splice(0)) settle();
    }
    if (message.type === "admin_response") this.waiting.get(message.id)?.settle(message);
  }

  private lost(reason: string): void {
    this.isReady = false;
    for (const [id, { method, fail }] of this.waiting) {
      this.waiting.delete(id);
      fail(new SessionLost(`${method}: the session ended (${reason}); ask again`));
    }
    if (this.session.isFinished) this.end(reason);
  }

  private tick(): void {
    this.session.tick(now());
    if (this.session.isFinished && this.ended === undefined) this.end("the link is gone");
  }

  private end(reason: string): void {
    this.ended = reason;
    clearInterval(this.timer);
    for (const { method, fail } of this.waiting.values()) {
      fail(new AdminSilence(`${method}: ${reason}`));
    }
    this.waiting.clear();
    for (const { fail } of this.onReady.splice(0)) {
      fail(new AdminSilence(`the device did not answer the call: ${reason}`));
    }
  }
}

/** A node id as people write it. */
export function nodeIdOf(bytes: Uint8Array): PublicKey {
  return publicKey(bytes.slice());
}

function now(): number {
  return Math.floor(performance.now());
}

function object(value: PlainValue): PlainObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as PlainObject;
  }
  throw new AdminSilence("the device answered something else than was asked");
}
