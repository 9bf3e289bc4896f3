/** Threads that run worlds, bundled once; a world that never ends or kills its thread is a failure like any other. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Plugin } from "esbuild";
import { bundleThread, PatientThread } from "../patient-thread.ts";
import type { SimAnswer, SimRequest } from "./worker.ts";

/** The longest world takes some seconds; beside other work it may get a fiftieth of a processor. */
const HANG_MS = 600_000;
const HEAP_MB = 1_024;

/** Answers the bundle's file, which whoever asked removes. */
export function buildWorker(name = "worker", plugins: readonly Plugin[] = []): Promise<string> {
  const entry = join(import.meta.dirname, "worker.ts");
  return bundleThread(entry, `.cache/sim/${name}-${process.pid}.mjs`, plugins);
}

export class SimThread {
  private readonly thread: PatientThread<SimRequest, SimAnswer>;

  constructor(
    file: string,
    private readonly hangMs = HANG_MS,
  ) {
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MB };
    this.thread = new PatientThread(() => new Worker(file, { resourceLimits }));
  }

  run(request: SimRequest): Promise<SimAnswer> {
    const { seed } = request;
    const limit = request.shrinks ? this.hangMs * 5 : this.hangMs;
    return this.thread.run(request, {
      watch: (lost) => {
        const timer = setTimeout(() => lost(`no end after ${limit / 1000} s`), limit);
        return () => clearTimeout(timer);
      },
      instead: (text) => {
        const failure = { checker: "no-crash", text, step: 0 };
        return { verdict: { seed, steps: 0, digest: "", payments: 0, failure } };
      },
    });
  }

  end(): Promise<void> {
    return this.thread.end();
  }
}
