/** Runs a build tool; what it said is shown where it fails. */
import { spawnSync } from "node:child_process";

/** A message for people; no stack. */
export class CommandFailed extends Error {
  constructor(
    message: string,
    readonly needsSdk = false,
  ) {
    super(message);
  }
}

export interface RunOptions {
  readonly folder: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Its output is shown only where it fails. */
  readonly quiet?: boolean;
  /** It talks to the terminal itself. */
  readonly inherit?: boolean;
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** What it wrote. */
export function run(tool: string, words: readonly string[], options: RunOptions): string {
  const { folder, env = process.env, quiet = false, inherit = false } = options;
  const done = spawnSync(tool, words, {
    cwd: folder,
    env,
    encoding: "utf8",
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: inherit ? "inherit" : "pipe",
  });
  const said = `${done.stdout ?? ""}${done.stderr ?? ""}`;
  if (done.error) throw new CommandFailed(`cannot run ${tool}: ${done.error.message}`);
  if (done.status !== 0) {
    const how = done.signal ? `ended by ${done.signal}` : `ended with ${done.status}`;
    throw new CommandFailed(`${said}\n${tool} ${words.join(" ")}: ${how}`);
  }
  if (!quiet && !inherit) process.stdout.write(said);
  return said;
}
