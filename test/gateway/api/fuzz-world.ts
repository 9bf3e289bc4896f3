/** Two gateways with a channel between them, what the first one's document says, and what it owns: for the tests that send it anything. */
import { expect, vi } from "vitest";
import { PATIENT } from "../../support/patience.ts";
import { ApiLab } from "./api-lab.ts";
import type { Known } from "./arbitrary.ts";
import type { Components, Schema } from "./json-schema.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly schema: Schema;
}

/** An operation as the document has it. */
export interface Described {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | undefined;
  readonly answers: Readonly<Record<string, Schema | undefined>>;
  readonly movesMoney: boolean;
  /** Among the JSON-RPC methods too. */
  readonly isOperation: boolean;
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;
interface Raw {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly $ref?: string; readonly content?: Content }>
  >;
  readonly "x-picobolt-group"?: unknown;
}

/** What waits for an event would wait. */
const STREAMS = ["/api/events", "/api/events/ws"];

export class FuzzWorld {
  private constructor(
    readonly lab: ApiLab,
    readonly peer: ApiLab,
    readonly operations: readonly Described[],
    readonly known: Known,
  ) {}

  static async start(): Promise<FuzzWorld> {
    const lab = await ApiLab.start();
    const peer = await ApiLab.start({ lab: lab.lab });
    const { nodeId, peers } = peer.service;
    const to = { node_id: nodeId, host: "127.0.0.1", port: peers?.port };
    expect(await lab.call("POST", "/api/peers", { body: to })).toMatchObject({ status: 200 });
    const opening = { peer_node_id: nodeId, capacity: 500_000 };
    const opened = await lab.call("POST", "/api/channels", { body: opening, key: "first" });
    await vi.waitFor(async () => expect(await lab.lab.mempool()).toHaveLength(1), PATIENT);
    await lab.lab.mine(3);
    for (const side of [lab, peer]) {
      await vi.waitFor(async () => {
        const { channels } = (await side.call("GET", "/api/channels")).body;
        expect(channels).toMatchObject([{ state: "normal" }]);
      }, PATIENT);
      await side.untilReady();
    }
    const invoice = { amount: 1_000, memo: "fuzz" };
    const theirs = (await peer.call("POST", "/api/invoices", { body: invoice })).body;
    const ours = (await lab.call("POST", "/api/invoices", { body: invoice })).body;
    const { address } = (await peer.call("POST", "/api/wallet/address")).body;
    const words = [
      ...[nodeId, lab.service.nodeId, opened.body.channel_id, address, theirs.invoice],
      ...[ours.payment_hash, theirs.payment_hash],
    ].map(String);
    const { body } = await lab.call("GET", "/api/openapi.json");
    const { paths, components } = body as unknown as {
      paths: Record<string, Record<string, Raw>>;
      components: { schemas: Components; responses: Raw["responses"] };
    };
    const operations = Object.entries(paths)
      .filter(([path]) => !STREAMS.includes(path))
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(([method, raw]) =>
          describedOf(path, method, raw, components.responses),
        ),
      );
    return new FuzzWorld(lab, peer, operations, { components: components.schemas, words });
  }

  /** All that a call might have changed; the same before and after whatever was refused. */
  async holdings(): Promise<object> {
    const paths = [
      ...["/api/wallet/balance", "/api/channels", "/api/payments?limit=1000"],
      ...["/api/invoices?limit=1000", "/api/macaroons", "/api/devices"],
    ];
    const told = await Promise.all(paths.map((path) => this.lab.call("GET", path)));
    const peer = await this.peer.call("GET", "/api/channels");
    return { of: told.map(({ body }) => body), peer: peer.body };
  }

  async stop(): Promise<void> {
    await Promise.all([this.lab.stop(), this.peer.stop()]);
  }
}

function describedOf(path: string, method: string, raw: Raw, shared: Raw["responses"]): Described {
  const schemaOf = (content: Content | undefined) =>
    content?.["application/json"]?.schema ?? content?.["application/problem+json"]?.schema;
  const answers = Object.entries(raw.responses).map(([status, response]) => {
    const named = response.$ref?.split("/").at(-1);
    const { content } = named === undefined ? response : (shared[named] ?? {});
    return [status, schemaOf(content)] as const;
  });
  const parameters = raw.parameters ?? [];
  return {
    name: raw.operationId,
    method: method.toUpperCase(),
    path,
    parameters,
    body: schemaOf(raw.requestBody?.content),
    answers: Object.fromEntries(answers),
    movesMoney: parameters.some(({ name }) => name === "Idempotency-Key"),
    isOperation: raw["x-picobolt-group"] !== undefined,
  };
}
