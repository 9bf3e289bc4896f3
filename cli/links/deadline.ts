/** A time limit for an answer on a link: what has arrived when it ends is read before anybody is called late. */

/** A port that has bytes says so in one turn of the event loop, and hands them over in a later one. */
const READ_MS = 50;

/** Returns what cancels it. */
export function deadline(timeoutMs: number, onLate: () => void): () => void {
  let timer = setTimeout(() => {
    timer = setTimeout(onLate, READ_MS);
  }, timeoutMs);
  return () => clearTimeout(timer);
}
