/** What a C compiler needs for the device's crypto (firmware/crypto): sources, include folders, and how an XS image installs it. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface CryptoSources {
  /** Without any JavaScript engine: picobolt-crypto.h. */
  readonly plain: readonly string[];
  /** The host functions of the XS engine; need its xsmc.h on the include path too. */
  readonly binding: readonly string[];
  readonly includeFolders: readonly string[];
}

const PLAIN = ["aead", "entropy", "poly1305", "ripemd160", "secp256k1", "sha512", "wipe"] as const;

/** All paths are absolute. libsecp256k1 itself is included by picobolt-secp256k1.c and must not be compiled on its own. */
export function cryptoSources(): CryptoSources {
  const ours = fileURLToPath(new URL("../../firmware/crypto/", import.meta.url));
  const here = fileURLToPath(new URL("./", import.meta.url));
  const library = libraryFolder();
  return {
    plain: PLAIN.map((name) => join(ours, `picobolt-${name}.c`)),
    binding: [join(ours, "xs-crypto.c"), join(here, "xs-install.c")],
    includeFolders: [ours, library],
  };
}

/** Differs where any C file of ours does, for the names of what is built from them. */
export function cryptoFingerprint(): string {
  const hash = createHash("sha256");
  const folders = [
    new URL("../../firmware/crypto/", import.meta.url),
    new URL("./", import.meta.url),
  ];
  for (const folder of folders) {
    const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
    for (const name of names.sort()) hash.update(name).update(readFileSync(new URL(name, folder)));
  }
  return hash.digest("hex").slice(0, 12);
}

/** libsecp256k1's own C sources, in the npm package secp256k1. */
function libraryFolder(): string {
  const manifest = createRequire(import.meta.url).resolve("secp256k1/package.json");
  const folder = join(dirname(manifest), "src/secp256k1");
  if (existsSync(join(folder, "src/secp256k1.c"))) return folder;
  throw new Error(`${folder} lacks libsecp256k1's sources: run npm ci`);
}
