/** What can follow each word of the command line, read off the tree of commands: the one source of the shells' completions. */
import type { Argument, Option, Command as Parser } from "commander";

/** What a value may be: one of some words, a file, a folder, or nothing that a shell could know. */
export type Value =
  | { readonly type: "words"; readonly words: readonly string[] }
  | { readonly type: "file" | "folder" | "any" };

export interface OptionWords {
  /** `--json` */
  readonly name: string;
  readonly summary: string;
  /** Undefined: it takes none. */
  readonly value?: Value;
}

export interface PathWords {
  /** "channel list"; "" is the command itself. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly OptionWords[];
  readonly args: readonly Value[];
  /** The last argument may be repeated. */
  readonly isVariadic: boolean;
}

export function pathsOf(parser: Parser, path = ""): readonly PathWords[] {
  const commands = parser.createHelp().visibleCommands(parser);
  const shown = commands.filter((one) => one.name() !== "help");
  const isNoun = shown.length > 0;
  const args = isNoun ? [] : parser.registeredArguments;
  const here: PathWords = {
    path,
    commands: shown.map((one) => ({ name: one.name(), summary: one.description() })),
    options: [
      ...parser.options.filter(({ hidden }) => !hidden).map(optionWords),
      { name: "--help", summary: "options and examples" },
    ],
    args: args.map(valueIn),
    isVariadic: args.at(-1)?.variadic === true,
  };
  // Older names are not offered, and completed where they are typed.
  return [here, ...parser.commands.flatMap((one) => pathsOf(one, `${path} ${one.name()}`.trim()))];
}

function optionWords(option: Option): OptionWords {
  const name = option.long ?? option.short ?? "";
  const summary = option.description;
  const takesValue = option.required || option.optional;
  return { name, summary, ...(takesValue && { value: valueIn(option) }) };
}

function valueIn(one: Option | Argument): Value {
  const words = one.argChoices;
  if (words) return { type: "words", words };
  const name = "flags" in one ? (/[<[](.*)[>\]]/.exec(one.flags)?.[1] ?? "") : one.name();
  if (/folder/.test(name)) return { type: "folder" };
  if (/file|path|link|\.(csv|json|svg|update)/.test(name)) return { type: "file" };
  return { type: "any" };
}
