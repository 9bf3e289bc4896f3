/** A key stands for one call, through crashes and restarts, wherever the answers are kept. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AnswerStore,
  Idempotency,
  KEPT_MS,
  type Once,
} from "../../../gateway/api/idempotency.ts";
import { ApiProblem } from "../../../gateway/api/problem.ts";

export interface OpenAnswers {
  readonly answers: AnswerStore;
  /** What was put before is there when it is opened again. */
  close(): Promise<void> | void;
}

/** A new empty place, and how to open it. */
export type MakeAnswers = () => Promise<() => Promise<OpenAnswers>>;

const named = (key: string, amount = 1) => ({ caller: "someone", key, request: { amount } });
const mustNotRun = async () => {
  throw new Error("it ran again");
};

export function idempotencyContract(name: string, make: MakeAnswers): void {
  describe(name, () => {
    const stage = new Stage(make);
    beforeEach(() => stage.begin());
    afterEach(() => stage.end());
    outlivesRestarts(stage);
    runsOnce(stage);
  });
}

class Stage {
  nowMs = 0;
  calls!: Idempotency;
  private opened!: OpenAnswers;
  private open!: () => Promise<OpenAnswers>;

  constructor(private readonly make: MakeAnswers) {}

  async begin(): Promise<void> {
    this.nowMs = 1_800_000_000_000;
    this.open = await this.make();
    await this.start();
  }

  async restart(maxKept?: number): Promise<void> {
    await this.opened.close();
    await this.start(maxKept);
  }

  async end(): Promise<void> {
    await this.opened.close();
  }

  private async start(maxKept = 100): Promise<void> {
    this.opened = await this.open();
    const nowMs = () => this.nowMs;
    this.calls = new Idempotency({ store: this.opened.answers, nowMs, maxKept });
  }
}

function outlivesRestarts(stage: Stage): void {
  test("the answer outlives a restart, and the order of fields means nothing", async () => {
    const request = { a: 1, b: { c: 2, d: 3 } };
    await stage.calls.once({ caller: "x", key: "k", request }, async () => ({ paid: 7 }));
    await stage.restart();
    const again = { caller: "x", key: "k", request: { b: { d: 3, c: 2 }, a: 1 } };
    expect(await stage.calls.once(again, mustNotRun)).toEqual({ paid: 7 });
  });

  test("another request under the key is refused, also after a restart; another caller's key is another", async () => {
    await stage.calls.once(named("k"), async () => "first");
    await stage.restart();
    const conflict = stage.calls.once(named("k", 2), mustNotRun);
    await expect(conflict).rejects.toMatchObject({ problem: "idempotency-conflict" });
    const other = { ...named("k", 2), caller: "another" };
    expect(await stage.calls.once(other, async () => "second")).toBe("second");
  });

  test("what was interrupted goes on from its note, with the same id", async () => {
    let first: Once | undefined;
    const died = stage.calls.once(named("k"), async (once) => {
      first = once;
      await once.note({ raw: "signed" });
      throw new Error("the power failed");
    });
    await expect(died).rejects.toThrow("power");
    await stage.restart();
    const told = await stage.calls.once(named("k"), async ({ noted, id }) => {
      expect(noted).toEqual({ raw: "signed" });
      expect(id).toEqual(first?.id);
      return "sent";
    });
    expect(told).toBe("sent");
  });
}

function runsOnce(stage: Stage): void {
  test("a refusal changed nothing: the key may be tried again; what is still open is looked at again", async () => {
    const refuse = async () => {
      throw new ApiProblem("not-connected", "away");
    };
    await expect(stage.calls.once(named("k"), refuse)).rejects.toThrow("away");
    const pending = async (once: Once) => {
      once.leaveOpen();
      return "pending";
    };
    expect(await stage.calls.once(named("k"), pending)).toBe("pending");
    expect(await stage.calls.once(named("k"), async () => "done")).toBe("done");
    expect(await stage.calls.once(named("k"), mustNotRun)).toBe("done");
  });

  test("two at once run once", async () => {
    let runs = 0;
    const slow = async () => {
      await new Promise((wake) => setTimeout(wake, 5));
      return ++runs;
    };
    const both = await Promise.all([
      stage.calls.once(named("k"), slow),
      stage.calls.once(named("k"), slow),
    ]);
    expect(both).toEqual([1, 1]);
  });

  test("answers are kept for two days and no longer, and no more than there is room for", async () => {
    await stage.restart(2);
    await stage.calls.once(named("a"), async () => 1);
    await stage.calls.once(named("b"), async () => 2);
    await expect(stage.calls.once(named("c"), async () => 3)).rejects.toMatchObject({
      problem: "unavailable",
    });
    stage.nowMs += KEPT_MS - 1;
    expect(await stage.calls.once(named("a"), mustNotRun)).toBe(1);
    stage.nowMs += 120_000;
    expect(await stage.calls.once(named("c"), async () => 3)).toBe(3);
  });
}
