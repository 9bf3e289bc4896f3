/** What is wrong with a value by a schema of an OpenAPI 3.1 document: the part of JSON Schema that ours are written in. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
}

export type Components = Readonly<Record<string, Schema>>;

/** With what `$ref` names in its place. */
export function resolved(schema: Schema, components: Components): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : (components[name] as Schema);
}

/** Nothing where the value is as the schema says. */
export function faultsIn(
  given: Schema,
  value: unknown,
  components: Components,
  at = "",
): readonly string[] {
  const schema = resolved(given, components);
  if (schema.anyOf) {
    const isOne = schema.anyOf.some((one) => faultsIn(one, value, components).length === 0);
    return isOne ? [] : [`${at}: ${JSON.stringify(value)} is none of several`];
  }
  const isTyped = schema.type === undefined || typeIs(schema.type, value);
  if (!isTyped) return [`${at}: ${JSON.stringify(value)} is no ${schema.type}`];
  if (schema.enum && !schema.enum.includes(value)) return [`${at}: ${value} is not listed`];
  if ("const" in schema && schema.const !== value) return [`${at}: ${value} is another`];
  if (typeof value === "string") return stringFaults(schema, value, at);
  if (typeof value === "number") return numberFaults(schema, value, at);
  if (Array.isArray(value)) {
    const { items = {} } = schema;
    return value.flatMap((one, i) => faultsIn(items, one, components, `${at}/${i}`));
  }
  if (typeof value !== "object" || value === null) return [];
  return objectFaults(schema, value, components, at);
}

function typeIs(type: string, value: unknown): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

function stringFaults({ pattern, minLength, maxLength }: Schema, value: string, at: string) {
  const isLong = maxLength !== undefined && [...value].length > maxLength;
  const isShort = minLength !== undefined && [...value].length < minLength;
  const isOther = pattern !== undefined && !new RegExp(pattern).test(value);
  return isLong || isShort || isOther ? [`${at}: "${value}" against ${pattern}`] : [];
}

function numberFaults(
  { minimum = -Infinity, maximum = Infinity }: Schema,
  value: number,
  at: string,
) {
  return value < minimum || value > maximum ? [`${at}: ${value} is out of range`] : [];
}

function objectFaults(schema: Schema, value: object, components: Components, at: string) {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const missing = required.filter((name) => !(name in value));
  const fields = Object.entries(value).flatMap(([name, one]) => {
    const known = properties[name];
    if (known) return faultsIn(known, one, components, `${at}/${name}`);
    if (typeof additionalProperties === "object") {
      return faultsIn(additionalProperties, one, components, `${at}/${name}`);
    }
    // An answer that says more than its schema leaves its readers in the dark.
    return schema.properties || !additionalProperties ? [`${at}/${name} is not documented`] : [];
  });
  return [...missing.map((name) => `${at}/${name} is missing`), ...fields];
}
