/** The `picobolt` command line: finds the command, reads its words, runs it, and turns what goes wrong into one sentence. */
import { homedir } from "node:os";
import { join } from "node:path";
import { CommanderError, type Command as Parser } from "commander";
import type { Context } from "./command.ts";
import { EXIT, Failure, messageOf } from "./failure.ts";
import { Output } from "./output.ts";
import { treeOf } from "./tree.ts";

export async function main(words: readonly string[]): Promise<void> {
  const isJson = words.includes("--json");
  const out = new Output(isJson);
  const ends: (() => Promise<void> | void)[] = [];
  const stopping = new AbortController();
  let stoppedCode: number = EXIT.stopped;
  const context: Context = {
    out,
    stopsByRequest: () => {
      stoppedCode = 0;
    },
    signal: stopping.signal,
    home: process.env.PICOBOLT_HOME || join(homedir(), ".config", "picobolt"),
    atEnd: (work) => void ends.push(work),
  };
  leaveQuietly();
  // Packages print warnings (noble does): standard output is for answers.
  console.log = console.error;
  const stopped = Promise.race([untilInterrupted(stopping), untilBroken()]);
  let exitCode: number;
  try {
    await Promise.race([perform(context, words), stopped]);
    exitCode = stopping.signal.aborted ? stoppedCode : 0;
  } catch (cause) {
    const isStopped = stopping.signal.aborted;
    exitCode = isStopped && stoppedCode === 0 ? 0 : report(out, cause, isStopped);
  }
  out.endBar();
  for (const end of ends.reverse())
    await Promise.resolve()
      .then(end)
      .catch(() => {});
  await flushed();
  process.exit(exitCode);
}

async function perform(context: Context, words: readonly string[]): Promise<void> {
  const wanted = words.find((word) => !word.startsWith("-"));
  const parser = await treeOf(
    (command, args, options) => command.run(context, args, options),
    (name) => name === wanted,
  );
  if (words.length === 0) {
    parser.outputHelp();
    return;
  }
  try {
    await parser.parseAsync(words as string[], { from: "user" });
  } catch (cause) {
    if (!(cause instanceof CommanderError) || cause.exitCode === 0) throw cause;
    const sentence = cause.message
      .replace(/^error: /, "")
      .replace(/\n/g, " ")
      .replace(/\.$/, "");
    throw new Failure(`${sentence}; ${whereHelpIs(parser, words)}`, EXIT.usage, { cause });
  }
}

function whereHelpIs(parser: Parser, words: readonly string[]): string {
  const path = ["picobolt"];
  let at = parser;
  for (const word of words) {
    const next = at.commands.find((one) => one.name() === word);
    if (!next) break;
    path.push(word);
    at = next;
  }
  const shown = path.length === 1 ? "lists commands" : "shows its options";
  return `${path.join(" ")} --help ${shown}`;
}

/** The sentence on standard error; with --json the same as an object on standard output. */
function report(out: Output, cause: unknown, isStopped: boolean): number {
  if (cause instanceof CommanderError) return 0; // help was asked for
  if (isStopped) return tell(out, "stopped", EXIT.stopped);
  if (cause instanceof Failure) return tell(out, cause.message, cause.exitCode);
  if (process.env.PICOBOLT_DEBUG && cause instanceof Error) out.note(cause.stack ?? "");
  return tell(out, messageOf(cause), EXIT.failed);
}

function tell(out: Output, sentence: string, exitCode: number): number {
  out.note(`picobolt: ${sentence}`);
  out.result({ error: sentence, exitCode });
  return exitCode;
}

/** The first Ctrl-C ends in order, the second at once. */
function untilInterrupted(stopping: AbortController): Promise<void> {
  return new Promise((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.on(signal, () => {
        if (stopping.signal.aborted) process.exit(EXIT.stopped);
        stopping.abort();
        reject(new Failure("stopped", EXIT.stopped));
      });
    }
  });
}

/** What no caller caught, in a timer or a stream: it is reported like everything else. */
function untilBroken(): Promise<never> {
  return new Promise((_, reject) => {
    process.on("uncaughtException", reject);
    process.on("unhandledRejection", reject);
  });
}

/** `picobolt logs | head`: whoever reads has read enough. */
function leaveQuietly(): void {
  process.stdout.on("error", () => process.exit(0));
}

/** A pipe may still hold what was written. */
async function flushed(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((done) => stream.write("", () => done())),
    ),
  );
}
