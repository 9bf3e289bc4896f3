/** A Vitest reporter whose last line is `N passed, N failed`, for people and for scripts that read it. */
import type { Reporter, SerializedError, TestModule } from "vitest/node";

export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    let passed = 0;
    const failedSteps = (process.env.PICOBOLT_FAILED_STEPS ?? "").split(" ").filter(Boolean);
    // One failure each: a step before the tests (scripts/test.sh), an error outside any test, and a
    // file or suite that could not run.
    let failed = failedSteps.length + unhandledErrors.length;
    const skipped: string[] = [];
    for (const module of modules) {
      failed += module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const state = test.result().state;
        if (state === "passed") passed++;
        else if (state === "skipped") skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
        else failed++;
      }
    }
    for (const step of failedSteps) console.log(`failed: ${step} (see above)`);
    for (const name of skipped) console.log(`skipped: ${name}`);
    if (skipped.length > 0) console.log(`${skipped.length} skipped (named above)`);
    console.log(`${passed} passed, ${failed} failed`);
  }
}
