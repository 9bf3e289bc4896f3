/** What one command of `picobolt` is: its words for the command line, and what it does. */
import { Argument, Option, type Command as Parser } from "commander";
import type { Output } from "./output.ts";

export interface Command {
  /** `picobolt channel list`: where there are verbs, each is a command, and this one has nothing else. */
  readonly verbs?: Readonly<Record<string, Command & { readonly summary: string }>>;
  /** With --json it writes a line whenever there is something to tell, instead of one document. */
  readonly streams?: boolean;
  /** It has no --json: what it writes is not for people in the first place. */
  readonly isPlain?: boolean;
  /** Arguments and options, on a parser that has the name and the summary already. */
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
  /** From now on Ctrl-C and SIGTERM are the usual end, exit code 0: a service was asked to stop. */
  stopsByRequest(): void;
  /** Last things to do, also after Ctrl-C and failures; the newest first. */
  atEnd(work: () => Promise<void> | void): void;
}

export function text(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** An option whose words help and completion list; the command itself says what is wrong with another one. */
export function oneOf(flags: string, summary: string, words: readonly string[]): Option {
  const option = new Option(flags, summary);
  option.argChoices = [...words];
  return option;
}

/** As `oneOf`, of a word that is no option. */
export function argumentOneOf(name: string, summary: string, words: readonly string[]): Argument {
  const argument = new Argument(name, summary);
  argument.argChoices = [...words];
  return argument;
}
