/** Builds the scripts of the XS worker in memory, by the same rollup.config.mjs that writes dist/. */
import { fileURLToPath } from "node:url";
import { type MergedRollupOptions, type OutputOptions, type Plugin, rollup } from "rollup";
import { loadConfigFile } from "rollup/loadConfigFile";
import { parseAst } from "rollup/parseAst";
import { declaredNames, moduleScopeOf } from "./module-scope.ts";

export interface XsScripts {
  /** Every module of the core but noble, as the global `picobolt`; its `moduleState` holds each module-level binding. */
  readonly core: string;
  /** The noble provider, as the global `picoboltNoble`. */
  readonly noble: string;
  /** The program that serves calls (agent.ts). */
  readonly agent: string;
}

export interface DeviceScripts {
  /** The device's bundle, dist/core.js: an ES module. */
  readonly core: string;
  /** The program that drives its node (device-agent.ts). */
  readonly agent: string;
}

export interface CoreModule {
  /** The ES module that a device's image holds. */
  readonly code: string;
  /** The source files it came from. */
  readonly moduleFiles: readonly string[];
}

export async function bundleXsScripts(): Promise<XsScripts> {
  const [core, noble, agent] = await Promise.all([
    generate("dist/xs/core.js", [exposeModuleState()]),
    generate("dist/xs/noble.js"),
    generate("dist/xs/agent.js"),
  ]);
  return { core: core.code, noble: noble.code, agent: agent.code };
}

/** The device's bundle, dist/core.js. */
export function bundleCoreModule(): Promise<CoreModule> {
  return generate("dist/core.js");
}

export async function bundleDeviceScripts(): Promise<DeviceScripts> {
  const [core, agent] = await Promise.all([
    bundleCoreModule(),
    generate("dist/xs/device-agent.js"),
  ]);
  return { core: core.code, agent: agent.code };
}

export interface ProgramScripts {
  /** The firmware with core and apps, as the global `picobolt` with its `moduleState`. */
  readonly firmware: string;
  /** What puts it on a board that Node has (host-sim/virtual/xs-program.ts). */
  readonly program: string;
}

export async function bundleProgramScripts(): Promise<ProgramScripts> {
  const [firmware, program] = await Promise.all([
    generate("dist/xs/firmware.js", [exposeModuleState()]),
    generate("dist/xs/program.js"),
  ]);
  return { firmware: firmware.code, program: program.code };
}

async function generate(file: string, extraPlugins: readonly Plugin[] = []): Promise<CoreModule> {
  const config = fileURLToPath(new URL("../../rollup.config.mjs", import.meta.url));
  const { options } = await loadConfigFile(config, { silent: true });
  const found = options.find((one) => one.output.some((output) => output.file === file));
  if (found === undefined) throw new Error(`rollup.config.mjs has no output ${file}`);
  const plugins = withoutReport(found);
  const bundle = await rollup({ ...found, plugins });
  try {
    const output = { ...(found.output[0] as OutputOptions), plugins: [...extraPlugins] };
    const chunk = (await bundle.generate(output)).output[0];
    return { code: chunk.code, moduleFiles: chunk.moduleIds };
  } finally {
    await bundle.close();
  }
}

function withoutReport(options: MergedRollupOptions): Plugin[] {
  return options.plugins.filter((plugin) => plugin.name !== "size-report");
}

/** Adds `moduleState` to a bundle's exports: an object with every binding that the modules made while loading. */
function exposeModuleState(): Plugin {
  return {
    name: "expose-module-state",
    renderChunk(code) {
      const scope = moduleScopeOf(parseAst(code));
      const names = declaredNames(scope.statements);
      const state = `\n    exports.moduleState = { ${names.join(", ")} };\n`;
      return { code: code.slice(0, scope.end) + state + code.slice(scope.end), map: null };
    },
  };
}
