/** A thread that does one piece of work at a time; one that dies over it or does not come back is ended, and the next piece has a new one. */
import { resolve } from "node:path";
import type { Worker } from "node:worker_threads";
import { build, type Plugin } from "esbuild";

/** What becomes of a piece of work that has no answer. */
export interface Care<Answer> {
  /** Calls `lost` when the work has taken too long; answers how to stop watching. */
  watch(lost: (text: string) => void): () => void;
  /** The answer in the place of the thread's. */
  instead(text: string): Answer;
}

export class PatientThread<Request, Answer> {
  private worker: Worker | undefined;

  constructor(private readonly start: () => Worker) {}

  run(request: Request, care: Care<Answer>): Promise<Answer> {
    this.worker ??= this.start();
    const { worker } = this;
    return new Promise((resolve) => {
      const end = (answer: Answer) => {
        stop();
        worker.off("message", end).off("error", failed);
        resolve(answer);
      };
      const lost = (text: string) => {
        this.worker = undefined;
        void worker.terminate();
        end(care.instead(text));
      };
      const failed = (error: Error) => lost(error.stack ?? error.message);
      const stop = care.watch(lost);
      worker.on("message", end).on("error", failed);
      worker.postMessage(request);
    });
  }

  async end(): Promise<void> {
    await this.worker?.terminate();
    this.worker = undefined;
  }
}

/** The file of such a thread, its path from the root, with all that it imports of ours; `plugins` may change what goes into it. */
export async function bundleThread(
  entry: string,
  outfile: string,
  plugins: readonly Plugin[],
): Promise<string> {
  const path = resolve(import.meta.dirname, "..", outfile);
  await build({
    entryPoints: [entry],
    outfile: path,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "warning",
    plugins: [...plugins],
  });
  return path;
}
