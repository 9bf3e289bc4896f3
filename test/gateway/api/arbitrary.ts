/** Values by a JSON schema for fast-check: what it allows, its boundaries most of all, with ids that exist among those that do not. */
import fc from "fast-check";
import { type Components, resolved, type Schema } from "./json-schema.ts";

export interface Known {
  readonly components: Components;
  /** Ids, invoices and addresses of the gateway that is asked: those that fit a pattern are taken for it. */
  readonly words: readonly string[];
}

/** Nobody waits in a test, and nobody is called but this machine. */
export const ALWAYS: Readonly<Record<string, readonly unknown[]>> = {
  host: ["127.0.0.1", "::1"],
  timeout_seconds: [0, 1],
};

export function valueFor(given: Schema, known: Known, name = ""): fc.Arbitrary<unknown> {
  const schema = resolved(given, known.components);
  const always = ALWAYS[name];
  if (always) return fc.constantFrom(...always);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => valueFor(one, known, name)));
  switch (schema.type) {
    case "null":
      return fc.constant(null);
    case "integer":
    case "number":
      return numberFor(schema);
    case "boolean":
      return fc.boolean();
    case "array":
      return fc.array(valueFor(schema.items ?? {}, known), { maxLength: 3 });
    case "string":
      return stringFor(schema, known.words);
    case "object":
      return objectFor(schema, known);
    default:
      return fc.jsonValue();
  }
}

export function objectFor(
  { properties = {}, required = [] }: Schema,
  known: Known,
): fc.Arbitrary<Record<string, unknown>> {
  const fields = Object.entries(properties).map(([name, one]) => [
    name,
    valueFor(one, known, name),
  ]);
  return fc.record(Object.fromEntries(fields), {
    requiredKeys: Object.keys(properties).filter(
      (name) => required.includes(name) || name in ALWAYS,
    ) as never[],
  });
}

function numberFor({ type, minimum = 0, maximum = 2 ** 31 }: Schema): fc.Arbitrary<number> {
  const most = Math.min(maximum, Number.MAX_SAFE_INTEGER);
  const some =
    type === "integer"
      ? fc.integer({ min: minimum, max: Math.min(most, 2 ** 31 - 1) })
      : fc.double({ min: minimum, max: most, noNaN: true });
  return fc.oneof(some, fc.constantFrom(minimum, most));
}

function stringFor({ pattern, minLength = 0, maxLength = 80 }: Schema, words: readonly string[]) {
  const shape = pattern === undefined ? undefined : new RegExp(pattern);
  const most = Math.min(maxLength, 700);
  const fitting = words.filter(
    (one) => (shape?.test(one) ?? true) && one.length >= minLength && one.length <= maxLength,
  );
  const made = shape
    ? fc.stringMatching(shape)
    : fc
        .string({ minLength, maxLength: most, unit: "grapheme" })
        .filter((one) => [...one].length <= maxLength);
  return fitting.length === 0 ? made : fc.oneof(made, fc.constantFrom(...fitting));
}
