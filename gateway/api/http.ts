/** Between HTTP and the API: who calls, and how a problem is answered. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { VOUCHER_HEADER, type Vouching } from "../auth/vouching.ts";
import type { GatewayMetrics } from "../metrics/gateway-metrics.ts";
import type { Caller, Calls } from "./calls.ts";
import type { ApiHost } from "./host.ts";
import type { AnyOperation } from "./operation.ts";
import type { Problem } from "./problem.ts";
import type { Streams } from "./streams.ts";

/** What every part of the server needs. */
export interface Parts {
  readonly app: FastifyInstance;
  readonly host: ApiHost;
  readonly calls: Calls;
  readonly operations: readonly AnyOperation[];
  readonly streams: Streams;
  /** Where several processes share the channels. */
  readonly vouching?: Vouching | undefined;
  readonly metrics: GatewayMetrics | undefined;
}

/** `Macaroon <words>`, and `Bearer <words>` for programs that know no other. */
export function callerOf({ headers, ip }: FastifyRequest, reply: FastifyReply): Caller {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const macaroon = /^(?:Macaroon|Bearer) +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
  return { macaroon, address: ip, signal: gone.signal };
}

/** Of a call that another process passed on, where the request says that it is one. @throws AuthError */
export function passedOn(
  caller: Caller,
  { headers, body }: FastifyRequest,
  vouching: Vouching | undefined,
): Caller {
  const header = headers[VOUCHER_HEADER];
  if (typeof header !== "string" || !vouching) return caller;
  const call = { macaroon: caller.macaroon ?? "", body: JSON.stringify(body) };
  const voucher = vouching.check(header, call);
  return { ...caller, address: voucher.address, voucher };
}

export function answerProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const type = "application/problem+json; charset=utf-8";
  return reply.code(problem.status).header("content-type", type).send(JSON.stringify(problem));
}
