/** package-lock.json is complete and tied to no registry, so that `npm ci` takes it on every platform; versions are exact. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { projectFolder } from "./sources.ts";

interface Locked {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const read = (file: string) => JSON.parse(readFileSync(join(projectFolder, file), "utf8"));
const packages: Readonly<Record<string, Locked>> = read("package-lock.json").packages;

test("every optional package that a package names is there (else: node scripts/complete-lock.mjs)", () => {
  const missing = Object.entries(packages).flatMap(([path, locked]) =>
    Object.keys(locked.optionalDependencies ?? {}).filter(
      (name) =>
        !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
    ),
  );
  expect(missing).toEqual([]);
});

test("no registry is written down", () => {
  expect(Object.values(packages).filter((locked) => locked.resolved !== undefined)).toEqual([]);
});

test("direct dependencies have exact versions", () => {
  const { dependencies, devDependencies, optionalDependencies } = read("package.json");
  const versions: string[] = Object.values({
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
  });
  expect(versions.filter((version) => !/^\d+\.\d+\.\d+(-\d+)?$/.test(version))).toEqual([]);
});
