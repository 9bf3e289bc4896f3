/** The script of a device's whole program for the XS worker, bundled once and kept in .cache/xs until a source changes. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withLock } from "./build-steps.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CACHE = join(ROOT, ".cache/xs");
/** Where what is bundled comes from. */
const SOURCES = [
  { folder: "core", files: /\.ts$/ },
  { folder: "firmware", files: /\.ts$/ },
  { folder: "host-sim/xs", files: /\.ts$/ },
  { folder: "host-sim/virtual", files: /^xs-.*\.ts$/ },
];

/** Bundles (some 2 s) where a source has changed. Safe to call in many processes at once. */
export async function programScript(): Promise<string> {
  // Its first line says of what sources it is.
  const head = `// ${sourcesFingerprint()}\n`;
  const file = join(CACHE, "program.js");
  const kept = () => {
    const script = existsSync(file) ? readFileSync(file, "utf8") : "";
    return script.startsWith(head) ? script : undefined;
  };
  const script = kept();
  if (script !== undefined) return script;
  mkdirSync(CACHE, { recursive: true });
  return await withLock(`${file}.lock`, async () => {
    const meanwhile = kept();
    if (meanwhile !== undefined) return meanwhile;
    // Rollup is large: only who bundles loads it.
    const { bundleProgramScripts } = await import("./bundle.ts");
    const { firmware, program } = await bundleProgramScripts();
    const fresh = `${head}${firmware}\n${program}`;
    writeFileSync(`${file}.new`, fresh);
    renameSync(`${file}.new`, file);
    return fresh;
  });
}

function sourcesFingerprint(): string {
  const hash = createHash("sha256").update(readFileSync(join(ROOT, "rollup.config.mjs")));
  for (const { folder, files } of SOURCES) {
    const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" });
    for (const name of names.filter((one) => files.test(one)).sort()) {
      hash.update(name).update(readFileSync(join(ROOT, folder, name)));
    }
  }
  return hash.digest("hex");
}
