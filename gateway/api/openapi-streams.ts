/** What OpenAPI says of the paths that are no operations: changes as they happen, JSON-RPC, and what monitoring asks. */
import type { JsonObject } from "./event-json.ts";

const problem = (status: number): JsonObject => ({ $ref: `#/components/responses/${status}` });
const json = (description: string, schema: JsonObject): JsonObject => ({
  description,
  content: { "application/json": { schema } },
});
const text = (description: string, type: string): JsonObject => ({
  description,
  content: { [type]: { schema: { type: "string" } } },
});

const lastEventId: JsonObject = {
  name: "last_event_id",
  in: "query",
  required: false,
  description: "The id of the last event that was seen; what came after it is sent first",
  schema: { type: "string", maxLength: 64 },
};
const refusals: JsonObject = {
  "400": problem(400),
  "401": problem(401),
  "403": problem(403),
  "429": problem(429),
  "500": problem(500),
  "503": problem(503),
};
const rpcAnswer: JsonObject = {
  type: "object",
  required: ["jsonrpc", "id"],
  properties: {
    jsonrpc: { const: "2.0" },
    id: { type: ["string", "number", "null"] },
    result: {},
    error: {
      type: "object",
      required: ["code", "message"],
      properties: {
        code: { type: "integer" },
        message: { type: "string" },
        data: { $ref: "#/components/schemas/Problem" },
      },
    },
  },
};
const rpcCall: JsonObject = {
  type: "object",
  required: ["jsonrpc", "method"],
  properties: {
    jsonrpc: { const: "2.0" },
    id: { type: ["string", "number", "null"] },
    method: { type: "string" },
    params: { type: "object" },
  },
};
const readiness: JsonObject = {
  type: "object",
  required: ["ready", "reasons"],
  properties: { ready: { type: "boolean" }, reasons: { type: "array", items: { type: "string" } } },
};

export const streamPaths: JsonObject = {
  "/api/events": {
    get: {
      operationId: "watchEvents",
      tags: ["Events"],
      summary: "Changes as server-sent events",
      description:
        "Each with id, event (its type) and data (JSON: id, at, event). The header Last-Event-ID or last_event_id resumes; an event `missed` says that what lies between is not kept. Whoever reads too slowly is cut off, and resumes.",
      parameters: [lastEventId, { ...lastEventId, name: "Last-Event-ID", in: "header" }],
      responses: { "200": text("The stream", "text/event-stream"), ...refusals },
    },
  },
  "/api/events/ws": {
    get: {
      operationId: "watchEventsWebSocket",
      tags: ["Events"],
      summary: "The same over a WebSocket: one JSON text each",
      parameters: [lastEventId],
      responses: { "101": { description: "The WebSocket" }, "404": problem(404), ...refusals },
    },
  },
  "/rpc": {
    post: {
      operationId: "rpc",
      tags: ["Operation"],
      summary: "Every operation as JSON-RPC 2.0; batches of up to 32 calls",
      requestBody: {
        required: true,
        content: {
          "application/json": { schema: { anyOf: [rpcCall, { type: "array", items: rpcCall }] } },
        },
      },
      responses: {
        "200": json("Answers and errors", {
          anyOf: [rpcAnswer, { type: "array", items: rpcAnswer }],
        }),
        "204": { description: "There were notifications alone" },
        "413": problem(413),
        "415": problem(415),
        "429": problem(429),
        "500": problem(500),
      },
    },
  },
  "/health": {
    get: {
      operationId: "getHealth",
      tags: ["Operation"],
      summary: "The process is alive",
      security: [],
      responses: {
        "200": json("It is", { type: "object", properties: { alive: { const: true } } }),
        "429": problem(429),
      },
    },
  },
  "/ready": {
    get: {
      operationId: "getReadiness",
      tags: ["Operation"],
      summary: "The chain is read, the store can be written, the broker is connected",
      security: [],
      responses: {
        "200": json("It is ready", readiness),
        "429": problem(429),
        "503": json("It is not, for these reasons", readiness),
      },
    },
  },
  "/metrics": {
    get: {
      operationId: "getMetrics",
      tags: ["Operation"],
      summary: "Metrics for Prometheus",
      responses: {
        "200": text("Exposition format", "text/plain"),
        "404": problem(404),
        ...refusals,
      },
    },
  },
};
