/** The program inside the XS worker: serves calls from Node with bytes in and bytes out, on the bundled core. */
import { nobleCrypto } from "../../core/crypto/noble.ts";
import { decodeCbor, encodeCbor } from "../../core/messages/cbor.ts";
import { decodeMessage, encodeMessage, messageLimits } from "../../core/messages/codec.ts";
import type { Message } from "../../core/messages/message.ts";
import { ascii } from "../../core/primitives/bytes.ts";
import { callCrypto, remoteCrypto } from "./crypto-calls.ts";
import { freezeModuleState, writableState } from "./freeze.ts";
import { decodeParts, encodeParts } from "./parts.ts";
import { type Scenario, scenarios } from "./scenarios.ts";
import { descend } from "./stack.ts";

/** What `handleCommand` may answer: bytes at once, or a holder whose `result` is there when all promises have run. */
type Answer = ArrayBuffer | { result?: ArrayBuffer };
type Returned = Uint8Array | readonly Uint8Array[] | boolean | undefined;
type AgentFunction = (...parameters: Uint8Array[]) => Returned | Promise<Returned>;

/** The worker's own: hands bytes to Node and waits for the answer. */
declare function issueCommand(request: ArrayBuffer): ArrayBuffer;

const OK = ascii("+");
const FAILED = ascii("-");
const functions = new Map<string, AgentFunction>();

/** Makes a function callable from Node by `XsBridge.call(name, …)`. */
export function serve(name: string, body: AgentFunction): void {
  functions.set(name, body);
}

/** Calls a function of Node and waits for its answer: the script stands still meanwhile. */
export function callHost(name: string, ...parameters: Uint8Array[]): readonly Uint8Array[] {
  const request = exactBuffer(encodeParts([ascii(name), ...parameters]));
  const [status, ...answer] = decodeParts(new Uint8Array(issueCommand(request)));
  if (status === undefined || text(status) !== "+") {
    throw new Error(`host function ${name}: ${answer.map(text).join(" ")}`);
  }
  return answer;
}

function handleCommand(request: ArrayBuffer): Answer {
  const [name, ...parameters] = decodeParts(new Uint8Array(request));
  try {
    const body = functions.get(text(name as Uint8Array));
    if (body === undefined) throw new Error(`no function ${text(name as Uint8Array)} in the agent`);
    const returned = body(...parameters);
    if (!(returned instanceof Promise)) return success(returned);
    const holder: { result?: ArrayBuffer } = {};
    returned.then(
      (value) => {
        holder.result = success(value);
      },
      (error) => {
        holder.result = failure(error);
      },
    );
    return holder;
  } catch (error) {
    return failure(error);
  }
}
Object.assign(globalThis, { handleCommand });

function success(returned: Returned): ArrayBuffer {
  return exactBuffer(encodeParts([OK, ...partsOf(returned)]));
}

function partsOf(returned: Returned): readonly Uint8Array[] {
  if (returned === undefined) return [];
  if (typeof returned === "boolean") return [Uint8Array.of(returned ? 1 : 0)];
  return returned instanceof Uint8Array ? [returned] : returned;
}

function failure(error: unknown): ArrayBuffer {
  return exactBuffer(encodeParts([FAILED, characters(String(error))]));
}

/** The worker reads whole buffers only. */
function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}

export function text(bytes: Uint8Array): string {
  let out = "";
  for (const byte of bytes) out += String.fromCharCode(byte);
  return out;
}

/** Like ascii(), but never throws: error texts may hold anything. */
export function characters(words: string): Uint8Array {
  return Uint8Array.from(words, (character) => Math.min(character.charCodeAt(0), 0x7f));
}

serve("ping", (...parameters) => parameters);
serve("ask-host", (name, ...parameters) => callHost(text(name as Uint8Array), ...parameters));
serve("freeze", () => freezeModuleState().map(characters));
serve("writable-state", () => writableState().map(characters));
/** Calls the method of the Crypto port that the first part names, on noble in XS. */
serve("crypto", (method, ...parameters) =>
  callCrypto(nobleCrypto(), text(method as Uint8Array), parameters),
);
/** Decodes CBOR, or one of our messages, and encodes what came out. */
serve("cbor", (bytes) => encodeCbor(decodeCbor(bytes as Uint8Array, messageLimits(65_535))));
serve("message", (bytes) => {
  const decoded = decodeMessage(bytes as Uint8Array, messageLimits(65_535));
  return encodeMessage(decoded as Message);
});
serve("descend", (depth) => descend(frameCount(depth as Uint8Array), () => undefined));
/** Runs a scenario with noble in XS. */
serve("scenario", (name) => scenarioNamed(name as Uint8Array)(nobleCrypto()));
/** Runs a scenario with the host's crypto, with so many frames on the stack already. */
serve("scenario-in-depth", (name, depth) =>
  descend(frameCount(depth as Uint8Array), () => scenarioNamed(name as Uint8Array)(hostCrypto)),
);

const hostCrypto = remoteCrypto("host", (method, ...parameters) =>
  callHost("crypto", ascii(method), ...parameters),
);

function scenarioNamed(name: Uint8Array): Scenario {
  const scenario = scenarios[text(name)];
  if (scenario === undefined) throw new Error("no such scenario");
  return scenario;
}

function frameCount(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}
