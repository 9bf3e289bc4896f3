/** The second peer shares nothing with the core: a misunderstanding cannot be in both (docs/PROTOCOL.md is all they have in common). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "second-peer");
const LIBRARIES = /^(@noble\/(curves|hashes|ciphers)\/|bitcoinjs-lib$|cbor-x$|node:(fs|path)$)/;

test("it imports its own files and libraries, and of the project's files reads the page alone", () => {
  const files = readdirSync(folder);
  expect(files.length).toBeGreaterThan(15);
  for (const file of files) {
    const text = readFileSync(join(folder, file), "utf8");
    const imports = [...text.matchAll(/(?:from|import) "([^"]+)"/g)].map(([, name = ""]) => name);
    const foreign = imports.filter(
      (name) => !/^\.\/[\w-]+\.ts$/.test(name) && !LIBRARIES.test(name),
    );
    expect(foreign, file).toEqual([]);
    expect(text.replace("../../../docs/PROTOCOL.md", ""), file).not.toContain("../");
  }
});
