/** `npm run mcu`: the device as an image for a bare microcontroller, in an emulator, with a gateway at its UART. */
import { parseArgs } from "node:util";
import { buildMcu } from "./build.ts";
import { prove } from "./proof.ts";
import { jsonOf, kb, tableOf } from "./report.ts";

const HELP = `npm run mcu -- [options]

  Builds a flash image for a bare rv32imc microcontroller (the ESP32-C3's instruction
  set): the XS engine, the crypto in C and the frozen program. Runs it in QEMU with
  320 KB of RAM; a gateway on a simulated chain opens channels with it over its UART,
  pays it, is paid back, cuts its power again and again, and closes.

  --power-cuts N   how often power fails in the middle of a payment (default 6)
  --claim-cuts N   how often while a new machine is claimed (default 4)
  --full-heaps N   how often an allocation fails (default 3)
  --json           JSON lines
  --help
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      "power-cuts": { type: "string", default: "6" },
      "claim-cuts": { type: "string", default: "4" },
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
  const claimCuts = count("--claim-cuts", values["claim-cuts"]);
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
    const proof = await prove(image, { powerCuts, claimCuts, heapFailures, onProgress: say });
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
