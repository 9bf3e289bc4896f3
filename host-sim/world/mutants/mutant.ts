/** A deliberate bug in production code: a small patch of its text, which the checkers of a world must notice. */
import type { WorldClass } from "../options.ts";

/** `old` stands in `file` exactly once. */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  readonly old: string;
  readonly new: string;
}

export interface Mutant {
  readonly name: string;
  /** A tag of docs/RULES.md, or in words what a world checks besides. */
  readonly breaks: string;
  /** More than one where one rule is guarded twice. */
  readonly edits: readonly Edit[];
  /** So many worlds at most, until one catches it. */
  readonly seeds: number;
  /** A seed that is known to catch it, tried before 1, 2, 3 … */
  readonly first?: number;
  /** Only worlds with all of these classes count. */
  readonly needs?: readonly WorldClass[];
}
