/** A program of this project as JavaScript: its own modules in a few files, packages as they are. */
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Writes `main.js`, its chunks and their source maps to the folder `outdir`; what is imported when it is wanted stays in a
 * chunk of its own. Answers the source files that went in: path from the root, time of the last change in ms, bytes;
 * and the files that came out: name, bytes.
 */
export async function buildProgram(entry, outdir) {
  const inputs = [];
  const sources = {
    name: "sources",
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const { mtimeMs, size } = statSync(path);
        inputs.push([relative(ROOT, path).split(sep).join("/"), mtimeMs, size]);
        return { contents: withOwnPlace(readFileSync(path, "utf8"), path, outdir), loader: "ts" };
      }),
  };
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { main: entry },
    outdir,
    bundle: true,
    splitting: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "node20",
    sourcemap: true,
    chunkNames: "[name]-[hash]",
    logLevel: "silent",
    metafile: true,
    plugins: [sources],
  });
  const outputs = Object.entries(metafile.outputs).map(([path, { bytes }]) => [
    basename(path),
    bytes,
  ]);
  return { inputs, outputs };
}

/** Files of the project are found from where the source is, as long as project and `outdir` move together. */
function withOwnPlace(text, path, outdir) {
  if (!text.includes("import.meta.")) return text;
  const url = (target) => {
    const way = relative(outdir, target).split(sep).map(encodeURIComponent).join("/");
    return `new URL(${JSON.stringify(way)}, import.meta.url)`;
  };
  return text.replace(/import\.meta\.(url|dirname)\b/g, (_, asked) =>
    asked === "url" ? `${url(path)}.href` : `decodeURIComponent(${url(dirname(path))}.pathname)`,
  );
}
