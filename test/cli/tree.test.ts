/** Every command there is, by the tree that the command line goes by: help, examples that parse, --json, and one way to name a target. */
import type { CommanderError, Command as Parser } from "commander";
import { beforeAll, expect, test } from "vitest";
import { treeOf } from "../../cli/tree.ts";

interface Leaf {
  readonly path: string;
  readonly parser: Parser;
}

let leaves: readonly Leaf[];

beforeAll(async () => {
  leaves = leavesOf(await treeOf(async () => {}));
});

function leavesOf(parser: Parser, path = ""): readonly Leaf[] {
  return parser.commands.flatMap((one) => {
    const here = `${path} ${one.name()}`.trim();
    return one.commands.length > 0 ? leavesOf(one, here) : [{ path: here, parser: one }];
  });
}

function helpOf(parser: Parser): string {
  let help = "";
  parser.configureOutput({
    writeOut: (words) => {
      help += words;
    },
  });
  parser.outputHelp();
  return help;
}

/** As a shell would, quotes included; what follows # is a remark. */
function wordsOf(line: string): string[] {
  const found = line.replace(/ +#.*$/, "").match(/"[^"]*"|[^ ]+/g) ?? [];
  return found.map((word) => word.replaceAll('"', ""));
}

test("each says what it does, in a line that fits a terminal", () => {
  expect(leaves.length).toBeGreaterThan(40);
  for (const { path, parser } of leaves) {
    expect(parser.description(), path).toMatch(/^[a-zA-Z].{8,90}[^.]$/);
    for (const option of parser.options) {
      expect(option.description, `${path} ${option.flags}`).toMatch(/\S{3}/);
    }
  }
});

test("each has --json, unless what it writes is a script or a file", () => {
  const without = leaves.filter(
    ({ parser }) => !parser.options.some((one) => one.long === "--json"),
  );
  expect(without.map(({ path }) => path)).toEqual(["completion"]);
});

test("each has examples that are its own, and every one of them parses", async () => {
  for (const { path, parser } of leaves) {
    const lines = [...helpOf(parser).matchAll(/^ {2}\$ (.*)$/gm)].map(([, line = ""]) => line);
    expect(lines.join(), path).toContain(`picobolt ${path}`);
    for (const line of lines) {
      const [command = "", ...rest] = line.split(/(?:^|\| )(?=picobolt )/).filter(Boolean);
      for (const part of [command, ...rest]) {
        const [, words = ""] = /(?:^|[A-Z_]+=\S+ )picobolt (.*?)(?: [|>] .*)?$/.exec(part) ?? [];
        if (!words) continue;
        let runs = 0;
        const tree = await treeOf(async () => void runs++);
        const problem = await tree
          .parseAsync(wordsOf(words), { from: "user" })
          .catch((cause: unknown) => (cause as CommanderError).message);
        expect(problem, line).not.toBeTypeOf("string");
        expect(runs, line).toBe(1);
      }
    }
  }
});

test("no help is wider than a terminal of 100 columns", () => {
  for (const { path, parser } of leaves) {
    parser.configureOutput({ getOutHelpWidth: () => 100 });
    const wide = helpOf(parser)
      .split("\n")
      .filter((line) => line.length > 100 && !line.startsWith("  $ "));
    expect(wide, path).toEqual([]);
  }
});

test("a gateway and a device are named the same way everywhere", () => {
  for (const { path, parser } of leaves) {
    const flags = parser.options.map((one) => one.flags);
    // What they mean there is older, and something else: the machine's own gateway, the payer's, a caveat.
    const isOwn = ["claim", "pay", "macaroon", "broker-config"].includes(path.split(" ")[0] ?? "");
    if (isOwn) continue;
    for (const flag of flags.filter((one) => /^--(gateway|device) /.test(one))) {
      expect(["--gateway <url|folder>", "--device <link>"], path).toContain(flag);
    }
    const hidden = parser.options.filter((one) => one.long === "--link" && !one.hidden);
    if (path !== "virtual") expect(hidden, path).toEqual([]);
  }
});
