/** Bundles: dist/firmware/ is what the manifests name; dist/core.js the core alone; dist/xs/ holds scripts for the XS worker. */
import { readdirSync } from "node:fs";
import { basename, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { transform } from "esbuild";
import { freezeForFlash } from "./scripts/firmware/freeze-for-flash.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const CORE = path("core/");
const NOBLE = path("core/crypto/noble.ts");
const WHOLE_CORE = "whole-core";

/** An entry with every module of the core, as `modules["keys/shachain.ts"]`; noble stays apart. */
function wholeCore() {
  const source = () => {
    const files = readdirSync(CORE, { recursive: true })
      .filter((file) => file.endsWith(".ts") && CORE + file !== NOBLE)
      .sort();
    const imports = files.map(
      (file, i) => `import * as m${i} from ${JSON.stringify(CORE + file)};`,
    );
    const entries = files.map((file, i) => `${JSON.stringify(file)}: m${i},`);
    return [...imports, "export const modules = {", ...entries, "};"].join("\n");
  };
  return {
    name: "whole-core",
    resolveId: (id) => (id === WHOLE_CORE ? id : null),
    load: (id) => (id === WHOLE_CORE ? source() : null),
  };
}

/** Strips types; every `.ts` import names its file, so Rollup's own resolution does the rest. */
function stripTypes() {
  const compilerOptions = { target: "ES2022", useDefineForClassFields: true };
  const typescript = { loader: "ts", tsconfigRaw: { compilerOptions } };
  // XS cannot construct a class with instance fields inside its own static initialiser, as noble does.
  const javascript = { loader: "js", supported: { "class-static-field": false } };
  return {
    name: "strip-types",
    async transform(code, file) {
      const options = file.endsWith(".ts") ? typescript : javascript;
      const result = await transform(code, { ...options, target: "es2022", sourcemap: true });
      return { code: result.code, map: result.map };
    },
  };
}

/** Prints how many bytes each module takes in the bundle. */
function sizeReport() {
  return {
    name: "size-report",
    generateBundle(_options, chunks) {
      for (const chunk of Object.values(chunks)) {
        if (chunk.type !== "chunk") continue;
        const sizes = Object.entries(chunk.modules)
          .map(([file, module]) => [relative(path("."), file), module.renderedLength])
          .filter(([, bytes]) => bytes > 0)
          .sort(([, a], [, b]) => b - a);
        console.log(`${basename(chunk.fileName)}: ${chunk.code.length} bytes`);
        for (const [file, bytes] of sizes) console.log(`  ${String(bytes).padStart(7)}  ${file}`);
      }
    },
  };
}

/** Warnings are errors: an import that cannot be resolved would be missing on the device. */
function onwarn(warning) {
  throw new Error(warning.message);
}

function bundle(input, file, external = []) {
  const plugins = [wholeCore(), stripTypes(), nodeResolve(), sizeReport()];
  // `var` for a namespace would be a variable in flash that could be assigned again.
  const output = { generatedCode: { constBindings: true }, ...file };
  return { input, output, external, onwarn, plugins };
}

const inCore = (id) => id.startsWith(CORE);
const coreGlobal = (id) =>
  id === NOBLE ? "picoboltNoble" : `picobolt.modules[${JSON.stringify(relative(CORE, id))}]`;

/** The firmware's modules: a maker who edits an app rebuilds `apps`, and `core` stays as it was. */
const FIRMWARE_CHUNKS = [
  ["core", path("core/")],
  ["apps", path("firmware/apps/")],
  ["drivers", path("firmware/drivers/")],
  ["program", path("firmware/")],
];
const OF_THE_BOARD = /^(embedded:|mc\/|picobolt\/|timer$|time$|sntp$)/;

/** Drivers differ from board to board, so each entry is bundled with its own: the host has no radio's modules. */
export function firmware(main, dir) {
  const output = {
    dir,
    format: "es",
    sourcemap: true,
    chunkFileNames: "[name].js",
    minifyInternalExports: false,
    manualChunks: (id) =>
      id === main ? undefined : FIRMWARE_CHUNKS.find(([, folder]) => id.startsWith(folder))?.[0],
  };
  const { plugins, ...rest } = bundle({ main }, output, (id) => OF_THE_BOARD.test(id));
  const isPreloaded = (name) => FIRMWARE_CHUNKS.some(([chunk]) => chunk === name);
  return { ...rest, plugins: [...plugins, freezeForFlash(isPreloaded)] };
}

export default [
  firmware(path("firmware/main.ts"), "dist/firmware/esp32"),
  firmware(path("firmware/main-host.ts"), "dist/firmware/host"),
  bundle("firmware/entry.ts", { file: "dist/core.js", format: "es" }),
  bundle(WHOLE_CORE, { file: "dist/xs/core.js", format: "iife", name: "picobolt" }),
  // Apart from the core: its hash buffers and tables are written later, which no frozen image allows.
  bundle(NOBLE, { file: "dist/xs/noble.js", format: "iife", name: "picoboltNoble" }),
  bundle(
    "host-sim/xs/agent.ts",
    { file: "dist/xs/agent.js", format: "iife", name: "picoboltAgent", globals: coreGlobal },
    inCore,
  ),
  bundle("host-sim/xs/device-agent.ts", {
    file: "dist/xs/device-agent.js",
    format: "iife",
    name: "picoboltDevice",
  }),
  // A virtual device in XS: the firmware with core and apps, frozen there as in flash, and what puts it on Node's board.
  bundle("host-sim/virtual/xs-firmware.ts", {
    file: "dist/xs/firmware.js",
    format: "iife",
    name: "picobolt",
  }),
  bundle(
    "host-sim/virtual/xs-program.ts",
    {
      file: "dist/xs/program.js",
      format: "iife",
      name: "picoboltProgram",
      globals: () => "picobolt",
    },
    (id) => id === path("host-sim/virtual/xs-firmware.ts"),
  ),
];
