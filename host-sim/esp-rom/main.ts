/** An emulated ESP board as a process: a pty with a chip's loader behind it, and the firmware's program once one is flashed. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { RUNNER } from "../processes/runner.ts";
import { EspBoard } from "./board.ts";
import { CHIPS, type ChipName } from "./chips.ts";

const HELP = `usage: main.ts --port PTY --folder DIR [options]

  --port PTY        where the serial port appears
  --folder DIR      keeps the flash, and what the running program stores
  --chip NAME       ${Object.keys(CHIPS).join(", ")} (default esp32c3)
  --max-baud RATE   above it the line carries noise
  --silent          nothing is answered, as without BOOT held
`;

const DEVICE = new URL("../virtual/device-process.ts", import.meta.url).pathname;

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    folder: { type: "string" },
    chip: { type: "string", default: "esp32c3" },
    "max-baud": { type: "string" },
    silent: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  const { port, folder, chip } = values;
  if (values.help || !port || !folder) {
    process.stdout.write(HELP);
    return;
  }
  if (!Object.keys(CHIPS).includes(chip)) throw new Error(`there is no chip "${chip}"`);
  mkdirSync(folder, { recursive: true });
  const board = await EspBoard.plugIn({
    chip: chip as ChipName,
    port,
    flashFile: join(folder, "chip.bin"),
    faults: {
      isSilent: values.silent,
      ...(values["max-baud"] && { maxBaud: Number(values["max-baud"]) }),
    },
    startProgram: (socket) => startDevice(folder, socket),
  });
  process.stdout.write(`${chip} on ${port}\n`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => void board.close().finally(() => process.exit(0)));
  }
}

/** What the image would be: the same program on a virtual board; its UART is our pty. */
function startDevice(folder: string, socket: string) {
  const words = [DEVICE, "--folder", join(folder, "device"), "--serial", `socket:${socket}`];
  return spawn(process.execPath, [RUNNER, ...words], {
    stdio: ["pipe", "ignore", "inherit"],
  });
}

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? cause.message : cause}\n`);
  process.exit(1);
});
