/** What one command of `picobolt` is: its words for the command line, and what it does. */
import type { Command as Parser } from "commander";
import type { Output } from "./output.ts";

export interface Command {
  /** Arguments and options, on a parser that has the name, the summary and --json already. */
  configure(parser: Parser): void;
  /** Shown under --help. */
  readonly examples: readonly string[];
  run(context: Context, args: readonly string[], options: Options): Promise<void>;
}

/** As commander gives them: names in camelCase. */
export type Options = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export interface Context {
  readonly out: Output;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Where keys and wallets are kept. */
  readonly home: string;
  /** Last things to do, also after Ctrl-C and failures; the newest first. */
  atEnd(work: () => Promise<void> | void): void;
}

export function text(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}
