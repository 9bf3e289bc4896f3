/** What building C in the cache needs: programs run to their end, one builder at a time, the engine's sources from npm. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const XS_VERSION = "0.15.0";
/** SHA-512 of the package's tarball: another one is not built, whoever delivers it. */
const TARBALL_SHA512 =
  "ZBm4DZxbtfacxMHVVdJjZi0Y8zOxN77vpu1WwI5RWfPkaRh0aHkz/dVdTGKXalDNzWfz183lljKxlxl3/h0n+A==";
const LOCK_POLL_MS = 200;
const LOCK_PATIENCE_MS = 300_000;
const STEP_LIMIT_MS = 180_000;

/** Unpacks the npm package @agoric/xsnap into `folder`/package: the engine is in its moddable/xs. */
export async function unpackXs(folder: string): Promise<void> {
  const destination = ["--pack-destination", folder];
  const name = `@agoric/xsnap@${XS_VERSION}`;
  await run("npm", ["pack", name, "--ignore-scripts", "--silent", ...destination], folder);
  const tarball = join(folder, `agoric-xsnap-${XS_VERSION}.tgz`);
  const digest = createHash("sha512").update(readFileSync(tarball)).digest("base64");
  if (digest !== TARBALL_SHA512) {
    throw new Error(`${name}: SHA-512 is ${digest}, expected ${TARBALL_SHA512}`);
  }
  await run("tar", ["-xzf", tarball], folder);
}

/** Runs a program to its end; its last lines are in the error where it fails. */
export function run(program: string, parameters: readonly string[], cwd: string): Promise<string> {
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
export async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
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
