/**
 * Published test vectors: from `PICOBOLT_VECTORS`, or from `../shared/vectors` beside the project;
 * skipped by name where neither exists.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "vitest";

const beside = join(import.meta.dirname, "../../../shared/vectors");
const folder = process.env.PICOBOLT_VECTORS ?? beside;

/** A describe block over one file of vectors; its shape is the caller's claim. */
export function describeVectors<T>(name: string, file: string, tests: (vectors: T) => void): void {
  const path = join(folder, file);
  if (existsSync(path)) {
    describe(name, () => tests(JSON.parse(readFileSync(path, "utf8")) as T));
  } else {
    describe.skip(name, () => it(`needs ${file}`, () => undefined));
  }
}
