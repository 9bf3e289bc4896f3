/** A device or gateway by the words of a command line: `serial:/dev/ttyUSB0`, `/dev/ttyUSB0`, `ble:name`, `socket:/path`, each with `=<node id>` or without. */
import type { Link } from "../../core/ports/link.ts";
import { type PublicKey, publicKey } from "../../core/primitives/brands.ts";
import { openLink } from "../../host-sim/links/open-link.ts";
import type { Context } from "../command.ts";
import { EXIT, Failure, messageOf } from "../failure.ts";
import { openPort } from "../ports/open-port.ts";
import { explainPortError } from "../ports/port-errors.ts";
import { PortLink } from "../ports/port-link.ts";
import { type Identity, identify } from "./identify.ts";

export interface Endpoint {
  readonly link: Link;
  readonly nodeId: PublicKey;
  /** As it was named, without a password. */
  readonly name: string;
  /** What it said of itself, where it was asked. */
  readonly card?: Identity;
}

const NODE_ID = /^0[23][0-9a-f]{64}$/;
const SERIAL = "serial:";
/** A socket takes them at once, a radio when its turn comes. */
const LAST_WORDS_MS = 30;
const LAST_WORDS_BY_RADIO_MS = 150;
/** This process does not end before the machine has heard of it, or the machine keeps the place for it. */
const RADIO_OFF_MS = 350;
const IDENTITY_TIMEOUT_MS = 4000;

/** Opens the link and learns who is at its other end. */
export async function openEndpoint(
  { atEnd }: Context,
  words: string,
  what: string,
): Promise<Endpoint> {
  const { name, nodeId } = parseEndpoint(words);
  const link = await openNamed(name);
  atEnd(() => closeLink(link));
  const shown = withoutPassword(name);
  if (nodeId) return { link, nodeId, name: shown };
  const found = await identify(link, IDENTITY_TIMEOUT_MS);
  if (found) return { link, nodeId: found.nodeId, name: shown, card: found };
  throw new Failure(
    `no ${what} answers on ${shown}; check its power and cable, or name it (${shown}=<node id>)`,
    EXIT.noAnswer,
  );
}

/** Last words first: see PortLink.drained. */
export async function closeLink(link: Link): Promise<void> {
  const isRadio = link.name.startsWith("ble:");
  if (link instanceof PortLink) await link.drained();
  else await sleep(isRadio ? LAST_WORDS_BY_RADIO_MS : LAST_WORDS_MS);
  link.close();
  if (isRadio) await sleep(RADIO_OFF_MS);
}

const sleep = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

/** Of a broker's URL: what is shown ends up in logs. */
function withoutPassword(name: string): string {
  return name.replace(/^(mqtts?:\/\/)[^@/]*@/, "$1");
}

export function parseEndpoint(words: string): { name: string; nodeId?: PublicKey } {
  const [path = "", id] = words.split("=") as [string?, string?];
  const name = /^(serial|socket|ble|mqtts?):/.test(path) ? path : `serial:${path}`;
  if (id === undefined) return { name };
  if (!NODE_ID.test(id)) {
    throw new Failure(`"${id}" is no node id: it has 66 hexadecimal digits`, EXIT.usage);
  }
  return { name, nodeId: publicKey(new Uint8Array(Buffer.from(id, "hex"))) };
}

/** The errors are sentences that name the link. */
export async function openNamed(name: string): Promise<Link> {
  try {
    if (name.startsWith(SERIAL)) return new PortLink(await openPort(name.slice(SERIAL.length)));
    return await openLink(name);
  } catch (cause) {
    const path = name.slice(name.indexOf(":") + 1);
    const isPort = name.startsWith(SERIAL);
    const isAbsent = name.startsWith("socket:") && /ENOENT|ECONNREFUSED/.test(messageOf(cause));
    const problem = isPort ? await explainPortError(path, cause) : undefined;
    if (problem) throw new Failure(problem, EXIT.noAnswer);
    if (isAbsent) throw new Failure(`nothing listens on ${path}`, EXIT.noAnswer);
    throw new Failure(messageOf(cause), EXIT.noAnswer, { cause });
  }
}
