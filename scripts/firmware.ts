/** `npm run firmware -- --board <board>`: bundle, check against the Moddable SDK's own typings, and build the image with mcconfig. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BOARDS, type BoardTarget, boardNamed } from "./firmware/boards.ts";
import { linkModules } from "./firmware/link-check.ts";
import { CommandFailed, run } from "./firmware/run.ts";
import { checkSdk, SDK_HELP, type Sdk } from "./firmware/sdk.ts";
import { checkTypes } from "./firmware/type-check.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const output = join(project, ".cache/firmware");

const HELP = `usage: npm run firmware -- --board <board> [--build-only | --check-only | --run [-- options]]

  --board <board>   one of: ${Object.keys(BOARDS).join(", ")}
  --list            the boards, and what each needs
  --check-only      bundle, types, and the engine's linker; no C compiler
  --build-only      do not flash (ESP32), do not run (host)
  --run             host: run it; what follows -- goes to the program
  --help            this

Needs the Moddable SDK 8.2 in MODDABLE; images of ESP32 boards need ESP-IDF 6.0 in IDF_PATH too.`;

interface Options {
  readonly board?: string;
  readonly mode: "build" | "check" | "run";
  readonly rest: readonly string[];
  readonly show?: "help" | "list";
}

function main(): void {
  const options = parse(process.argv.slice(2));
  if (options.show === "help") console.log(HELP);
  else if (options.show === "list") list();
  else if (options.board === undefined) throw new CommandFailed(`which board?\n\n${HELP}`);
  else make(boardNamed(options.board), options);
}

function make(board: BoardTarget, options: Options): void {
  const sdk = checkSdk(process.env);
  console.log(`Moddable SDK ${sdk.version} in ${sdk.folder}`);
  mkdirSync(output, { recursive: true });
  run("npx", ["rollup", "-c"], { folder: project, quiet: true });
  console.log("bundled: dist/firmware");
  checkTypes(project, sdk, output);
  console.log("types agree with the SDK's own typings");
  if (board.platform.startsWith("x-cli-")) host(board, sdk, options);
  else esp32(board, sdk, options);
}

function host(board: BoardTarget, sdk: Sdk, { mode, rest }: Options): void {
  if (mode === "check") return;
  mcconfig(board, sdk, ["-m"]);
  const program = join(output, "bin/lin/release/picobolt-host");
  console.log(`built: ${program}`);
  if (mode === "run") run(program, rest, { folder: project, inherit: true });
}

function esp32(board: BoardTarget, sdk: Sdk, { mode }: Options): void {
  if (mode === "run") throw new CommandFailed("--run is for the host; a board is flashed");
  mcconfig(board, sdk, []);
  const unfrozen = linkModules(board, sdk, output);
  console.log(
    "mcconfig takes the manifest; every module compiles and the image links " +
      `(${unfrozen.length} things in it can be written: a word of RAM each)`,
  );
  if (mode === "check") return;
  const { IDF_PATH } = process.env;
  if (!IDF_PATH || !existsSync(join(IDF_PATH, "tools/idf.py"))) {
    console.log(
      "No image: IDF_PATH does not name ESP-IDF. Install version 6.0 " +
        "(xs-dev setup --device esp32), run `. $IDF_PATH/export.sh`, and say this again.",
    );
    return;
  }
  mcconfig(board, sdk, ["-m", "-t", "build"]);
  console.log(`built: ${join(output, `bin/${board.platform}/release/picobolt`)}`);
}

function mcconfig(board: BoardTarget, sdk: Sdk, flags: readonly string[]): void {
  const manifest = join(project, board.manifest);
  const words = [...flags, "-p", board.platform, "-o", output, manifest];
  run(sdk.tool("mcconfig"), words, { folder: project, env: sdk.env, quiet: true });
}

function list(): void {
  for (const [name, { about }] of Object.entries(BOARDS)) console.log(`${name.padEnd(10)}${about}`);
}

function parse(words: readonly string[]): Options {
  let board: string | undefined;
  let mode: Options["mode"] = "build";
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === "--help" || word === "-h") return { mode, rest: [], show: "help" };
    if (word === "--list") return { mode, rest: [], show: "list" };
    if (word === "--") return finish(words.slice(i + 1));
    if (word === "--board") board = words[++i];
    else if (word === "--check-only") mode = "check";
    else if (word === "--build-only") mode = "build";
    else if (word === "--run") mode = "run";
    else throw new CommandFailed(`unknown option ${word}\n\n${HELP}`);
  }
  return finish([]);

  function finish(rest: readonly string[]): Options {
    return board === undefined ? { mode, rest } : { board, mode, rest };
  }
}

try {
  main();
} catch (error) {
  if (!(error instanceof CommandFailed)) throw error;
  console.error(error.message);
  if (error.needsSdk) console.error(`\n${SDK_HELP}`);
  process.exitCode = 1;
}
