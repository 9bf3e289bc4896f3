/** Inside XS: calls from Node are served, and Node is called, with bytes in and bytes out. */
import { decodeParts, encodeParts } from "./parts.ts";

/** What `handleCommand` may answer: bytes at once, or a holder whose `result` is there when all promises have run. */
type Answer = ArrayBuffer | { result?: ArrayBuffer };
type Returned = Uint8Array | readonly Uint8Array[] | boolean | undefined;
export type AgentFunction = (...parameters: Uint8Array[]) => Returned | Promise<Returned>;

/** The worker's own: hands bytes to Node and waits for the answer. */
declare function issueCommand(request: ArrayBuffer): ArrayBuffer;

const OK = characters("+");
const FAILED = characters("-");
const functions = new Map<string, AgentFunction>();

/** Makes a function callable from Node by `XsBridge.call(name, …)`. */
export function serve(name: string, body: AgentFunction): void {
  functions.set(name, body);
}

/** From now on the worker hands deliveries to the functions that are served. */
export function listen(): void {
  Object.assign(globalThis, { handleCommand });
}

/** Calls a function of Node and waits for its answer: the script stands still meanwhile. */
export function callHost(name: string, ...parameters: Uint8Array[]): readonly Uint8Array[] {
  return askHost([characters(name), ...parameters]);
}

/** As `callHost`, the name being the first part; takes little of the stack. */
export function askHost(request: readonly Uint8Array[]): readonly Uint8Array[] {
  const answer = decodeParts(
    new Uint8Array(issueCommand(encodeParts(request).buffer as ArrayBuffer)),
  );
  const status = answer.shift();
  if (status === undefined || status[0] !== OK[0]) {
    const name = text(request[0] as Uint8Array);
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

/** One byte a character, and never an error: texts of errors may hold anything. */
export function characters(words: string): Uint8Array {
  return Uint8Array.from(words, (character) => Math.min(character.charCodeAt(0), 0x7f));
}
