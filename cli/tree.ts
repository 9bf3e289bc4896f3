/** The tree of commands as a parser: what the command line, its completion and its tests go by. */
import { Command as Parser } from "commander";
import type { Command, Options } from "./command.ts";
import { EXIT, Failure } from "./failure.ts";
import { COMMANDS } from "./table.ts";
import { versionOf } from "./version.ts";

export type Run = (command: Command, args: readonly string[], options: Options) => Promise<void>;

/** Only what is wanted is loaded: the others have a name and a summary. */
export async function treeOf(
  run: Run,
  isWanted: (name: string) => boolean = () => true,
): Promise<Parser> {
  const parser = quiet(new Parser("picobolt"))
    .description("Flash, own and pay picobolt devices; run gateways, and ask them.")
    .version(versionOf(), "--version", "show which release this is")
    .addHelpText(
      "after",
      "\npicobolt <command> --help shows options and examples. docs/CLI.md tells all.",
    );
  for (const [name, { summary, load, isHidden = false }] of Object.entries(COMMANDS)) {
    const one = quiet(parser.command(name, { hidden: isHidden })).description(summary);
    if (isWanted(name)) fill(one, await load(), run);
  }
  return parser;
}

function fill(parser: Parser, command: Command, run: Run): void {
  if (command.verbs) {
    fillVerbs(parser, command.verbs, run);
    return;
  }
  command.configure(parser);
  if (!command.isPlain) parser.option("--json", JSON_HELP[command.streams ? "lines" : "one"]);
  addExamples(parser, command.examples);
  parser.action((...given: unknown[]) => {
    const args = given.slice(0, -2).flat() as string[];
    return run(command, args, given.at(-2) as Options);
  });
}

const JSON_HELP = {
  one: "one JSON document on standard output, and nothing else",
  lines: "a JSON document on each line of standard output, the last one the result",
};

function fillVerbs(parser: Parser, verbs: NonNullable<Command["verbs"]>, run: Run): void {
  const known = Object.keys(verbs).join(", ");
  parser.usage("<verb> [options]").helpCommand(false);
  parser.argument("[verb]", "", "").allowUnknownOption().allowExcessArguments();
  for (const [name, verb] of Object.entries(verbs)) {
    fill(quiet(parser.command(name)).description(verb.summary), verb, run);
  }
  addExamples(
    parser,
    Object.values(verbs).flatMap(({ examples }) => examples.slice(0, 1)),
  );
  parser.addHelpText("after", `\npicobolt ${parser.name()} <verb> --help shows its options.`);
  parser.action((verb: string) => {
    const problem = verb ? `"${verb}" is nothing to do here` : "say what to do";
    throw new Failure(`${problem}: picobolt ${parser.name()} has ${known}`, EXIT.usage);
  });
}

function addExamples(parser: Parser, examples: readonly string[]): void {
  const lines = examples.map((line) => `  $ ${line}`).join("\n");
  parser.addHelpText("after", `\nExamples:\n${lines}`);
}

/** Its errors are thrown, and said once. */
function quiet(parser: Parser): Parser {
  return parser.exitOverride().configureOutput({ writeErr: () => {} });
}
