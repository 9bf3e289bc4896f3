/** Inside XS: what the board's ports are made of. Node is asked, and XS stands still until it has answered; or Node tells of something. */
import { callHost } from "../xs/agent-calls.ts";
import { decodeValue, encodeValue } from "../xs/values.ts";

type Listener = (words: readonly unknown[], bytes: Uint8Array) => void;

const listeners = new Map<string, Listener>();
const NO_BYTES = new Uint8Array();

/** Throws what Node throws, as text. */
export function ask(name: string, ...words: unknown[]): unknown {
  return decodeValue(askBytes(name, words));
}

/** As `ask`, with bytes as they are. */
export function askWith(bytes: Uint8Array, name: string, ...words: unknown[]): unknown {
  return decodeValue(askBytes(name, words, bytes));
}

/** The answer is bytes. */
export function askBytes(name: string, words: readonly unknown[], bytes?: Uint8Array): Uint8Array {
  const call = encodeValue(words);
  const answer = bytes ? callHost(name, call, bytes) : callHost(name, call);
  return answer[0] ?? NO_BYTES;
}

/** One listener a name, a later one replaces it. */
export function onTold(name: string, listener: Listener): void {
  listeners.set(name, listener);
}

/** For Node's deliveries. What nobody listens to, as a pin's edge, is of no interest. */
export function told(words: Uint8Array, bytes: Uint8Array = NO_BYTES): void {
  const [name, ...rest] = decodeValue(words) as [string, ...unknown[]];
  listeners.get(name)?.(rest, bytes);
}
