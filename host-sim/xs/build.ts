/** Builds the worker of the real XS engine from the npm package @agoric/xsnap, once, into .cache/xs. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cryptoFingerprint, cryptoSources } from "../crypto-c/sources.ts";

const VERSION = "0.15.0";
/** SHA-512 of the package's tarball: another one is not built, whoever delivers it. */
const TARBALL_SHA512 =
  "ZBm4DZxbtfacxMHVVdJjZi0Y8zOxN77vpu1WwI5RWfPkaRh0aHkz/dVdTGKXalDNzWfz183lljKxlxl3/h0n+A==";
/** Two functions of the engine that its own worker keeps to itself; the frozen-image check needs them. */
const EXPOSED = ["petrify", "mutabilities"] as const;
const EXPOSE_AFTER = '#include "xsnap.h"\n';
const EXPOSE_BEFORE = "\tmodInstallTextDecoder(the);\n";
/** Rises with every change of what is built, so that an older worker is not taken for this one. */
const BUILD_REVISION = 1;
const LOCK_POLL_MS = 200;
const LOCK_PATIENCE_MS = 180_000;
const STEP_LIMIT_MS = 120_000;

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
  const worker = join(cacheDir, `${name}-${VERSION}-${BUILD_REVISION}-${machine}`);
  if (existsSync(worker)) return worker;
  if (process.platform !== "linux") {
    throw new Error(
      `the XS worker is built on Linux only (here: ${process.platform}); set XSNAP_WORKER to an xsnap-worker ${VERSION} of your own`,
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
    await run("npm", packArguments(folder), folder);
    const tarball = join(folder, `agoric-xsnap-${VERSION}.tgz`);
    const digest = createHash("sha512").update(readFileSync(tarball)).digest("base64");
    if (digest !== TARBALL_SHA512) {
      throw new Error(`@agoric/xsnap@${VERSION}: SHA-512 is ${digest}, expected ${TARBALL_SHA512}`);
    }
    await run("tar", ["-xzf", tarball], folder);
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
      `XSNAP_VERSION=${VERSION}`,
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

function packArguments(folder: string): readonly string[] {
  const destination = ["--pack-destination", folder];
  return ["pack", `@agoric/xsnap@${VERSION}`, "--ignore-scripts", "--silent", ...destination];
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

/** Runs a program to its end; its last lines are in the error where it fails. */
function run(program: string, parameters: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    // MAKEFLAGS of an outer make would name a jobserver that is not ours.
    const env = { ...process.env, MAKEFLAGS: "", MFLAGS: "" };
    const child = spawn(program, [...parameters], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: STEP_LIMIT_MS,
    });
    let output = "";
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString("utf8")).slice(-4000);
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (cause) => reject(new Error(`${program} could not be started`, { cause })));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output);
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      reject(new Error(`${program} ${parameters[0]} failed (${how}):\n${output.trim()}`));
    });
  });
}

/** One builder at a time, across processes: a folder is the lock, its owner's process id lies inside. */
async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LOCK_PATIENCE_MS;
  while (!tryLock(lock)) {
    if (Date.now() > deadline) throw new Error(`${lock} is held by another process; remove it`);
    await new Promise((resume) => setTimeout(resume, LOCK_POLL_MS));
  }
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    writeFileSync(join(lock, "pid"), String(process.pid));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    if (isAbandoned(lock)) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

function isAbandoned(lock: string): boolean {
  try {
    const pid = readFileSync(join(lock, "pid"), "utf8");
    // Between mkdir and the pid's writing the file may be empty: that owner is young and alive.
    if (pid === "") return Date.now() - statSync(lock).mtimeMs > 10_000;
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ESRCH") return true;
    if (code !== "ENOENT") return false;
    return existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 10_000;
  }
}
