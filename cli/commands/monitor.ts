/** `picobolt monitor`: what a device writes on its serial port, text and frames; waits where the port vanishes. */
import type { SerialPort } from "serialport";
import type { Command, Context, Options } from "../command.ts";
import { text } from "../command.ts";
import { EXIT, Failure } from "../failure.ts";
import { describeFrame } from "../links/frames.ts";
import { closePort, openPort } from "../ports/open-port.ts";
import { explainPortError } from "../ports/port-errors.ts";
import { choosePort } from "../ports/serial-ports.ts";
import { type StreamPiece, StreamSplitter } from "../ports/stream-splitter.ts";

const RETRY_MS = 300;
/** A line that is not ended is shown after so long. */
const FLUSH_MS = 400;
const CTRL_C = 0x03;
const CTRL_BRACKET = 0x1d;

export const monitor: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--port <path>", "the serial port (default: the only one there is)")
      .option("--baud <rate>", "its speed (default 115200)")
      .option("--no-frames", "text lines alone")
      .option("--once", "end when the port vanishes, instead of waiting for it");
  },
  examples: [
    "picobolt monitor --port /dev/ttyUSB0     # Ctrl-] or Ctrl-C ends it",
    "picobolt monitor --port /dev/ttyACM0 --json | jq .line",
  ],
  run,
};

async function run(context: Context, _args: readonly string[], options: Options): Promise<void> {
  const { out, signal } = context;
  const path = await choosePort(text(options, "port"));
  const baud = Number(text(options, "baud") ?? 115_200);
  const stopped = untilStopped(context);
  let wasThere = false;
  for (;;) {
    const port = await open(path, baud, wasThere);
    if (port) {
      out.note(wasThere ? `${path} is back` : `${path} at ${baud} baud; Ctrl-] ends`);
      wasThere = true;
      const closed = listen(port, (piece) => show(context, piece, options.frames !== false));
      const how = await Promise.race([closed, stopped]);
      await closePort(port);
      if (how === "stopped" || signal.aborted) return;
      if (options.once) return;
      out.note(`${path} vanished: waiting for it`);
    }
    const pause = new Promise<"again">((wake) => setTimeout(() => wake("again"), RETRY_MS));
    if ((await Promise.race([pause, stopped])) === "stopped") return;
  }
}

/** Undefined where it is to be tried again. */
async function open(
  path: string,
  baud: number,
  isAwaited: boolean,
): Promise<SerialPort | undefined> {
  try {
    return await openPort(path, baud);
  } catch (cause) {
    if (isAwaited) return undefined;
    throw new Failure(
      (await explainPortError(path, cause)) ?? `${path} does not open: ${String(cause)}`,
      EXIT.noAnswer,
    );
  }
}

function listen(port: SerialPort, onPiece: (piece: StreamPiece) => void): Promise<"closed"> {
  const splitter = new StreamSplitter(onPiece);
  let timer: NodeJS.Timeout | undefined;
  port.on("data", (bytes: Buffer) => {
    clearTimeout(timer);
    splitter.receive(bytes);
    timer = setTimeout(() => splitter.flush(), FLUSH_MS);
  });
  return new Promise((resolve) => {
    port.once("close", () => {
      clearTimeout(timer);
      splitter.flush();
      resolve("closed");
    });
  });
}

function show({ out }: Context, piece: StreamPiece, withFrames: boolean): void {
  if (piece.type === "text") {
    out.line(piece.line, { line: piece.line });
  } else if (piece.type === "noise") {
    const { byteLength } = piece;
    if (withFrames)
      out.line(`‹${byteLength} bytes of noise: another speed?›`, { noise: byteLength });
  } else if (withFrames) {
    const frame = describeFrame(piece.frame);
    out.line(`‹${frame.text}›`, { frame: frame.kind, bytes: piece.frame.length, ...frame.fields });
  }
}

/** Ctrl-] as in other terminals; Ctrl-C comes as a signal, or as a byte where the terminal is raw. */
function untilStopped({ signal, atEnd }: Context): Promise<"stopped"> {
  const { stdin } = process;
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve("stopped"), { once: true });
    if (!stdin.isTTY) return;
    stdin.setRawMode(true);
    atEnd(() => void stdin.setRawMode(false));
    stdin.on("data", (bytes: Buffer) => {
      if (bytes.includes(CTRL_C) || bytes.includes(CTRL_BRACKET)) resolve("stopped");
    });
  });
}
