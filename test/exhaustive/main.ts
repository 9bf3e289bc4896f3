/** `npm run exhaustive`: the commitment dance in every order; `--all` for all pairs of updates in all channel types, `--json` for one object. */
import { Command, InvalidArgumentError } from "commander";
import { explore } from "./explore.ts";
import { nameOf } from "./plan.ts";
import { allCases, someCases } from "./sets.ts";
import { Stage } from "./stage.ts";

const program = new Command("npm run exhaustive --")
  .description("Explores two nodes, two updates, lost links and lost power in every order.")
  .option("--all", "all pairs of updates in all channel types (minutes)")
  .option("--cuts <N>", "links that may break on one way", count, 1)
  .option("--crashes <N>", "processes that may die on one way", count, 1)
  .option("--json", "print one JSON object at the end");
program.parse();
const words = program.opts<{ all?: boolean; cuts: number; crashes: number; json?: boolean }>();

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 9) {
    throw new InvalidArgumentError("a number from 0 to 9 is needed.");
  }
  return value;
}

const cases = words.all ? allCases : someCases;
const totals = { cases: 0, states: 0, transitions: 0, ends: 0, steps: 0, depth: 0, failures: 0 };
const startedAt = Date.now();
const say = words.json ? console.error : console.log;
say("channel type          updates                 states  transitions    ends  longest way");
for (const { channelType, plan } of cases) {
  const title = `${channelType.padEnd(21)} ${nameOf(plan).padEnd(20)}`;
  process.stderr.write(process.stderr.isTTY ? `${title} …\r` : "");
  totals.cases++;
  try {
    const found = explore(await Stage.make(channelType, plan), words);
    const { states, transitions, ends, depth } = found;
    const numbers = [states.toString().padStart(9), transitions.toString().padStart(12)];
    say(`${title} ${numbers.join(" ")} ${`${ends}`.padStart(7)} ${`${depth}`.padStart(12)}`);
    totals.states += states;
    totals.transitions += transitions;
    totals.ends += ends;
    totals.steps += found.worked;
    totals.depth = Math.max(totals.depth, depth);
  } catch (cause) {
    totals.failures++;
    say(`${title} FAILED: ${(cause as Error).message}`);
  }
}
const seconds = Math.round((Date.now() - startedAt) / 100) / 10;
if (words.json) console.log(JSON.stringify({ ...totals, seconds }));
else {
  const { cases: pairs, states, transitions, ends, steps, failures } = totals;
  const verdict = failures === 0 ? "all of them agree" : `${failures} pairs FAILED`;
  console.log(
    `${pairs} pairs: ${states} states, ${transitions} transitions, ${ends} ends: ${verdict}; ` +
      `${steps} steps of production, ${seconds} s`,
  );
}
process.exitCode = totals.failures === 0 ? 0 : 1;
