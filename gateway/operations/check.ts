/** What one check of `picobolt doctor` is: it looks, says what it found and what to do; it writes nothing and moves no money. */

export type CheckStatus = "ok" | "warning" | "failed" | "skipped";

export interface CheckResult {
  readonly status: CheckStatus;
  /** One sentence, without secrets. */
  readonly found: string;
  /** What the person can do; absent where there is nothing to do. */
  readonly advice?: string;
}

export interface Check {
  readonly name: string;
  /** Never throws on what it looks for; `runCheck` makes a result of what it did not expect. */
  run(): Promise<CheckResult> | CheckResult;
}

export interface CheckReport extends CheckResult {
  readonly name: string;
}

export const ok = (found: string): CheckResult => ({ status: "ok", found });
export const skipped = (found: string): CheckResult => ({ status: "skipped", found });
export const warning = (found: string, advice: string): CheckResult => ({
  status: "warning",
  found,
  advice,
});
export const failed = (found: string, advice: string): CheckResult => ({
  status: "failed",
  found,
  advice,
});

/** A check that itself breaks is a failed one, not the end of all. */
export async function runCheck({ name, run }: Check): Promise<CheckReport> {
  try {
    return { name, ...(await run()) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { name, ...failed(`this check broke: ${reason}`, "report it, with this line") };
  }
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
