/** Bundles the fuzzer's thread; the code under test is instrumented by istanbul, so that branches are counted. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Plugin, transform } from "esbuild";
import { createInstrumenter } from "istanbul-lib-instrument";
import { bundleThread } from "../patient-thread.ts";
import { COVERAGE_VARIABLE } from "./coverage.ts";

/** Not the fuzzer's own loop: its branches say nothing of the input. */
const UNDER_TEST = /\/(core|firmware|gateway)\/.*\.ts$/;

/** Answers the bundle's file; `targets` stands in for targets/all.ts. */
export function buildWorker(
  entry = join(import.meta.dirname, "worker.ts"),
  outfile = ".cache/fuzz/worker.mjs",
  targets?: string,
): Promise<string> {
  const plugins = targets === undefined ? [instrumented] : [instrumented, insteadOfAll(targets)];
  return bundleThread(entry, outfile, plugins);
}

const instrumented: Plugin = {
  name: "instrumented",
  setup({ onLoad }) {
    onLoad({ filter: UNDER_TEST }, async ({ path }) => {
      const source = readFileSync(path, "utf8");
      const { code } = await transform(source, {
        loader: "ts",
        target: "es2022",
        sourcefile: path,
      });
      const instrumenter = createInstrumenter({
        esModules: true,
        compact: true,
        coverageVariable: COVERAGE_VARIABLE,
        produceSourceMap: false,
      });
      return { contents: instrumenter.instrumentSync(code, path), loader: "js" };
    });
  },
};

function insteadOfAll(path: string): Plugin {
  return {
    name: "instead-of-all",
    setup: ({ onResolve }) => onResolve({ filter: /targets\/all\.ts$/ }, () => ({ path })),
  };
}
