/** What a caller gives is checked against the operation's schemas before anything looks at it: each fault with its JSON pointer. */
import { type TProperties, type TSchema, Type } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler } from "@sinclair/typebox/compiler";
import { Value } from "@sinclair/typebox/value";
import type { OperationShape } from "./operation.ts";
import { ApiProblem } from "./problem.ts";

/** As REST has it: words of the path and the query, and JSON. */
export interface Parts {
  readonly parameters: unknown;
  readonly query: unknown;
  /** Undefined where none was sent. */
  readonly body: unknown;
}

export type Checked =
  | { readonly ok: true; readonly input: Record<string, unknown> }
  | { readonly ok: false; readonly problem: ApiProblem };

type Fault = { readonly pointer: string; readonly detail: string };

/** All faults are told, within reason. */
const MAX_FAULTS = 16;
const NOTHING = Type.Object({}, { additionalProperties: false });

export class InputCheck {
  /** Compiled when they are needed: a gateway is asked for few of its operations. */
  private readonly compiled = new Map<TSchema, TypeCheck<TSchema>>();
  private readonly merged: TSchema;

  constructor(private readonly shape: OperationShape) {
    const { parameters, query, body } = shape;
    const properties: TProperties = {
      ...query?.properties,
      ...body?.properties,
      ...parameters?.properties,
    };
    this.merged = Type.Object(properties, { additionalProperties: false });
  }

  /** Of JSON-RPC: all in one object. */
  params(given: unknown): Checked {
    return checked(given ?? {}, this.faultsOf(this.merged, given ?? {}));
  }

  parts(given: Parts): Checked {
    const parameters = this.shape.parameters ?? NOTHING;
    const query = this.shape.query ?? NOTHING;
    const body = this.shape.body ?? NOTHING;
    const words = Value.Convert(parameters, { ...(given.parameters as object) });
    const asked = Value.Convert(query, { ...(given.query as object) });
    // What was not sent is nothing; null was sent.
    const content = given.body === undefined ? {} : given.body;
    const faults = [
      ...this.faultsOf(parameters, words),
      ...this.faultsOf(query, asked),
      ...this.faultsOf(body, content),
    ];
    if (faults.length > 0) return checked({}, faults);
    return checked({ ...(asked as object), ...(content as object), ...(words as object) }, []);
  }

  private faultsOf(schema: TSchema, value: unknown): readonly Fault[] {
    let check = this.compiled.get(schema);
    if (!check) {
      check = TypeCompiler.Compile(schema);
      this.compiled.set(schema, check);
    }
    if (check.Check(value)) return brokenTexts(value);
    const faults = new Map<string, Fault>();
    for (const { path, message, schema: wanted } of check.Errors(value)) {
      if (!faults.has(path)) faults.set(path, { pointer: path, detail: told(message, wanted) });
      if (faults.size >= MAX_FAULTS) break;
    }
    return [...faults.values()];
  }
}

const LONE_SURROGATE = /\p{Surrogate}/u;

/** JSON can say half a character; devices and stores take whole ones. Deep values may come: no recursion. */
function brokenTexts(whole: unknown): readonly Fault[] {
  const faults: Fault[] = [];
  const waiting: { readonly value: unknown; readonly pointer: string }[] = [
    { value: whole, pointer: "" },
  ];
  for (let one = waiting.pop(); one && faults.length < MAX_FAULTS; one = waiting.pop()) {
    const { value, pointer } = one;
    if (typeof value === "string" && LONE_SURROGATE.test(value)) {
      faults.push({ pointer, detail: "Expected text without half a character (a lone surrogate)" });
    }
    if (typeof value !== "object" || value === null) continue;
    for (const [name, inner] of Object.entries(value)) {
      const key = name.replaceAll("~", "~0").replaceAll("/", "~1");
      const isBroken = LONE_SURROGATE.test(name);
      if (isBroken) faults.push({ pointer, detail: "Expected names without half a character" });
      else waiting.push({ value: inner, pointer: `${pointer}/${key}` });
    }
  }
  return faults;
}

/** A pattern or a length alone says little to a person: what it stands for is added, and which words there are. */
function told(message: string, { enum: words, type, description }: TSchema): string {
  if (Array.isArray(words)) return `Expected one of ${words.join(", ")}`;
  return type === "string" && description ? `${message}: ${description}` : message;
}

function checked(input: unknown, faults: readonly Fault[]): Checked {
  if (faults.length === 0) return { ok: true, input: input as Record<string, unknown> };
  const lines = faults.map(({ pointer, detail }) => `${pointer || "the whole"}: ${detail}`);
  const problem = new ApiProblem("invalid-request", lines.join("; "), [...faults]);
  return { ok: false, problem };
}
