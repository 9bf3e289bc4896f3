/** Asks the person at the terminal; the question goes to standard error, the answer comes from standard input. */
import { createInterface } from "node:readline";

/** The next line of standard input; empty at its end. */
export function typedWord(question: string): Promise<string> {
  process.stderr.write(question);
  const lines = createInterface({ input: process.stdin });
  return new Promise((resolve) => {
    lines.once("line", (line) => {
      resolve(line.trim());
      lines.close();
    });
    lines.once("close", () => resolve(""));
  });
}
