/** The microcontroller's program as one script: what the bytecode compiler takes. */
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { type Plugin, rollup } from "rollup";

const ENTRY = fileURLToPath(new URL("device.ts", import.meta.url));

/** Names of the global that holds `start`. */
const GLOBAL = "picoboltMcu";

export async function bundleMcuProgram(): Promise<string> {
  const bundle = await rollup({
    input: ENTRY,
    plugins: [stripTypes()],
    onwarn: (warning) => {
      throw new Error(warning.message);
    },
  });
  const { output } = await bundle.generate({
    format: "iife",
    name: GLOBAL,
    generatedCode: { constBindings: true },
  });
  await bundle.close();
  return output[0].code;
}

function stripTypes(): Plugin {
  const compilerOptions = { target: "ES2022", useDefineForClassFields: true };
  return {
    name: "strip-types",
    async transform(code) {
      const options = { loader: "ts", target: "es2022", tsconfigRaw: { compilerOptions } } as const;
      const { code: stripped } = await transform(code, options);
      return { code: stripped, map: null };
    },
  };
}
