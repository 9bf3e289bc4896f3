/** How much of the engine's stack is left: fills it with calls, so that a worker can be as narrow as a device. */

/** Runs `work` below `frames` calls of this function. */
export function descend<T>(frames: number, work: () => T): T {
  if (frames === 0) return work();
  // Not returned at once: XS would turn that into a jump, which takes no stack.
  const result = descend(frames - 1, work);
  return result;
}
