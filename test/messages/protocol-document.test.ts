/** docs/PROTOCOL.md says what the code does. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Feature } from "../../core/messages/features.ts";
import { messageDefinitions } from "../../core/messages/message.ts";
import { routingGroups } from "../../core/messages/routing-statement.ts";
import { documentedCddl, protocolCddl } from "../../scripts/protocol-cddl.ts";

const document = readFileSync(join(import.meta.dirname, "../../docs/PROTOCOL.md"), "utf8");
const sources = ["cbor", "utf8", "codec"].map((name) =>
  readFileSync(join(import.meta.dirname, `../../core/messages/${name}.ts`), "utf8"),
);

describe("the protocol document", () => {
  it("holds the CDDL of the definitions (else: npx tsx scripts/protocol-cddl.ts --write)", () => {
    expect(documentedCddl()).toBe(protocolCddl());
  });

  it("defines every name that its CDDL uses", () => {
    const text = protocolCddl().replaceAll(/;.*/g, "");
    const defined = new Set([...text.matchAll(/^([\w-]+) =/gm)].map(([, name]) => name));
    const builtIn = new Set(["uint", "bstr", "tstr", "bool", "null", "any", "size"]);
    const values = text.replaceAll(/^[\w-]+ =|[\w]+:/gm, " ");
    const used = [...values.matchAll(/[a-z][\w-]*/g)].map(([name]) => name);
    expect(used.filter((name) => !defined.has(name) && !builtIn.has(name))).toEqual([]);
    for (const { name } of messageDefinitions) expect(defined.has(name)).toBe(true);
  });

  it("names every tag that the decoder uses, and no other", () => {
    const tags = (text: string) => [...new Set(text.match(/cbor-[a-z0-9-]+[a-z]/g))].sort();
    const inCode = tags(sources.join().replaceAll(/`cbor-…`/g, ""));
    expect(tags(document)).toEqual(inCode);
  });

  it("names every field of a routing statement, in its order", () => {
    for (const { shape } of Object.values(routingGroups)) {
      if (shape.kind !== "group") throw new Error("a statement's body is a group");
      const [, fields = ""] = document.split(`${shape.name} = [`);
      const [list = ""] = fields.split("]");
      const named = [...list.matchAll(/(?:\[|, |,\n {2}|^)(\w+)/g)].map(([, name]) => name);
      expect(named).toEqual(Object.keys(shape.fields));
    }
  });

  it("names every feature bit", () => {
    for (const bit of Object.values(Feature)) expect(document).toContain(`| ${bit}/${bit + 1} |`);
  });
});
