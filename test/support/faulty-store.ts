/** A Store that fails where a plan says: the process dies before or after a commit, or the disk refuses one. */
import type { CommitOutcome, Store, StoreCommit, StoredChannel } from "../../core/ports/store.ts";

/** `crash-*`: the process is gone, the store answers nothing more. `refuse`: this commit alone fails. */
export type StoreFault = "crash-before" | "crash-after" | "refuse";

/** Asked once per commit; `index` counts from 0. */
export type StoreFaultPlan = (index: number, change: StoreCommit) => StoreFault | undefined;

export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

export class FaultyStore implements Store {
  private commits = 0;
  private dead = false;

  constructor(
    private readonly inner: Store,
    private readonly plan: StoreFaultPlan,
  ) {}

  get name(): string {
    return `faulty:${this.inner.name}`;
  }

  /** Commits asked for so far, failed ones included. */
  get commitCount(): number {
    return this.commits;
  }

  get crashed(): boolean {
    return this.dead;
  }

  load(): Promise<readonly StoredChannel[]> | readonly StoredChannel[] {
    return this.alive().load();
  }

  commit(change: StoreCommit): Promise<CommitOutcome> | CommitOutcome {
    const inner = this.alive();
    const fault = this.plan(this.commits++, change);
    if (fault === undefined) return inner.commit(change);
    if (fault === "refuse") throw new Error("the disk refused this commit (planned by the test)");
    this.dead = true;
    if (fault === "crash-before") throw new SimulatedCrash("died before the commit");
    const outcome = inner.commit(change);
    if (outcome instanceof Promise) return outcome.then(() => this.crash());
    return this.crash();
  }

  isDebited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.alive().isDebited(reference);
  }

  isCredited(reference: Uint8Array): Promise<boolean> | boolean {
    return this.alive().isCredited(reference);
  }

  getValue(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    return this.alive().getValue(key);
  }

  setValue(key: string, value: Uint8Array): Promise<void> | void {
    return this.alive().setValue(key, value);
  }

  /** The inner store outlives the wrapper: what is restarted after a crash opens it again. */
  close(): void {}

  private alive(): Store {
    if (this.dead) throw new SimulatedCrash("the process is gone");
    return this.inner;
  }

  private crash(): never {
    throw new SimulatedCrash("died after the commit");
  }
}
