/** `npm run sim -- --mutants`: hunts every deliberate bug, on all threads, and prints who caught it. */
import { MUTANTS } from "./all.ts";
import { type Hunted, hunt } from "./hunt.ts";
import type { Mutant } from "./mutant.ts";
import { MutantError, patched } from "./patch.ts";

export interface HuntRequest {
  /** Those whose names contain one of these; all where it is empty. */
  readonly only: readonly string[];
  readonly threads: number;
  readonly json: boolean;
}

/** The exit code: 1 where one was not caught. */
export async function huntMutants({ only, threads, json }: HuntRequest): Promise<number> {
  const chosen = MUTANTS.filter(
    ({ name }) => only.length === 0 || only.some((part) => name.includes(part)),
  );
  if (chosen.length === 0) {
    console.error(`no mutant is named ${only.join(" or ")}; there are:`);
    for (const { name } of MUTANTS) console.error(`  ${name}`);
    return 2;
  }
  // Before minutes of work: a stale one is no mutant at all.
  try {
    for (const mutant of chosen) patched(mutant);
  } catch (error) {
    if (!(error instanceof MutantError)) throw error;
    console.error(error.message);
    return 2;
  }
  const startedAt = performance.now();
  const found = await huntAll(chosen, threads, (one, done) => tell(one, done, chosen.length));
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  const caught = found.filter((one) => one.caught).length;
  const sums = { mutants: found.length, caught };
  if (json) console.log(JSON.stringify({ ...sums, seconds, details: found }));
  else table(found, `${caught} of ${found.length} mutants are caught, in ${seconds} s`);
  return caught === found.length ? 0 : 1;
}

/** In the order of `mutants`. */
export async function huntAll(
  mutants: readonly Mutant[],
  threads: number,
  tell: (one: Hunted, done: number) => void = () => {},
): Promise<readonly Hunted[]> {
  const found: Hunted[] = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    for (let at = next++; at < mutants.length; at = next++) {
      const one = await hunt(mutants[at] as Mutant);
      found[at] = one;
      tell(one, ++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, mutants.length) }, work));
  return found;
}

function tell(one: Hunted, done: number, count: number): void {
  const { name, caught, checker, text, seed, worlds, seconds } = one;
  const [said] = (text ?? "").split("\n");
  const what = caught ? `seed ${seed}, ${checker}: ${said}` : `NOT CAUGHT in ${worlds} worlds`;
  process.stderr.write(`${done} of ${count}: ${name}: ${what} (${seconds} s)\n`);
}

function table(found: readonly Hunted[], sum: string): void {
  const rows = [
    ["mutant", "breaks", "caught by", "seed", "worlds", "s"],
    ...found.map(({ name, breaks, caught, checker, seed, worlds, seeds, seconds }) => [
      name,
      breaks,
      caught ? (checker ?? "") : "NOT CAUGHT",
      String(seed ?? ""),
      `${worlds}/${seeds}`,
      String(seconds),
    ]),
  ];
  const widths = (rows[0] as string[]).map((_, i) =>
    Math.max(...rows.map((row) => (row[i] as string).length)),
  );
  for (const row of rows) {
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join("  ")
        .trimEnd(),
    );
  }
  console.log(sum);
}
