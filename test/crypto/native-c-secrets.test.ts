/** Secrets steer neither branches nor addresses in the device's crypto: shown by valgrind, and in the code for its processor. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { cryptoSources } from "../../host-sim/crypto-c/sources.ts";

const folder = mkdtempSync(join(tmpdir(), "picobolt-secrets-"));
afterAll(() => rmSync(folder, { recursive: true }));

const here = (name: string) => fileURLToPath(new URL(`./native-c/${name}`, import.meta.url));
const { plain, includeFolders } = cryptoSources();
const includes = includeFolders.map((include) => `-I${include}`);

/** What valgrind says of a run with all secrets marked; "" is nothing. */
function complaints(options: readonly string[]): string {
  const program = join(folder, "secrets");
  const sources = [here("secrets.c"), ...plain];
  execFileSync("cc", ["-std=gnu99", "-g", ...options, ...includes, ...sources, "-o", program]);
  const checks = ["-q", "--error-exitcode=9", `--suppressions=${here("secrets.supp")}`];
  const run = spawnSync("valgrind", [...checks, program], { encoding: "utf8" });
  if (run.error) throw new Error("valgrind does not start: apt-get install valgrind", run.error);
  if (run.status === 0) expect(run.stdout).toBe("0 failed\n");
  return run.stderr;
}

test.each(["-O1", "-Os", "-O2"])(
  "valgrind sees no secret decide anything (%s)",
  (level) => {
    expect(complaints([level])).toBe("");
  },
  60_000,
);

test("that check would see it", () => {
  expect(complaints(["-O1", "-DLEAK"])).toMatch(/Conditional jump.*uninitialised/);
});

const ARITHMETIC =
  /^(secp256k1_(scalar_(mul|mul_512|sqr_512|reduce|reduce_512|add|negate|cadd_bit|get_b32)|fe_(mul_inner|sqr_inner|cmov|negate|add|normalize|normalize_weak|normalizes_to_zero|storage_cmov)|gej_add_ge)|comb_bit|window_point)(\.|$)/;

test.each(["-Os", "-O2"])(
  "the arithmetic has no branch but loops, and nothing divides, on rv32imc (%s)",
  (level) => {
    const found = riscvFunctions(level);
    const arithmetic = [...found.keys()].filter((name) => ARITHMETIC.test(name));
    expect(arithmetic.length).toBeGreaterThan(8);
    const branching = arithmetic.filter(
      (name) => name !== "window_point" && /\sb(eq|ne|lt|ge|le|gt)/.test(found.get(name) as string),
    );
    expect(branching).toEqual([]);
    const curve = [...found].filter(([name]) =>
      /^(secp256k1_(scalar|fe|ge|gej|ecmult_gen)|window)/.test(name),
    );
    expect(curve.filter(([, code]) => /\s(div|rem)u?\s/.test(code)).map(([name]) => name)).toEqual(
      [],
    );
  },
  60_000,
);

/** Disassembly by function of the one file that holds the curve. */
function riscvFunctions(level: string): Map<string, string> {
  const source = plain.find((file) => file.endsWith("picobolt-secp256k1.c")) as string;
  const object = join(folder, "curve.o");
  const target = ["--specs=picolibc.specs", "-march=rv32imc", "-mabi=ilp32", "-ffunction-sections"];
  const parameters = [...target, level, ...includes, "-c", source, "-o", object];
  execFileSync("riscv64-unknown-elf-gcc", parameters, { stdio: ["ignore", "ignore", "pipe"] });
  const code = execFileSync("riscv64-unknown-elf-objdump", ["-d", "--no-show-raw-insn", object], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const functions = new Map<string, string>();
  let current = "";
  for (const line of code.split("\n")) {
    const name = /^[0-9a-f]+ <([^.>][^>]*)>:/.exec(line)?.[1];
    if (name !== undefined) current = name;
    functions.set(current, `${functions.get(current) ?? ""}${line}\n`);
  }
  return functions;
}
