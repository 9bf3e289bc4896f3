/** The structure of the project is a test: directions of imports, style that a parser can see, what core may use. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { layerViolations } from "./layers.ts";
import { filesIn, parseSource, projectFolder, readSources } from "./sources.ts";
import { styleViolations } from "./style.ts";

const sources = readSources();

test("imports follow the dependency rule", () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(sources.flatMap(layerViolations)).toEqual([]);
});

test("the code follows the style that a parser can check", () => {
  expect(sources.flatMap(styleViolations)).toEqual([]);
});

test("core's configuration knows the language alone, no platform", () => {
  const config = JSON.parse(readFileSync(join(projectFolder, "core/tsconfig.json"), "utf8"));
  expect(config.compilerOptions).toEqual({ lib: ["ES2022"], types: [] });
});

test("the compiler refuses a platform's globals in core", () => {
  const names = ["Buffer", "process", "console", "TextEncoder", "setTimeout", "queueMicrotask"];
  const program = names.map((name) => `export const use${name} = ${name};`).join("\n");
  expect(errorsInCore(`${program}\nexport const fine = new Uint8Array(1).at(0);`)).toEqual(names);
});

describe("the dependency rule refuses", () => {
  test.each([
    ["core/keys/x.ts", 'import { a } from "../channel/y.ts";'],
    ["core/keys/x.ts", 'import { readFileSync } from "node:fs";'],
    ["core/keys/x.ts", 'import { sha256 } from "@noble/hashes/sha2.js";'],
    ["core/keys/x.ts", 'import { a } from "../transactions/terms.ts";'],
    ["core/ports/x.ts", 'import { satoshi } from "../primitives/brands.ts";'],
    ["core/messages/x.ts", 'import type { A } from "../transport/y.ts";'],
    ["core/transport/x.ts", 'import { a } from "../channel/y.ts";'],
    ["core/primitives/x.ts", 'export { a } from "../keys/y.ts";'],
    ["core/keys/x.ts", 'import { a } from "../primitives/brands";'],
    ["core/channel/x.ts", 'import { a } from "../../gateway/y.ts";'],
    ["firmware/x.ts", 'import { a } from "../gateway/y.ts";'],
    ["gateway/x.ts", 'import type { A } from "../firmware/y.ts";'],
    ["gateway/x.ts", 'const a = import("../host-sim/y.ts");'],
    ["host-sim/x.ts", 'import { a } from "../test/support/y.ts";'],
  ])("%s: %s", (path, text) => {
    expect(layerViolations(parseSource(path, text))).toHaveLength(1);
  });

  test("nothing that is allowed", () => {
    const text = `import type { B } from "../transactions/terms.ts"; import { c } from "./z.ts";`;
    expect(layerViolations(parseSource("core/keys/x.ts", text))).toEqual([]);
    const noble = 'import { hmac } from "@noble/hashes/hmac.js";';
    expect(layerViolations(parseSource("core/crypto/noble.ts", noble))).toEqual([]);
  });
});

describe("the style check refuses", () => {
  test.each([
    ["a long file", `${"\n".repeat(400)}export const end = 1;`],
    ["a long function", `function f() {${"\n  g();".repeat(90)}\n}`],
    ["a default export", "export default 1;"],
    ["a default class", "export default class A {}"],
    ["an enum", "export enum Colour { Red }"],
    ["a re-export", 'export * from "./y.ts";'],
    ["a variable at module level", "let counter = 0;"],
    ["the clock", "export const now = () => Date.now();"],
    ["chance", "export const dice = () => Math.random();"],
    ["a compiler", "export const run = (code: string) => eval(code);"],
    ["the global object", "export const g = globalThis;"],
    ["a list as arguments", "export const max = (list: number[]) => Math.max(...list);"],
  ])("%s", (_name, text) => {
    const found = styleViolations(parseSource("core/keys/x.ts", `/** A sentence. */\n${text}`));
    expect(found).toHaveLength(1);
  });

  test("a file without its sentence", () => {
    expect(styleViolations(parseSource("core/keys/x.ts", "export const a = 1;"))).toHaveLength(1);
  });

  test("nothing that only looks like it", () => {
    const text =
      "/** A sentence. */\nconst a = { Date: 1 };\nexport const b = a.Date + Math.max(1, 2);";
    expect(styleViolations(parseSource("core/keys/x.ts", text))).toEqual([]);
  });
});

/** Compiles a text as if it lay in core; the names that are not found. */
function errorsInCore(text: string): readonly string[] {
  const config = ts.readConfigFile(join(projectFolder, "core/tsconfig.json"), ts.sys.readFile);
  const folder = join(projectFolder, "core");
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, folder);
  const host = ts.createCompilerHost(options);
  const file = join(folder, "primitives/imagined.ts");
  const { getSourceFile } = host;
  host.getSourceFile = (name, version) =>
    name === file ? ts.createSourceFile(file, text, version) : getSourceFile(name, version);
  const program = ts.createProgram([file], options, host);
  return program.getSemanticDiagnostics(program.getSourceFile(file)).map((diagnostic) => {
    const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
    return /Cannot find name '(\w+)'/.exec(message)?.[1] ?? message;
  });
}

test("every test file lies where its subject lies", () => {
  const tests = filesIn("test").filter((file) => file.endsWith(".test.ts"));
  expect(tests.filter((file) => file.split("/").length < 3)).toEqual([]);
});
