/** A fuzzing campaign: every target gets slices of time in turn, what it found goes into the next slice's corpus. */
import { availableParallelism } from "node:os";
import { loadCorpus } from "./corpus.ts";
import type { Finding } from "./loop.ts";
import { FuzzThread } from "./pool.ts";
import type { FuzzTarget } from "./target.ts";

export interface CampaignOptions {
  readonly worker: string;
  readonly targets: readonly FuzzTarget[];
  readonly milliseconds: number;
  readonly seed: number;
  readonly threads?: number;
  onProgress?(line: CampaignLine): void;
}

/** How one target stands. */
export interface CampaignLine {
  readonly target: string;
  executions: number;
  milliseconds: number;
  corpus: Uint8Array[];
  /** Pairs of counter and magnitude that its inputs reach. */
  seen: number;
  readonly findings: Finding[];
}

const MAX_SLICE_MS = 15_000;
const MIN_SLICE_MS = 500;
/** More are a sign of something that changes from run to run; the smallest are kept. */
const MAX_CORPUS = 2_000;

export async function runCampaign(options: CampaignOptions): Promise<readonly CampaignLine[]> {
  const { targets, milliseconds } = options;
  const threads = Math.min(options.threads ?? availableParallelism(), targets.length);
  const lines = targets.map(({ name }): CampaignLine => {
    const corpus = [...loadCorpus(name)];
    return { target: name, executions: 0, milliseconds: 0, corpus, seen: 0, findings: [] };
  });
  const share = (milliseconds * threads) / targets.length;
  const rounds = Math.max(1, Math.ceil(share / MAX_SLICE_MS));
  const slice = Math.max(MIN_SLICE_MS, share / rounds);
  const turns = Array.from({ length: rounds }, (_, round) =>
    lines.map((line) => ({ line, seed: options.seed + round * 7919 })),
  ).flat();
  const work = async () => {
    const thread = new FuzzThread(options.worker);
    for (let turn = turns.shift(); turn; turn = turns.shift()) {
      const { line, seed } = turn;
      if (line.findings.length > 0) continue;
      const { target, corpus } = line;
      const startedAt = performance.now();
      const result = await thread.run({ target, corpus, seed, milliseconds: slice });
      line.milliseconds += performance.now() - startedAt;
      line.executions += result.executions;
      line.seen = Math.max(line.seen, result.seen);
      line.findings.push(...result.findings);
      line.corpus.push(...result.added);
      if (line.corpus.length > MAX_CORPUS) {
        line.corpus = line.corpus.sort((a, b) => a.length - b.length).slice(0, MAX_CORPUS);
      }
      options.onProgress?.(line);
    }
    await thread.end();
  };
  await Promise.all(Array.from({ length: threads }, work));
  return lines;
}
