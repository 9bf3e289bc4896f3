/** Runs a program of this project: what was built of these very sources before, or is built now. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const ROOT = join(import.meta.dirname, "../..");
/** A program that was built so long ago and is not the newest runs no more. */
const KEPT_MS = 30 * 24 * 3_600_000;
const NEWEST = "newest.json";

/** The module at `entry`, a path from the root of the project; loaded from TypeScript where nothing can be written. */
export async function launch(entry) {
  const folder = join(ROOT, ".cache/programs", entry.replace(/\.ts$/, "").replaceAll("/", "-"));
  const built = upToDate(folder) ?? (await builtNow(entry, folder));
  if (built) {
    process.setSourceMapsEnabled(true);
    return import(pathToFileURL(join(built, "main.js")).href);
  }
  const { register } = await import("tsx/esm/api");
  register();
  return import(pathToFileURL(join(ROOT, entry)).href);
}

/** Where the program of the sources as they are now lies; each is built once. */
function upToDate(folder) {
  try {
    const { name, inputs, outputs } = JSON.parse(readFileSync(join(folder, NEWEST), "utf8"));
    const built = join(folder, name);
    const isSame = inputs.every(([path, mtimeMs, size]) => {
      const now = statSync(join(ROOT, path));
      return now.mtimeMs === mtimeMs && now.size === size;
    });
    // A power cut may have left a file empty.
    const isWhole = outputs.every(([file, size]) => statSync(join(built, file)).size === size);
    return isSame && isWhole ? built : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined where it cannot be: no room, no permission to write, a source that is wrong. */
async function builtNow(entry, folder) {
  const name = `${Date.now().toString(36)}-${process.pid}`;
  const built = join(folder, name);
  try {
    mkdirSync(built, { recursive: true });
  } catch {
    return undefined;
  }
  try {
    const { buildProgram } = await import("./build.mjs");
    const files = await buildProgram(entry, built);
    const list = join(built, NEWEST);
    writeFileSync(list, JSON.stringify({ name, ...files }));
    renameSync(list, join(folder, NEWEST));
    removeOld(folder, name);
    return built;
  } catch {
    rmSync(built, { recursive: true, force: true });
    return undefined;
  }
}

function removeOld(folder, newest) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name === newest || name === NEWEST || Date.now() - statSync(path).mtimeMs < KEPT_MS)
      continue;
    rmSync(path, { recursive: true, force: true });
  }
}
