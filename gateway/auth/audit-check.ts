/** Whether an audit log is as it was written: no line changed, removed, put in or moved. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type AuditLine, auditFiles, FIRST_PREVIOUS, hashOf, MAX_LINE_BYTES } from "./audit-log.ts";

export interface AuditCheck {
  readonly lines: number;
  /** The number of the first line that is there: 1, unless old files were moved away. */
  readonly first: number;
  /** The hash of the last line. */
  readonly head: string;
  readonly problem: AuditProblem | undefined;
}

export interface AuditProblem {
  readonly file: string;
  /** Counts the file's lines from 1. */
  readonly line: number;
  readonly message: string;
}

/**
 * `expected` is a head that was noted before: it must be the hash of a line in the log, or the end was cut off.
 */
export function checkAuditLog(folder: string, expected?: string): AuditCheck {
  let lines = 0;
  let first = 1;
  let previous: { readonly number: number; readonly hash: string } | undefined;
  let isExpectedSeen = expected === undefined;
  const failed = (file: string, line: number, message: string): AuditCheck => {
    return {
      lines,
      first,
      head: previous?.hash ?? FIRST_PREVIOUS,
      problem: { file, line, message },
    };
  };
  const files = auditFiles(folder);
  for (const file of files) {
    let at = 0;
    const all = readFileSync(join(folder, file), "utf8").split("\n");
    if (all.pop() !== "") return failed(file, all.length + 1, "is cut off in its middle");
    for (const text of all) {
      at++;
      const line = lineOf(text);
      if (!line) return failed(file, at, "is no line of an audit log");
      if (!previous) {
        first = line.number;
        const isBroken = (first === 1) !== (line.previous === FIRST_PREVIOUS);
        if (isBroken) return failed(file, at, "is not the first line, or its number was changed");
      } else if (line.previous !== previous.hash) {
        return failed(
          file,
          at,
          "does not follow the line before: one of them was changed, or lines are missing",
        );
      } else if (line.number !== previous.number + 1) {
        return failed(file, at, "has a wrong number");
      }
      lines++;
      previous = { number: line.number, hash: hashOf(text) };
      isExpectedSeen ||= previous.hash === expected;
    }
  }
  if (!isExpectedSeen) {
    return failed(
      files.at(-1) ?? "",
      lines,
      "is the last: the line that was noted is not in the log",
    );
  }
  return { lines, first, head: previous?.hash ?? FIRST_PREVIOUS, problem: undefined };
}

function lineOf(text: string): AuditLine | undefined {
  if (text.length > MAX_LINE_BYTES) return undefined;
  try {
    const line = JSON.parse(text) as Partial<AuditLine>;
    const isLine = Number.isSafeInteger(line.number) && typeof line.previous === "string";
    return isLine ? (line as AuditLine) : undefined;
  } catch {
    return undefined;
  }
}
