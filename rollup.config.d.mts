/** What tests and scripts take of rollup.config.mjs. */
import type { OutputOptions, RollupOptions } from "rollup";

/** The modules of one program of the firmware, into a folder. */
export function firmware(
  main: string,
  dir: string,
): Omit<RollupOptions, "output"> & { output: OutputOptions };
