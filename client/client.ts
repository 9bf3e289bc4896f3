/** The gateway for programs: every operation of its API, typed from the shapes that the API itself is served from. */
import { randomUUID } from "node:crypto";
import type { Answer, Input } from "../gateway/api/operation.ts";
import type { OperationName, Shapes } from "../gateway/api/shapes/all.ts";
import { GatewayProblem } from "./errors.ts";
import { type FollowOptions, follow, type GatewayEvent, problemIn } from "./events.ts";
import { Transport, type TransportOptions } from "./transport.ts";

export type InputOf<N extends OperationName> = Input<Shapes[N]>;
export type AnswerOf<N extends OperationName> = Answer<Shapes[N]>;
export type NodeInfo = AnswerOf<"getNodeInfo">;
export type Channel = AnswerOf<"getChannel">;
export type Invoice = AnswerOf<"getInvoice">;
export type Payment = AnswerOf<"getPayment">;
export type Peer = AnswerOf<"connectPeer">;

export interface MoneyOptions {
  /** Names the payment: the same key is the same payment, and pays once. A new one where none is given. */
  readonly idempotencyKey?: string;
}

interface CallOptions extends MoneyOptions {
  readonly signal?: AbortSignal;
  readonly silenceMs?: number;
}

/** Longer than the gateway takes for any one answer. */
const SILENCE_MS = 60_000;
const WAIT_SECONDS = 30;

export class PicoboltClient {
  private calls = 0;

  private constructor(
    private readonly transport: Transport,
    /** The gateway's, as it was when this connected. */
    readonly info: NodeInfo,
  ) {}

  /** Asks the gateway who it is. @throws GatewayUnreachable, GatewayProblem */
  static async connect(options: TransportOptions): Promise<PicoboltClient> {
    const transport = new Transport(options);
    const probe = new PicoboltClient(transport, undefined as never);
    return new PicoboltClient(transport, await probe.getNodeInfo());
  }

  /** Without asking first: for a macaroon that may not read. */
  static at(options: TransportOptions): PicoboltClient {
    return new PicoboltClient(new Transport(options), undefined as never);
  }

  /**
   * Any operation by its name, as the gateway's /docs list them.
   * @throws GatewayProblem where the gateway refuses, GatewayUnreachable where no answer comes.
   */
  async call<N extends OperationName>(
    name: N,
    input: InputOf<N>,
    { idempotencyKey, signal, silenceMs = SILENCE_MS }: CallOptions = {},
  ): Promise<AnswerOf<N>> {
    const key = idempotencyKey === undefined ? {} : { idempotency_key: idempotencyKey };
    const params = { ...(input as object), ...key };
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.calls, method: name, params });
    const request = { method: "POST", path: "/rpc", body, silenceMs, ...(signal && { signal }) };
    const { status, text } = await this.transport.text(request);
    if (status !== 200) throw problemIn(status, text);
    const { result, error } = JSON.parse(text) as RpcAnswer;
    if (!error) return result as AnswerOf<N>;
    const { type = "", status: told = 500, errors } = error.data ?? {};
    throw new GatewayProblem(type.split(":").at(-1) as string, told, error.message, errors);
  }

  getNodeInfo(): Promise<NodeInfo> {
    return this.call("getNodeInfo", {});
  }

  /** Which backups there are, where, and how current. */
  getBackup(): Promise<AnswerOf<"getBackup">> {
    return this.call("getBackup", {});
  }

  /** Copies the store now; resolves when the copy is in its place. */
  makeBackup(): Promise<AnswerOf<"makeBackup">> {
    return this.call("makeBackup", {});
  }

  /** Who watches for the gateway, and for whom it watches. */
  getTower(): Promise<AnswerOf<"getTower">> {
    return this.call("getTower", {});
  }

  async listPeers(): Promise<readonly Peer[]> {
    return (await this.call("listPeers", {})).peers;
  }

  /** `address` is node_id@host:port. Resolves when the peer is there. */
  connectPeer(address: string): Promise<Peer> {
    const match = /^([0-9a-f]{66})@(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address);
    if (!match) throw new TypeError(`${address} is no address of a peer: node_id@host:port`);
    const [, node_id = "", inBrackets, plain = "", port] = match;
    return this.call("connectPeer", { node_id, host: inBrackets ?? plain, port: Number(port) });
  }

  async listChannels(filter: InputOf<"listChannels"> = {}): Promise<readonly Channel[]> {
    return (await this.call("listChannels", filter)).channels;
  }

  /** Capacity and push in satoshi. Resolves when its funding is on its way, or with the state opening. */
  openChannel(input: InputOf<"openChannel">, options: MoneyOptions = {}): Promise<Channel> {
    return this.call("openChannel", input, keyed(options));
  }

  closeChannel(
    channelId: string,
    options: { readonly force?: boolean } = {},
  ): Promise<AnswerOf<"closeChannel">> {
    return this.call("closeChannel", { channel_id: channelId, ...options });
  }

  /** A push to the channel's peer. */
  payChannel(
    input: InputOf<"payChannel">,
    options: MoneyOptions = {},
  ): Promise<AnswerOf<"payChannel">> {
    return this.call("payChannel", input, keyed(options));
  }

  /** `amount` in satoshi, or `amount_msat`; the payer chooses where there is neither. */
  createInvoice(input: InputOf<"createInvoice">): Promise<Invoice> {
    return this.call("createInvoice", input);
  }

  /** An invoice of a machine, for one of its products: it delivers, then it is paid. */
  createDeviceInvoice(
    nodeId: string,
    wish: Omit<InputOf<"createDeviceInvoice">, "node_id">,
  ): Promise<AnswerOf<"createDeviceInvoice">> {
    return this.call("createDeviceInvoice", { node_id: nodeId, ...wish });
  }

  getInvoice(paymentHash: string): Promise<Invoice> {
    return this.call("getInvoice", { payment_hash: paymentHash });
  }

  /** Until it is paid or expired; its `state` says which. */
  async waitForInvoicePayment(
    paymentHash: string,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Invoice> {
    for (;;) {
      const input = { payment_hash: paymentHash, timeout_seconds: WAIT_SECONDS };
      const invoice = await this.call("waitInvoice", input, signal ? { signal } : {});
      if (invoice.state !== "open") return invoice;
    }
  }

  /** Resolves when it succeeded or failed, as its `status` says, or after half a minute with pending. */
  payInvoice(
    invoice: string,
    { idempotencyKey, ...more }: MoneyOptions & Omit<InputOf<"payInvoice">, "invoice"> = {},
  ): Promise<Payment> {
    const key = idempotencyKey === undefined ? {} : { idempotencyKey };
    return this.call("payInvoice", { invoice, ...more }, keyed(key));
  }

  listPayments(filter: InputOf<"listPayments"> = {}): Promise<AnswerOf<"listPayments">> {
    return this.call("listPayments", filter);
  }

  getWalletBalance(): Promise<AnswerOf<"getWalletBalance">> {
    return this.call("getWalletBalance", {});
  }

  async newAddress(): Promise<string> {
    return (await this.call("newAddress", {})).address;
  }

  withdraw(input: InputOf<"withdraw">, options: MoneyOptions = {}): Promise<AnswerOf<"withdraw">> {
    return this.call("withdraw", input, keyed(options));
  }

  /** What changes, as it changes; taken up again after a lost connection. Ends with its signal. */
  events(options: FollowOptions = {}): AsyncGenerator<GatewayEvent, void, undefined> {
    return follow(this.transport, options);
  }
}

interface RpcAnswer {
  readonly result?: unknown;
  readonly error?: {
    readonly message: string;
    readonly data?: {
      readonly type?: string;
      readonly status?: number;
      readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
    };
  };
}

function keyed({ idempotencyKey = randomUUID() }: MoneyOptions): CallOptions {
  return { idempotencyKey };
}
