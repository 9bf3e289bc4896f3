/** How the tests run: two processes for two cores; tests that leave nothing behind share theirs, all others have one for each file. */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { CountReporter } from "./scripts/count-reporter.ts";

/** What a board's image calls `picobolt/esp32` is no export of this package; tests put a double in its place. */
const ESP32 = fileURLToPath(new URL("firmware/drivers/esp32/esp32.xs.js", import.meta.url));
const ALL = ["test/**/*.test.ts"];
/** Nothing of a file's tests outlives them there: the modules that they import are loaded once for all. */
const SHARED = [
  ...["chain/monitor", "channel", "firmware", "interop", "keys", "messages", "node", "payments"],
  ...["review", "tower", "transactions", "transport"],
].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  resolve: { alias: { "picobolt/esp32": ESP32 } },
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
    teardownTimeout: 10_000,
    reporters: ["default", new CountReporter()],
    passWithNoTests: false,
    projects: [
      { extends: true, test: { name: "shared", include: SHARED, isolate: false } },
      { extends: true, test: { name: "all others", include: ALL, exclude: SHARED } },
    ],
  },
});
