/** Threads that fuzz, one slice after the other, and a watch over them: an input that never returns or eats all memory is a finding. */
import { Worker } from "node:worker_threads";
import { PatientThread } from "../patient-thread.ts";
import type { Finding, SliceResult } from "./loop.ts";
import type { SliceRequest } from "./worker.ts";

const HEAD = 2;
const SHARED_BYTES = 1 << 20;
/** An input that runs longer is a finding, and its thread is ended. */
const HANG_MS = 20_000;
const LOOK_MS = 500;
/** Of one thread's heap: an input cannot make a parser take more. */
const HEAP_MB = 384;

export interface Outcome extends SliceResult {
  readonly kept?: readonly Uint8Array[];
}

export class FuzzThread {
  private shared = new SharedArrayBuffer(SHARED_BYTES);
  private readonly thread: PatientThread<SliceRequest, Outcome>;

  constructor(file: string) {
    this.thread = new PatientThread(() => {
      this.shared = new SharedArrayBuffer(SHARED_BYTES);
      return new Worker(file, {
        workerData: { shared: this.shared },
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      });
    });
  }

  run(request: SliceRequest, hangMs = HANG_MS): Promise<Outcome> {
    let countBefore = 0;
    return this.thread.run(request, {
      watch: (lost) => {
        countBefore = this.begun;
        let last = countBefore;
        let lastAt = performance.now();
        const timer = setInterval(() => {
          const now = performance.now();
          if (this.begun !== last) {
            last = this.begun;
            lastAt = now;
          } else if (now - lastAt > hangMs) {
            lost(`NeverReturns: ran longer than ${hangMs / 1000} s`);
          }
        }, LOOK_MS);
        return () => clearInterval(timer);
      },
      instead: (text) => ({
        executions: this.begun - countBefore,
        added: [],
        findings: [{ target: request.target, input: this.current(), text }],
        seen: 0,
      }),
    });
  }

  end(): Promise<void> {
    return this.thread.end();
  }

  /** Inputs so far. */
  private get begun(): number {
    return new Int32Array(this.shared, 0, HEAD)[0] as number;
  }

  private current(): Uint8Array {
    const length = new Int32Array(this.shared, 0, HEAD)[1] as number;
    return new Uint8Array(this.shared, HEAD * 4, length).slice();
  }
}

export type { Finding };
