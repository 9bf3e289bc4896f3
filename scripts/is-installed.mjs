/** Exit code 0 where node_modules holds what package-lock.json names, 1 where `npm ci` is due. */
import { readFileSync } from "node:fs";

const folder = new URL("../", import.meta.url);
const read = (path) => JSON.parse(readFileSync(new URL(path, folder), "utf8"));

function isInstalled(path, locked) {
  try {
    return read(`${path}/package.json`).version === locked.version;
  } catch {
    // An optional package is for another platform, as a rule.
    return locked.optional === true;
  }
}

const packages = Object.entries(read("package-lock.json").packages).filter(([path]) => path !== "");
const due = packages.filter(([path, locked]) => !isInstalled(path, locked));
process.exitCode = due.length === 0 ? 0 : 1;
