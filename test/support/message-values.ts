/** Generated values for any message field, made from its shape; and values that the field must refuse. */
import fc from "fast-check";
import type { CborValue, Field, Fields, Shape } from "../../core/messages/schema.ts";

const MAX_GENERATED = 200;

/** Values as a caller of the codec holds them. */
export function validValue(field: Field<unknown>): fc.Arbitrary<unknown> {
  const { shape } = field;
  switch (shape.kind) {
    case "uint":
      return fc.oneof(
        fc.integer({ min: shape.min, max: shape.max }),
        fc.constantFrom(shape.min, shape.max),
      );
    case "bytes":
      return fc.uint8Array({
        minLength: shape.min,
        maxLength: Math.max(shape.min, Math.min(shape.max, MAX_GENERATED)),
      });
    case "point":
      return fc
        .tuple(fc.constantFrom(2, 3), fc.uint8Array({ minLength: 32, maxLength: 32 }))
        .map(([prefix, x]) => Uint8Array.of(prefix, ...x));
    case "flag":
      return fc.boolean();
    case "text":
      return fc.string({ unit: "grapheme", maxLength: Math.floor(shape.max / 32) });
    case "list":
      return fc.array(validValue(shape.of), { maxLength: Math.min(shape.max, 8) });
    case "group":
      return validFields(shape.fields);
    case "optional":
      return fc.option(validValue(shape.of), { nil: undefined });
  }
}

export function validFields(fields: Fields): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries(Object.entries(fields).map(([name, of]) => [name, validValue(of)])),
  );
}

/** One plain value of the field, as it stands on the wire. */
export function sampleItem(shape: Shape): CborValue {
  switch (shape.kind) {
    case "uint":
      return shape.min;
    case "bytes":
      return new Uint8Array(shape.min);
    case "point":
      return new Uint8Array(33).fill(2);
    case "flag":
      return true;
    case "text":
      return "";
    case "list":
      return [];
    case "group":
      return Object.values(shape.fields).map((field) => sampleItem(field.shape));
    case "optional":
      return sampleItem(shape.of.shape);
  }
}

export interface BadValue {
  readonly what: string;
  readonly item: CborValue;
  /** Where inside the field the fault lies: "", "[0]", ".name". */
  readonly within: string;
}

/** Every way in which this kind of field can be wrong. */
export function badValues(shape: Shape): readonly BadValue[] {
  const here = (what: string, item: CborValue): BadValue => ({ what, item, within: "" });
  switch (shape.kind) {
    case "uint":
      return [
        ...wrongTypes("number"),
        here("below", shape.min - 1),
        ...(shape.max < Number.MAX_SAFE_INTEGER ? [here("above", shape.max + 1)] : []),
      ];
    case "bytes":
      return [
        ...wrongTypes("bytes"),
        ...(shape.min > 0 ? [here("too short", new Uint8Array(shape.min - 1))] : []),
        here("too long", new Uint8Array(shape.max + 1)),
      ];
    case "point":
      return [
        ...wrongTypes("bytes"),
        here("too short", new Uint8Array(32).fill(2)),
        here("too long", new Uint8Array(34).fill(2)),
        here("prefix 1", new Uint8Array(33).fill(1)),
        here("prefix 4", new Uint8Array(33).fill(4)),
      ];
    case "flag":
      return wrongTypes("boolean");
    case "text":
      return [
        ...wrongTypes("string"),
        here("too long", "a".repeat(shape.max + 1)),
        here("too many bytes", "é".repeat(Math.floor(shape.max / 2) + 1)),
      ];
    case "list":
      return [
        ...wrongTypes("array"),
        here("too many", Array<CborValue>(shape.max + 1).fill(sampleItem(shape.of.shape))),
        ...inside(shape.of, "[0]", (item) => [item]),
        ...inside(shape.of, "[1]", (item) => [sampleItem(shape.of.shape), item]),
      ];
    case "group": {
      const whole = sampleItem(shape) as readonly CborValue[];
      return [
        ...wrongTypes("array"),
        here("one too few", whole.slice(1)),
        here("one too many", [...whole, 0]),
        ...Object.entries(shape.fields).flatMap(([name, of], i) =>
          inside(of, `.${name}`, (item) => whole.map((old, at) => (at === i ? item : old))),
        ),
      ];
    }
    case "optional":
      return badValues(shape.of.shape).filter(({ item }) => item !== null);
  }
}

const items: Readonly<Record<string, CborValue>> = {
  number: 1,
  boolean: true,
  null: null,
  string: "1",
  bytes: new Uint8Array(33).fill(2),
  array: [],
  map: new Map(),
};
function wrongTypes(right: string): BadValue[] {
  return Object.entries(items)
    .filter(([kind]) => kind !== right)
    .map(([kind, item]) => ({ what: kind, item, within: "" }));
}

function inside(of: Field<unknown>, where: string, wrap: (item: CborValue) => CborValue) {
  return badValues(of.shape).map(({ what, item, within }) => ({
    what,
    item: wrap(item),
    within: where + within,
  }));
}
