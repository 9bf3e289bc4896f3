/** `picobolt devices`: the serial ports of this machine, and what answers on each. */
import type { Link } from "../../core/ports/link.ts";
import type { Command, Context, Options } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { openNamed } from "../links/endpoint.ts";
import { describeIdentity, type Identity, identify } from "../links/identify.ts";
import { openPort } from "../ports/open-port.ts";
import { explainPortError } from "../ports/port-errors.ts";
import { PortLink } from "../ports/port-link.ts";
import { listSerialPorts } from "../ports/serial-ports.ts";

const DEFAULT_TIMEOUT_MS = 1500;

export const devices: Command = {
  configure(parser) {
    parser
      .option("--port <path...>", "look at these ports alone: ttys, ptys, socket:<path>")
      .option("--timeout <ms>", `how long to wait for an answer (default ${DEFAULT_TIMEOUT_MS})`);
  },
  examples: [
    "picobolt devices",
    "picobolt devices --ble",
    "picobolt devices --port /dev/pts/7 --json",
  ],
  run,
};

interface Found {
  readonly port: string;
  readonly description: string;
  readonly identity?: Identity;
  /** Why it is not known what is there. */
  readonly problem?: string;
}

async function run(context: Context, _args: readonly string[], options: Options): Promise<void> {
  const { out } = context;
  const timeoutMs = Number(options.timeout ?? DEFAULT_TIMEOUT_MS);
  if (!(timeoutMs > 0)) throw new Failure("--timeout must be a number of milliseconds", EXIT.usage);
  const named = options.port as readonly string[] | undefined;
  const places = named?.map((path) => ({ path, description: "" })) ?? (await listSerialPorts());
  const found = await Promise.all(places.map((place) => look(place, timeoutMs)));
  for (const one of found) out.line(textOf(one), jsonOf(one));
  if (found.length === 0) {
    out.text("nothing found: plug a device in, or name a port with --port");
  }
  out.result({ found: found.length, answering: found.filter(({ identity }) => identity).length });
}

async function look(
  { path, description }: { path: string; description: string },
  timeoutMs: number,
): Promise<Found> {
  let link: Link | undefined;
  try {
    link = /^(socket|ble):/.test(path) ? await openNamed(path) : new PortLink(await openPort(path));
    const identity = await identify(link, timeoutMs);
    return { port: path, description, ...(identity && { identity }) };
  } catch (cause) {
    const problem = await explainPortError(path, cause);
    return { port: path, description, problem: problem ?? messageOf(cause) };
  } finally {
    link?.close();
  }
}

function textOf({ port, description, identity, problem }: Found): string {
  const about = description && ` (${description})`;
  if (problem) return `${port}${about}\n  ${problem}`;
  if (identity) return `${port}${about}\n  ${describeIdentity(identity)}`;
  return `${port}${about}\n  no picobolt device answers`;
}

function jsonOf({ port, description, identity, problem }: Found): object {
  return {
    port,
    ...(description && { description }),
    answers: identity !== undefined,
    ...identity,
    ...(problem && { problem }),
  };
}
