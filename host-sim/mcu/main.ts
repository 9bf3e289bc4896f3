/** `npm run mcu`: the device as an image for a bare microcontroller, in an emulator, with a gateway at its UART. */
import { parseArgs } from "node:util";
import { buildMcu } from "./build.ts";
import { type Proof, prove } from "./proof.ts";

const HELP = `npm run mcu -- [options]

  Builds a flash image for a bare rv32imc microcontroller (the ESP32-C3's instruction
  set): the XS engine, the crypto in C and the frozen program. Runs it in QEMU with
  320 KB of RAM; a gateway on a simulated chain opens channels with it over its UART,
  pays it, is paid back, cuts its power again and again, and closes.

  --power-cuts N   how often power fails in the middle of a payment (default 6)
  --full-heaps N   how often an allocation fails (default 3)
  --json           JSON lines
  --help
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      "power-cuts": { type: "string", default: "6" },
      "full-heaps": { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const powerCuts = count("--power-cuts", values["power-cuts"]);
  const heapFailures = count("--full-heaps", values["full-heaps"]);
  const startedMs = Date.now();
  const say = (line: string) => {
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
    if (values.json)
      process.stdout.write(`${JSON.stringify({ seconds: Number(seconds), line })}\n`);
    else process.stdout.write(`${seconds.padStart(6)} s  ${line}\n`);
  };
  try {
    const image = await buildMcu({ onProgress: say });
    const { code, bytecode, frozen } = image.parts;
    say(
      `image: ${kb(image.imageBytes)}: code ${kb(code)}, bytecode ${kb(bytecode)}, frozen machine ${kb(frozen)}`,
    );
    const proof = await prove(image, { powerCuts, heapFailures, onProgress: say });
    if (values.json) process.stdout.write(`${JSON.stringify(jsonOf(proof))}\n`);
    else process.stdout.write(`${tableOf(proof)}\n`);
    return 0;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (values.json) process.stdout.write(`${JSON.stringify({ result: "failed", reason })}\n`);
    throw cause;
  }
}

function count(option: string, word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value >= 0 && value <= 10_000) return value;
  throw new Error(`${option} is a number from 0 to 10000, not ${word}`);
}

/** Also what the bench says of the microcontroller. */
export function jsonOf(proof: Proof) {
  return {
    result: "ok",
    push_instructions: proof.pushInstructions,
    open_instructions: proof.openInstructions,
    ram_bytes: proof.ramBytes,
    js_heap_bytes: proof.jsHeapBytes,
    c_stack_bytes: proof.cStackBytes,
    image_bytes: proof.imageBytes,
    power_cuts: proof.powerCuts,
    lost_sat: proof.lostSat,
  };
}

function tableOf(proof: Proof): string {
  const millions = (count: number) => `${(count / 1e6).toFixed(1)} M instructions`;
  const rows: readonly (readonly [string, string, string])[] = [
    ["a push, received to delivered", millions(proof.pushInstructions), "aim 15 M"],
    ["a channel, opened to proven", millions(proof.openInstructions), ""],
    ["RAM in all, two channels", kb(proof.ramBytes), "aim 128 KB of 320"],
    ["  JavaScript heap", kb(proof.jsHeapBytes), ""],
    ["  C stack", kb(proof.cStackBytes), ""],
    ["  JavaScript stack", `${proof.engineStackSlots} slots`, "of 768"],
    ["image", kb(proof.imageBytes), "aim 700 KB"],
    ["power cuts", `${proof.powerCuts}`, ""],
    ["restarts in all", `${proof.restarts}`, ""],
    ["lost", `${proof.lostSat} sat`, ""],
  ];
  const [wide, middle] = [0, 1].map((i) =>
    Math.max(...rows.map((row) => (row[i] as string).length)),
  );
  return rows
    .map(([what, figure, aim]) =>
      `  ${what.padEnd(wide ?? 0)}  ${figure.padEnd(middle ?? 0)}  ${aim}`.trimEnd(),
    )
    .join("\n");
}

function kb(bytes: number): string {
  return `${Math.round(bytes / 1024)} KB`;
}

if (import.meta.filename === process.argv[1]) {
  main().then(
    (code) => {
      process.exitCode = code;
    },
    (cause: unknown) => {
      process.stderr.write(`mcu: ${cause instanceof Error ? cause.message : cause}\n`);
      if (process.env.DEBUG && cause instanceof Error) process.stderr.write(`${cause.stack}\n`);
      process.exitCode = 1;
    },
  );
}
