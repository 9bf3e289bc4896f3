/** One operation of the API: its schemas, who may call it, and what it does; REST, JSON-RPC, OpenAPI and the client all come from it. */
import type { Static, TProperties, TSchema } from "@sinclair/typebox";
import type { PublicKey } from "../../core/primitives/brands.ts";
import type { Grant } from "../auth/grant.ts";
import type { OperationGroup } from "../auth/operations.ts";
import type { Once } from "./idempotency.ts";

/** As TObject, which the compiler would have to look into. */
export interface ObjectSchema extends TSchema {
  readonly properties: TProperties;
}

export type Method = "GET" | "POST" | "PUT" | "DELETE";

export interface Call {
  readonly grant: Grant;
  /** Of calls that move money, which came with a key. */
  readonly once?: Once;
  /** Aborted where the caller has gone. */
  readonly signal: AbortSignal;
}

export interface OperationShape {
  /** operationId, JSON-RPC method, and what a macaroon's `method` names. */
  readonly name: string;
  readonly group: OperationGroup;
  /** Macaroons of these groups will do as well. */
  readonly alsoFor?: readonly OperationGroup[];
  readonly method: Method;
  /** With `{name}` for each parameter. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: ObjectSchema;
  readonly query?: ObjectSchema;
  readonly body?: ObjectSchema;
  readonly answer: TSchema;
  /**
   * Where several processes share the channels: it is answered by the one that runs the channel or peer that is named, or
   * these lists are put together from all of them, by that key ("": nothing is in two). Otherwise whoever is asked answers.
   */
  readonly processes?: "holder" | Readonly<Record<string, string>>;
  /** Needs an idempotency key. */
  readonly movesMoney?: boolean;
  /** The answer's list as text/csv, where that is asked for. */
  readonly csv?: { readonly list: string; readonly columns: readonly string[] };
}

type Part<S> = S extends TSchema ? Static<S> : unknown;

/** All that is given, in one object: parameters, query and body have no name twice. */
export type Input<O extends OperationShape> = Part<O["parameters"]> &
  Part<O["query"]> &
  Part<O["body"]>;

export type Answer<O extends OperationShape> = Static<O["answer"]>;

export interface Operation<O extends OperationShape = OperationShape> {
  readonly shape: O;
  /** The device that a call is about, where it is about one. */
  device?(input: Input<O>): PublicKey | undefined;
  run(input: Input<O>, call: Call): Promise<Answer<O>> | Answer<O>;
}

/** What a table holds: the input was checked against the shape by then. */
export type AnyOperation = Operation<OperationShape>;

/** Types of input and answer follow from the shape. */
export function serve<O extends OperationShape>(
  shape: O,
  run: (input: Input<O>, call: Call) => Promise<Answer<O>> | Answer<O>,
  device?: (input: Input<O>) => PublicKey | undefined,
): AnyOperation {
  return { shape, run, ...(device && { device }) } as unknown as AnyOperation;
}
