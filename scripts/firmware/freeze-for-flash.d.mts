/** The types of freeze-for-flash.mjs, which Rollup's configuration loads as it is. */
import type { Plugin } from "rollup";

export function freezeForFlash(isPreloaded: (chunk: string) => boolean): Plugin;
