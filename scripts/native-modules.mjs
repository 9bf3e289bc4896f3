/** Prints which of the named npm packages with native code do not load on this machine; with --why also the reason. */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const tries = {
  "better-sqlite3": () => new (require("better-sqlite3"))(":memory:").close(),
  // The package's main module would fall back to JavaScript without a word.
  secp256k1: () => require("secp256k1/bindings"),
  serialport: () => require("serialport"),
};

const names = process.argv.slice(2).filter((word) => word !== "--why");
const failing = names.flatMap((name) => {
  try {
    tries[name]();
    return [];
  } catch (error) {
    const [reason] = String(error?.message ?? error).split("\n");
    return [process.argv.includes("--why") ? `${name} (${reason})` : name];
  }
});
if (failing.length > 0) console.log(failing.join(", "));
