/** Builds the flash image of the emulated microcontroller: engine, C crypto and platform for rv32imc, and the frozen program. */
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { cryptoFingerprint, cryptoSources } from "../crypto-c/sources.ts";
import { run, unpackXs, withLock, XS_VERSION } from "../xs/build-steps.ts";
import { bundleMcuProgram } from "./bundle.ts";
import { codeBytes, type FrozenMachine, freezeMachine, writeFlash } from "./image.ts";

export interface McuImage {
  /** The first flash bank: 32 MB, code and frozen machine at its start. */
  readonly file: string;
  readonly elf: string;
  /** Of it that is in use: code, constants, frozen machine. */
  readonly imageBytes: number;
  readonly parts: Readonly<Record<"code" | "bytecode" | "frozen", number>>;
  readonly frozenKinds: FrozenMachine["kinds"];
}

const CACHE = fileURLToPath(new URL("../../.cache/mcu/", import.meta.url));
const PLATFORM = fileURLToPath(new URL("./platform/", import.meta.url));
/** What the compiler and the interpreter do otherwise: see its first lines. */
const ENGINE_PATCH = fileURLToPath(new URL("./engine.patch", import.meta.url));
const FREEZING = ["pack.ts", "bytecode.ts", "image.ts"].map((name) =>
  fileURLToPath(new URL(name, import.meta.url)),
);
const CROSS = "riscv64-unknown-elf-gcc";
const PICOLIBC = "/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs";
const TOOLS: readonly (readonly [command: string, packageName: string])[] = [
  [CROSS, "gcc-riscv64-unknown-elf"],
  ["qemu-system-riscv32", "qemu-system-misc"],
  ["patch", "patch"],
];

/** Of 320 KB; the rest is what a reset keeps (platform/mcu.h). */
const RAM_BYTES = 318 * 1024;
const C_STACK_BYTES = 12 * 1024;
/** Parts of the engine that this image does without: no snapshots, no lockdown; its table of built-ins is our own choice. */
const LEFT_OUT = ["xsSnapshot.c", "xsLockdown.c"];
/** Compiled twice: for the machine's maker, and for the device, which needs less. */
const DEFAULTS = "xsDefaults.c";
const WARNINGS = ["-w"];
const COMMON = ["-fno-common", "-ffunction-sections", "-fdata-sections", "-fno-strict-aliasing"];
const TARGET = [
  `--specs=${PICOLIBC}`,
  "-march=rv32imc",
  "-mabi=ilp32",
  "-Os",
  "-DPICOBOLT_NO_PARSER",
];
/** Off in a release of the engine: a stack that is full would grow into the heap in silence. */
const CHECKED = ["-DmxBoundsCheck=1"];
const MEASURED = ["-DmxInstrument=1"];
/** What runs all the time is compiled for speed (25 KB more), the rest for size. */
const HOT = ["xsRun.c", "xsMemory.c", "xsProperty.c", "xsDataView.c", "xsType.c"];
const HOT_OPTION = "-O2";
const LINKED = [
  "-Wl,--gc-sections",
  "-Tpicolibc.ld",
  "-Wl,--defsym=__flash=0x20000000,--defsym=__flash_size=0x200000",
  `-Wl,--defsym=__ram=0x80000000,--defsym=__ram_size=${RAM_BYTES},--defsym=__stack_size=${C_STACK_BYTES}`,
];

export interface BuildOptions {
  readonly onProgress?: (line: string) => void;
}

/** Builds what has changed; seconds where nothing has. Safe to call in parallel. */
export async function buildMcu({ onProgress = () => {} }: BuildOptions = {}): Promise<McuImage> {
  await requireTools();
  mkdirSync(CACHE, { recursive: true });
  const program = await bundleMcuProgram();
  const engineKey = fingerprint([engineInputs()]);
  const imageKey = fingerprint([
    ...[engineKey, program],
    ...FREEZING.map((file) => readFileSync(file, "utf8")),
  ]);
  const folder = join(CACHE, `image-${imageKey}`);
  if (!existsSync(folder)) {
    await withLock(join(CACHE, "build.lock"), async () => {
      if (existsSync(folder)) return;
      const engine = await buildEngine(engineKey, onProgress);
      await buildImage(folder, { engine, program, onProgress });
      forgetOthers([basename(folder), basename(engine)]);
    });
  }
  return JSON.parse(readFileSync(join(folder, "image.json"), "utf8")) as McuImage;
}

function fingerprint(parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex").slice(0, 12);
}

function engineInputs(): string {
  const ours = readdirSync(PLATFORM)
    .sort()
    .map((name) => readFileSync(join(PLATFORM, name), "utf8"));
  const options = [TARGET, CHECKED, MEASURED, COMMON, LINKED, HOT, HOT_OPTION].flat().join(" ");
  const patches = [readFileSync(ENGINE_PATCH, "utf8"), JSON.stringify(PATCHES)];
  return [XS_VERSION, cryptoFingerprint(), options, ...patches, ...ours].join("\0");
}

function forgetOthers(kept: readonly string[]): void {
  for (const name of readdirSync(CACHE)) {
    const isBuild = name.startsWith("image-") || name.startsWith("engine-");
    if (isBuild && !kept.includes(name)) rmSync(join(CACHE, name), { recursive: true });
  }
}

/** The engine, the platform and the crypto as object files for both machines; the bytecode compiler for this one. */
async function buildEngine(key: string, onProgress: (line: string) => void): Promise<string> {
  const folder = join(CACHE, `engine-${key}`);
  if (existsSync(folder)) return folder;
  const work = await mkdtemp(join(CACHE, "build-"));
  try {
    onProgress("unpacking the engine");
    await unpackXs(work);
    const sources = join(work, "package/moddable/xs");
    await run("patch", ["-p1", "--fuzz=0", "-i", ENGINE_PATCH], sources);
    patchEngine(join(sources, "sources"));
    onProgress("compiling the engine for this machine (the bytecode compiler) and for rv32imc");
    const { plain, binding, includeFolders } = cryptoSources();
    const xs = join(work, "package/moddable/xs");
    const engine = readdirSync(join(xs, "sources"))
      .filter((name) => name.endsWith(".c") && !LEFT_OUT.includes(name))
      .map((name) => join(xs, "sources", name));
    const ours = (names: readonly string[]) => names.map((name) => join(PLATFORM, name));
    const includes = [
      PLATFORM,
      ...includeFolders,
      ...["includes", "platforms", "sources"].map((d) => join(xs, d)),
    ];
    const options = [
      ...WARNINGS,
      ...COMMON,
      ...CHECKED,
      ...MEASURED,
      ...includes.map((d) => `-I${d}`),
      "-include",
      "config.h",
    ];
    const shared = [...engine, ...plain, ...binding, ...ours(["engine.c", "natives.c"])];
    const device = ours(["start.c", "copy.c", "nor.c", "heap.c", "loop.c"]);
    const isDefaults = (name: string) => basename(name) === DEFAULTS;
    const both = [...shared.filter((name) => !isDefaults(name)), ...device];
    const defaults = shared.filter(isDefaults);
    const target = [...TARGET, ...options];
    await compileAll(join(work, "rv32"), CROSS, target, both);
    await compileAll(join(work, "maker"), CROSS, target, [...defaults, ...ours(["maker.c"])]);
    const ofDevice = [...target, "-DPICOBOLT_DEVICE"];
    await compileAll(join(work, "device"), CROSS, ofDevice, [...defaults, ...ours(["image.c"])]);
    const host = ["-m32", "-O1", ...options];
    await compileAll(join(work, "host"), "gcc", host, [...shared, ...ours(["compile.c"])]);
    const objects = readdirSync(join(work, "host")).map((name) => join(work, "host", name));
    await run("gcc", ["-m32", "-no-pie", ...objects, "-lm", "-o", join(work, "compile")], work);
    rmSync(join(work, "package"), { recursive: true });
    renameSync(work, folder);
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** [file, as published, as needed, how often]: a frozen machine in flash must not be written, and carries nothing that no program reads. */
const PATCHES: readonly (readonly [string, string, string, number])[] = [
  // A global that is looked up in vain is cached, as a NULL.
  [
    "xsGlobal.c",
    "globals->value.table.address[id] = result;",
    "if (result) globals->value.table.address[id] = result;",
    2,
  ],
  // As in a device's release: no function has a name or a length. Two slots less for each, in flash and in RAM.
  ["xsDefaults.c", "\tfxNewFunctionLength,\n\tfxNewFunctionName,", "\tC_NULL,\n\tC_NULL,", 1],
  // At each call it would look for a profiler that nobody has.
  ["xsRun.c", "fxCheckProfiler(the, mxFrame);", ";", 2],
  // Bytes are copied at once: as published, `set` compares slots that never are the same one, and `slice` has no such way.
  [
    "xsDataView.c",
    "if (dispatch == sourceDispatch) {",
    "if (dispatch->value.typedArray.dispatch == sourceDispatch->value.typedArray.dispatch) {",
    1,
  ],
  [
    "xsDataView.c",
    "\t\t\tlength = fxCheckDataViewSize(the, view, buffer, XS_IMMUTABLE);\n\t\t\tmxPushUndefined();\n\t\t\twhile ((start < length) && (start < end)) {\n\t\t\t\t(*dispatch->value.typedArray.dispatch->getter)(the, buffer->value.reference->next, view->value.dataView.offset + (start * delta)",
    "\t\t\tlength = fxCheckDataViewSize(the, view, buffer, XS_IMMUTABLE);\n\t\t\tif ((dispatch->value.typedArray.dispatch == resultDispatch->value.typedArray.dispatch) && (end * delta <= length)) {\n\t\t\t\tc_memmove(resultBuffer->value.reference->next->value.arrayBuffer.address + resultView->value.dataView.offset, buffer->value.reference->next->value.arrayBuffer.address + view->value.dataView.offset + (start * delta), count * delta);\n\t\t\t\treturn;\n\t\t\t}\n\t\t\tmxPushUndefined();\n\t\t\twhile ((start < length) && (start < end)) {\n\t\t\t\t(*dispatch->value.typedArray.dispatch->getter)(the, buffer->value.reference->next, view->value.dataView.offset + (start * delta)",
    1,
  ],
  // Slots in RAM may share chunks and entries with flash (copies of frozen maps, of the global object).
  [
    "xsMemory.c",
    "\t((txChunk*)(((txByte*)_THE_DATA) - sizeof(txChunk)))->size |= mxChunkFlag",
    "\tif (!mxIsInFlash(_THE_DATA)) ((txChunk*)(((txByte*)_THE_DATA) - sizeof(txChunk)))->size |= mxChunkFlag",
    1,
  ],
  [
    "xsMemory.c",
    "aSlot->flag |= XS_MARK_FLAG;",
    "if (!(aSlot->flag & XS_MARK_FLAG)) aSlot->flag |= XS_MARK_FLAG;",
    22,
  ],
  [
    "xsMemory.c",
    "\tif ((data = (txByte*)(((txChunk*)(((txByte*)(_THE_DATA)) - sizeof(txChunk)))->temporary)))",
    "\tif (!mxIsInFlash(_THE_DATA) && (data = (txByte*)(((txChunk*)(((txByte*)(_THE_DATA)) - sizeof(txChunk)))->temporary)))",
    1,
  ],
];

function patchEngine(folder: string): void {
  for (const [name, published, needed, count] of PATCHES) {
    const file = join(folder, name);
    const source = readFileSync(file, "utf8");
    if (source.split(published).length !== count + 1) throw new Error(`${file} is not as expected`);
    writeFileSync(file, source.replaceAll(published, needed));
  }
}

/** Two at a time. */
async function compileAll(
  folder: string,
  compiler: string,
  options: readonly string[],
  sources: readonly string[],
): Promise<void> {
  mkdirSync(folder);
  const left = [...sources];
  const worker = async () => {
    for (let source = left.pop(); source; source = left.pop()) {
      const object = join(folder, basename(source).replace(/c$/, "o"));
      const more = HOT.includes(basename(source)) ? [HOT_OPTION] : [];
      await run(compiler, [...options, ...more, "-c", source, "-o", object], folder);
    }
  };
  await Promise.all([worker(), worker()]);
}

async function buildImage(
  folder: string,
  parts: { readonly engine: string; readonly program: string; onProgress(line: string): void },
): Promise<void> {
  const { engine, program, onProgress } = parts;
  const work = await mkdtemp(join(CACHE, "build-"));
  try {
    onProgress("compiling the program to bytecode");
    const script = join(work, "program.js");
    const bytecode = join(work, "program.c");
    writeFileSync(script, program);
    await run(join(engine, "compile"), [script, bytecode], work);
    await run(CROSS, [...TARGET, "-c", bytecode, "-o", join(work, "program.o")], work);
    const objectsIn = (name: string) =>
      readdirSync(join(engine, name)).map((object) => join(engine, name, object));
    const link = (objects: readonly string[], elf: string) =>
      run(CROSS, [...TARGET, ...LINKED, ...objectsIn("rv32"), ...objects, "-lm", "-o", elf], work);
    const maker = join(work, "maker.elf");
    await link([...objectsIn("maker"), join(work, "program.o")], maker);
    onProgress("freezing the machine into flash");
    const frozen = await freezeMachine(work, maker, readFileSync(bytecode, "utf8"));
    const assembly = join(work, "frozen.s");
    writeFileSync(assembly, frozen.assembly);
    await run(CROSS, [...TARGET, "-c", assembly, "-o", join(work, "frozen.o")], work);
    const elf = join(work, "device.elf");
    await link([...objectsIn("device"), join(work, "frozen.o")], elf);
    await writeFlash(work, elf, join(work, "flash0.bin"));
    const imageBytes = await codeBytes(elf);
    const { frozenBytes, bytecodeBytes, kinds } = frozen;
    const code = imageBytes - frozenBytes - bytecodeBytes;
    const image: McuImage = {
      file: join(folder, "flash0.bin"),
      elf: join(folder, "device.elf"),
      imageBytes,
      parts: { code, bytecode: bytecodeBytes, frozen: frozenBytes },
      frozenKinds: kinds,
    };
    writeFileSync(join(work, "image.json"), JSON.stringify(image));
    renameSync(work, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function requireTools(): Promise<void> {
  const missing: string[] = [];
  for (const [command, name] of TOOLS) {
    const found = await run("sh", ["-c", `command -v ${command}`], ".").catch(() => undefined);
    if (found === undefined) missing.push(name);
  }
  if (!existsSync(PICOLIBC)) missing.push("picolibc-riscv64-unknown-elf");
  const multilib = join(tmp(), "multilib.c");
  writeFileSync(multilib, "#include <stdio.h>\nint main(void) { return 0; }\n");
  const narrow = await run("gcc", ["-m32", "-fsyntax-only", multilib], ".").catch(() => undefined);
  if (narrow === undefined) missing.push("gcc-multilib");
  if (missing.length === 0) return;
  throw new Error(
    `the emulated microcontroller needs ${missing.join(", ")}; on Debian or Ubuntu: apt-get install ${missing.join(" ")}`,
  );
}

function tmp(): string {
  mkdirSync(CACHE, { recursive: true });
  return CACHE;
}
