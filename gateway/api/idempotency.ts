/** The same key is the same call: what moves money runs once, and gives one answer, whatever is lost or restarted meanwhile. */
import { createHash } from "node:crypto";
import { equal, toHex } from "../../core/primitives/bytes.ts";
import type { Json } from "./event-json.ts";
import { ApiProblem } from "./problem.ts";

/** What is known of a key. */
export interface KeptAnswer {
  readonly request: Uint8Array;
  readonly createdAtMs: number;
  /** How far it came: JSON of the operation's own, written before what cannot be undone. */
  readonly note?: string | undefined;
  /** JSON; absent while the call is under way, or after it was interrupted. */
  readonly answer?: string | undefined;
}

/** Durable: what was put is there after a crash. */
export interface AnswerStore {
  get(key: Uint8Array): Promise<KeptAnswer | undefined> | KeptAnswer | undefined;
  put(key: Uint8Array, kept: KeptAnswer): Promise<void> | void;
  remove(key: Uint8Array): Promise<void> | void;
  count(): Promise<number> | number;
  /** Forgets what is older. */
  expire(beforeMs: number): Promise<void> | void;
}

/** One call as the operation sees it. */
export interface Once {
  /** 32 bytes that are the same for every try of this call, and for no other. */
  readonly id: Uint8Array;
  /** What an earlier try noted, before it was interrupted. */
  readonly noted: Json | undefined;
  /** Durable when it returns. */
  note(value: Json): Promise<void>;
  /** The answer is how it stands by now: it is not kept, and the next try looks again. */
  leaveOpen(): void;
}

export interface IdempotencyOptions {
  readonly store: AnswerStore;
  readonly nowMs: () => number;
  readonly maxKept?: number;
}

export const KEPT_MS = 48 * 3_600_000;
/** Eleven a second for two days: about a gigabyte. */
const MAX_KEPT = 2_000_000;
const EXPIRY_EVERY_MS = 60_000;

export class Idempotency {
  private readonly underWay = new Map<string, { request: Uint8Array; answer: Promise<Json> }>();
  private expiredAtMs = Number.NEGATIVE_INFINITY;
  /** As of the last expiry, and what came since: to count very many for each call would take longer than the call. */
  private count = 0;

  constructor(private readonly options: IdempotencyOptions) {}

  /**
   * Runs it, or gives what it gave before. `caller` and `key` name the call, `request` is all that it says.
   * A refusal (an ApiProblem below 500) changed nothing: it is not kept, and may be tried again under the same key.
   */
  async once(
    named: { readonly caller: string; readonly key: string; readonly request: Json },
    run: (once: Once) => Promise<Json>,
  ): Promise<Json> {
    const id = hashOf([named.caller, named.key]);
    const request = hashOf(named.request);
    const running = this.underWay.get(toHex(id));
    if (running) {
      demandSame(running.request, request, named.key);
      return running.answer;
    }
    const answer = this.perform(id, request, named.key, run);
    this.underWay.set(toHex(id), { request, answer });
    try {
      return await answer;
    } finally {
      this.underWay.delete(toHex(id));
    }
  }

  private async perform(
    id: Uint8Array,
    request: Uint8Array,
    key: string,
    run: (once: Once) => Promise<Json>,
  ): Promise<Json> {
    const { store, nowMs } = this.options;
    await this.expire();
    const known = await store.get(id);
    if (known) demandSame(known.request, request, key);
    if (known?.answer !== undefined) return JSON.parse(known.answer) as Json;
    let kept: KeptAnswer = known ?? { request, createdAtMs: nowMs() };
    if (!known) await this.begin(id, kept);
    const note = async (value: Json) => {
      kept = { ...kept, note: JSON.stringify(value) };
      await store.put(id, kept);
    };
    const noted = known?.note === undefined ? undefined : (JSON.parse(known.note) as Json);
    try {
      let isOpen = false;
      const leaveOpen = () => {
        isOpen = true;
      };
      const answer = await run({ id, noted, note, leaveOpen });
      if (!isOpen) await store.put(id, { ...kept, answer: JSON.stringify(answer) });
      return answer;
    } catch (cause) {
      if (changedNothing(cause)) {
        await store.remove(id);
        this.count--;
      }
      throw cause;
    }
  }

  private async begin(id: Uint8Array, kept: KeptAnswer): Promise<void> {
    const { store, maxKept = MAX_KEPT } = this.options;
    if (this.count >= maxKept) {
      const hours = KEPT_MS / 3_600_000;
      const message = `${maxKept} calls of the last ${hours} hours are remembered, and no more can be: try later`;
      throw new ApiProblem("unavailable", message);
    }
    this.count++;
    await store.put(id, kept);
  }

  private async expire(): Promise<void> {
    const { store, nowMs } = this.options;
    const now = nowMs();
    if (now - this.expiredAtMs < EXPIRY_EVERY_MS) return;
    this.expiredAtMs = now;
    await store.expire(now - KEPT_MS);
    this.count = await store.count();
  }
}

/** For tests, and where nothing is durable anyway. */
export class VolatileAnswers implements AnswerStore {
  private readonly kept = new Map<string, KeptAnswer>();

  get(key: Uint8Array): KeptAnswer | undefined {
    return this.kept.get(toHex(key));
  }

  put(key: Uint8Array, kept: KeptAnswer): void {
    this.kept.set(toHex(key), kept);
  }

  remove(key: Uint8Array): void {
    this.kept.delete(toHex(key));
  }

  count(): number {
    return this.kept.size;
  }

  expire(beforeMs: number): void {
    for (const [key, { createdAtMs }] of this.kept) {
      if (createdAtMs < beforeMs) this.kept.delete(key);
    }
  }
}

function changedNothing(cause: unknown): boolean {
  const status = cause instanceof ApiProblem ? cause.status : undefined;
  const isForbidden = cause instanceof Error && cause.name === "AuthError";
  return isForbidden || (status !== undefined && status < 500);
}

function demandSame(known: Uint8Array, request: Uint8Array, key: string): void {
  if (equal(known, request)) return;
  const message = `the key "${key}" stands for another request: take a new key for each new payment`;
  throw new ApiProblem("idempotency-conflict", message);
}

function hashOf(value: Json): Uint8Array {
  return new Uint8Array(
    createHash("sha256")
      .update(JSON.stringify(sorted(value)))
      .digest(),
  );
}

/** Objects with their names in order: the order in which they are sent means nothing. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, one]) => [name, sorted(one)]));
}
