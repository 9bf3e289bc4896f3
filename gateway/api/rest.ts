/** The operations as REST routes. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { csvOf } from "./csv.ts";
import type { JsonObject } from "./event-json.ts";
import { callerOf, type Parts } from "./http.ts";
import type { AnyOperation } from "./operation.ts";

export function addRestRoutes({ app, calls, operations, metrics }: Parts): void {
  for (const operation of operations) {
    const { name, method, path } = operation.shape;
    app.route({
      method,
      url: path.replace(/\{(\w+)\}/g, ":$1"),
      handler: async (request, reply) => {
        const answer = (await calls.perform(callerOf(request, reply), {
          operation,
          given: { parameters: request.params, query: request.query, body: request.body },
          idempotencyKey: keyOf(request),
        })) as JsonObject;
        return send(operation, request, reply, answer);
      },
      onResponse: async (_, reply) => {
        metrics?.observe(name, reply.statusCode, reply.elapsedTime / 1000);
      },
    });
  }
}

function keyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers["idempotency-key"];
  return typeof key === "string" ? key : undefined;
}

function send(
  { shape: { csv } }: AnyOperation,
  { headers }: FastifyRequest,
  reply: FastifyReply,
  answer: JsonObject,
): FastifyReply {
  if (csv && /\btext\/csv\b/i.test(headers.accept ?? "")) {
    const list = answer[csv.list] as readonly JsonObject[];
    return reply.header("content-type", "text/csv; charset=utf-8").send(csvOf(list, csv.columns));
  }
  return reply.send(answer);
}
