/** `picobolt devices`: the serial ports of this machine or the BLE machines nearby, and who answers on each. */
import type { Link } from "../../core/ports/link.ts";
import type { Command, Context, Options } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { findBleMachines } from "../links/ble-machines.ts";
import { closeLink, openNamed, parseEndpoint } from "../links/endpoint.ts";
import { describeIdentity, type Identity, identify } from "../links/identify.ts";
import { listSerialPorts } from "../ports/serial-ports.ts";

const DEFAULT_TIMEOUT_MS = 1500;
/** Machines advertise a few times a second, and the radio listens now and then. */
const DEFAULT_SEARCH_MS = 4000;

export const devices: Command = {
  streams: true,
  configure(parser) {
    parser
      .option("--ble", "machines nearby over Bluetooth LE")
      .option("--port <path...>", "look at these ports alone: ttys, ptys, socket:<path>")
      .option(
        "--timeout <ms>",
        `how long to wait for an answer (default ${DEFAULT_TIMEOUT_MS}), with --ble for machines (default ${DEFAULT_SEARCH_MS})`,
      );
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
  const given = options.timeout === undefined ? undefined : Number(options.timeout);
  if (given !== undefined && !(given > 0)) {
    throw new Failure("--timeout must be a number of milliseconds", EXIT.usage);
  }
  const named = options.port as readonly string[] | undefined;
  const isBle = options.ble === true;
  const tell = (one: Found) => out.line(textOf(one), jsonOf(one));
  const found: Found[] = [];
  if (!isBle || named) {
    const places = named?.map((path) => ({ path, description: "" })) ?? (await listSerialPorts());
    const timeoutMs = given ?? DEFAULT_TIMEOUT_MS;
    found.push(...(await Promise.all(places.map((place) => look(place, timeoutMs)))));
    for (const one of found) tell(one);
  }
  if (isBle) found.push(...(await nearby(context, given ?? DEFAULT_SEARCH_MS, tell)));
  if (found.length === 0) out.text(isBle ? NOBODY_NEARBY : NOTHING_PLUGGED_IN);
  out.result({ found: found.length, answering: found.filter(({ identity }) => identity).length });
}

const NOTHING_PLUGGED_IN =
  "nothing found: plug a device in, name a port with --port, or look around with --ble";
const NOBODY_NEARBY =
  "no BLE machine is in reach: is it on? One that serves a customer may not be seen meanwhile";

async function nearby(
  { out, atEnd }: Context,
  searchMs: number,
  tell: (one: Found) => void,
): Promise<readonly Found[]> {
  out.note(`looking for BLE machines for ${searchMs / 1000} s …`);
  const found: Found[] = [];
  for await (const { endpoint, address, identity, problem } of findBleMachines(searchMs, atEnd)) {
    const one: Found = {
      port: endpoint,
      description: address,
      ...(identity && { identity }),
      ...(problem && { problem }),
    };
    found.push(one);
    tell(one);
  }
  return found;
}

async function look(
  { path, description }: { path: string; description: string },
  timeoutMs: number,
): Promise<Found> {
  let link: Link | undefined;
  try {
    link = await openNamed(parseEndpoint(path).name);
    const identity = await identify(link, timeoutMs);
    return { port: path, description, ...(identity && { identity }) };
  } catch (cause) {
    return { port: path, description, problem: messageOf(cause) };
  } finally {
    if (link) await closeLink(link);
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
