/** The API's own description, OpenAPI 3.1, made from the shapes that the API is served from. */
import type { TSchema } from "@sinclair/typebox";
import type { Json, JsonObject } from "./event-json.ts";
import { streamPaths } from "./openapi-streams.ts";
import type { OperationShape } from "./operation.ts";
import { PROBLEMS, ProblemSchema } from "./problem.ts";

type Schemas = Record<string, Json>;
type Mutable = Record<string, Json>;

const TAGS: Readonly<Record<string, string>> = {
  Node: "The gateway itself",
  Peers: "Nodes that it is connected with",
  Channels: "Channels, and payments inside one",
  Wallet: "Coins on chain",
  Invoices: "What is to be paid to the gateway (BOLT 11)",
  Payments: "What the gateway pays",
  Devices: "The fleet",
  Macaroons: "Who may do what",
  Events: "What changes, as it changes",
  Operation: "For those who run it",
};
const INTRODUCTION = `Every call but those to /health, /ready, /docs and this document needs a macaroon in the header
\`Authorization: Macaroon …\`. Whatever fails is a problem (RFC 9457) whose \`type\` programs may rely on. Calls that move
money need the header \`Idempotency-Key\`: the same key with the same request gives the same answer for 48 hours at least,
also after a restart, and pays once; a refusal changes nothing and may be tried again under its key. The same operations
are JSON-RPC 2.0 methods at /rpc: \`operationId\` is the method, all that is given stands in \`params\` by name, the key
as \`idempotency_key\`.`;

export function openApiOf(shapes: readonly OperationShape[], version: string): JsonObject {
  const schemas: Schemas = {};
  const paths: Record<string, Mutable> = {};
  for (const shape of shapes) {
    paths[shape.path] ??= {};
    (paths[shape.path] as Mutable)[shape.method.toLowerCase()] = operationOf(shape, schemas);
  }
  const problem = referenced(ProblemSchema, schemas);
  return {
    openapi: "3.1.0",
    info: {
      title: "picobolt gateway",
      version,
      description: INTRODUCTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ macaroon: [] }],
    paths: { ...paths, ...streamPaths },
    components: {
      schemas,
      responses: problemResponses(problem),
      securitySchemes: {
        macaroon: {
          type: "apiKey",
          in: "header",
          name: "Authorization",
          description: "Macaroon <base64>; the first ones are in the gateway's data folder",
        },
      },
    },
  };
}

function operationOf(shape: OperationShape, schemas: Schemas): JsonObject {
  const { name, tag, summary, description, group, body, answer, csv } = shape;
  const parameters = [
    ...parametersOf(shape, "parameters", "path", schemas),
    ...parametersOf(shape, "query", "query", schemas),
    ...(shape.movesMoney ? [IDEMPOTENCY_KEY] : []),
  ];
  return {
    operationId: name,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    "x-picobolt-group": [group, ...(shape.alsoFor ?? [])],
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: {
        required: Array.isArray(body.required) && body.required.length > 0,
        content: { "application/json": { schema: referenced(body, schemas) } },
      },
    }),
    responses: {
      "200": {
        description: "Done, or how it stands",
        content: {
          "application/json": { schema: referenced(answer, schemas) },
          ...(csv && { "text/csv": { schema: { type: "string" } } }),
        },
      },
      ...problemsOf(shape),
    },
  };
}

const IDEMPOTENCY_KEY: JsonObject = {
  name: "Idempotency-Key",
  in: "header",
  required: true,
  description: "Of your own: new for each payment, the same for each retry",
  schema: { type: "string", minLength: 1, maxLength: 200 },
};

function parametersOf(
  shape: OperationShape,
  part: "parameters" | "query",
  place: "path" | "query",
  schemas: Schemas,
): readonly JsonObject[] {
  const schema = shape[part];
  const required = (schema?.required ?? []) as readonly string[];
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    name,
    in: place,
    required: required.includes(name),
    ...(property.description !== undefined && { description: property.description }),
    schema: referenced(property, schemas),
  }));
}

/** Statuses that every operation may have, and those of bodies and keys. */
function problemsOf({ body, movesMoney }: OperationShape): JsonObject {
  const statuses = [400, 401, 403, 404, 409, 429, 500, 503];
  if (body) statuses.push(413, 415);
  if (movesMoney) statuses.push(428);
  const refs = statuses
    .sort()
    .map((status) => [status, { $ref: `#/components/responses/${status}` }]);
  return Object.fromEntries(refs) as JsonObject;
}

function problemResponses(problem: Json): JsonObject {
  const byStatus = new Map<number, string[]>();
  for (const [name, { status, title }] of Object.entries(PROBLEMS)) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${name}\`: ${title}`]);
  }
  const responses = [...byStatus].map(([status, lines]) => [
    status,
    {
      description: lines.join("; "),
      content: { "application/problem+json": { schema: problem } },
    },
  ]);
  return Object.fromEntries(responses) as JsonObject;
}

/** As plain JSON; schemas with a title stand among the components, once. */
function referenced(schema: TSchema, schemas: Schemas): Json {
  return lifted(JSON.parse(JSON.stringify(schema)) as Json, schemas);
}

function lifted(value: Json, schemas: Schemas): Json {
  if (Array.isArray(value)) return value.map((item) => lifted(item, schemas));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]) => [name, lifted(item, schemas)]);
  const plain = Object.fromEntries(entries) as JsonObject;
  const { title, type } = plain;
  if (typeof title !== "string" || type !== "object") return plain;
  schemas[title] = plain;
  return { $ref: `#/components/schemas/${title}` };
}
