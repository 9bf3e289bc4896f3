/** The messages, as the CDDL in docs/PROTOCOL.md defines them: read from the page itself, so that it is the source. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly optional: boolean;
}

export type FieldType =
  | { readonly kind: "uint"; readonly max: bigint }
  | { readonly kind: "bytes" | "text"; readonly min: number; readonly max: number }
  | { readonly kind: "bool" }
  | { readonly kind: "list"; readonly min: number; readonly max: number; readonly of: FieldType }
  | { readonly kind: "group"; readonly fields: readonly Field[] };

export interface Definition {
  readonly name: string;
  readonly number: number;
  readonly fields: readonly Field[];
}

const page = join(import.meta.dirname, "../../../docs/PROTOCOL.md");

export function readDefinitions(): readonly Definition[] {
  const cddl = /```cddl\n([\s\S]*?)```/.exec(readFileSync(page, "utf8"))?.[1];
  if (!cddl) throw new Error("docs/PROTOCOL.md has no CDDL");
  const rules = readRules(cddl.replace(/;.*$/gm, ""));
  return [...rules].flatMap(([name, body]) => {
    const number = /^\[\s*type: (\d+),/.exec(body)?.[1];
    return number ? [{ name, number: Number(number), fields: readFields(body, rules) }] : [];
  });
}

type Rules = ReadonlyMap<string, string>;

/** Name and body of each rule; a body ends before the next `name =` at a line's begin. */
function readRules(cddl: string): Rules {
  const rules = cddl.split(/^(?=[\w-]+ =)/m).flatMap((rule) => {
    const [, name = "", body = ""] = /^([\w-]+) =\s*([\s\S]*)$/.exec(rule) ?? [];
    return name ? [[name, body.trim()] as const] : [];
  });
  return new Map(rules);
}

function readFields(body: string, rules: Rules): readonly Field[] {
  const lines = body.split("\n").map((line) => line.trim().replace(/,$/, ""));
  return lines.flatMap((line) => {
    const [, optional, name = "", type = ""] = /^(\? )?(\w+): (.*)$/.exec(line) ?? [];
    if (!name || name === "type") return [];
    const isOptional = optional !== undefined;
    const nullable = type.endsWith(" / null");
    const bare = type.replace(/ \/ null$/, "");
    return [{ name, type: readType(bare, rules), optional: isOptional || nullable }];
  });
}

function readType(text: string, rules: Rules): FieldType {
  const found = (pattern: RegExp) => pattern.exec(text)?.slice(1).map(Number) ?? [];
  const [bits] = found(/^uint \.size (\d+)$/);
  if (bits !== undefined) return { kind: "uint", max: 2n ** BigInt(8 * bits) - 1n };
  const [most] = found(/^0\.\.(\d+)$/);
  if (most !== undefined) return { kind: "uint", max: BigInt(most) };
  const kind = text.startsWith("tstr") ? "text" : "bytes";
  const [size] = found(/^[bt]str \.size (\d+)$/);
  if (size !== undefined) return { kind, min: size, max: size };
  const [min, max] = found(/^[bt]str \.size \((\d+)\.\.(\d+)\)$/);
  if (min !== undefined && max !== undefined) return { kind, min, max };
  if (text === "bool") return { kind: "bool" };
  const list = /^\[(\d+)\*(\d+) (.*)\]$/.exec(text);
  if (list) {
    const of = readType(list[3] ?? "", rules);
    return { kind: "list", min: Number(list[1]), max: Number(list[2]), of };
  }
  const rule = rules.get(text);
  if (rule === undefined) throw new Error(`docs/PROTOCOL.md does not say what "${text}" is`);
  if (rule.startsWith("[")) return { kind: "group", fields: readFields(rule, rules) };
  return readType(rule.trim(), rules);
}
