/** A PostgreSQL server of a run's own: a fresh cluster on a free port of 127.0.0.1, stopped and removed at the end. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort } from "../processes/free-port.ts";

const DEBIAN = "/usr/lib/postgresql";
const USER = "picobolt";
const START_TRIES = 1_200;
const TRY_MS = 50;

export const POSTGRES_PASSWORD = "a-pass:word/with@signs";

/** initdb and postgres refuse root. */
interface Owner {
  readonly uid?: number;
  readonly gid?: number;
}

export class TestPostgres {
  private process: ChildProcess | undefined;
  private databases = 0;

  private constructor(
    private readonly folder: string,
    private readonly owner: Owner,
    readonly port: number,
  ) {}

  static async start(): Promise<TestPostgres> {
    const owner = ownerOfServers();
    const folder = mkdtempSync(join(tmpdir(), "picobolt-postgres-"));
    try {
      const server = new TestPostgres(folder, owner, await freePort());
      server.create();
      await server.run();
      return server;
    } catch (cause) {
      rmSync(folder, { recursive: true, force: true });
      throw cause;
    }
  }

  /** Of one database; its password needs the quoting of a URL. */
  url(database: string): string {
    const password = encodeURIComponent(POSTGRES_PASSWORD);
    return `postgres://${USER}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /** A new empty place for tables: a schema, which costs far fewer files than a database, seen as one by its URL. */
  async database(): Promise<string> {
    const name = `test${++this.databases}`;
    await this.query("postgres", `CREATE SCHEMA ${name}`);
    return `${this.url("postgres")}?options=-csearch_path%3D${name}`;
  }

  /** As another program would ask. */
  async query(database: string, text: string): Promise<readonly Record<string, unknown>[]> {
    const connectionString = database.includes(":") ? database : this.url(database);
    const client = new pg.Client({ connectionString });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** As a power cut: the server and all its sessions at once, without a word. */
  async kill(): Promise<void> {
    const child = this.process;
    if (!child?.pid) return;
    const all = [child.pid, ...childrenOf(child.pid)];
    const gone = once(child, "exit");
    for (const pid of all) killed(pid, "SIGKILL");
    await gone;
    this.process = undefined;
  }

  async run(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const said = await this.tryToRun();
      if (said === undefined) return;
      // Sessions of a killed server hold its shared memory for a moment.
      if (tries === START_TRIES) throw new Error(`PostgreSQL does not start: ${said}`);
      await later(TRY_MS);
    }
  }

  /** For good. */
  async close(): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (child?.pid) {
      const gone = once(child, "exit");
      killed(child.pid, "SIGQUIT"); // at once: nothing of it is kept
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private create(): void {
    const { uid, gid } = this.owner;
    const passwords = join(this.folder, "password");
    writeFileSync(passwords, POSTGRES_PASSWORD, { mode: 0o600 });
    if (uid !== undefined && gid !== undefined) {
      for (const path of [this.folder, passwords]) chownSync(path, uid, gid);
    }
    const options = ["-D", this.data, "-U", USER, "-A", "scram-sha-256", `--pwfile=${passwords}`];
    const locale = ["--no-sync", "--locale=C", "-E", "UTF8"];
    execFileSync(program("initdb"), [...options, ...locale], {
      ...this.owner,
      cwd: this.folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
  }

  private get data(): string {
    return join(this.folder, "data");
  }

  /** What it said, where it did not start. */
  private async tryToRun(): Promise<string | undefined> {
    const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on"];
    const small = ["shared_buffers=16MB", "max_connections=40", "log_min_messages=fatal"];
    const args = ["-D", this.data, "-p", String(this.port)];
    for (const setting of [...settings, ...small]) args.push("-c", setting);
    // It ends with this process, also where that is killed.
    const child = spawn("setpriv", ["--pdeathsig", "INT", program("postgres"), ...args], {
      ...this.owner,
      cwd: this.folder,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (text) => {
      said = `${said}${String(text)}`.slice(-2_000);
    });
    this.process = child;
    for (let tries = 0; tries < START_TRIES; tries++) {
      if (child.exitCode !== null || child.signalCode !== null) return said;
      if (await this.answers()) return undefined;
      await later(TRY_MS);
    }
    await this.kill();
    return said;
  }

  private async answers(): Promise<boolean> {
    try {
      await this.query("postgres", "SELECT 1");
      return true;
    } catch {
      return false;
    }
  }
}

function ownerOfServers(): Owner {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  const find = (name: string) => users.find((line) => line.startsWith(`${name}:`))?.split(":");
  const [, , uid, gid] = find("postgres") ?? find("nobody") ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

/** Debian keeps the servers' programs where no PATH leads. */
function program(name: string): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => +b - +a) : [];
  const paths = versions.map((version) => join(DEBIAN, version, "bin", name));
  return paths.find((path) => existsSync(path)) ?? name;
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const status = readFileSync(`/proc/${entry}/status`, "utf8");
      return status.includes(`\nPPid:\t${parent}\n`) ? [Number(entry)] : [];
    } catch {
      return []; // ended meanwhile
    }
  });
}

function killed(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended by itself
  }
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
