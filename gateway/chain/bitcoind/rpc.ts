/** JSON-RPC 1.0 over HTTP to a Bitcoin node (Bitcoin Core doc/JSON-RPC-interface.md): keep-alive, batches, cookie or password. */
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";

export interface RpcOptions {
  readonly host?: string;
  readonly port: number;
  /** Path of the node's .cookie file, read again when the node was restarted; or a user and password. */
  readonly auth:
    | { readonly cookieFile: string }
    | { readonly user: string; readonly password: string };
  readonly timeoutMs?: number;
}

export type RpcCall = readonly [method: string, ...parameters: readonly unknown[]];

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_RESPONSE_BYTES = 128 * 1024 * 1024;
const MAX_CONNECTIONS = 4;
/** Of a connection that the node has closed before we sent. */
const STALE_CODES: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);
export const MAX_BATCH = 500;

/** The node refused a call; the message is the node's own. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  constructor(
    readonly method: string,
    /** As in Bitcoin Core's rpc/protocol.h. */
    readonly code: number,
    /** The node's words alone. */
    readonly reason: string,
  ) {
    super(`${method}: ${reason} (code ${code})`);
  }
}

/** The node could not be asked: down, still starting, wrong password, too slow. */
export class RpcUnavailable extends Error {
  override readonly name = "RpcUnavailable";
}

/** Also with these the call may succeed later: the node is warming up. */
const RPC_IN_WARMUP = -28;

export class BitcoindRpc {
  readonly #options: RpcOptions;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  #credentials: string | undefined;
  #nextId = 1;

  constructor(options: RpcOptions) {
    this.#options = options;
  }

  async call<T>(method: string, ...parameters: readonly unknown[]): Promise<T> {
    return this.#one<T>("/", [method, ...parameters]);
  }

  /** The result of each call, in order; the first one refused is thrown. At most MAX_BATCH calls. */
  async batch<T>(calls: readonly RpcCall[]): Promise<T[]> {
    if (calls.length === 0) return [];
    if (calls.length > MAX_BATCH) throw new RangeError(`at most ${MAX_BATCH} calls in a batch`);
    const requests = calls.map(([method, ...params]) => ({ id: this.#nextId++, method, params }));
    const replies = await this.#post("/", requests);
    if (!Array.isArray(replies)) throw new RpcUnavailable("the node's answer is no batch");
    const byId = new Map(replies.map((reply: RpcReply) => [reply.id, reply]));
    return requests.map(({ id, method }) => unwrap<T>(method, byId.get(id)));
  }

  /** The same node, spoken to about one of its wallets. */
  wallet(name: string): WalletRpc {
    const path = `/wallet/${encodeURIComponent(name)}`;
    return {
      call: <T>(method: string, ...parameters: readonly unknown[]) =>
        this.#one<T>(path, [method, ...parameters]),
    };
  }

  close(): void {
    this.#agent.destroy();
  }

  async #one<T>(path: string, [method, ...params]: RpcCall): Promise<T> {
    const reply = await this.#post(path, { id: this.#nextId++, method, params });
    return unwrap<T>(method, reply as RpcReply);
  }

  async #post(path: string, body: unknown): Promise<unknown> {
    const text = JSON.stringify(body);
    let response = await this.#send(path, text);
    if (response.status === 401) {
      this.#credentials = undefined; // a restarted node has a new cookie
      response = await this.#send(path, text);
      if (response.status === 401) throw new RpcUnavailable("the node refused our user or cookie");
    }
    try {
      return JSON.parse(response.text);
    } catch {
      const words = response.text.slice(0, 200);
      throw new RpcUnavailable(`the node answered HTTP ${response.status}: ${words}`);
    }
  }

  async #send(path: string, text: string): Promise<{ status: number; text: string }> {
    for (let stale = 0; ; stale++) {
      try {
        return await this.#exchange(path, text);
      } catch (error) {
        // The node closes idle connections, all at once; a request that met such a one was never read.
        if (!(error instanceof StaleSocket) || stale === MAX_CONNECTIONS) throw error;
      }
    }
  }

  #exchange(path: string, text: string): Promise<{ status: number; text: string }> {
    const { host = "127.0.0.1", port, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const credentials = this.#authorization();
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host,
          port,
          path,
          method: "POST",
          agent: this.#agent,
          headers: {
            authorization: `Basic ${credentials}`,
            "content-type": "application/json",
            "content-length": Buffer.byteLength(text),
          },
        },
        (incoming) => collect(incoming).then(resolve, reject),
      );
      const timer = setTimeout(
        () => outgoing.destroy(new RpcUnavailable(`the node did not answer in ${timeoutMs} ms`)),
        timeoutMs,
      );
      outgoing.on("close", () => clearTimeout(timer));
      outgoing.on("error", (error: NodeJS.ErrnoException) => {
        if (error instanceof RpcUnavailable) reject(error);
        else if (outgoing.reusedSocket && STALE_CODES.has(error.code))
          reject(new StaleSocket("the node closed every connection"));
        else reject(new RpcUnavailable(`no Bitcoin node at ${host}:${port} (${error.code})`));
      });
      outgoing.end(text);
    });
  }

  #authorization(): string {
    if (this.#credentials !== undefined) return this.#credentials;
    const { auth } = this.#options;
    let pair: string;
    if ("cookieFile" in auth) {
      try {
        pair = readFileSync(auth.cookieFile, "utf8").trim();
      } catch {
        throw new RpcUnavailable(`no cookie at ${auth.cookieFile}: is the node running?`);
      }
    } else {
      pair = `${auth.user}:${auth.password}`;
    }
    this.#credentials = Buffer.from(pair).toString("base64");
    return this.#credentials;
  }
}

export interface WalletRpc {
  call<T>(method: string, ...parameters: readonly unknown[]): Promise<T>;
}

interface RpcReply {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string } | null;
}

class StaleSocket extends RpcUnavailable {}

function unwrap<T>(method: string, reply: RpcReply | undefined): T {
  if (reply === undefined || typeof reply !== "object" || reply === null) {
    throw new RpcUnavailable(`the node gave no answer to ${method}`);
  }
  if (reply.error) {
    const { code, message } = reply.error;
    if (code === RPC_IN_WARMUP) throw new RpcUnavailable(`the node is starting: ${message}`);
    throw new RpcError(method, code, message);
  }
  return reply.result as T;
}

async function collect(incoming: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_RESPONSE_BYTES) throw new RpcUnavailable("the node's answer is too long");
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof RpcUnavailable) throw error;
    throw new RpcUnavailable("the node's answer broke off");
  }
  return { status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
}
