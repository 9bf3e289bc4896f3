/** A Vitest reporter whose last line is `N passed, N failed`, for people and for scripts that read it. */
import type { Reporter, SerializedError, TestModule } from "vitest/node";
import { Beside } from "./beside.ts";
import { WORLDS_MINUTES, worldsBeside } from "./worlds-beside.ts";

const CHECK_NICENESS = 5;

export class CountReporter implements Reporter {
  private worlds: Beside | undefined;
  private check: Beside | undefined;

  onInit(): void {
    const seeds = Number(process.env.PICOBOLT_WORLDS ?? 0);
    if (seeds > 0) this.worlds = worldsBeside(seeds);
    if (!process.env.PICOBOLT_CHECK) return;
    this.check = new Beside(["npm", "run", "--silent", "check"], { niceness: CHECK_NICENESS });
    void this.check.result().then(({ text, ok }) => {
      if (!ok) console.log(`\nthe check of the code beside the tests failed\n${text}`);
    });
  }

  async onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
  ): Promise<void> {
    let passed = 0;
    const failedSteps = (process.env.PICOBOLT_FAILED_STEPS ?? "").split(" ").filter(Boolean);
    if (this.worlds && !this.worlds.isOver) {
      const limit = `${WORLDS_MINUTES} minutes after the start at the latest`;
      console.log(`\nthe tests are over; simulated worlds go on, until ${limit}`);
      this.worlds.isShown = true;
    }
    const worlds = await this.worlds?.result();
    if (worlds) console.log(`\nsimulated worlds beside the tests\n${worlds.text}`);
    if (worlds && !worlds.ok) {
      failedSteps.push("worlds");
      process.exitCode = 1;
    }
    if (this.check && !(await this.check.result()).ok) {
      failedSteps.push("check");
      process.exitCode = 1;
    }
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
