/** `npm run mcu`: the device as an image for a bare microcontroller, in an emulator, with a gateway at its UART. */
import { parseArgs } from "node:util";
import { buildMcu, type McuImage } from "./build.ts";
import { type ProofOptions, prove } from "./proof.ts";
import { jsonOf, kb, tableOf } from "./report.ts";
import { requirePort, serveMcu } from "./serve.ts";

const HELP = `npm run mcu -- [options]

  Builds a flash image for a bare rv32imc microcontroller (the ESP32-C3's instruction
  set): the XS engine, the crypto in C and the frozen program. Runs it in QEMU with
  320 KB of RAM; its owner claims it over its UART, a gateway on a simulated chain opens
  channels with it, pays it, is paid back, cuts its power again and again, and closes.

  --serve PATH     no gateway: the machine's UART as a serial port at PATH, until Ctrl-C;
                   picobolt info, claim, pay --link PATH find a board there
  --folder F       with --serve: keeps its flash in F (default: a new machine each time)

  --power-cuts N   how often power fails in the middle of a payment (default 6)
  --claim-cuts N   how often while a new machine is claimed (default 4)
  --full-heaps N   how often an allocation fails (default 3)
  --json           JSON lines
  --help
`;

const options = {
  serve: { type: "string" },
  folder: { type: "string" },
  "power-cuts": { type: "string", default: "6" },
  "claim-cuts": { type: "string", default: "4" },
  "full-heaps": { type: "string", default: "3" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;
/** As shells tell it. */
const INTERRUPTED = 130;

type Tell = (line: string, fields?: Readonly<Record<string, unknown>>) => void;

async function main(): Promise<void> {
  const { values } = parseArgs({ options });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  if (values.folder !== undefined && values.serve === undefined) {
    throw new Error("--folder is for --serve: the proof has a flash of its own");
  }
  const off = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => (values.serve ? off.abort() : process.exit(INTERRUPTED)));
  }
  // Nobody reads it any more: nobody is there to switch it off either.
  process.stdout.once("error", () => off.abort());
  const tell = teller(values.json);
  try {
    if (values.serve) await serve(values.serve, { folder: values.folder, tell, off: off.signal });
    else await tellProof(proofOptions(values), values.json, tell);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (values.json) process.stdout.write(`${JSON.stringify({ result: "failed", reason })}\n`);
    throw cause;
  }
}

function teller(isJson: boolean): Tell {
  const startedMs = Date.now();
  return (line, fields) => {
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
    const json = () => JSON.stringify({ seconds: Number(seconds), line, ...fields });
    process.stdout.write(isJson ? `${json()}\n` : `${seconds.padStart(6)} s  ${line}\n`);
  };
}

async function build(tell: Tell): Promise<McuImage> {
  const image = await buildMcu({ onProgress: tell });
  const { code, bytecode, frozen } = image.parts;
  const parts = `code ${kb(code)}, bytecode ${kb(bytecode)}, frozen machine ${kb(frozen)}`;
  tell(`image: ${kb(image.imageBytes)}: ${parts}`);
  return image;
}

async function serve(
  port: string,
  { folder, tell, off }: { folder: string | undefined; tell: Tell; off: AbortSignal },
): Promise<void> {
  // Before the build, which takes its time.
  requirePort(port);
  await serveMcu(await build(tell), {
    ...{ port, folder, signal: off },
    onLine: (line) => tell(`console: ${line}`),
    onReady: ({ nodeId, claimed }) => {
      const whose = claimed ? "it has an owner" : "nobody owns it";
      const text = `${port} is the machine ${nodeId}; ${whose}; Ctrl-C switches it off`;
      tell(text, { event: "serving", port, node_id: nodeId, claimed });
    },
  });
  tell("switched off");
}

async function tellProof(options: ProofOptions, isJson: boolean, tell: Tell): Promise<void> {
  const proof = await prove(await build(tell), { ...options, onProgress: tell });
  process.stdout.write(`${isJson ? JSON.stringify(jsonOf(proof)) : tableOf(proof)}\n`);
}

function proofOptions(
  values: Readonly<Record<"power-cuts" | "claim-cuts" | "full-heaps", string>>,
): ProofOptions {
  return {
    powerCuts: count("--power-cuts", values["power-cuts"]),
    claimCuts: count("--claim-cuts", values["claim-cuts"]),
    heapFailures: count("--full-heaps", values["full-heaps"]),
  };
}

function count(option: string, word: string): number {
  const value = Number(word);
  if (Number.isInteger(value) && value >= 0 && value <= 10_000) return value;
  throw new Error(`${option} is a number from 0 to 10000, not ${word}`);
}

main().catch((cause: unknown) => {
  process.stderr.write(`mcu: ${cause instanceof Error ? cause.message : cause}\n`);
  if (process.env.DEBUG && cause instanceof Error) process.stderr.write(`${cause.stack}\n`);
  process.exitCode = 1;
});
