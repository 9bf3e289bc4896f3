/** Asks the person at the terminal; the question goes to standard error, the answer comes from standard input. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";

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

/** As typedWord, and what is typed at a terminal is not shown. */
export async function hiddenWord(question: string): Promise<string> {
  if (!process.stdin.isTTY) return typedWord(question);
  const nowhere = new Writable({ write: (_bytes, _encoding, done) => done() });
  // Readline takes over the terminal's echo, and does it to `output`, which is nowhere; asked only then.
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  process.stderr.write(question);
  try {
    return await new Promise((resolve) => {
      lines.once("line", resolve);
      lines.once("close", () => resolve(""));
      // In raw mode Ctrl-C is a key; main.ts ends the program in order.
      lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
    });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
