/** The API over HTTP: REST, JSON-RPC, its own description, changes, and what monitoring asks; over TLS unless it is told not to. */
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from "fastify";
import type { AuditEntry } from "../auth/audit-log.ts";
import { TooManyRequests } from "../auth/rate-limit.ts";
import type { TlsMaterial } from "../auth/tls.ts";
import { GatewayMetrics } from "../metrics/gateway-metrics.ts";
import { Calls } from "./calls.ts";
import { channelsOf } from "./channel-json.ts";
import type { Forwarding } from "./forwarding.ts";
import type { ApiHost } from "./host.ts";
import { answerProblem, callerOf, type Parts, passedOn } from "./http.ts";
import { type AnswerStore, Idempotency } from "./idempotency.ts";
import { allOperations } from "./operations/all.ts";
import { ApiProblem, described, type Problem, problemOf } from "./problem.ts";
import { ProcessEvents } from "./process-events.ts";
import { isSynced, Readiness } from "./readiness.ts";
import { addRestRoutes } from "./rest.ts";
import { RPC_PARSE_ERROR, Rpc, rpcError } from "./rpc.ts";
import { addSelfRoutes } from "./self-routes.ts";
import { addStreamRoutes } from "./stream-routes.ts";
import { Streams } from "./streams.ts";

export interface ApiServerOptions {
  readonly host: ApiHost;
  readonly listen: { readonly host: string; readonly port: number };
  /** Plain HTTP without. */
  readonly tls?: TlsMaterial;
  readonly answers: AnswerStore;
  /** Where several processes share the channels. */
  readonly forwarding?: Forwarding | undefined;
  readonly callsPerSecond: number;
  readonly hasMetrics: boolean;
  /** On the disk when it is fulfilled. */
  record(entry: AuditEntry): Promise<void>;
  onFailure(what: string, cause: unknown): void;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
/** For a whole request to come in; an answer may take longer. */
const REQUEST_MS = 30_000;
const KEEP_ALIVE_MS = 30_000;
const MAX_CONNECTIONS = 1_024;
/** Ours check and write: the schemas have one place, and Fastify's own compilers are not even loaded. */
const WITHOUT_SCHEMAS = {
  compilersFactory: {
    buildValidator: () => () => () => true,
    buildSerializer: () => () => JSON.stringify,
  },
} as unknown as NonNullable<FastifyServerOptions["schemaController"]>;

export class ApiServer {
  private constructor(
    private readonly options: ApiServerOptions,
    private readonly parts: Parts,
  ) {}

  /** Listens when it resolves. Throws, with the address, where the port cannot be had. */
  static async start(options: ApiServerOptions): Promise<ApiServer> {
    const { host } = options;
    const operations = allOperations(host);
    const calls = new Calls({
      authority: host.authority,
      idempotency: new Idempotency({ store: options.answers, nowMs: () => Date.now() }),
      callsPerSecond: options.callsPerSecond,
      forwarding: options.forwarding,
      record: (entry) => options.record(entry),
      onFailure: (what, cause) => options.onFailure(what, cause),
    });
    const { forwarding } = options;
    const { vouching } = forwarding ?? {};
    const { events: own } = host;
    const processes =
      forwarding &&
      new ProcessEvents({ own, places: forwarding.places, vouching: forwarding.vouching });
    const streams = new Streams(own, processes);
    const metrics = options.hasMetrics ? metricsOf(host, streams) : undefined;
    const parts = { app: appOf(options), host, calls, operations, streams, vouching, metrics };
    const server = new ApiServer(options, parts);
    try {
      await server.addRoutes();
      await server.listen();
    } catch (cause) {
      await server.close();
      throw cause;
    }
    return server;
  }

  get url(): string {
    const { tls, listen } = this.options;
    const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
    return `${tls ? "https" : "http"}://${host}:${this.port}`;
  }

  get port(): number {
    const address = this.parts.app.server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  }

  /** New connections see the renewed certificate. */
  renewTls({ key, cert }: TlsMaterial): void {
    const server = this.parts.app.server as unknown as HttpsServer;
    if (this.options.tls) server.setSecureContext({ key, cert, minVersion: "TLSv1.2" });
  }

  async close(): Promise<void> {
    this.parts.streams.close();
    await this.parts.app.close();
    this.parts.metrics?.close();
  }

  private async listen(): Promise<void> {
    const { listen } = this.options;
    try {
      await this.parts.app.listen(listen);
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const reason = code === "EADDRINUSE" ? "another program has that port (PORT)" : message;
      throw new Error(`the API cannot listen on ${listen.host}:${listen.port}: ${reason}`);
    }
  }

  private async addRoutes(): Promise<void> {
    const { app, calls, operations, host } = this.parts;
    const readiness = new Readiness(host);
    app.setErrorHandler((cause, request, reply) => this.failed(cause, request, reply));
    app.setNotFoundHandler((request, reply) => {
      calls.admit(request.ip);
      const paths = operations.map(({ shape }) => shape);
      const others = paths.filter(({ path }) => isPath(path, request.url));
      if (others.length === 0) {
        return answerProblem(reply, described("not-found", "no such path: /docs lists them"));
      }
      const allowed = others.map(({ method }) => method).join(", ");
      reply.header("allow", allowed);
      return answerProblem(reply, described("method-not-allowed", `it has ${allowed}`));
    });
    await addStreamRoutes(this.parts);
    addRestRoutes(this.parts);
    addSelfRoutes(this.parts, readiness);
    const rpc = new Rpc(calls, operations);
    app.post("/rpc", async (request, reply) => {
      const { forwarding } = this.options;
      const caller = passedOn(callerOf(request, reply), request, forwarding?.vouching);
      const answer = await rpc.answer(caller, request.body);
      return answer === undefined ? reply.code(204).send() : reply.send(answer);
    });
  }

  private failed(cause: unknown, request: FastifyRequest, reply: FastifyReply): unknown {
    const problem = httpProblemOf(cause);
    if (problem.status === 500) this.options.onFailure(request.routeOptions.url ?? "", cause);
    if (cause instanceof TooManyRequests) {
      reply.header("retry-after", Math.ceil(cause.retryAfterMs / 1000));
    }
    if (problem.status === 401) reply.header("www-authenticate", "Macaroon");
    const isParseError = request.routeOptions.url === "/rpc" && problem.status === 400;
    if (isParseError) return reply.code(200).send(rpcError(null, RPC_PARSE_ERROR, "no JSON"));
    return answerProblem(reply, problem);
  }
}

function appOf({ tls }: ApiServerOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    logger: false,
    exposeHeadRoutes: false,
    schemaController: WITHOUT_SCHEMAS,
    // A path that is none, such as %ff, comes to no route.
    frameworkErrors: (cause, _, reply) => answerProblem(reply, httpProblemOf(cause)),
    serverFactory: (handler) => {
      const common = { maxHeaderSize: MAX_HEADER_BYTES };
      const server = tls
        ? createHttpsServer(
            { ...common, key: tls.key, cert: tls.cert, minVersion: "TLSv1.2" },
            handler as RequestListener,
          )
        : createHttpServer(common, handler as RequestListener);
      server.requestTimeout = REQUEST_MS;
      server.headersTimeout = REQUEST_MS;
      server.keepAliveTimeout = KEEP_ALIVE_MS;
      server.maxConnections = MAX_CONNECTIONS;
      return server as ReturnType<typeof createHttpServer>;
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_, body, done) => {
    if (body === "") return done(null, undefined);
    try {
      done(null, JSON.parse(body as string));
    } catch (cause) {
      const { message } = cause as Error;
      done(new ApiProblem("invalid-request", `the body is not JSON: ${message}`), undefined);
    }
  });
  app.addHook("onSend", async (_, reply) => {
    reply.header("cache-control", "no-store").header("x-content-type-options", "nosniff");
  });
  return app;
}

/** Fastify's own errors have codes; what it says of a caller's fault may be told. */
function httpProblemOf(cause: unknown): Problem {
  const {
    code = "",
    statusCode = 500,
    message,
  } = cause as { code?: string; statusCode?: number; message: string };
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return described("unsupported-media-type", "send application/json");
  }
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    return described("too-large", `a body has ${MAX_BODY_BYTES} bytes at most`);
  }
  const isCallers = code.startsWith("FST_ERR_") && statusCode >= 400 && statusCode < 500;
  return isCallers ? described("invalid-request", message) : problemOf(cause);
}

function isPath(path: string, url: string): boolean {
  const parts = (url.split("?")[0] as string).split("/");
  const wanted = path.split("/");
  return (
    wanted.length === parts.length &&
    wanted.every((part, i) => part.startsWith("{") || part === parts[i])
  );
}

function metricsOf(host: ApiHost, streams: Streams): GatewayMetrics {
  const { gateway, events, startedAt, chain, peerBook } = host;
  return new GatewayMetrics({
    events,
    startedAt,
    channels: () => channelsOf(gateway.node),
    connectedPeers: () => peerBook.connected,
    blockHeight: () => gateway.node.height,
    isSynced: () => isSynced(host),
    onchainSat: () => chain.wallet.balance().catch(() => Number.NaN),
    followers: () => streams.count,
    alarms: () => host.alarms.current.map(({ name }) => name),
  });
}
