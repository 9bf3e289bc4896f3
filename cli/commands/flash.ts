/** `picobolt flash`: checks an image, checks the chip, writes what differs, compares it and starts the board. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command, Context, Options } from "../command.ts";
import { oneOf, text } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { BOARD_NAMES, type EspTarget, targetOf } from "../flash/boards.ts";
import { type Firmware, readFirmware } from "../flash/firmware.ts";
import { choosePort } from "../ports/serial-ports.ts";
import { typedWord } from "../prompt.ts";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const DEFAULT_BAUD = 921_600;
const DEFAULT_TIMEOUT_SECONDS = 20;

export const flash: Command = {
  configure(parser) {
    parser
      .addOption(oneOf("--board <name>", "the board", BOARD_NAMES).makeOptionMandatory())
      .option("--port <path>", "its serial port (default: the only one there is)")
      .option(
        "--image <path>",
        "image folder with a manifest.json, or one file (default: what npm run firmware built)",
      )
      .option("--address <number>", "where a single file goes, for example 0x10000")
      .option("--baud <rate>", `speed of the transfer (default ${DEFAULT_BAUD})`)
      .option(
        "--timeout <seconds>",
        `how long to wait for the chip (default ${DEFAULT_TIMEOUT_SECONDS})`,
      )
      .option("--check", "check the image and stop; no device is needed")
      .option("--erase-all", "erase the whole flash first, keys and channel records too (asks)");
  },
  examples: [
    "picobolt flash --board esp32c3 --port /dev/ttyUSB0",
    "picobolt flash --board esp32 --image ./my-image",
    "picobolt flash --board esp32 --image app.bin --address 0x10000",
  ],
  run,
};

interface Plan {
  readonly target: EspTarget;
  readonly firmware: Firmware;
  readonly path: string;
  readonly baud: number;
  readonly timeoutMs: number;
  readonly eraseAll: boolean;
}

async function run(context: Context, _args: readonly string[], options: Options): Promise<void> {
  const { out } = context;
  const startedMs = Date.now();
  const target = targetOf(text(options, "board") ?? "");
  if (!target) {
    throw new Failure(
      `there is no board "${text(options, "board")}"; use one of ${BOARD_NAMES.join(", ")}`,
      EXIT.usage,
    );
  }
  const image = text(options, "image") ?? join(PROJECT, target.buildFolder);
  const firmware = readFirmware(image, target, number(options, "address"));
  out.text(describe(firmware));
  if (options.check) {
    out.result({ ok: true, image: firmware.name, version: firmware.version });
    return;
  }
  const plan: Plan = {
    target,
    firmware,
    path: await choosePort(text(options, "port")),
    baud: number(options, "baud") ?? DEFAULT_BAUD,
    timeoutMs: (number(options, "timeout") ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
    eraseAll: options.eraseAll === true,
  };
  if (plan.eraseAll) await confirmErasing(plan);
  const done = await write(context, plan);
  const seconds = Math.round((Date.now() - startedMs) / 100) / 10;
  out.text(
    `${plan.path}: ${done.bytesWritten} bytes written, ${done.bytesSkipped} were there already, all compared; ${seconds} s. The board starts.`,
  );
  out.result({ ok: true, port: plan.path, board: target.board, ...done, seconds });
}

/** At the wanted speed, and where the line does not carry that, at the slow one. */
async function write(context: Context, plan: Plan) {
  const { ROM_BAUD } = await import("../flash/esp-session.ts");
  const progress = { bytesWritten: 0, bytesSkipped: 0 };
  try {
    return { ...(await writeOnce(context, plan, progress)), ...progress };
  } catch (cause) {
    if (isFinal(cause)) throw cause;
    const why = messageOf(cause);
    if (/vanished/.test(why)) throw unplugged(plan, progress.bytesWritten);
    if (plan.baud === ROM_BAUD) throw stopped(plan, why);
    context.out.note(`the transfer failed at ${plan.baud} baud (${why}); once more at ${ROM_BAUD}`);
  }
  progress.bytesSkipped = 0;
  try {
    const slow = { ...plan, baud: ROM_BAUD, eraseAll: false };
    return { ...(await writeOnce(context, slow, progress)), ...progress };
  } catch (cause) {
    if (isFinal(cause)) throw cause;
    const why = messageOf(cause);
    throw /vanished/.test(why) ? unplugged(plan, progress.bytesWritten) : stopped(plan, why);
  }
}

function isFinal(cause: unknown): boolean {
  return cause instanceof Failure;
}

async function writeOnce(
  { out, atEnd }: Context,
  { path, target, firmware, baud, timeoutMs, eraseAll }: Plan,
  progress: { bytesWritten: number; bytesSkipped: number },
): Promise<{ chip: string; baud: number }> {
  const { EspSession } = await import("../flash/esp-session.ts");
  const { checkRoom, protectOwnData, writeFirmware } = await import("../flash/write-firmware.ts");
  out.note(`connecting to ${path} …`);
  const session = await EspSession.open({
    path,
    target,
    baud,
    timeoutMs,
    onNoAnswer: () =>
      out.note("no answer yet: hold BOOT, press and let go RESET (EN), then let go BOOT"),
    onDetail: (line) => {
      if (process.env.PICOBOLT_DEBUG) out.note(`  ${line.trim()}`);
    },
  });
  atEnd(() => session.close());
  const { description, baud: actual } = session.chip;
  out.note(`${description} at ${actual} baud`);
  if (actual < baud) out.note(`the line does not carry ${baud} baud`);
  checkRoom(session, firmware);
  if (eraseAll) await session.eraseAll();
  else await protectOwnData(session, firmware, out);
  await writeFirmware(session, firmware, out, progress);
  await session.restart();
  await session.close();
  return { chip: description, baud: actual };
}

async function confirmErasing({ path }: Plan): Promise<void> {
  const answer = await typedWord(
    `--erase-all destroys the keys and channel records on ${path}: money in open channels is lost.\nType "erase" to go on: `,
  );
  if (answer === "erase") return;
  throw new Failure("not erased: the word was not typed; nothing was written", EXIT.refused);
}

function unplugged({ path }: Plan, written: number): Failure {
  return new Failure(
    `${path} vanished after ${written} bytes were written; plug the board in and run the same command again, it goes on where it stopped`,
  );
}

function stopped({ path }: Plan, why: string): Failure {
  return new Failure(
    `the transfer to ${path} stopped (${why}); run the same command again, it goes on where it stopped`,
  );
}

function describe({ name, version, parts }: Firmware): string {
  const lines = parts.map(
    ({ name: file, address, data }) =>
      `  0x${address.toString(16).padStart(6, "0")}  ${String(data.length).padStart(8)}  ${file}`,
  );
  return [`${name} ${version}`.trim(), ...lines].join("\n");
}

function number(options: Options, name: string): number | undefined {
  const words = text(options, name);
  if (words === undefined) return undefined;
  const value = Number(words);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Failure(`--${name} must be a number, not "${words}"`, EXIT.usage);
}
