/** The operations as JSON-RPC 2.0: the method is the operation's name, params hold all that is given, by name. */
import type { Caller, Calls } from "./calls.ts";
import type { Json, JsonObject } from "./event-json.ts";
import type { AnyOperation } from "./operation.ts";
import { problemOf } from "./problem.ts";

export const RPC_PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;
/** Of the range that is the server's own: `data` is the problem. */
const PROBLEM = -32000;
const MAX_BATCH = 32;

interface RpcCall {
  readonly id?: string | number | null;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

export class Rpc {
  private readonly operations: ReadonlyMap<string, AnyOperation>;

  constructor(
    private readonly calls: Calls,
    operations: readonly AnyOperation[],
  ) {
    this.operations = new Map(operations.map((one) => [one.shape.name, one]));
  }

  /** Undefined where nothing is to be answered: notifications alone. */
  async answer(caller: Caller, body: unknown): Promise<Json | undefined> {
    if (!Array.isArray(body)) return this.one(caller, body);
    if (body.length === 0 || body.length > MAX_BATCH) {
      return rpcError(null, INVALID_REQUEST, `a batch has 1 to ${MAX_BATCH} calls`);
    }
    const answers: Json[] = [];
    // One after the other: what a batch says first is done first.
    for (const call of body) {
      const answer = await this.one(caller, call);
      if (answer !== undefined) answers.push(answer);
    }
    return answers.length > 0 ? answers : undefined;
  }

  private async one(caller: Caller, body: unknown): Promise<JsonObject | undefined> {
    const call = callOf(body);
    if (!call) return rpcError(idOf(body), INVALID_REQUEST, "this is no call of JSON-RPC 2.0");
    const answer = await this.perform(caller, call);
    return call.id === undefined ? undefined : answer;
  }

  private async perform(caller: Caller, { id = null, method, params }: RpcCall) {
    const operation = this.operations.get(method);
    const { idempotency_key: key, ...input } = params;
    try {
      if (!operation) {
        this.calls.grantOf(caller);
        return rpcError(id, METHOD_NOT_FOUND, `there is no method ${method.slice(0, 64)}`);
      }
      const result = await this.calls.perform(caller, {
        operation,
        given: { params: input },
        idempotencyKey: typeof key === "string" ? key : undefined,
      });
      return { jsonrpc: "2.0", id, result };
    } catch (cause) {
      const problem = problemOf(cause);
      const codes: Record<number, number> = { 400: INVALID_PARAMS, 500: INTERNAL_ERROR };
      const code = codes[problem.status] ?? PROBLEM;
      return rpcError(id, code, problem.detail ?? problem.title, problem as unknown as JsonObject);
    }
  }
}

export function rpcError(
  id: string | number | null,
  code: number,
  message: string,
  data?: JsonObject,
): JsonObject {
  return { jsonrpc: "2.0", id, error: { code, message, ...(data && { data }) } };
}

function callOf(body: unknown): RpcCall | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { jsonrpc, id, method, params = {} } = body as Record<string, unknown>;
  const isNamed = typeof params === "object" && params !== null && !Array.isArray(params);
  if (jsonrpc !== "2.0" || typeof method !== "string" || !isNamed) return undefined;
  if (!("id" in body)) return { method, params: params as Record<string, unknown> };
  if (!isId(id)) return undefined;
  return { id, method, params: params as Record<string, unknown> };
}

function idOf(body: unknown): string | number | null {
  const id = typeof body === "object" && body !== null && "id" in body ? body.id : null;
  return isId(id) ? id : null;
}

function isId(id: unknown): id is string | number | null {
  return id === null || typeof id === "string" || typeof id === "number";
}
