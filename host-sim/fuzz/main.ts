/** `npm run fuzz`: coverage-guided fuzzing of every parser and of three whole nodes (docs/TESTING.md). */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { fromHex, toHex } from "../../core/primitives/bytes.ts";
import { buildWorker } from "./build.ts";
import { type CampaignLine, runCampaign } from "./campaign.ts";
import { saveCorpus } from "./corpus.ts";
import type { Finding } from "./loop.ts";
import { FuzzThread } from "./pool.ts";
import { findingOf } from "./target.ts";
import { targetNamed, targets } from "./targets/all.ts";

const FINDINGS = join(import.meta.dirname, "../../.cache/fuzz/findings");

interface Words {
  readonly minutes: number;
  readonly seed: number;
  readonly target: readonly string[];
  readonly threads?: number;
  readonly keep?: boolean;
  readonly json?: boolean;
  readonly replay?: string;
}

const program = new Command("npm run fuzz --")
  .description("Looks for inputs that make a parser do anything but answer or refuse.")
  .option("--minutes <M>", "how long, in all", positive, 1)
  .option("--target <name...>", "only these", [] as string[])
  .option("--seed <N>", "of the random numbers", positive, Date.now() % 1_000_000)
  .option("--threads <N>", "at a time (default: as many as there are cores)", positive)
  .option("--keep", "write the smallest inputs that reach the same into test/fuzz/corpus")
  .option("--replay <file>", "run one input again, from the file that a finding was written to")
  .option("--json", "print one JSON object at the end")
  .addHelpText("after", `\nTargets: ${targets.map(({ name }) => name).join(", ")}`);

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("a number above 0 is needed.");
  return value;
}

program.parse();
const words = program.opts<Words>();
process.exitCode = words.replay === undefined ? await fuzz(words) : await replay(words.replay);

async function fuzz(given: Words): Promise<number> {
  const say = (text: string) => void process.stderr.write(text);
  const chosen = given.target.length > 0 ? given.target.map(targetNamed) : targets;
  say("building the instrumented bundle …\n");
  const worker = await buildWorker();
  const milliseconds = given.minutes * 60_000;
  say(`${chosen.length} targets, ${given.minutes} min, seed ${given.seed}\n`);
  const startedAt = Date.now();
  const lines = await runCampaign({
    worker,
    targets: chosen,
    milliseconds,
    seed: given.seed,
    ...(given.threads !== undefined && { threads: given.threads }),
    onProgress: (line) => say(progress(line, (Date.now() - startedAt) / milliseconds)),
  });
  if (given.keep) await keep(worker, lines);
  return report(lines, given);
}

function progress(line: CampaignLine, done: number): string {
  const percent = `${Math.min(100, Math.round(done * 100))} %`.padStart(5);
  const rate = Math.round(line.executions / (line.milliseconds / 1000));
  const found = line.findings.length > 0 ? `  ${line.findings.length} FINDINGS` : "";
  return `${percent}  ${line.target.padEnd(18)} ${rate} a second, corpus ${line.corpus.length}${found}\n`;
}

async function keep(worker: string, lines: readonly CampaignLine[]): Promise<void> {
  const thread = new FuzzThread(worker);
  for (const { target, corpus } of lines) {
    const request = { target, corpus, seed: 0, milliseconds: 0, minimises: true };
    const { kept = [] } = await thread.run(request);
    if (kept.length > 0) saveCorpus(target, kept);
  }
  await thread.end();
}

function report(lines: readonly CampaignLine[], { json }: Words): number {
  const findings = lines.flatMap((line) => line.findings);
  const executions = lines.reduce((sum, line) => sum + line.executions, 0);
  const files = findings.map(write);
  if (json) {
    const parts = lines.map(({ target, executions: n, seen }) => ({ target, executions: n, seen }));
    console.log(JSON.stringify({ executions, findings: findings.length, targets: parts }));
  } else {
    console.log("target              executions   branches  corpus  findings");
    for (const { target, executions: n, seen, corpus, findings: found } of lines) {
      const cells = [
        String(n).padStart(10),
        String(seen).padStart(10),
        String(corpus.length).padStart(7),
      ];
      console.log(`${target.padEnd(18)}  ${cells.join(" ")}  ${String(found.length).padStart(8)}`);
    }
    console.log(`${executions} executions, ${findings.length} findings`);
  }
  findings.forEach((finding, i) => {
    console.error(
      `\n${finding.target}: ${finding.text}\nagain: npm run fuzz -- --replay ${files[i]}`,
    );
  });
  return findings.length > 0 ? 1 : 0;
}

/** `<target>` and the input in hex, a line each. */
function write(finding: Finding): string {
  mkdirSync(FINDINGS, { recursive: true });
  const hex = toHex(finding.input);
  const file = join(FINDINGS, `${finding.target}-${hex.length / 2}-${hex.slice(0, 12)}.txt`);
  writeFileSync(file, `${finding.target}\n${hex}\n`);
  return file;
}

async function replay(file: string): Promise<number> {
  const [name = "", hex = ""] = readFileSync(file, "utf8").split("\n");
  const input = fromHex(hex.trim());
  const startedAt = performance.now();
  const error = await findingOf(targetNamed(name.trim()), input);
  const took = Math.round(performance.now() - startedAt);
  if (error === undefined) {
    console.log(`${name}: ${input.length} bytes are read or refused as they should, in ${took} ms`);
    return 0;
  }
  console.error(error);
  return 1;
}
