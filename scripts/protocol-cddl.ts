/** The CDDL (RFC 8610) of all messages, made from their definitions; `--write` puts it into docs/PROTOCOL.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageDefinitions } from "../core/messages/message.ts";
import type { Field, Fields, Shape } from "../core/messages/schema.ts";
import { setupMessages } from "../core/messages/setup.ts";
import { MAX_SATOSHI } from "../core/primitives/brands.ts";

const document = join(import.meta.dirname, "../docs/PROTOCOL.md");
const FENCE = /(```cddl\n)[\s\S]*?(```)/;

const prelude = `; messages in their long form; what a packet holds is their short form, or a goodbye
goodbye = 0..23                ; 0 closing, 1 superseded, 2 lost, 3 violation, 4 moved

safe-uint = 0..${Number.MAX_SAFE_INTEGER}   ; exact in a double
msat = 0..${Number.MAX_SAFE_INTEGER}        ; millisatoshi
sat = 0..${MAX_SATOSHI}            ; satoshi, whose millisatoshi are a safe-uint
channel-id = bstr .size 32
txid = bstr .size 32                ; in the order of the bytes inside transactions
sha256 = bstr .size 32
preimage = bstr .size 32
signature = bstr .size 64           ; r, s; s in the lower half
point = bstr .size 33               ; compressed: begins with 2 or 3`;

/** Named groups in a field, outermost last. */
function groupsIn(shape: Shape): readonly Extract<Shape, { kind: "group" }>[] {
  switch (shape.kind) {
    case "list":
    case "optional":
      return groupsIn(shape.of.shape);
    case "group":
      return [...Object.values(shape.fields).flatMap((field) => groupsIn(field.shape)), shape];
    default:
      return [];
  }
}

/** One line a field; only optional fields at the end can be left away, others are null. */
function lines(fields: Fields): string[] {
  const entries: [string, Field<unknown>][] = Object.entries(fields);
  const lastRequired = entries.findLastIndex(([, field]) => !field.optional);
  return entries.map(([name, { cddl }], i) => `  ${i > lastRequired ? "? " : ""}${name}: ${cddl},`);
}

export function protocolCddl(): string {
  const definitions: readonly { number: number; name: string; fields: Fields }[] =
    messageDefinitions;
  const groups = new Map<string, string>();
  for (const { fields } of definitions) {
    for (const field of Object.values(fields)) {
      for (const { name, fields } of groupsIn(field.shape)) {
        groups.set(name, [`${name} = [`, ...lines(fields), "]"].join("\n"));
      }
    }
  }
  const choice = ["message =", ...definitions.map(({ name }) => `  ${name} /`), "  later"];
  const rules = definitions.map(({ number, name, fields }) => {
    const odd = number % 2 === 1 && !setupMessages.some((setup) => setup.number === number);
    const comment = odd && number >= 32768 ? " ; picobolt's own" : "";
    return [`${name} = [`, `  type: ${number},${comment}`, ...lines(fields), "  * any", "]"].join(
      "\n",
    );
  });
  const later =
    "later = [type: uint .size 2, * any]   ; a number not listed here: odd ones are ignored";
  return `${[prelude, choice.join("\n"), later, ...groups.values(), ...rules].join("\n\n")}\n`;
}

/** The CDDL that stands in docs/PROTOCOL.md. */
export function documentedCddl(): string {
  const [block] = FENCE.exec(readFileSync(document, "utf8")) ?? [];
  return (block ?? "").replace(FENCE, (all) => all.slice(8, -3));
}

if (process.argv[1] === import.meta.filename) {
  if (process.argv.includes("--write")) {
    const text = readFileSync(document, "utf8");
    writeFileSync(
      document,
      text.replace(FENCE, (_, open, close) => open + protocolCddl() + close),
    );
  } else process.stdout.write(protocolCddl());
}
