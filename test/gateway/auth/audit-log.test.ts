/** The audit log: what it holds, that changes to it show, and what crashes and rotation leave. */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { checkAuditLog } from "../../../gateway/auth/audit-check.ts";
import { type AuditEntry, AuditLog } from "../../../gateway/auth/audit-log.ts";
import { PATIENT } from "../../support/patience.ts";

const entry = (target: string): AuditEntry => ({
  who: "0011223344556677 (admin)",
  from: "127.0.0.1",
  what: "closeChannel",
  target,
  outcome: "done",
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "picobolt-audit-"));
  file = join(folder, "audit.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const opened = (maxFileBytes?: number) =>
  new AuditLog({ folder, nowMs: () => 0, ...(maxFileBytes && { maxFileBytes }) });

async function wrote(count: number, maxFileBytes?: number): Promise<AuditLog["head"]> {
  const log = opened(maxFileBytes);
  for (let number = 1; number <= count; number++) log.record(entry(`channel ${number}`));
  await log.close();
  return log.head;
}

test("each line says who, what and how it ended, in a file of mode 600; the check agrees", async () => {
  const log = opened();
  log.record({ ...entry("c1"), amountMsat: 5 });
  await log.durable();
  log.record({ who: "", from: "::1", what: "payInvoice", outcome: "expired" });
  await log.close();
  const lines = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toEqual([
    {
      number: 1,
      at: "1970-01-01T00:00:00.000Z",
      ...entry("c1"),
      amountMsat: 5,
      previous: "0".repeat(64),
    },
    expect.objectContaining({ number: 2, what: "payInvoice", outcome: "expired" }),
  ]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(checkAuditLog(folder)).toEqual({
    lines: 2,
    first: 1,
    head: log.head.hash,
    problem: undefined,
  });
});

test("it goes on after a restart; words with line ends and endless ones do no harm", async () => {
  await wrote(2);
  const log = opened();
  log.record({ ...entry('"\n\u2028\r{"number":9}'), who: "\u0000".repeat(5000) });
  await log.close();
  expect(checkAuditLog(folder)).toMatchObject({ lines: 3, problem: undefined });
  expect(statSync(file).size).toBeLessThan(4000);
});

describe("what was done to it afterwards shows", () => {
  const lines = () => readFileSync(file, "utf8").split("\n");
  const write = (changed: readonly string[]) => writeFileSync(file, changed.join("\n"));

  test.each<[string, number, (all: string[]) => string[]]>([
    ["a changed word", 3, (all) => all.map((line) => line.replace("channel 2", "channel 9"))],
    ["a removed line", 2, (all) => all.filter((_, index) => index !== 1)],
    ["two lines in the other order", 2, ([a, b, c, ...rest]) => [a!, c!, b!, ...rest]],
    ["a line put in", 3, ([a, b, ...rest]) => [a!, b!, b!, ...rest]],
    [
      "the first lines removed, and numbers left",
      1,
      (all) => all.slice(1).map((line) => line.replace('"number":2', '"number":1')),
    ],
    ["a line of other words", 2, ([a, ...rest]) => [a!, "hello", ...rest]],
    ["an end without a line feed", 5, (all) => all.slice(0, -1)],
  ])("%s", async (_, line, change) => {
    await wrote(5);
    write(change(lines()));
    expect(checkAuditLog(folder).problem).toMatchObject({ file: "audit.jsonl", line });
  });

  test("a removed end, to whoever noted the head", async () => {
    const { hash } = await wrote(5);
    expect(checkAuditLog(folder, hash).problem).toBeUndefined();
    write([...lines().slice(0, 4), ""]);
    expect(checkAuditLog(folder).problem).toBeUndefined();
    expect(checkAuditLog(folder, hash).problem?.message).toContain("was noted is not in the log");
  });
});

test("files stay small: the chain goes through all, and old ones may be moved away", async () => {
  await wrote(20, 1000);
  await wrote(20, 1000);
  const files = readdirSync(folder).sort();
  expect(files.length).toBeGreaterThan(5);
  for (const name of files) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(1000);
  expect(checkAuditLog(folder)).toMatchObject({ lines: 40, first: 1, problem: undefined });
  rmSync(join(folder, files[1] as string));
  expect(checkAuditLog(folder).problem?.message).toContain("lines are missing");
  rmSync(join(folder, files[0] as string));
  const { first, lines, problem } = checkAuditLog(folder);
  expect(problem).toBeUndefined();
  expect(first + lines).toBe(41);
});

test("a line torn by a power cut is cut off and told; rotation goes on where it was interrupted", async () => {
  await wrote(3);
  appendFileSync(file, '{"number":4,"at');
  await wrote(1);
  expect(readFileSync(file, "utf8")).toContain(
    '"what":"audit.torn-line","outcome":"15 bytes cut off"',
  );
  expect(checkAuditLog(folder)).toMatchObject({ lines: 5, problem: undefined });
  writeFileSync(join(folder, "audit-000000000005.jsonl"), readFileSync(file));
  rmSync(file);
  await wrote(1);
  expect(checkAuditLog(folder)).toMatchObject({ lines: 6, problem: undefined });
});

test("calls of one moment share one wait for the disk, and none is answered before its line is there", async () => {
  const syncs: (() => void)[] = [];
  const log = new AuditLog({
    folder,
    nowMs: () => 0,
    sync: (_, done) => syncs.push(() => done(null)),
  });
  const answered: string[] = [];
  const call = (name: string) => {
    log.record(entry(name));
    return log.durable().then(() => answered.push(name));
  };
  const first = call("first");
  await vi.waitFor(() => expect(syncs).toHaveLength(1), PATIENT);
  const others = Array.from({ length: 100 }, (_, i) => call(`call ${i}`));
  syncs[0]?.();
  await first;
  await vi.waitFor(() => expect(syncs).toHaveLength(2), PATIENT);
  expect(answered).toEqual(["first"]); // its sync began before the others were written
  syncs[1]?.();
  await Promise.all(others);
  expect(answered).toHaveLength(101);
  expect(syncs).toHaveLength(2);
  await log.close();
  expect(checkAuditLog(folder)).toMatchObject({ lines: 101, problem: undefined });
});

test("a disk that fails is told to each who waits for it, and the next ones try again", async () => {
  let isFull = true;
  const failure = new Error("ENOSPC");
  const log = new AuditLog({
    folder,
    nowMs: () => 0,
    sync: (_, done) => done(isFull ? failure : null),
  });
  log.record(entry("a"));
  const both = await Promise.allSettled([log.durable(), log.durable()]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  isFull = false;
  await log.durable();
  await log.close();
});
