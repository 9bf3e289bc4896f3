/** Changes of a gateway as an async iterator: server-sent events that are resumed where they were cut off. */
import type { IncomingMessage } from "node:http";
import { GatewayProblem, GatewayUnreachable } from "./errors.ts";
import type { Transport } from "./transport.ts";

export interface GatewayEvent {
  /** Resumes after it, as `after`. */
  readonly id: string;
  /** RFC 3339. */
  readonly at: string;
  /** `type` is channel, peer, block, payment, presence, alarm …; or missed: what lies between is not kept. */
  readonly event: { readonly type: string; readonly [field: string]: unknown };
}

export interface FollowOptions {
  /** The id of the last event that was seen. */
  readonly after?: string;
  readonly signal?: AbortSignal;
  /** Told once the events are followed: what happens from then on is not missed. */
  onOpen?(): void;
}

/** The gateway says something every 15 seconds. */
const SILENCE_MS = 40_000;
const RECONNECT_MS = 1_000;
const MAX_LINE = 1 << 20;

/** Ends with its signal. @throws GatewayProblem where the macaroon does not allow it, or no more */
export async function* follow(
  transport: Transport,
  { after, signal, onOpen }: FollowOptions,
): AsyncGenerator<GatewayEvent, void, undefined> {
  let last = after;
  while (!signal?.aborted) {
    try {
      const response = await open(transport, last, signal);
      onOpen?.();
      for await (const event of eventsIn(response)) {
        last = event.id;
        yield event;
      }
    } catch (cause) {
      if (signal?.aborted) return;
      if (!(cause instanceof GatewayUnreachable)) throw cause;
    }
    await pause(signal);
  }
}

async function open(
  transport: Transport,
  last: string | undefined,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const response = await transport.open({
    method: "GET",
    path: "/api/events",
    headers: { accept: "text/event-stream", ...(last !== undefined && { "last-event-id": last }) },
    ...(signal && { signal }),
    silenceMs: SILENCE_MS,
  });
  response.setEncoding("utf8");
  if (response.statusCode === 200) return response;
  let text = "";
  for await (const part of response) text += part;
  throw problemIn(response.statusCode ?? 0, text);
}

async function* eventsIn(response: IncomingMessage): AsyncGenerator<GatewayEvent> {
  let rest = "";
  try {
    for await (const part of response) {
      rest += part;
      const blocks = rest.split("\n\n");
      rest = blocks.pop() ?? "";
      if (rest.length > MAX_LINE) throw new Error("an event is too long");
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map(fieldOf));
        if (fields.data === undefined) continue;
        const told = JSON.parse(fields.data) as GatewayEvent & { readonly reason?: string };
        if (fields.event === "end") throw new GatewayProblem("ended", 401, told.reason ?? "ended");
        yield told;
      }
    }
  } catch (cause) {
    if (cause instanceof GatewayProblem) throw cause;
    throw new GatewayUnreachable("the events were cut off", { cause });
  }
}

function fieldOf(line: string): [string, string] {
  const at = line.indexOf(":");
  return [line.slice(0, at), line.slice(at + 1).trimStart()];
}

/** What is no problem of the gateway's own comes from something between. */
export function problemIn(status: number, text: string): GatewayProblem {
  try {
    const { type, title, detail, errors } = JSON.parse(text) as Record<string, unknown>;
    const name =
      String(type ?? "")
        .split(":")
        .at(-1) ?? "";
    return new GatewayProblem(name, status, String(detail ?? title), errors as [] | undefined);
  } catch {
    return new GatewayProblem("unknown", status, `HTTP ${status}: ${text.slice(0, 200)}`);
  }
}

function pause(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, RECONNECT_MS);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
    signal?.addEventListener("abort", done, { once: true });
  });
}
