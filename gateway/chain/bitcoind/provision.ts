/** Finds a bitcoind to run: the one that is named or installed, or on Debian and Ubuntu one unpacked privately into a cache folder. */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** How to start it: a program and the arguments that come before bitcoind's own. */
export interface BitcoindProgram {
  readonly command: string;
  readonly leadingArguments: readonly string[];
  readonly origin: "BITCOIND" | "PATH" | "cache";
}

export interface ProvisionOptions {
  /** Where an unpacked bitcoind is kept; `.cache/bitcoind` in the project unless told. */
  readonly cacheFolder?: string;
  readonly onProgress?: (line: string) => void;
}

/** There is none, and none can be had here; the message says what a person can do. */
export class BitcoindUnavailable extends Error {
  override readonly name = "BitcoindUnavailable";
}

const PROJECT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGE = "bitcoin-knots";
const SUITE = "sid";
const MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** Signed with keys that systems of 2021 know, and brings the keys that sign SUITE. */
const KEYS_SUITE = "bullseye";
const KEYS_PACKAGE = "debian-archive-keyring";
const DOWNLOAD_TIMEOUT_MS = 300_000;
const LOCK_STALE_MS = 600_000;
const LOADERS = { x64: "usr/lib64/ld-linux-x86-64.so.2", arm64: "usr/lib/ld-linux-aarch64.so.1" };
const LIBRARIES = { x64: "usr/lib/x86_64-linux-gnu", arm64: "usr/lib/aarch64-linux-gnu" };
const run = promisify(execFile);

/** A bitcoind that is here already; "downloadable" where one can be fetched; throws BitcoindUnavailable otherwise. */
export function findBitcoind(options: ProvisionOptions = {}): BitcoindProgram | "downloadable" {
  const named = process.env.BITCOIND;
  if (named !== undefined && named !== "") {
    if (!isExecutable(named)) throw new BitcoindUnavailable(`BITCOIND=${named} is no program`);
    return { command: resolve(named), leadingArguments: [], origin: "BITCOIND" };
  }
  const installed = onPath("bitcoind");
  if (installed) return { command: installed, leadingArguments: [], origin: "PATH" };
  const cached = unpackedIn(join(cacheFolder(options), "root"));
  if (cached) return cached;
  if (canDownload()) return "downloadable";
  throw new BitcoindUnavailable(
    "no bitcoind: install Bitcoin Core or Knots 29 or newer, or set BITCOIND to its path " +
      "(only Debian and Ubuntu on x86-64 or arm64 can fetch one by themselves)",
  );
}

/** A bitcoind to run, downloaded and unpacked where there is none; several callers at once share one download. */
export async function provideBitcoind(options: ProvisionOptions = {}): Promise<BitcoindProgram> {
  const found = findBitcoind(options);
  if (found !== "downloadable") return found;
  const folder = cacheFolder(options);
  await mkdir(folder, { recursive: true });
  return withLock(join(folder, "lock"), async () => {
    const meanwhile = findBitcoind(options);
    if (meanwhile !== "downloadable") return meanwhile;
    await download(folder, options.onProgress ?? (() => undefined));
    const program = unpackedIn(join(folder, "root"));
    if (!program)
      throw new BitcoindUnavailable(`Debian's ${PACKAGE} holds no bitcoind for this CPU`);
    return program;
  });
}

/** apt checks the signatures and checksums; nothing is installed and no system file is touched. */
async function download(folder: string, progress: (line: string) => void): Promise<void> {
  const work = await mkdtemp(join(folder, "download-"));
  try {
    progress(`reading the package list of Debian ${SUITE}`);
    const apt = await aptOf(work, progress);
    progress(`downloading ${PACKAGE} and its libraries (about 27 MB)`);
    const root = await apt.unpack(PACKAGE, (count) =>
      progress(`unpacking ${count} packages into ${folder}`),
    );
    await rename(root, join(folder, "root"));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** apt with the list of SUITE, checked by the system's keys of Debian, or where they are too old by newer ones that they vouch for. */
async function aptOf(work: string, progress: (line: string) => void): Promise<PrivateApt> {
  const keyring = existsSync(KEYRING) ? KEYRING : undefined;
  try {
    return await PrivateApt.open(join(work, "apt"), SUITE, keyring);
  } catch (error) {
    if (keyring === undefined) throw error;
    progress("the system's keys of Debian are old: fetching newer ones");
    const keys = await PrivateApt.open(join(work, "keys"), KEYS_SUITE, keyring)
      .then((apt) => apt.unpack(KEYS_PACKAGE))
      .catch(() => undefined);
    if (keys === undefined) throw error;
    return PrivateApt.open(join(work, "apt-newer"), SUITE, join(keys, KEYRING));
  }
}

/** apt in a folder of its own, with one source. */
class PrivateApt {
  private constructor(
    private readonly folder: string,
    private readonly options: readonly string[],
  ) {}

  /** Reads the list of the suite; throws BitcoindUnavailable where it cannot be had or checked. */
  static async open(
    folder: string,
    suite: string,
    keyring: string | undefined,
  ): Promise<PrivateApt> {
    for (const name of ["lists/partial", "cache/archives/partial", "root"]) {
      await mkdir(join(folder, name), { recursive: true });
    }
    const sources = join(folder, "sources.list");
    const signedBy = keyring === undefined ? "" : `[signed-by=${keyring}] `;
    await writeFile(sources, `deb ${signedBy}${MIRROR} ${suite} main\n`);
    const apt = new PrivateApt(folder, [...aptOptions(folder, sources), "-qq"]);
    await command("apt-get", [...apt.options, "update"]);
    return apt;
  }

  /** A package and what it needs, unpacked; the folder. */
  async unpack(name: string, onUnpack?: (packages: number) => void): Promise<string> {
    const words = ["-y", "--download-only", "--no-install-recommends", "install", name];
    await command("apt-get", [...this.options, ...words]);
    const archives = join(this.folder, "cache/archives");
    const packages = (await readdir(archives)).filter((file) => file.endsWith(".deb"));
    onUnpack?.(packages.length);
    const root = join(this.folder, "root");
    for (const file of packages) await command("dpkg-deb", ["-x", join(archives, file), root]);
    return root;
  }
}

function aptOptions(work: string, sources: string): string[] {
  return [
    `Dir::Etc::sourcelist=${sources}`,
    "Dir::Etc::sourceparts=/dev/null",
    // Hooks of the system's own configuration would act on the system's folders.
    "DPkg::Post-Invoke=",
    "APT::Update::Post-Invoke=",
    "APT::Update::Post-Invoke-Success=",
    `Dir::State::Lists=${join(work, "lists")}`,
    `Dir::Cache=${join(work, "cache")}`,
    "Dir::State::status=/dev/null",
    "Binary::apt-get::APT::Keep-Downloaded-Packages=true",
    "APT::Sandbox::User=",
    "Acquire::Languages=none",
    "Debug::NoLocking=true",
  ].flatMap((option) => ["-o", option]);
}

async function command(program: string, words: readonly string[]): Promise<void> {
  try {
    await run(program, words, { timeout: DOWNLOAD_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const words200 = (stderr ?? "").trim().split("\n").slice(-3).join(" ").slice(0, 400);
    throw new BitcoindUnavailable(
      `could not fetch Debian's ${PACKAGE} (${program}: ${words200 || String(error)}); ` +
        `${existsSync(KEYRING) ? "" : "install debian-archive-keyring, so that apt can check it; or "}` +
        "install Bitcoin Core or Knots 29 or newer, or set BITCOIND to its path",
    );
  }
}

/** Debian's own dynamic loader and libraries come with it: the system's may be older. */
function unpackedIn(root: string): BitcoindProgram | undefined {
  const cpu = process.arch === "x64" || process.arch === "arm64" ? process.arch : undefined;
  if (cpu === undefined) return undefined;
  const loader = join(root, LOADERS[cpu]);
  const program = join(root, "usr/bin/bitcoind");
  if (!existsSync(loader) || !existsSync(program)) return undefined;
  return {
    command: loader,
    leadingArguments: ["--library-path", join(root, LIBRARIES[cpu]), program],
    origin: "cache",
  };
}

function canDownload(): boolean {
  const cpu = process.arch === "x64" || process.arch === "arm64";
  return process.platform === "linux" && cpu && !!onPath("apt-get") && !!onPath("dpkg-deb");
}

function cacheFolder(options: ProvisionOptions): string {
  return resolve(options.cacheFolder ?? join(PROJECT, ".cache/bitcoind"));
}

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** One process at a time; a lock whose holder died is taken over when it is old. */
async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      await mkdir(path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const age = await stat(path).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0,
    );
    if (age > LOCK_STALE_MS) await rm(path, { recursive: true, force: true });
    else await new Promise((wake) => setTimeout(wake, 200));
  }
  try {
    return await action();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}
