/** Builds the worker of the real XS engine from the npm package @agoric/xsnap, once, into .cache/xs. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cryptoFingerprint, cryptoSources } from "../crypto-c/sources.ts";
import { run, unpackXs, withLock, XS_VERSION } from "./build-steps.ts";

/** Two functions of the engine that its own worker keeps to itself; the frozen-image check needs them. */
const EXPOSED = ["petrify", "mutabilities"] as const;
const EXPOSE_AFTER = '#include "xsnap.h"\n';
const EXPOSE_BEFORE = "\tmodInstallTextDecoder(the);\n";
/** Rises with every change of what is built, so that an older worker is not taken for this one. */
const BUILD_REVISION = 1;

const CACHE = fileURLToPath(new URL("../../.cache/xs/", import.meta.url));

/** Path of the worker's executable; builds it (about 15 s) where it is missing. Safe to call in parallel. */
export async function buildXsWorker(cacheDir: string = CACHE): Promise<string> {
  const given = process.env.XSNAP_WORKER;
  if (given !== undefined && given !== "") {
    if (!existsSync(given)) throw new Error(`XSNAP_WORKER names ${given}, which does not exist`);
    return given;
  }
  return await built(cacheDir, "xsnap-worker", build);
}

/** As `buildXsWorker`, with the device's crypto in C as the global `picoboltNative` (firmware/crypto/native.ts). */
export async function buildXsCryptoWorker(cacheDir: string = CACHE): Promise<string> {
  return await built(cacheDir, `xsnap-crypto-${cryptoFingerprint()}`, (folder, worker) =>
    build(folder, worker, "with crypto"),
  );
}

async function built(cacheDir: string, name: string, make: typeof build): Promise<string> {
  const machine = `${process.platform}-${process.arch}`;
  const worker = join(cacheDir, `${name}-${XS_VERSION}-${BUILD_REVISION}-${machine}`);
  if (existsSync(worker)) return worker;
  if (process.platform !== "linux") {
    throw new Error(
      `the XS worker is built on Linux only (here: ${process.platform}); set XSNAP_WORKER to an xsnap-worker ${XS_VERSION} of your own`,
    );
  }
  mkdirSync(cacheDir, { recursive: true });
  return await withLock(`${worker}.lock`, async () => {
    if (!existsSync(worker)) await make(cacheDir, worker);
    return worker;
  });
}

async function build(cacheDir: string, worker: string, crypto?: "with crypto"): Promise<void> {
  await requireTools();
  const folder = await mkdtemp(join(cacheDir, "build-"));
  try {
    await unpackXs(folder);
    const xsnap = join(folder, "package/xsnap-native/xsnap");
    const program = join(xsnap, "sources/xsnap-worker.c");
    exposeEngineFunctions(program);
    const libraries: string[] = [];
    if (crypto) {
      libraries.push(`LIBRARIES=${(await compileCrypto(folder)).join(" ")} -ldl -lm -lpthread`);
      installCrypto(program);
    }
    const settings = [
      "GOAL=release",
      `MODDABLE=${join(folder, "package/moddable")}`,
      `XSNAP_VERSION=${XS_VERSION}`,
      ...libraries,
    ];
    const makefiles = join(xsnap, "makefiles/lin");
    await run("make", ["-j2", "-f", "xsnap-worker.mk", ...settings], makefiles);
    const fresh = join(folder, "worker");
    await copyFile(join(xsnap, "build/bin/lin/release/xsnap-worker"), fresh);
    await rename(fresh, worker);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Adds globals to the worker's program; the engine itself stays as published. */
function exposeEngineFunctions(sourceFile: string): void {
  const source = readFileSync(sourceFile, "utf8");
  for (const place of [EXPOSE_AFTER, EXPOSE_BEFORE]) {
    if (source.split(place).length !== 2) throw new Error(`${sourceFile} is not as expected`);
  }
  const declarations = EXPOSED.map((name) => `extern void fx_${name}(xsMachine* the);\n`).join("");
  const definitions = EXPOSED.map(
    (name) =>
      `\txsResult = xsNewHostFunction(fx_${name}, 1);\n` +
      `\txsDefine(xsGlobal, xsID("${name}"), xsResult, xsDontEnum);\n`,
  ).join("");
  const exposed = source
    .replace(EXPOSE_AFTER, EXPOSE_AFTER + declarations)
    .replace(EXPOSE_BEFORE, definitions + EXPOSE_BEFORE);
  writeFileSync(sourceFile, exposed);
}

/** Object files of the device's crypto and its binding; the defines are those of the worker that change xs.h. */
async function compileCrypto(folder: string): Promise<readonly string[]> {
  const { plain, binding, includeFolders } = cryptoSources();
  const engine = ["moddable/xs/includes", "moddable/xs/platforms", "xsnap-native/xsnap/sources"];
  const includes = [...includeFolders, ...engine.map((name) => join(folder, "package", name))];
  const defines = [
    "INCLUDE_XSPLATFORM",
    'XSPLATFORM="xsnapPlatform.h"',
    "mxMetering=1",
    "mxDebug=1",
  ];
  const options = [...defines.map((d) => `-D${d}`), ...includes.map((i) => `-I${i}`)];
  const sources = [...plain, ...binding];
  await run("cc", ["-std=gnu99", "-O2", "-c", ...options, ...sources], folder);
  return sources.map((source) => join(folder, basename(source).replace(/c$/, "o")));
}

function installCrypto(sourceFile: string): void {
  const source = readFileSync(sourceFile, "utf8");
  const declaration = "extern void picobolt_install_crypto(xsMachine* the);\n";
  const call = "\tpicobolt_install_crypto(the);\n";
  writeFileSync(
    sourceFile,
    source
      .replace(EXPOSE_AFTER, EXPOSE_AFTER + declaration)
      .replace(EXPOSE_BEFORE, call + EXPOSE_BEFORE),
  );
}

async function requireTools(): Promise<void> {
  const missing: string[] = [];
  for (const tool of ["make", "cc", "ar", "tar", "npm"]) {
    const found = await run("sh", ["-c", `command -v ${tool}`], ".").catch(() => undefined);
    if (found === undefined) missing.push(tool);
  }
  if (missing.length > 0) {
    throw new Error(
      `building the XS worker needs ${missing.join(", ")}; on Debian or Ubuntu: apt-get install gcc libc6-dev make`,
    );
  }
}
