/** What a fuzz target is: bytes in, and nothing but a typed refusal out. */
import { ProtocolViolation } from "../../core/primitives/errors.ts";

export interface FuzzTarget {
  readonly name: string;
  /** Inputs are at most this long. */
  readonly maxBytes: number;
  /** Valid inputs to begin with. */
  seeds(): readonly Uint8Array[];
  /** Tokens that mutations put into inputs. */
  readonly dictionary?: readonly Uint8Array[];
  /** May throw what `isRefusal` knows; any other error is a finding, and so is an input that takes long. */
  run(input: Uint8Array): void | Promise<void>;
  isRefusal?(error: unknown): boolean;
  /** For targets that do more than parse: milliseconds until an input counts as slow. */
  readonly slowMs?: number;
}

export const SLOW_MS = 200;

/** A promise of the code under test that an input broke. */
export class BrokenPromise extends Error {
  override readonly name = "BrokenPromise";
}

export function promise(condition: unknown, text: string): asserts condition {
  if (!condition) throw new BrokenPromise(text);
}

/** Where a target says nothing else. */
export function isViolation(error: unknown): boolean {
  return error instanceof ProtocolViolation;
}

/** Runs one input; the error where it is a finding. A target that answers at once is not waited for. */
export function findingOf(target: FuzzTarget, input: Uint8Array): unknown | Promise<unknown> {
  const refused = (error: unknown) =>
    (target.isRefusal ?? isViolation)(error) ? undefined : error;
  try {
    const running = target.run(input);
    if (running instanceof Promise) return running.then(() => undefined, refused);
    return undefined;
  } catch (error) {
    return refused(error);
  }
}

/** What is dear to make and the same for every input. */
export function once<T>(make: () => T): () => T {
  const kept: T[] = [];
  return () => {
    if (kept.length === 0) kept.push(make());
    return kept[0] as T;
  };
}
