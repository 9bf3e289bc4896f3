/** Changes over HTTP: server-sent events (WHATWG HTML, 9.2) and a WebSocket. */
import type { ServerResponse } from "node:http";
import websocket, { type WebSocket } from "@fastify/websocket";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Grant } from "../auth/grant.ts";
import { VOUCHER_HEADER } from "../auth/vouching.ts";
import { callerOf, type Parts } from "./http.ts";
import { FOLLOWING } from "./process-events.ts";
import { type Outlet, PROCESS, type StreamEvent } from "./streams.ts";

/** Whoever follows says next to nothing. */
const MAX_SAID_BYTES = 1_024;
const POLICY_VIOLATION = 1008;
const HEAD = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  // nginx would keep events back.
  "x-accel-buffering": "no",
};

export async function addStreamRoutes(parts: Parts): Promise<void> {
  const { app, streams } = parts;
  await app.register(websocket, { options: { maxPayload: MAX_SAID_BYTES } });
  app.get("/api/events", async (request, reply) => {
    const grant = isProcess(request, parts) ? PROCESS : await admitted(request, reply, parts);
    const { raw } = reply.hijack();
    raw.writeHead(200, HEAD);
    raw.write("retry: 1000\n\n");
    const leave = streams.follow(grant, sseOutlet(raw), lastEventId(request));
    raw.once("close", leave);
  });
  const grants = new WeakMap<FastifyRequest, Grant>();
  app.get(
    "/api/events/ws",
    {
      websocket: true,
      preValidation: async (request, reply) => {
        grants.set(request, await admitted(request, reply, parts));
      },
    },
    (socket, request) => {
      const grant = grants.get(request) as Grant;
      const leave = streams.follow(grant, socketOutlet(socket), lastEventId(request));
      socket.once("close", leave);
      socket.on("error", () => socket.terminate());
    },
  );
}

async function admitted(
  request: FastifyRequest,
  reply: FastifyReply,
  { calls, streams }: Parts,
): Promise<Grant> {
  const grant = calls.grantOf(callerOf(request, reply));
  await streams.ready(grant);
  streams.admit(grant);
  return grant;
}

/** Another process of this gateway. @throws AuthError where it only says so. */
function isProcess({ headers }: FastifyRequest, { vouching }: Parts): boolean {
  const header = headers[VOUCHER_HEADER];
  if (typeof header !== "string" || !vouching) return false;
  vouching.check(header, FOLLOWING);
  return true;
}

function socketOutlet(socket: WebSocket): Outlet {
  let isAlive = true;
  socket.on("pong", () => {
    isAlive = true;
  });
  return {
    send: (event) => socket.send(JSON.stringify(event)),
    beat: () => {
      if (!isAlive) socket.terminate();
      isAlive = false;
      socket.ping();
    },
    waitingBytes: () => socket.bufferedAmount,
    end: (reason) => socket.close(POLICY_VIOLATION, reason.slice(0, 100)),
    cut: () => socket.terminate(),
  };
}

function sseOutlet(raw: ServerResponse): Outlet {
  return {
    send: (event) => raw.write(sseText(event)),
    beat: () => raw.write(":\n\n"),
    waitingBytes: () => raw.writableLength,
    end: (reason) => raw.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`),
    cut: () => raw.destroy(),
  };
}

function sseText(told: StreamEvent): string {
  return `id: ${told.id}\nevent: ${told.event.type}\ndata: ${JSON.stringify(told)}\n\n`;
}

function lastEventId({ headers, query }: FastifyRequest): string | undefined {
  const inHeader = headers["last-event-id"];
  const inQuery = (query as Record<string, unknown>).last_event_id;
  if (typeof inHeader === "string") return inHeader;
  return typeof inQuery === "string" ? inQuery : undefined;
}
