/** Checks main.ts and the drivers against the SDK's own typings, in place of firmware/drivers/moddable.d.ts. */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { run } from "./run.ts";
import type { Sdk } from "./sdk.ts";

/** Folders of `typings` that declare the modules which drivers import. */
const TYPINGS = [
  "timer.d.ts",
  "time.d.ts",
  "sntp.d.ts",
  "mc/config.d.ts",
  "embedded_io/**/*.d.ts",
  "embedded_network/**/*.d.ts",
  "embedded/storage/*.d.ts",
  "embedded/update.d.ts",
];

export function checkTypes(project: string, sdk: Sdk, output: string): void {
  const folder = join(output, "types");
  mkdirSync(folder, { recursive: true });
  const firmware = join(project, "firmware");
  const config = {
    extends: join(project, "tsconfig.json"),
    compilerOptions: {
      types: [],
      skipLibCheck: true,
      noEmit: true,
      // What the SDK's engine has is newer than Node 20's.
      lib: ["ES2025"],
    },
    include: [
      join(firmware, "main.ts"),
      join(firmware, "main-host.ts"),
      join(firmware, "**/*.xs.d.ts"),
      join(sdk.folder, "xs/includes/xs.d.ts"),
      ...TYPINGS.map((name) => join(sdk.folder, "typings", name)),
    ],
  };
  const file = join(folder, "tsconfig.json");
  writeFileSync(file, JSON.stringify(config, null, 2));
  const tsc = createRequire(import.meta.url).resolve("typescript/lib/tsc.js");
  run(process.execPath, [tsc, "-p", file], { folder: project, quiet: true });
}
