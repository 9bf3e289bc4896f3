/** `npm run sim`: whole worlds of production code, each driven by one seed, that try to break a promise (docs/TESTING.md). */
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { huntMutants } from "./mutants/report.ts";
import { CLASSES, type Narrowing, type Plant, type WorldClass } from "./options.ts";
import { buildWorker, SimThread } from "./pool.ts";
import { runWorld, type Verdict } from "./run.ts";
import { commandOf, numbersOf } from "./shrink.ts";

interface Words {
  readonly seeds?: number;
  readonly seed?: number;
  readonly minutes?: number;
  readonly threads: number;
  readonly trace?: boolean;
  readonly json?: boolean;
  readonly steps?: number;
  readonly without?: readonly WorldClass[];
  readonly skip?: readonly number[];
  readonly plant?: Plant;
  readonly shrink: boolean;
  readonly mutants?: boolean;
  readonly only?: readonly string[];
}

const DEFAULT_SEEDS = 200;
/** Of each breaking, so many failures are made small; the others are only counted. */
const MAX_SHRUNK = 3;
const BAR = 30;

const program = new Command("npm run sim --")
  .description("Runs simulated worlds and says which promise broke in which.")
  .option("--seeds <N>", `how many worlds (default ${DEFAULT_SEEDS})`, positive)
  .option("--seed <N>", "the first one; without --seeds this world alone", whole)
  .option("--minutes <M>", "at most so long", positive)
  .option("--threads <N>", "at a time", positive, availableParallelism())
  .option("--trace", "print what happens, line by line (of one world)")
  .option("--json", "print one JSON object at the end")
  .option("--steps <N>", "cut every world after so many steps", positive)
  .option("--without <classes>", `turn off, comma-separated: ${CLASSES.join(", ")}`, classes)
  .option("--skip <steps>", "do nothing in these steps: 3-9,12", ranges)
  .option("--plant <bug>", "with a bug of the world's own: lost-commit", planted)
  .option("--no-shrink", "do not make failures small")
  .option("--mutants", "with each deliberate bug of host-sim/world/mutants: is it caught?")
  .option(
    "--only <names>",
    "of the mutants those whose names contain one of these",
    commaSeparated,
  );

program.parse();
const words = program.opts<Words>();
const narrowing: Narrowing = {
  ...(words.without && { without: words.without }),
  ...(words.steps !== undefined && { steps: words.steps }),
  ...(words.skip && { skipped: words.skip }),
  ...(words.plant && { plant: words.plant }),
};
process.exitCode = await chosen(words);

function chosen(given: Words): Promise<number> {
  const { mutants, only = [], threads, json = false, trace } = given;
  if (mutants) return huntMutants({ only, threads, json });
  return trace ? traceOne(given) : runAll(given);
}

async function traceOne({ seed = 1, json }: Words): Promise<number> {
  const verdict = await runWorld(seed, narrowing, (line) => json || console.log(line));
  if (json) console.log(JSON.stringify(verdict));
  else console.log(`digest ${verdict.digest}`);
  return verdict.failure ? 1 : 0;
}

async function runAll(given: Words): Promise<number> {
  const first = given.seed ?? 1;
  const count = given.seeds ?? (given.seed !== undefined ? 1 : DEFAULT_SEEDS);
  const startedAt = performance.now();
  const until = startedAt + (given.minutes ?? Number.POSITIVE_INFINITY) * 60_000;
  const file = await buildWorker();
  const failures: Verdict[] = [];
  let next = 0;
  let done = 0;
  let steps = 0;
  let payments = 0;
  const work = async (thread: SimThread) => {
    while (next < count && performance.now() < until) {
      const seed = first + next++;
      const { verdict } = await thread.run({ seed, narrowing });
      done++;
      steps += verdict.steps;
      payments += verdict.payments;
      if (verdict.failure) {
        failures.push(verdict);
        // At once: a long run may be ended before its own end.
        const { checker, text } = verdict.failure;
        process.stderr.write(`\rseed ${seed}, ${checker}: ${text.split("\n")[0]}\n`);
      }
      show(done, count, failures.length);
    }
  };
  // The worlds under way are finished, and the table tells of all that lived.
  process.once("SIGINT", () => {
    next = count;
  });
  const threads = Array.from({ length: Math.min(given.threads, count) }, () => new SimThread(file));
  await Promise.all(threads.map(work));
  process.stderr.write("\n");
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  failures.sort((a, b) => a.seed - b.seed);
  await tellFailures(threads[0] as SimThread, failures, given.shrink);
  for (const thread of threads) await thread.end();
  rmSync(file, { force: true });
  if (given.json) {
    console.log(
      JSON.stringify({ seeds: done, failures: failures.length, steps, seconds, payments }),
    );
  } else table({ done, failures, steps, seconds, payments });
  return failures.length > 0 ? 1 : 0;
}

async function tellFailures(
  thread: SimThread,
  failures: readonly Verdict[],
  makesSmall: boolean,
): Promise<void> {
  for (const [i, verdict] of failures.entries()) {
    const { seed, failure } = verdict;
    const request = { seed, narrowing, shrinks: verdict };
    const isSmall = makesSmall && i < MAX_SHRUNK && verdict.digest !== "";
    const shrunk = isSmall ? (await thread.run(request)).shrunk : undefined;
    const text = shrunk?.verdict.failure?.text ?? failure?.text;
    console.error(`\nseed ${seed}, ${failure?.checker}: ${text}`);
    console.error(`again: ${commandOf(seed, shrunk?.narrowing ?? narrowing)}`);
  }
}

function table(sums: {
  readonly done: number;
  readonly failures: readonly Verdict[];
  readonly steps: number;
  readonly seconds: number;
  readonly payments: number;
}): void {
  const { done, failures, steps, seconds, payments } = sums;
  const counts = new Map<string, number>();
  for (const { failure } of failures) {
    const name = failure?.checker ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const rows: [string, number][] = [
    ["worlds", done],
    ["steps", steps],
    ["payments", payments],
    ["seconds", seconds],
    ["failures", failures.length],
    ...counts,
  ];
  for (const [name, value] of rows) console.log(`${name.padEnd(16)} ${String(value).padStart(10)}`);
}

function show(done: number, count: number, failures: number): void {
  const filled = Math.round((done / count) * BAR);
  const bar = "█".repeat(filled).padEnd(BAR, "·");
  const found = failures > 0 ? `, ${failures} FAILED` : "";
  const end = process.stderr.isTTY ? "" : "\n";
  const isShown = process.stderr.isTTY || done % Math.ceil(count / 20) === 0;
  if (isShown) process.stderr.write(`\r${bar} ${done} of ${count} worlds${found}${end}`);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0 is needed.");
  return value;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError("a whole number is needed, 0 or more.");
  }
  return value;
}

function commaSeparated(text: string): readonly string[] {
  return text.split(",").filter((part) => part !== "");
}

function classes(text: string): readonly WorldClass[] {
  return text.split(",").map((name) => {
    const found = CLASSES.find((one) => one === name);
    if (!found) throw new InvalidArgumentError(`there is no class "${name}".`);
    return found;
  });
}

function ranges(text: string): readonly number[] {
  try {
    return numbersOf(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function planted(text: string): Plant {
  if (text !== "lost-commit") throw new InvalidArgumentError(`there is no bug "${text}".`);
  return text;
}
