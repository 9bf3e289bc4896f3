/** The kinds of error that core throws: our own bug, and the peer's fault (DESIGN §3). */

/** Our bug: the operation must halt, nothing may be sent or stored after it. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** The peer broke the protocol; `tag` is the rule's name in docs/RULES.md or the field that is wrong. */
export class ProtocolViolation extends Error {
  override readonly name = "ProtocolViolation";
  constructor(
    readonly tag: string,
    message: string,
  ) {
    super(`${tag}: ${message}`);
  }
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`);
}

/** Throws the peer's fault when `condition` does not hold. */
export function demand(condition: unknown, tag: string, message: string): asserts condition {
  if (!condition) throw new ProtocolViolation(tag, message);
}
