/** `npm run endings`: what simulated worlds put on their chains, replayed on a real node in regtest, to the satoshi. */
import { Command, InvalidArgumentError } from "commander";
import { chooseCrypto } from "../../gateway/crypto/choose.ts";
import { ENDINGS, type Ending } from "./kinds.ts";
import { Mirror } from "./mirror.ts";
import { type Replayed, replayWorld } from "./replay.ts";

const DEFAULT_SEEDS = 200;
const BAR = 30;

const program = new Command("npm run endings --")
  .description("Lives simulated worlds and tells their blocks to bitcoind: it must agree.")
  .option("--seeds <N>", `how many worlds (default ${DEFAULT_SEEDS})`, positive)
  .option("--seed <N>", "the first one; without --seeds this world alone", positive)
  .option("--json", "print one JSON object at the end");
program.parse();
const words = program.opts<{ seeds?: number; seed?: number; json?: boolean }>();

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("a whole number above 0 is needed.");
  }
  return value;
}

const first = words.seed ?? 1;
const count = words.seeds ?? (words.seed === undefined ? DEFAULT_SEEDS : 1);
const startedAt = performance.now();
const mirror = await Mirror.start(chooseCrypto());
const all: Replayed[] = [];
try {
  for (let seed = first; seed < first + count; seed++) {
    all.push(await replayWorld(seed, mirror));
    show(all.length, all.filter(({ failure }) => failure !== undefined).length);
  }
} finally {
  await mirror.close();
}
process.stderr.write("\n");
report();

function show(done: number, failures: number): void {
  if (!process.stderr.isTTY && done % 10 !== 0 && done !== count) return;
  const filled = Math.round((BAR * done) / count);
  const bar = "#".repeat(filled).padEnd(BAR, ".");
  const end = process.stderr.isTTY ? "\r" : "\n";
  process.stderr.write(`[${bar}] ${done}/${count} worlds, ${failures} failures${end}`);
}

function report(): void {
  const failed = all.filter(({ failure }) => failure !== undefined);
  const sum = (of: (one: Replayed) => number) => all.reduce((total, one) => total + of(one), 0);
  const endings = Object.fromEntries(
    ENDINGS.map((kind): [Ending, number] => [
      kind,
      sum(({ endings: found }) => found.filter((one) => one === kind).length),
    ]),
  );
  const figures = {
    seeds: all.length,
    failures: failed.length,
    broken: all.filter(({ broken }) => broken !== undefined).length,
    endings,
    blocks: sum(({ blocks }) => blocks),
    reorganisations: sum(({ reorganisations }) => reorganisations),
    transactions: sum(({ transactions }) => transactions),
    coins: sum(({ coins }) => coins),
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
  };
  if (words.json) console.log(JSON.stringify(figures));
  else table(figures);
  for (const { seed, failure } of failed) {
    console.error(`world ${seed}: ${failure}\n  npm run endings -- --seed ${seed}`);
  }
  for (const { seed, broken } of all) {
    if (broken !== undefined)
      console.error(`world ${seed} broke ${broken}: npm run sim -- --seed ${seed}`);
  }
  process.exitCode = failed.length === 0 ? 0 : 1;
}

function table(figures: { readonly [name: string]: number | Readonly<Record<string, number>> }) {
  console.log(`judge: ${mirror.name}`);
  for (const [name, value] of Object.entries(figures)) {
    if (typeof value === "number") console.log(`${name.padEnd(24)}${value}`);
    else for (const [kind, n] of Object.entries(value)) console.log(`  ${kind.padEnd(22)}${n}`);
  }
}
