/** A regtest bitcoind of our own: started on a free port in its own folder, and gone when we are, however we end. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { type BitcoindProgram, type ProvisionOptions, provideBitcoind } from "./provision.ts";
import { BitcoindRpc, RpcUnavailable } from "./rpc.ts";

export interface RegtestOptions extends ProvisionOptions {
  /** Kept at the end; without it a temporary one is made and removed. */
  readonly dataFolder?: string;
  /** Where it must be that one, as when a node comes back; a free one unless told. */
  readonly rpcPort?: number;
  readonly extraArguments?: readonly string[];
}

export interface RegtestNode {
  readonly rpcPort: number;
  readonly cookieFile: string;
  readonly processId: number;
  readonly dataFolder: string;
  /** A new connection to it. */
  connect(): BitcoindRpc;
  /** Stops it cleanly; its temporary folder goes with it. */
  stop(): Promise<void>;
  /** As a power cut; its folder stays. */
  kill(): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** The watcher has a folder to remove. */
const WATCHER_MS = 10_000;
const START_ATTEMPTS = 3;
const MAX_LOG_CHARACTERS = 4000;

export async function startRegtest(options: RegtestOptions = {}): Promise<RegtestNode> {
  const program = await provideBitcoind(options);
  const policy = await policyArguments(program);
  const temporary = options.dataFolder === undefined;
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), "picobolt-regtest-")));
  await mkdir(dataFolder, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const port = options.rpcPort ?? (await freePort());
    const words = [
      ...nodeArguments(dataFolder, port),
      ...policy,
      ...(options.extraArguments ?? []),
    ];
    const child = launch(program, words, temporary ? dataFolder : undefined);
    try {
      await answers(child, port, join(dataFolder, "regtest/.cookie"));
      options.onProgress?.(`bitcoind runs in regtest on port ${port}, in ${dataFolder}`);
      return handle(child, port, dataFolder, temporary);
    } catch (error) {
      await end(child.process);
      // Another program may have taken the port between our look and the node's.
      if (attempt >= START_ATTEMPTS || !child.log().includes("Unable to bind")) {
        if (temporary) await rm(dataFolder, { recursive: true, force: true });
        throw error;
      }
    }
  }
}

function nodeArguments(dataFolder: string, rpcPort: number): string[] {
  return [
    "-regtest",
    `-datadir=${dataFolder}`,
    "-server=1",
    `-rpcport=${rpcPort}`,
    "-rpcbind=127.0.0.1",
    "-rpcallowip=127.0.0.1",
    "-rpcthreads=8",
    "-listen=0",
    "-connect=0",
    "-dnsseed=0",
    "-txindex=0",
    "-dbcache=16",
    "-fallbackfee=0.00002",
    // One satoshi per virtual byte, as the simulated chain has it; newer nodes go lower by default.
    "-minrelaytxfee=0.00001",
    "-incrementalrelayfee=0.00001",
    "-addresstype=bech32",
    "-changetype=bech32",
    // A chain that lives for minutes: few keys ahead, and no waiting for the disk.
    "-keypool=30",
    "-unsafesqlitesync=1",
    "-printtoconsole=1",
  ];
}

/** Knots relays TRUC packages and anchors of any value only when told; Core does without being told. */
async function policyArguments(program: BitcoindProgram): Promise<string[]> {
  const { stdout } = await promisify(execFile)(
    program.command,
    [...program.leadingArguments, "-help-debug", "-datadir=/nonexistent"],
    { maxBuffer: 4 * 1024 * 1024 },
  );
  const words: string[] = [];
  if (stdout.includes("-corepolicy")) words.push("-corepolicy=1");
  if (stdout.includes("-mempooltruc")) words.push("-mempooltruc=enforce");
  if (stdout.includes("-permitephemeral")) words.push("-permitephemeral=anchor,-send,dust");
  return words;
}

interface Launched {
  readonly process: ChildProcess;
  log(): string;
}

/**
 * The shell becomes bitcoind. Beside it a small watcher holds the other end of our pipe: when that closes, because we
 * stop or because we died, it ends the node and removes a temporary folder. It alone keeps descriptor 3: that closes
 * when nothing is left to do.
 */
const WATCHER = `exec 4<&0
node=$$
( read -r _ <&4
  kill -TERM $node 2>/dev/null
  while kill -0 $node 2>/dev/null; do sleep 0.1; done
  [ -z "$PICOBOLT_REMOVE" ] || rm -rf "$PICOBOLT_REMOVE" ) >/dev/null 2>&1 &
exec "$@" 3>&- 4<&- </dev/null`;

function launch(
  program: BitcoindProgram,
  words: readonly string[],
  removeFolder: string | undefined,
): Launched {
  const shellWords = ["-c", WATCHER, "bitcoind", program.command, ...program.leadingArguments];
  const child = spawn("/bin/sh", [...shellWords, ...words], {
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    env: { ...process.env, PICOBOLT_REMOVE: removeFolder ?? "" },
    detached: true, // Ctrl-C reaches us alone; the node is stopped in order
  });
  let log = "";
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString("utf8")).slice(-MAX_LOG_CHARACTERS);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(error.message)));
  child.stdin?.on("error", () => undefined);
  child.unref();
  return { process: child, log: () => log };
}

async function answers(child: Launched, port: number, cookieFile: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  const rpc = new BitcoindRpc({ port, auth: { cookieFile }, timeoutMs: 5000 });
  try {
    for (;;) {
      if (child.process.exitCode !== null) throw failed(child, "bitcoind stopped while starting");
      try {
        await rpc.call("getblockchaininfo");
        return;
      } catch (error) {
        if (!(error instanceof RpcUnavailable)) throw error;
        if (Date.now() > deadline) throw failed(child, "bitcoind did not answer in a minute");
      }
      await new Promise((wake) => setTimeout(wake, 50));
    }
  } finally {
    rpc.close();
  }
}

function failed(child: Launched, what: string): Error {
  const lines = child.log().trim().split("\n").slice(-5).join("\n  ");
  return new Error(`${what}; its last words:\n  ${lines}`);
}

function handle(
  child: Launched,
  rpcPort: number,
  dataFolder: string,
  temporary: boolean,
): RegtestNode {
  const cookieFile = join(dataFolder, "regtest/.cookie");
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    await end(child.process);
    if (temporary) await rm(dataFolder, { recursive: true, force: true });
  };
  return {
    rpcPort,
    cookieFile,
    processId: child.process.pid as number,
    dataFolder,
    connect: () => new BitcoindRpc({ port: rpcPort, auth: { cookieFile } }),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
    kill: () => end(child.process, "SIGKILL"),
  };
}

/** SIGTERM lets bitcoind write its state; it is killed only where it does not end. */
async function end(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await gone;
    clearTimeout(timer);
  }
  const watcher = child.stdio[3] as Readable | null | undefined;
  const unwatched = new Promise((resolve) => watcher?.once("close", resolve));
  watcher?.resume();
  child.stdin?.destroy();
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (!watcher || watcher.closed) return;
  await Promise.race([unwatched, new Promise((wake) => setTimeout(wake, WATCHER_MS).unref())]);
  watcher.destroy();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === "object" && address) resolve(address.port);
        else reject(new Error("no free port"));
      });
    });
  });
}
